"""Declaration of JSON objects on a link; decoder, errors, encoder and documentation derive from it.

A `Shape` has the fields of one object. `shaped` makes a frozen dataclass and its shape of a class;
a `Shape` may also fill a class of the store. A shape ignores unknown fields, so that newer realms
may send more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, cast, dataclass_transform

from shared.protocol.values import BadValue

T = TypeVar("T")
S = TypeVar("S", bound="Shaped")

REQUIRED: Final = object()
"""Marks a field that may not be left out."""


class Direction(StrEnum):
    """Who sends a kind to whom. A link is symmetric: each realm may have either part."""

    EITHER = "either realm"
    ANSWER = "in answer"
    TO_HOST = "to a group's host"
    FROM_HOST = "from a group's host"


class Convertible(Protocol):
    """A kind of value on a link; the kinds of `shared.protocol.kinds` are such kinds too."""

    def from_json(self, value: object) -> Any:
        """Return the checked value of a JSON value; raises `BadValue` with a sentence."""

    def to_json(self, value: Any) -> Any:
        """Return the JSON value that `from_json` reads."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object."""

    name: str
    """The attribute that holds its value."""
    kind: Convertible
    help: str
    wire: str | None
    """Its key in JSON. None if the kind reads the whole object: the fields stand beside others."""
    absent: Any = REQUIRED
    """The value if the field is left out. `None` is left out when it is sent."""


class Shape(Generic[T]):
    """The fields of one kind of object, and what is made of their values; itself a kind of value.

    Both directions are compiled, as the methods of dataclasses are: a loop over the fields costs
    half as much again for each row (docs/decisions).
    """

    def __init__(self, name: str, make: Callable[..., T], fields: Sequence[Field]) -> None:
        """Args: `make` is called with the values of the fields, in their order."""
        self.name = name
        self.fields = tuple(fields)
        self.from_json: Callable[[object], T] = _decoder(self, make)
        """Return the decoded object. Raises `BadValue` if the value is no object, or a field is
        missing or malformed; the sentence begins with the field's name."""
        self.to_json: Callable[[T], dict[str, Any]] = _encoder(self)
        """Return the fields of an object, in the order of their declaration."""

    def named(self, value: dict[str, Any], why: BadValue) -> BadValue:
        """Return an error with the name of the first field that is wrong."""
        for f in self.fields:
            if f.wire is None:
                continue
            if f.wire in value:
                try:
                    f.kind.from_json(value[f.wire])
                except BadValue as wrong:
                    return BadValue(f"{f.wire}: {wrong}")
            elif f.absent is REQUIRED:
                return BadValue(f"{f.wire}: is missing")
        return why


def _decoder(shape: Shape[T], make: Callable[..., T]) -> Callable[[object], T]:
    names: dict[str, Any] = {"make": make, "named": shape.named, "BadValue": BadValue}
    reads: list[str] = []
    for at, f in enumerate(shape.fields):
        names |= {f"read{at}": f.kind.from_json, f"absent{at}": f.absent}
        if f.wire is None:
            reads.append(f"read{at}(value)")
        elif f.absent is REQUIRED:
            reads.append(f"read{at}(get({f.wire!r}))")
        else:
            reads.append(f"read{at}(value[{f.wire!r}]) if {f.wire!r} in value else absent{at}")
    source = f"""
def from_json(value):
    if type(value) is not dict:
        raise BadValue("must be an object")
    get = value.get
    try:
        return make({", ".join(reads)})
    except BadValue as why:
        raise named(value, why) from None
"""
    exec(source, names)
    return cast("Callable[[object], T]", names["from_json"])


def _encoder(shape: Shape[T]) -> Callable[[T], dict[str, Any]]:
    names: dict[str, Any] = {}
    lines = ["def to_json(value):", " body = {}"]
    for at, f in enumerate(shape.fields):
        names[f"write{at}"] = f.kind.to_json
        written = f"write{at}(value.{f.name})"
        if f.wire is None:
            lines.append(f" body.update({written})")
        elif f.absent is REQUIRED:
            lines.append(f" body[{f.wire!r}] = {written}")
        else:
            lines.append(f" if value.{f.name} is not None: body[{f.wire!r}] = {written}")
    exec("\n".join([*lines, " return body"]), names)
    return cast("Callable[[T], dict[str, Any]]", names["to_json"])


class Shaped:
    """An object of its own class, declared with `shaped` or a decorator that uses it."""

    __slots__ = ()
    shape: ClassVar[Shape[Any]]


def value(
    help: str,
    kind: Convertible,
    *,
    wire: str = "",
    beside: bool = False,
    absent: Any = REQUIRED,
) -> Any:
    """Declare a field.

    Args:
        wire: Its key in JSON, if that is not the attribute's name.
        beside: The kind reads and writes several fields, which stand beside the others.
        absent: Makes the field optional: the value if it is left out.
    """
    return field(
        metadata={"help": help, "kind": kind, "wire": wire, "beside": beside, "absent": absent}
    )


@dataclass_transform(frozen_default=True, field_specifiers=(value,))
def shaped(cls: type[S]) -> type[S]:
    """Make a frozen dataclass of a class, and a shape of its fields.

    It is frozen for the type checker alone, as `Draft` is: at run time that would cost half a
    microsecond for each row.
    """
    made = cast(Any, dataclass(slots=True)(cls))
    made.shape = Shape(
        made.__name__,
        made,
        [
            Field(
                f.name,
                f.metadata["kind"],
                f.metadata["help"],
                None if f.metadata["beside"] else f.metadata["wire"] or f.name,
                f.metadata["absent"],
            )
            for f in fields(made)
        ],
    )
    return cast("type[S]", made)


@dataclass(frozen=True, slots=True)
class Declared(Generic[T]):
    """One kind of frame, row or question: a line of the table in docs/federation.md."""

    kind: str
    """Its name on the wire."""
    shape: Shape[T]
    direction: Direction
    help: str
    budget: str
    """What it costs the realm that sends it, and how many there may be."""
