"""What the server sends: replies, events and the records in them, declared with `@record`.

The words, JSON, docs/commands.md and the client's parsers all derive from the fields.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

T = TypeVar("T")

ENVELOPE = frozenset({"status", "command", "id", "message"})
"""The fields of every reply."""
EVENTS: dict[str, type[Event]] = {}
"""Every event by its name on the wire."""


@dataclass(frozen=True, slots=True)
class WireField:
    """One field of a reply, an event or a nested record, as it appears in JSON."""

    name: str
    wire: str
    help: str
    optional: bool


class Record:
    """Data sent by the server: fields declared with `result()`, in wire order."""

    __slots__ = ()
    wires: ClassVar[tuple[WireField, ...]] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON fields in order; optional ones only if set."""
        raise NotImplementedError  # `record` compiles it from the declared fields


class Reply(Record):
    """The reply to a command that succeeded."""

    __slots__ = ("said",)
    said: str
    """The server's own sentence; set on replies that were decoded from a frame."""

    def sentence(self) -> str:
        """Return the sentence for people, one line."""
        raise NotImplementedError

    def worded(self) -> str:
        """Return the sentence as received, if it was: it may hold more than the fields."""
        return getattr(self, "said", None) or self.sentence()

    def lines(self) -> list[str]:
        """Return the lines below the sentence in the text dialect, one for each item."""
        return []


class Event(Record):
    """A message that the server pushes."""

    __slots__ = ()
    event: ClassVar[str]

    def line(self) -> str:
        """Return the line of the event in the text dialect."""
        raise NotImplementedError


def result(help: str, *, wire: str = "", default: Any = MISSING) -> Any:
    """Declare a field of a reply, an event or a record.

    Args:
        wire: The key in JSON, if it is not a Python name.
        default: None makes the field optional: it is left out of JSON while it is None.
    """
    assert default is None or default is MISSING
    meta = {"help": help, "wire": wire, "optional": default is None}
    return field(default=default, metadata=meta)


def unsent(*, default: Any = MISSING, default_factory: Any = MISSING) -> Any:
    """Declare a field for the text dialect only, such as a group's name in an event."""
    return field(default=default, default_factory=default_factory, metadata={"unsent": True})


@dataclass_transform(field_specifiers=(result, unsent))
def record(cls: type[T]) -> type[T]:
    """Declare a reply or a nested record; the class becomes a dataclass."""
    assert cls.__doc__, f"{cls.__name__}: a docstring is missing"
    made = cast(Any, dataclass(slots=True)(cls))
    made.wires = tuple(
        WireField(f.name, f.metadata["wire"] or f.name, f.metadata["help"], f.metadata["optional"])
        for f in fields(made)
        if not f.metadata.get("unsent")
    )
    made.to_wire = _compiled(made.wires)
    if issubclass(made, Reply):
        taken = ENVELOPE & {w.wire for w in made.wires}
        assert not taken, f"{cls.__name__}: {taken} belong to every reply"
    return cast("type[T]", made)


def _compiled(wires: tuple[WireField, ...]) -> Callable[[Any], dict[str, Any]]:
    """Compile `to_wire` of a record, as `dataclass` compiles `__init__`.

    A loop over the fields takes three times as long, and each message passes here twice.
    """
    lines = ["def to_wire(self):", "    out = {}"]
    for w in wires:
        if w.optional:
            lines += [
                f"    if (value := self.{w.name}) is not None:",
                f"        out[{w.wire!r}] = value",
            ]
        else:
            lines.append(f"    out[{w.wire!r}] = self.{w.name}")
    names: dict[str, Any] = {}
    exec("\n".join([*lines, "    return out"]), names)
    return cast("Callable[[Any], dict[str, Any]]", names["to_wire"])


@dataclass_transform(field_specifiers=(result, unsent))
def event(name: str) -> Callable[[type[T]], type[T]]:
    """Declare an event; the class becomes a dataclass and a row of `EVENTS`."""

    def declare(cls: type[T]) -> type[T]:
        made = cast(Any, record(cls))
        assert name not in EVENTS, f"event {name} is declared twice"
        made.event = name
        EVENTS[name] = made
        return cast("type[T]", made)

    return declare
