"""Rules of the command table; sections 2, 4 and 6 of the contract."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from shared.protocol import records
from shared.protocol import spec as spec_module
from shared.protocol.commands.private import ListPc, Send
from shared.protocol.kinds import LOCAL_NAME, USER, Number, Text
from shared.protocol.nearest import unknown_command
from shared.protocol.records import EVENTS, Event, Record, Reply, event, record, result
from shared.protocol.spec import TABLE, Remote, Request, arg, command, specs
from shared.protocol.values import Address
from tests.contract import CONTRACT
from tests.contract.events import EVENTS as EVENTS_OF_CONTRACT
from tests.contract.row import Fields, Row

OLD_COMMANDS = """
auth register listpc send sendfile creategroup listgroup invitegroup sendg inbox inboxgroup
addrealm listrealm sendpcrealm sendfilerealm listpcrealm creategrouprealm listgrouprealm
invitegrouprealm sendgrouprealm sendgroupfilerealm inboxrealm inboxgrouprealm
""".split()
SENDING = ["send", "sendg", "sendfile", "sendgroupfile", "upload"]


@pytest.mark.parametrize("name", OLD_COMMANDS)
def test_every_command_of_the_old_system_is_in_the_table(name: str) -> None:
    assert name in TABLE


def test_the_contract_names_every_command_and_event() -> None:
    spellings = {row.name: row.realm_name for row in CONTRACT.values()}
    assert {spec.name: spec.realm_name for spec in specs()} == spellings
    assert EVENTS.keys() == EVENTS_OF_CONTRACT.keys()


@pytest.mark.parametrize("row", CONTRACT.values(), ids=list(CONTRACT))
def test_a_command_has_the_usages_and_the_access_of_the_contract(row: Row) -> None:
    spec = TABLE[row.name]
    assert spec.usage() == row.usage
    assert row.realm_name is None or spec.usage(row.realm_name) == row.realm_usage
    assert spec.access is row.access


@pytest.mark.parametrize("row", CONTRACT.values(), ids=list(CONTRACT))
def test_the_reply_has_the_fields_of_the_contract(row: Row) -> None:
    assert_fields(TABLE[row.name].reply, row)


@pytest.mark.parametrize("name", EVENTS_OF_CONTRACT)
def test_the_event_has_the_fields_of_the_contract(name: str) -> None:
    assert_fields(EVENTS[name], EVENTS_OF_CONTRACT[name])


def assert_fields(declared: type[Record], wanted: Fields) -> None:
    optional = wanted.optional.split()
    wires = declared.wires
    assert [w.wire for w in wires if w.wire not in optional] == wanted.fields.split()
    assert {w.wire for w in wires} >= set(optional)
    assert all(w.optional for w in wires if w.wire in optional)


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


def test_the_own_realm_is_left_out_of_addresses() -> None:
    there, here = Send(Address("bob", "Alpha"), "hi"), Send(Address("bob"), "hi")
    assert there.without_local_realm("alpha") == here
    assert there.without_local_realm("beta") is there


def test_realms_are_renamed_in_addresses_and_arguments() -> None:
    names = {"beta": "gamma"}
    there = Send(Address("bob", "Beta"), "hi").with_realms(names)
    assert there == Send(Address("bob", "gamma"), "hi")
    assert ListPc("Beta").with_realms(names) == ListPc("gamma")
    assert ListPc("alpha").with_realms(names) == ListPc("alpha")


# Declarations that are wrong fail at import.


@pytest.fixture
def empty_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spec_module, "TABLE", {})
    monkeypatch.setattr(records, "EVENTS", {})


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
