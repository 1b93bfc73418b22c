"""Every reply and event of a realm has exactly the fields of the contract, in their order."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from shared.protocol.spec import Access
from tests.contract import CONTRACT
from tests.contract.events import EVENTS
from tests.contract.files import CONTENT
from tests.strangers import invite_by_stranger
from tests.world import Person, World

MESSAGE = EVENTS["message"].fields
FILE = "id name size type sha256"
PRIVATE = "conversation last_seq read_seq unread other_received_seq other_read_seq last"
GROUP = "group name role members last_seq read_seq unread last"
MEMBER = "user role read_seq"
HELP = "command usage summary"
ANSWERED = [name for name in CONTRACT if name not in ("addrealm", "link", "linkproof")]
"""Commands that need no other realm to succeed."""


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
    needs = dict(CONTRACT[command].arguments)
    if command == "resume":
        needs["token"] = alice.token
    elif command == "chunk":
        needs["upload"] = (await alice.ask("upload", **CONTRACT["upload"].arguments))["upload"]
    elif command == "decline":
        await invite_by_stranger(alice.world, "alice")
    elif command == "getfile":
        needs["file"] = (await alice.ask("sendfile", **CONTRACT["sendfile"].arguments))["file"][
            "id"
        ]
    return needs


@pytest.mark.parametrize("command", ANSWERED)
async def test_a_reply_has_its_fields_in_their_order(alice: Person, command: str) -> None:
    reply = await alice.ask(command, id="7", **await arguments(alice, command))
    head = ["status", "command", "id", "message"]
    assert list(reply) == [*head, *CONTRACT[command].fields.split()]
    assert (reply["command"], reply["id"]) == (command, "7")
    assert reply["message"] and "\n" not in reply["message"]


@pytest.mark.parametrize(
    "command, spelling",
    [(name, row.realm_name) for name, row in CONTRACT.items() if row.realm_name],
)
async def test_a_realm_spelling_answers_the_same(
    alice: Person, command: str, spelling: str
) -> None:
    reply = await alice.ask(spelling, realm="alpha", **await arguments(alice, command))
    assert list(reply) == ["status", "command", "message", *CONTRACT[command].fields.split()]
    assert reply["command"] == spelling


@pytest.mark.parametrize("command", ["files", "format"])
async def test_a_choice_is_confirmed_in_the_sentence(alice: Person, command: str) -> None:
    choice = CONTRACT[command].arguments
    (chosen,) = choice.values()
    assert chosen in (await alice.ask(command, **choice))["message"]


async def test_a_refusal_has_its_fields_in_their_order(world: World) -> None:
    stranger = world.connect()
    for command, row in CONTRACT.items():
        if row.access is Access.REALM:
            continue
        label = {"command": command, "id": "7"}
        reply = await stranger.say(orjson.dumps({**label, **row.arguments}))
        if row.access is Access.USER:
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
    assert {command["command"] for command in commands} >= set(ANSWERED)


async def test_a_new_group_has_no_last_message(alice: Person) -> None:
    await alice.ask("creategroup", name="new")
    new, _ = (await alice.ask("listgroup"))["groups"]
    assert (list(new), new["last"]) == (GROUP.split(), None)


async def test_the_last_chunk_answers_as_sendfile_does(alice: Person) -> None:
    opened = await alice.ask("upload", **CONTRACT["upload"].arguments)
    data = base64.b64encode(CONTENT).decode()
    reply = await alice.ask("chunk", upload=opened["upload"], offset=0, data=data)
    fields = ["offset", *CONTRACT["sendfile"].fields.split()]
    assert list(reply) == ["status", "command", "message", *fields]


async def test_a_repeat_has_the_field_duplicate_and_no_more(alice: Person) -> None:
    for command in ("send", "sendg", "sendfile", "sendgroupfile"):
        asked = {**CONTRACT[command].arguments, "idempotency_key": command}
        await alice.ask(command, **asked)
        reply = await alice.ask(command, **asked)
        head = {"status", "command", "message", "duplicate"}
        assert reply.keys() == head | set(CONTRACT[command].fields.split())


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
            assert list(seen[name][0]) == ["event", *EVENTS[name].fields.split()]
        assert all(list(event)[0] == "event" for events in seen.values() for event in events)
    receipt, *_ = [push for push in await alice.pushes() if push["event"] == "receipt"]
    assert list(receipt) == ["event", *EVENTS["receipt"].fields.split()]
