"""Rules of the command table; sections 2, 4 and 6 of the contract."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from shared.protocol import spec as spec_module
from shared.protocol.kinds import LOCAL_NAME, USER, Number, Text
from shared.protocol.nearest import unknown_command
from shared.protocol.spec import (
    EVENTS,
    TABLE,
    Event,
    Remote,
    Reply,
    Request,
    arg,
    command,
    event,
    record,
    result,
    specs,
)
from shared.protocol.values import Address

OLD_COMMANDS = """
auth register listpc send sendfile creategroup listgroup invitegroup sendg inbox inboxgroup
addrealm listrealm sendpcrealm sendfilerealm listpcrealm creategrouprealm listgrouprealm
invitegrouprealm sendgrouprealm sendgroupfilerealm inboxrealm inboxgrouprealm
""".split()

USAGES = """
register <user> <real_name> <password> <country...>
auth <user> <password>
resume <token>
logout
passwd <old_password> <new_password>
whoami
listpc [realm] [after]
listpcrealm <realm> [after]
send <to> <text...>
sendpcrealm <realm> <to> <text...>
sendfile <to> <name> <data>
sendfilerealm <realm> <to> <name> <data>
inbox <user> [before] [limit]
inboxrealm <realm> <user> [before] [limit]
creategroup <name...>
creategrouprealm <realm> <name...>
listgroup [realm] [after]
listgrouprealm <realm> [after]
invitegroup <group> <user>
invitegrouprealm <realm> <group> <user>
sendg <group> <text...>
sendgrouprealm <realm> <group> <text...>
sendgroupfile <group> <name> <data>
sendgroupfilerealm <realm> <group> <name> <data>
inboxgroup <group> [before] [limit]
inboxgrouprealm <realm> <group> [before] [limit]
members <group> [after]
leavegroup <group>
kick <group> <user>
ban <group> <user>
banrealm <realm> <group> <user>
unban <group> <user>
unbanrealm <realm> <group> <user>
accept <group>
acceptrealm <realm> <group>
decline <group>
declinerealm <realm> <group>
block <user>
blockrealm <realm> <user>
unblock <user>
unblockrealm <realm> <user>
blocked
history <conversation> [before] [after] [limit]
read <conversation> <seq>
received <conversation> <seq>
sync (JSON only): {"command":"sync","have":<have>}
upload <to> <name> <size> <sha256>
chunk <upload> <offset> <data>
getfile <file> [offset]
addrealm <name> <address> <port> [fingerprint]
listrealm
outbox
help [topic]
ping
""".strip().splitlines()

_SENT = "conversation seq message_id time state"
_SIGNED_IN = "user realm token unread epoch protocol limits"
RESULTS = {
    "register": "user",
    "auth": _SIGNED_IN,
    "resume": _SIGNED_IN,
    "whoami": "user realm real_name country admin",
    "listpc": "conversations",
    "send": _SENT,
    "sendfile": f"{_SENT} file",
    "inbox": "conversation messages more",
    "creategroup": "group name",
    "listgroup": "groups",
    "invitegroup": "group user",
    "sendg": _SENT,
    "sendgroupfile": f"{_SENT} file",
    "inboxgroup": "conversation messages more",
    "members": "members",
    "ban": "group user",
    "unban": "group user",
    "accept": "group",
    "decline": "group",
    "block": "users",
    "unblock": "users",
    "blocked": "users",
    "history": "conversation messages more",
    "read": "conversation read_seq",
    "received": "conversation received_seq",
    "sync": "conversations messages more epoch recovered more_conversations",
    "upload": "upload offset chunk",
    "chunk": f"offset {_SENT} file",
    "getfile": "file",
    "addrealm": "realm fingerprint link",
    "listrealm": "realms",
    "outbox": "queued more",
    "help": "commands",
    "ping": "time",
}
EVENT_FIELDS = {
    "message": "id conversation seq from time text file state bot",
    "file": "file offset data last",
    "receipt": "conversation user received_seq read_seq",
    "delivery": "conversation message_id seq state code",
    "group": "group name user change",
    "realm": "realm link was",
    "preference": "conversation blocked",
}
SENDING = ["send", "sendg", "sendfile", "sendgroupfile", "upload"]
WITHOUT_SESSION = {"code", "invitation", "register", "auth", "resume", "help", "format", "ping"}


@pytest.mark.parametrize("name", OLD_COMMANDS)
def test_every_command_of_the_old_system_is_in_the_table(name: str) -> None:
    assert name in TABLE


@pytest.mark.parametrize("usage", USAGES)
def test_the_usage_is_that_of_the_contract(usage: str) -> None:
    name = usage.partition(" ")[0]
    assert TABLE[name].usage(name) == usage


@pytest.mark.parametrize("name", RESULTS)
def test_the_reply_has_the_fields_of_the_contract(name: str) -> None:
    assert {w.wire for w in TABLE[name].reply.wires} >= set(RESULTS[name].split())


@pytest.mark.parametrize("name", EVENT_FIELDS)
def test_the_event_has_the_fields_of_the_contract(name: str) -> None:
    assert [w.wire for w in EVENTS[name].wires] == EVENT_FIELDS[name].split()


def test_there_is_no_other_event() -> None:
    assert EVENTS.keys() == EVENT_FIELDS.keys()


def test_only_these_commands_need_no_session() -> None:
    assert {s.name for s in specs() if s.access is spec_module.Access.ANYONE} == WITHOUT_SESSION


@pytest.mark.parametrize("name", SENDING)
def test_every_sending_command_takes_an_idempotency_key_in_json_only(name: str) -> None:
    key = TABLE[name].by_name["idempotency_key"]
    assert (key.required, key.json_only) == (False, True)


@pytest.mark.parametrize("spec", specs(), ids=[s.name for s in specs()])
def test_every_command_and_argument_is_explained_in_one_line(spec: spec_module.Spec) -> None:
    assert spec.summary.endswith(".") and len(spec.summary) <= 100
    assert all(a.help and "\n" not in a.help for a in spec.args)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("snd", "send"), ("SEND", "send"), ("lispc", "listpc"), ("sendpcrelm", "sendpcrealm")]
    + [("inbocks", "inbox"), ("uath", "auth"), ("atuh", "auth"), ("regsiter", "register")],
)
def test_an_unknown_command_names_the_nearest_one(typed: str, meant: str) -> None:
    assert f"did you mean {meant}?" in unknown_command(typed).message


@pytest.mark.parametrize("typed", ["qqqqqq", "", "x" * 10_000, "\x1b[2J", "sen d", "\ud800"])
def test_a_strange_command_is_refused_without_repeating_it(typed: str) -> None:
    message = unknown_command(typed).message
    assert message.encode().isascii() and message.isprintable() and len(message) < 200


# Declarations that are wrong fail at import.


@pytest.fixture
def empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_module, "TABLE", {})
    monkeypatch.setattr(spec_module, "EVENTS", {})


@record
class Done(Reply):
    """Nothing to say."""


def _declared(
    bases: tuple[Any, ...] = (Request[Done],),
    *,
    name: str = "try",
    realm_name: str | None = None,
    remote: Remote = Remote.NONE,
    doc: str | None = "Try it.",
    **fields: tuple[Any, Any],
) -> Callable[[], object]:
    """Return what declares a command with these fields, each a type and its `arg()`."""

    def declare() -> object:
        def body(space: dict[str, Any]) -> None:
            space["__annotations__"] = {field: hint for field, (hint, _) in fields.items()}
            space.update({field: default for field, (_, default) in fields.items()})
            if doc is not None:
                space["__doc__"] = doc

        return command(name, realm_name=realm_name, remote=remote)(_new_class("Try", bases, body))

    return declare


def _new_class(name: str, bases: tuple[Any, ...], body: Callable[[dict[str, Any]], None]) -> type:
    return types.new_class(name, bases, exec_body=body)


TO = (Address, arg("who", USER))
TEXT = (str, arg("what", Text(10), rest=True))
COUNT = (int, arg("how many", Number(1, 200)))
RIGHT = {
    "without arguments": _declared(),
    "with all there is": _declared(realm_name="tryrealm", to=TO, count=COUNT, text=TEXT),
    "with a default": _declared(count=(int, arg("how many", Number(1, 200), default=50))),
}
WRONG = {
    "no docstring": _declared(doc=None),
    "an empty docstring": _declared(doc=""),
    "the rest before another word": _declared(text=TEXT, to=TO),
    "a realm spelling with nothing to qualify": _declared(realm_name="tryrealm", text=TEXT),
    "other realms that no argument can name": _declared(remote=Remote.ACTIVE, text=TEXT),
    "both spellings the same": _declared(realm_name="try", to=TO),
    "an optional argument before a required one": _declared(
        to=(Address | None, arg("who", USER, default=None)), text=TEXT
    ),
    "a field that is no argument": _declared(to=(str, "bob")),
    "no reply type": _declared((Request,)),
    "a reply type that is no reply": _declared((Request[Any],)),
    "a name that cannot be typed": _declared(name="Try"),
    "a name of two words": _declared(name="try it"),
    "an argument named as the command's key": _declared(command=TO),
    "an argument named as the label": _declared(id=TO),
    "a default that its own kind refuses": _declared(
        count=(int, arg("how many", Number(1, 200), default=500))
    ),
    "a typed optional argument before the rest": _declared(
        realm=(str | None, arg("where", LOCAL_NAME, default=None)),
        text=(str | None, arg("what", Text(10), rest=True, default=None)),
    ),
}


@pytest.mark.usefixtures("empty_table")
@pytest.mark.parametrize("declare", RIGHT.values(), ids=list(RIGHT))
def test_a_right_declaration_is_taken(declare: Callable[[], object]) -> None:
    declare()
    assert "try" in spec_module.TABLE


@pytest.mark.usefixtures("empty_table")
@pytest.mark.parametrize("declare", WRONG.values(), ids=list(WRONG))
def test_a_wrong_declaration_fails_at_import(declare: Callable[[], object]) -> None:
    with pytest.raises((AssertionError, TypeError, AttributeError)):
        declare()


@pytest.mark.usefixtures("empty_table")
def test_a_command_cannot_be_declared_twice() -> None:
    _declared()()
    with pytest.raises(AssertionError, match="twice"):
        _declared()()


@pytest.mark.usefixtures("empty_table")
def test_a_realm_spelling_cannot_take_anothers_name() -> None:
    _declared(to=TO)()
    with pytest.raises(AssertionError, match="twice"):
        _declared(name="other", realm_name="try", to=TO)()


@pytest.mark.usefixtures("empty_table")
def test_an_event_cannot_be_declared_twice() -> None:
    def declare() -> object:
        @event("happened")
        class Happened(Event):
            """It did."""

        return Happened

    declare()
    with pytest.raises(AssertionError, match="twice"):
        declare()


def test_a_reply_needs_a_docstring() -> None:
    with pytest.raises(AssertionError):

        @record
        class Undocumented(Reply):
            user: str = result("who")


@pytest.mark.parametrize("name", ["status", "command", "id", "message"])
def test_a_reply_cannot_have_a_field_that_every_reply_has(name: str) -> None:
    def body(space: dict[str, Any]) -> None:
        space.update({"__doc__": "Wrong.", "__annotations__": {name: str}, name: result("a field")})

    with pytest.raises(AssertionError):
        record(_new_class("Wrong", (Reply,), body))


def test_an_optional_field_has_no_default_but_none() -> None:
    with pytest.raises(AssertionError):
        result("how many", default=0)
