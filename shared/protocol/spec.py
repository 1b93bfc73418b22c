"""The command table: what `@command` declares and everything else reads.

Parsing, realm spellings, access, usage errors, `help`, docs/commands.md and the client's methods
all derive from `TABLE`. A declaration that is wrong fails at import.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar, cast, dataclass_transform, get_args

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import Kind
from shared.protocol.values import NAME, Address, BadValue, GroupAddress, fold

R = TypeVar("R", bound="Reply")
T = TypeVar("T")


class Access(StrEnum):
    """Who may use a command."""

    ANYONE = "anyone"
    USER = "signed in"
    REALM = "another realm"


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument: its place in the line, its kind and what it means."""

    name: str
    kind: Kind
    help: str
    rest: bool
    quotable: bool
    """As the rest of the line it may also be one quoted word, which other rests are not."""
    json_only: bool
    required: bool
    missing: str


@dataclass(frozen=True, slots=True)
class Spec:
    """One row of the table."""

    name: str
    realm_name: str | None
    access: Access
    request: type[Request[Any]]
    reply: type[Reply]
    args: tuple[Arg, ...]
    words: tuple[Arg, ...]
    """The arguments that can be typed, in their order."""
    by_name: Mapping[str, Arg]
    addresses: tuple[str, ...]
    """Names of the arguments that hold a person's or a group's address."""
    repeatable: bool
    """Whether a client may send it again when no answer came: it changes nothing a second time."""

    @property
    def summary(self) -> str:
        return (self.request.__doc__ or "").strip().partition("\n")[0]

    def usage(self, spelling: str | None = None) -> str:
        """Return the line to type, such as `send <to> <text...>`."""
        if any(a.required and a.json_only for a in self.args):
            needed = "".join(f',"{a.name}":<{a.name}>' for a in self.args if a.required)
            return f'{self.name} (JSON only): {{"command":"{self.name}"{needed}}}'
        words = [spelling or self.name]
        shown = self.words
        if spelling and spelling == self.realm_name:
            words.append("<realm>")
            shown = tuple(a for a in shown if a.name != "realm")
        for a in shown:
            word = a.name + ("..." if a.rest else "")
            words.append(f"<{word}>" if a.required else f"[{word}]")
        return " ".join(words)

    def refusal(self, spelling: str, arg: Arg | None, why: str) -> ChatError:
        """Return the `bad_arguments` of this command, which shows its usage."""
        what = f"{arg.name}: {why}" if arg else why
        usage = self.usage(spelling)
        return ChatError(ErrorCode.BAD_ARGUMENTS, f"{what}. Usage: {usage}")

    def build(self, spelling: str, values: dict[str, Any], realm: str | None) -> Request[Any]:
        """Make the request; a realm spelling qualifies its unqualified addresses.

        Raises:
            ChatError: BAD_ARGUMENTS, one is missing, they do not fit together, or the realm's
                name is malformed.
        """
        for a in self.args:
            if a.required and a.name not in values:
                raise self.refusal(spelling, None, a.missing or f"{a.name} is missing")
        if realm is not None:
            if not NAME.fullmatch(realm):
                raise self.refusal(spelling, None, "realm must be a realm's name")
            if "realm" in self.by_name:
                values["realm"] = realm
            for name in self.addresses:
                if name in values:
                    values[name] = values[name].in_realm(realm)
        request = self.request(**values)
        if (wrong := request.wrong()) is not None:
            raise self.refusal(spelling, None, wrong)
        return request


class Request(Generic[R]):
    """A command with its arguments; R is the type of its reply."""

    spec: ClassVar[Spec]

    def wrong(self) -> str | None:
        """Return what is wrong with the arguments together, or None."""
        return None

    @staticmethod
    def doubt(bare: Mapping[str, str]) -> str | None:
        """Return why a typed line may have been meant otherwise, or None.

        Args:
            bare: The words that were typed without quotes, by their arguments.
        """
        return None

    def at_home(self, home: str) -> Request[R]:
        """Return the same request with this realm's own (folded) name taken off its addresses."""
        changes: dict[str, Any] = {}
        for name in self.spec.addresses:
            address: Address | GroupAddress | None = getattr(self, name)
            if address is not None and address.realm and fold(address.realm) == home:
                changes[name] = address.at_home(home)
        return cast("Request[R]", replace(cast(Any, self), **changes)) if changes else self


