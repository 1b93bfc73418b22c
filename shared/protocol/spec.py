"""The command table, declared with `@command`.

Parsing, realm spellings, access, usage errors, `help`, docs/commands.md and the client's methods
all derive from `TABLE`. An invalid declaration fails at import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar, cast, dataclass_transform, get_args

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import Kind
from shared.protocol.records import Reply
from shared.protocol.values import REALM_NAME, Address, BadValue, GroupAddress, fold

R = TypeVar("R", bound=Reply)
T = TypeVar("T")


class Access(StrEnum):
    """Who may use a command."""

    ANYONE = "anyone"
    USER = "signed in"
    REALM = "another realm"


class Remote(StrEnum):
    """Of which other realms a command may name people and groups."""

    NONE = "none"
    ACTIVE = "active"
    """Those that are approved, and neither blocked nor removed."""
    QUEUED = "queued"
    """The active ones; what is sent waits in the outbox while the other realm is away."""
    ANY = "any"
    """Pending, blocked and removed ones too: what was written stays, and everybody may read it,
    leave it and hear no more of it."""


@dataclass(frozen=True, slots=True)
class Arg:
    """One argument: its place in the line, its kind and its meaning."""

    name: str
    kind: Kind
    help: str
    rest: bool
    quotable: bool
    """Whether the rest of the line may also be one quoted word."""
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
    """The arguments that can be typed, in order."""
    required: tuple[Arg, ...]
    by_name: Mapping[str, Arg]
    addresses: tuple[str, ...]
    """Names of the arguments that are addresses of people or groups."""
    repeatable: bool
    """Whether a client may send the command again after no answer: a second time changes
    nothing."""
    remote: Remote

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
        """Return the `bad_arguments` error of this command, with its usage."""
        what = f"{arg.name}: {why}" if arg else why
        usage = self.usage(spelling)
        return ChatError(ErrorCode.BAD_ARGUMENTS, f"{what}. Usage: {usage}")

    def build(self, spelling: str, values: dict[str, Any], realm: str | None) -> Request[Any]:
        """Build the request; a realm spelling qualifies unqualified addresses.

        Raises:
            ChatError: BAD_ARGUMENTS, an argument is missing, arguments contradict each other, or
            the realm's name is malformed.
        """
        for a in self.required:
            if a.name not in values:
                raise self.refusal(spelling, None, a.missing or f"<{a.name}> is missing")
        if realm is not None:
            if not REALM_NAME.fullmatch(realm):
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
        """Return the error in the combination of arguments, or None."""
        return None

    @staticmethod
    def doubt(bare: Mapping[str, str]) -> str | None:
        """Return why a typed line is ambiguous, or None.

        Args:
            bare: The words typed without quotes, by argument.
        """
        return None

    def named_realms(self) -> list[str]:
        """Return the realms in its addresses and in its argument `realm`, repeated as they are."""
        named = [realm] if (realm := getattr(self, "realm", None)) else []
        for name in self.spec.addresses:
            address: Address | GroupAddress | None = getattr(self, name)
            if address is not None and address.realm:
                named.append(address.realm)
        return named

    def without_local_realm(self, home: str) -> Request[R]:
        """Return the same request with this realm's own (folded) name removed from its
        addresses."""
        changes: dict[str, Any] = {}
        for name in self.spec.addresses:
            address: Address | GroupAddress | None = getattr(self, name)
            if address is not None and address.realm and fold(address.realm) == home:
                changes[name] = address.without_local_realm(home)
        return cast("Request[R]", replace(cast(Any, self), **changes)) if changes else self

    def with_realms(self, names: Mapping[str, str]) -> Request[R]:
        """Return the same request with realms renamed; the keys of `names` are folded."""
        changes: dict[str, Any] = {}
        for name in self.spec.addresses:
            address: Address | GroupAddress | None = getattr(self, name)
            if address is not None and fold(address.realm) in names:
                changes[name] = replace(address, realm=names[fold(address.realm)])
        realm: str | None = getattr(self, "realm", None)
        if realm is not None and fold(realm) in names:
            changes["realm"] = names[fold(realm)]
        return cast("Request[R]", replace(cast(Any, self), **changes))


FEATURES = tuple("accounts private blocks groups history files realms links meta".split())
"""The order of the commands' modules in help and in the reference."""
TABLE: dict[str, Spec] = {}
"""Every spelling of every command, realm spellings included."""


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
        rest: The argument is the rest of the typed line, verbatim.
        quotable: If the whole rest is one quoted word, the value is that word.
        json_only: The argument cannot be typed in the text dialect.
        missing: The sentence for a missing argument; by default that it is missing.
        default: Makes the argument optional.
    """
    meta = {"help": help, "kind": kind, "rest": rest, "quotable": quotable}
    meta |= {"json_only": json_only, "missing": missing}
    return field(metadata=meta) if default is MISSING else field(default=default, metadata=meta)


@dataclass_transform(frozen_default=True, field_specifiers=(arg,))
def command(
    name: str,
    *,
    realm_name: str | None = None,
    access: Access = Access.USER,
    repeatable: bool = False,
    remote: Remote = Remote.NONE,
) -> Callable[[type[T]], type[T]]:
    """Declare a command; the class becomes a frozen dataclass and a row of `TABLE`.

    Args:
        repeatable: See `Spec`. A command with an idempotency key always is, under the same key.
        remote: See `Remote`; a command that names no realm has NONE.
    """

    def declare(cls: type[T]) -> type[T]:
        assert cls.__doc__, f"{name}: a docstring is missing"
        # mypy checks that it is frozen; at run time that would cost 0.2 us a field.
        made = cast(Any, dataclass(unsafe_hash=True)(cls))
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
        names_realms = bool(addresses) or any(a.name == "realm" for a in args)
        assert realm_name is None or names_realms, (
            f"{name}: a realm spelling needs an address or a realm to qualify"
        )
        assert remote is Remote.NONE or names_realms, f"{name}: it can name no realm"
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
            required=tuple(a for a in args if a.required),
            by_name={a.name: a for a in args},
            addresses=addresses,
            repeatable=repeatable or "idempotency_key" in {a.name for a in args},
            remote=remote,
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
    """Return every command once, by feature in the order of declaration."""
    every = {id(spec): spec for spec in TABLE.values()}.values()
    return sorted(every, key=lambda spec: FEATURES.index(spec.request.__module__.split(".")[-1]))
