"""Whether what a browser says of a control is what Flet, and the app, take it for.

Flet believes its client: it puts any value into any property, and makes an event of whatever comes.
Then a number stands where a text should, and the app fails over it, or Flet does.
"""

from __future__ import annotations

import dataclasses
import sys
from contextlib import suppress
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import flet as ft
from flet.controls.base_control import BaseControl
from flet.controls.control_event import Event, get_event_field_type

DEEPEST = 6
NUMBERS = (int, float)
GIVEN = frozenset(("control", "name", "data", "target"))
"""Of an event, what the browser does not say."""
EVENTS: dict[tuple[type, str], Any] = {}
"""What Flet makes of an event of a class; it takes long to find that out."""


def takes_event(control: BaseControl, name: str, data: Any) -> bool:
    """Tell whether a control has such an event, with such data."""
    if not name.isidentifier() or not hasattr(control, f"on_{name}"):
        return False
    key = type(control), name
    if key not in EVENTS:  # of which there are as many as Flet declares
        EVENTS[key] = get_event_field_type(control, f"on_{name}")
    kind = EVENTS[key]
    if kind is None:
        return False
    kind = get_origin(kind) or kind
    if kind is Event or not dataclasses.is_dataclass(kind):
        return not isinstance(data, dict) or not GIVEN & data.keys()
    if not isinstance(data, dict) and getattr(control, f"on_{name}") is None:
        return True  # of which Flet makes a plain one, and nobody waits for it
    return _is_made_of(kind, data, GIVEN, DEEPEST)


def takes_value(kind: type, name: str, value: Any) -> bool:
    """Tell whether a property of such controls may have such a value."""
    hint = _hints(kind).get(name)
    # Those with a line before their name are Flet's own, and booleans.
    return isinstance(value, bool) if hint is None else fits(hint, value, partly=True)


def fits(hint: Any, value: Any, depth: int = DEEPEST, *, partly: bool = False) -> bool:
    """Tell whether a value, as msgpack has it, fits a type's annotation.

    Args:
        partly: Of an object, some of its fields will do.
    """
    if depth == 0:
        return False
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(fits(one, value, depth, partly=partly) for one in inner)
    if origin is Literal:
        return value in inner
    if hint is Any or isinstance(hint, TypeVar | str):
        return True
    if hint in (None, NoneType):
        return value is None
    if origin in (list, tuple, set) or hint in (list, tuple, set):
        return isinstance(value, list | tuple) and all(
            fits(inner[0] if inner else Any, one, depth - 1) for one in value
        )
    if origin is dict or hint is dict:
        of = inner[1] if inner else Any
        return isinstance(value, dict) and all(fits(of, one, depth - 1) for one in value.values())
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if issubclass(kind, Enum):
        return isinstance(value, str | int) and value in [one.value for one in kind]
    if dataclasses.is_dataclass(kind):
        return isinstance(value, kind) or _is_made_of(kind, value, frozenset(), depth - 1, partly)
    if kind is float:
        return type(value) in NUMBERS
    if kind in (int, bool, str, bytes):
        return type(value) is kind
    return isinstance(value, kind)


def _is_made_of(
    kind: Any, value: Any, given: frozenset[str], depth: int, partly: bool = False
) -> bool:
    """Tell whether a map has the fields of a dataclass.

    Args:
        given: Fields that come from elsewhere.
    """
    value = {} if value is None else value
    if not isinstance(value, dict) or given & value.keys():
        return False
    hints = _hints(kind)
    for field in dataclasses.fields(kind):
        name = field.metadata.get("data_field", field.name)
        if name in value:
            if not fits(hints.get(field.name, Any), value[name], depth, partly=partly):
                return False
        elif not partly and field.name not in given and field.init and _is_needed(field):
            return False
    return True


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


@lru_cache(512)
def _hints(kind: type) -> dict[str, Any]:
    """Return what a class says of its fields; nothing where that cannot be understood."""
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__):
        for name, hint in one.__dict__.get("__annotations__", {}).items():
            # One by one: a name that only type checkers know spoils all of a class.
            alone = type("Alone", (), {"__annotations__": {name: hint}})
            with suppress(NameError, TypeError, AttributeError):
                found |= get_type_hints(alone, vars(sys.modules[one.__module__]), vars(ft))
    return found