@dataclass(frozen=True, slots=True)
class Wire:
    """One field of a reply, an event or a record inside one, as it appears in JSON."""

    name: str
    wire: str
    help: str
    optional: bool


class Record:
    """What travels from the server: fields declared with `result()`, in wire order."""

    __slots__ = ()
    wires: ClassVar[tuple[Wire, ...]] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON fields in their order; optional ones only if they hold something."""
        out: dict[str, Any] = {}
        for w in self.wires:
            value = getattr(self, w.name)
            if value is not None or not w.optional:
                out[w.wire] = value
        return out


class Reply(Record):
    """The answer to one command that succeeded."""

    __slots__ = ("said",)
    said: str
    """The sentence as the server worded it; set on replies that were read from a frame."""

    def sentence(self) -> str:
        """Return the sentence for people, one line."""
        raise NotImplementedError

    def worded(self) -> str:
        """Return the sentence as it was received, if it was: it may tell what no field holds."""
        return getattr(self, "said", None) or self.sentence()

    def lines(self) -> list[str]:
        """Return what the text dialect shows below the sentence, one item a line."""
        return []


class Event(Record):
    """Something the server says by itself."""

    __slots__ = ()
    event: ClassVar[str]

    def line(self) -> str:
        """Return the event in words."""
        raise NotImplementedError


ENVELOPE = frozenset({"status", "command", "id", "message"})
"""The fields of every reply."""
MEANT = {
    "exit": "logout",
    "groups": "listgroup",
    "login": "auth",
    "message": "send",
    "msg": "send",
    "quit": "logout",
    "rooms": "listgroup",
    "signin": "auth",
    "signup": "register",
    "users": "listpc",
}
"""What people type who know other systems, and the command they mean."""
FEATURES = ("accounts", "private", "groups", "history", "files", "realms", "links", "meta")
"""The order in which help and the reference show the commands' modules."""
TABLE: dict[str, Spec] = {}
"""Every spelling of every command, realm spellings included."""
EVENTS: dict[str, type[Event]] = {}
"""Every event by its name on the wire."""


def arg(
    help: str,
    kind: Kind,
    *,
    rest: bool = False,
    quotable: bool = False,
    json_only: bool = False,
    missing: str = "",
    default: Any = MISSING,
) -> Any:
    """Declare an argument.

    Args:
        rest: It is the rest of the typed line, verbatim.
        quotable: If all of that rest is one quoted word, it is that word.
        json_only: It cannot be typed in the text dialect.
        missing: What to say when it is not given; by default that it is missing.
        default: Makes the argument optional.
    """
    meta = {"help": help, "kind": kind, "rest": rest, "quotable": quotable}
    meta |= {"json_only": json_only, "missing": missing}
    return field(metadata=meta) if default is MISSING else field(default=default, metadata=meta)


def result(help: str, *, wire: str = "", default: Any = MISSING) -> Any:
    """Declare a field of a reply, an event or a record.

    Args:
        wire: Its key in JSON, if that is no Python name.
        default: None makes it optional: left out of JSON while it is None.
    """
    assert default is None or default is MISSING
    meta = {"help": help, "wire": wire, "optional": default is None}
    return field(default=default, metadata=meta)


