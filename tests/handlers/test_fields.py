"""Every reply and event has exactly the fields of the tables in sections 5 to 7 of the contract.

The tables stand here once more, by hand: what the server declares is what is tested.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import orjson
import pytest

from shared.protocol.spec import EVENTS, TABLE
from tests.strangers import invite_by_stranger
from tests.world import Person, World

MESSAGE = "id conversation seq from time text"
FILE = "id name size type sha256"
SIGNED_IN = "user realm token unread epoch protocol limits"
SENT = "conversation seq message_id time state"
PAGE = "conversation messages more"

REPLIES = {
    "code": "wanted accepted",
    "invitation": "registration accepted",
    "register": "user",
    "auth": SIGNED_IN,
    "resume": SIGNED_IN,
    "logout": "",
    "passwd": "",
    "whoami": "user realm real_name country admin",
    "listpc": "conversations",
    "send": SENT,
    "sendfile": f"{SENT} file",
    "inbox": PAGE,
    "creategroup": "group name",
    "listgroup": "groups",
    "invitegroup": "group user",
    "sendg": SENT,
    "sendgroupfile": f"{SENT} file",
    "inboxgroup": PAGE,
    "members": "members",
    "leavegroup": "group",
    "kick": "group user",
    "ban": "group user",
    "unban": "group user",
    "grouphistory": "group history",
    "accept": "group",
    "decline": "group",
    "block": "users",
    "unblock": "users",
    "blocked": "users",
    "history": PAGE,
    "read": "conversation read_seq",
    "received": "conversation received_seq",
    "sync": "conversations messages more epoch recovered",
    "upload": "upload offset chunk",
    "chunk": "offset",
    "getfile": "file",
    "listrealm": "realms",
    "outbox": "queued",
    "help": "commands",
    "ping": "time",
}
"""Result fields by command. `files` and `format` have none in the contract; see below."""
PRIVATE = "conversation last_seq read_seq unread other_received_seq other_read_seq last"
GROUP = "group name role members last_seq read_seq unread last"
MEMBER = "user role read_seq"
HELP = "command usage summary"
SPELLINGS = {
    "listpc": "listpcrealm",
    "send": "sendpcrealm",
    "sendfile": "sendfilerealm",
    "inbox": "inboxrealm",
    "creategroup": "creategrouprealm",
    "listgroup": "listgrouprealm",
    "invitegroup": "invitegrouprealm",
    "sendg": "sendgrouprealm",
    "sendgroupfile": "sendgroupfilerealm",
    "inboxgroup": "inboxgrouprealm",
    "ban": "banrealm",
    "unban": "unbanrealm",
    "grouphistory": "grouphistoryrealm",
    "accept": "acceptrealm",
    "decline": "declinerealm",
    "block": "blockrealm",
    "unblock": "unblockrealm",
}
EVENT = {
    "message": MESSAGE,
    "file": "file offset data last",
    "receipt": "conversation user received_seq read_seq",
    "delivery": "conversation message_id seq state",
    "group": "group name user change",
    "realm": "realm link",
    "preference": "conversation blocked",
}
WITHOUT_SESSION = {"code", "invitation", "register", "auth", "resume", "help", "format", "ping"}
CONTENT = b"hello"
NEEDS: dict[str, dict[str, Any]] = {
    "register": {"user": "dave", "real_name": "Dave", "password": "secret1", "country": "Peru"},
    "auth": {"user": "bob", "password": "secret1"},
    "passwd": {"old_password": "secret1", "new_password": "secret2"},
    "send": {"to": "bob", "text": "hi"},
    "sendfile": {"to": "bob", "name": "a.txt", "data": "aGk="},
    "inbox": {"user": "bob"},
    "creategroup": {"name": "team"},
    "invitegroup": {"group": "#1", "user": "carol"},
    "sendg": {"group": "#1", "text": "hi"},
    "sendgroupfile": {"group": "#1", "name": "a.txt", "data": "aGk="},
    "inboxgroup": {"group": "#1"},
    "members": {"group": "#1"},
    "leavegroup": {"group": "#1"},
    "kick": {"group": "#1", "user": "bob"},
    "ban": {"group": "#1", "user": "bob"},
    "unban": {"group": "#1", "user": "carol"},
    "grouphistory": {"group": "#1", "history": "joining"},
    "accept": {"group": "#1"},
    "decline": {"group": "#2"},
    "block": {"user": "bob"},
    "unblock": {"user": "bob"},
    "history": {"conversation": "bob"},
    "read": {"conversation": "bob", "seq": 1},
    "received": {"conversation": "bob", "seq": 1},
    "sync": {"have": {}},
    "upload": {
        "to": "bob",
        "name": "a.txt",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    },
    "chunk": {"upload": "u_1", "offset": 0, "data": "aGk="},
    "getfile": {"file": "f_1"},
    "files": {"mode": "offer"},
    "addrealm": {"name": "beta", "address": "127.0.0.1", "port": 9},
    "format": {"dialect": "json"},
    "resume": {"token": "nonsense"},
}
"""Arguments with which each command is complete; what is not named needs none."""


@pytest.fixture
async def alice(world: World) -> Person:
    """Somebody with a talk, a group and a file; bob is the other person in them."""
    alice, bob = await world.log_in("alice", "bob")
    await world.add_users("carol")
    await bob.ask("send", to="alice", text="hi")
    await alice.ask("creategroup", name="team")
    await alice.ask("invitegroup", group="#1", user="bob")
    await bob.ask("sendg", group="#1", text="hi")
    await alice.pushes()
    return alice


async def arguments(alice: Person, command: str) -> dict[str, Any]:
    """Return arguments with which a command succeeds."""
    needs = dict(NEEDS.get(command, {}))
    if command == "resume":
        needs["token"] = alice.token
    elif command == "chunk":
        needs["upload"] = (await alice.ask("upload", **NEEDS["upload"]))["upload"]
    elif command == "decline":
        await invite_by_stranger(alice.world, "alice")
    elif command == "getfile":
        needs["file"] = (await alice.ask("sendfile", **NEEDS["sendfile"]))["file"]["id"]
    return needs


def test_the_tables_name_every_command_and_event() -> None:
    spellings = {spec.name: spec.realm_name for spec in TABLE.values()}
    assert spellings == {
        name: SPELLINGS.get(name)
        for name in [*REPLIES, "files", "format", "addrealm", "link", "linkproof"]
    }
    assert EVENTS.keys() == EVENT.keys()


@pytest.mark.parametrize("command", REPLIES)
async def test_a_reply_has_its_fields_in_their_order(alice: Person, command: str) -> None:
    reply = await alice.ask(command, id="7", **await arguments(alice, command))
    head = ["status", "command", "id", "message"]
    assert list(reply) == [*head, *REPLIES[command].split()]
    assert (reply["command"], reply["id"]) == (command, "7")
    assert reply["message"] and "\n" not in reply["message"]


@pytest.mark.parametrize("command, spelling", SPELLINGS.items())
async def test_a_realm_spelling_answers_the_same(
    alice: Person, command: str, spelling: str
) -> None:
    reply = await alice.ask(spelling, realm="alpha", **await arguments(alice, command))
    assert list(reply) == ["status", "command", "message", *REPLIES[command].split()]
    assert reply["command"] == spelling


@pytest.mark.parametrize(
    ("command", "choice"), [("files", {"mode": "offer"}), ("format", {"dialect": "json"})]
)
async def test_files_and_format_say_what_is_chosen_in_their_sentence_alone(
    alice: Person, command: str, choice: dict[str, str]
) -> None:
    reply = await alice.ask(command, id="7", **choice)
    assert list(reply) == ["status", "command", "id", "message"]
    (chosen,) = choice.values()
    assert chosen in reply["message"]


async def test_a_refusal_has_its_fields_in_their_order(world: World) -> None:
    stranger = world.connect()
    for command in NEEDS.keys() | REPLIES.keys():
        label = {"command": command, "id": "7"}
        reply = await stranger.say(orjson.dumps({**label, **NEEDS.get(command, {})}))
        if command not in WITHOUT_SESSION:
            assert list(reply) == ["status", "command", "id", "code", "message"]
            assert (reply["status"], reply["code"]) == ("ERROR", "not_authenticated"), command
        else:
            assert reply.get("code") != "not_authenticated", command
        reply = await stranger.say(orjson.dumps({**label, "nonsense": 1}))
        assert list(reply) == ["status", "command", "id", "code", "message"]
        assert (reply["code"], reply["command"], reply["id"]) == ("bad_arguments", command, "7")
        assert command in reply["message"].partition("Usage: ")[2]


async def test_an_unknown_command_is_not_echoed_as_one(alice: Person) -> None:
    reply = await alice.say('{"command":"sned","id":"7"}')
    assert list(reply) == ["status", "id", "code", "message"]
    assert reply["code"] == "bad_command" and "send" in reply["message"]


async def test_messages_show_their_fields_wherever_they_are_listed(alice: Person) -> None:
    await alice.ask("send", to="bob", text="own")
    await alice.ask("sendfile", to="bob", name="a.txt", data="aGk=")
    page = await alice.ask("inbox", user="bob")
    other, own, file = page["messages"]
    assert set(other) == set(MESSAGE.split())
    assert set(own) == {*MESSAGE.split(), "state"}
    assert set(file) == {*MESSAGE.split(), "state", "file"}
    assert list(file["file"]) == FILE.split()
    assert (await alice.ask("history", conversation="bob"))["messages"] == page["messages"]
    (chat,) = (await alice.ask("listpc"))["conversations"]
    assert list(chat) == PRIVATE.split()
    assert chat["last"] == file
    (group,) = (await alice.ask("listgroup"))["groups"]
    assert list(group) == GROUP.split()
    assert set(group["last"]) == set(MESSAGE.split())
    synced = await alice.ask("sync", have={"#1": 1})
    assert synced["messages"] == page["messages"]
    members = (await alice.ask("members", group="#1"))["members"]
    assert [list(member) for member in members] == [MEMBER.split()] * 2
    commands = (await alice.ask("help"))["commands"]
    assert all(list(command) == HELP.split() for command in commands)
    assert {command["command"] for command in commands} >= REPLIES.keys()


async def test_a_new_group_has_no_last_message(alice: Person) -> None:
    await alice.ask("creategroup", name="new")
    new, _ = (await alice.ask("listgroup"))["groups"]
    assert (list(new), new["last"]) == (GROUP.split(), None)


async def test_the_last_chunk_answers_as_sendfile_does(alice: Person) -> None:
    opened = await alice.ask("upload", **NEEDS["upload"])
    data = base64.b64encode(CONTENT).decode()
    reply = await alice.ask("chunk", upload=opened["upload"], offset=0, data=data)
    fields = ["offset", *REPLIES["sendfile"].split()]
    assert list(reply) == ["status", "command", "message", *fields]


async def test_a_repeat_has_the_field_duplicate_and_no_more(alice: Person) -> None:
    for command in ("send", "sendg", "sendfile", "sendgroupfile"):
        asked = {**NEEDS[command], "idempotency_key": command}
        await alice.ask(command, **asked)
        reply = await alice.ask(command, **asked)
        head = {"status", "command", "message", "duplicate"}
        assert reply.keys() == head | set(REPLIES[command].split())


async def test_events_have_their_fields_with_the_event_first(world: World, alice: Person) -> None:
    other, bob = await world.log_in("alice", "bob")
    await alice.ask("send", to="bob", text="hi")
    await bob.ask("read", conversation="alice", seq=2)
    await alice.ask("sendfile", to="bob", name="a.txt", data="aGk=")
    await alice.ask("kick", group="#1", user="bob")
    for person, more in ((bob, set()), (other, {"state"})):
        seen: dict[str, list[dict[str, Any]]] = {}
        while not {"message", "file", "group"} <= seen.keys():
            event = await person.push()
            seen.setdefault(event["event"], []).append(event)
        text, file = seen["message"][0], seen["message"][-1]
        assert text.keys() == {"event", *MESSAGE.split(), *more}
        assert file.keys() == {"event", *MESSAGE.split(), *more, "file"}
        assert list(file["file"]) == FILE.split()
        for name in ("file", "group"):
            assert list(seen[name][0]) == ["event", *EVENT[name].split()]
        assert all(list(event)[0] == "event" for events in seen.values() for event in events)
    receipt, *_ = [push for push in await alice.pushes() if push["event"] == "receipt"]
    assert list(receipt) == ["event", *EVENT["receipt"].split()]


def test_events_of_realms_are_declared_with_their_fields() -> None:
    for name in ("delivery", "realm"):
        required = [wire.wire for wire in EVENTS[name].wires if not wire.optional]
        assert required == EVENT[name].split()