def unsent(*, default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """Declare a field that only the text dialect shows, such as a group's name in an event."""
    return field(default=default, default_factory=default_factory, metadata={"unsent": True})


@dataclass_transform(field_specifiers=(result, unsent))
def record(cls: type[T]) -> type[T]:
    """Declare a reply or a record inside one; it becomes a dataclass."""
    assert cls.__doc__, f"{cls.__name__}: a docstring is missing"
    made = cast(Any, dataclass(slots=True)(cls))
    made.wires = tuple(
        Wire(f.name, f.metadata["wire"] or f.name, f.metadata["help"], f.metadata["optional"])
        for f in fields(made)
        if not f.metadata.get("unsent")
    )
    if issubclass(made, Reply):
        taken = ENVELOPE & {w.wire for w in made.wires}
        assert not taken, f"{cls.__name__}: {taken} belong to every reply"
    return cast("type[T]", made)


@dataclass_transform(field_specifiers=(result, unsent))
def event(name: str) -> Callable[[type[T]], type[T]]:
    """Declare an event; it becomes a dataclass and a row of `EVENTS`."""

    def declare(cls: type[T]) -> type[T]:
        made = cast(Any, record(cls))
        assert name not in EVENTS, f"event {name} is declared twice"
        made.event = name
        EVENTS[name] = made
        return cast("type[T]", made)

    return declare


@dataclass_transform(frozen_default=True, field_specifiers=(arg,))
def command(
    name: str,
    *,
    realm_name: str | None = None,
    access: Access = Access.USER,
    repeatable: bool = False,
) -> Callable[[type[T]], type[T]]:
    """Declare a command; its class becomes a frozen dataclass and a row of `TABLE`.

    Args:
        repeatable: See `Spec`. With an idempotency key every command is, under the same key.
    """

    def declare(cls: type[T]) -> type[T]:
        assert cls.__doc__, f"{name}: a docstring is missing"
        made = cast(Any, dataclass(frozen=True)(cls))
        args = tuple(Arg(f.name, required=f.default is MISSING, **f.metadata) for f in fields(made))
        words = tuple(a for a in args if not a.json_only)
        addresses = tuple(a.name for a in args if _is_address(a.kind))
        assert not any(a.rest for a in words[:-1]), f"{name}: only the last word may be the rest"
        assert not words or not words[-1].rest or all(a.required for a in words), (
            f"{name}: before the rest of the line nothing can be optional"
        )
        assert not {"command", "id"} & {a.name for a in args}, f"{name}: every command has these"
        for f in fields(made):
            assert f.default in (MISSING, None) or _takes(f.metadata["kind"], f.default), (
                f"{name}: {f.name} does not take its own default"
            )
        assert realm_name is None or addresses or any(a.name == "realm" for a in args), (
            f"{name}: a realm spelling needs an address or a realm to qualify"
        )
        (reply,) = get_args(getattr(made, "__orig_bases__", (Request,))[0]) or (None,)
        assert isinstance(reply, type) and issubclass(reply, Reply), f"{name}: which reply?"
        made.spec = Spec(
            name=name,
            realm_name=realm_name,
            access=access,
            request=made,
            reply=reply,
            args=args,
            words=words,
            by_name={a.name: a for a in args},
            addresses=addresses,
            repeatable=repeatable or "idempotency_key" in {a.name for a in args},
        )
        for spelling in filter(None, (name, realm_name)):
            assert re.fullmatch("[a-z]+", spelling), f"{spelling}: a command is a-z"
            assert spelling not in TABLE, f"{spelling} is declared twice"
            TABLE[spelling] = made.spec
        return cast("type[T]", made)

    return declare


def _takes(kind: Kind, value: Any) -> bool:
    try:
        return bool(kind.from_json(kind.to_json(value)) == value)
    except BadValue:
        return False


def _is_address(kind: Kind) -> bool:
    try:
        return hasattr(kind.from_word("#1"), "in_realm")
    except BadValue:
        try:
            return hasattr(kind.from_word("a"), "in_realm")
        except BadValue:
            return False


def specs() -> list[Spec]:
    """Return every command once, feature by feature in the order of declaration."""
    every = {id(spec): spec for spec in TABLE.values()}.values()
    return sorted(every, key=lambda spec: FEATURES.index(spec.request.__module__.split(".")[-1]))


def nearest_command(name: str, more: Iterable[str] = ()) -> str | None:
    """Return the command that `name` may stand for, out of the table and `more`; None if none."""
    word = name[:64].lower()
    if word in MEANT:
        return MEANT[word]
    near = difflib.get_close_matches(word, [*TABLE, *more], 1, 0.4)
    return near[0] if near else None


def unknown_command(name: str, more: Iterable[str] = ()) -> ChatError:
    """Return the `bad_command` that names the nearest command, out of the table and `more`."""
    near = nearest_command(name, more)
    hint = f"; did you mean {near}?" if near else "."
    shown = name if NAME.fullmatch(name) else "This"
    return ChatError(
        ErrorCode.BAD_COMMAND, f"{shown} is not a command{hint} Type help for the list"
    )
