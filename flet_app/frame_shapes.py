"""Checks that values sent by a browser have the types that Flet and the app expect.

Flet trusts its client: it assigns any value to any property, and makes an event of any data. A
number in place of a text would then make the app or Flet fail.
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
from flet.messaging.protocol import MessageAction
from flet.messaging.session import Session

MAX_DEPTH = 6
NUMBERS = (int, float)
GIVEN = frozenset(("control", "name", "data", "target"))
"""The fields of an event that the browser does not send."""
EVENTS: dict[tuple[type, str], Any] = {}
"""What Flet makes of an event of a class; it takes long to find that out."""
OURS = frozenset(("connect", "disconnect", "close", "error"))
"""Events of a page that only the server makes."""


def fits_page(session: Session, action: MessageAction, body: dict[str, Any]) -> bool:
    """Tell whether a page has the control that something is said of, and it may be said.

    Properties that may not be set are taken out.
    """
    if action == MessageAction.INVOKE_METHOD:
        return body["control_id"] in session.index
    if action == MessageAction.CONTROL_EVENT:
        control = session.index.get(body["target"])
        return (
            control is not None
            and body["name"] not in OURS
            and takes_event(control, body["name"], body["data"])
        )
    control = session.index.get(body["id"])
    given = body["props"].items()
    body["props"] = {
        name: value for name, value in given if takes_value(type(control), name, value)
    }
    return control is not None


def takes_event(control: BaseControl, name: str, data: Any) -> bool:
    """Tell whether a control has this event, and the data fits the event."""
    if not name.isidentifier() or not hasattr(control, f"on_{name}"):
        return False
    key = type(control), name
    if key not in EVENTS:  # bounded by the events that Flet declares
        EVENTS[key] = get_event_field_type(control, f"on_{name}")
    kind = EVENTS[key]
    if kind is None:
        return False
    kind = get_origin(kind) or kind
    if kind is Event or not dataclasses.is_dataclass(kind):
        return not isinstance(data, dict) or not GIVEN & data.keys()
    if not isinstance(data, dict) and getattr(control, f"on_{name}") is None:
        return True  # Flet makes a plain event, which no handler expects
    return _is_made_of(kind, data, GIVEN, MAX_DEPTH)


def takes_value(kind: type, name: str, value: Any) -> bool:
    """Tell whether a property of this kind of control may have this value."""
    hint = _hints(kind).get(name)
    # Properties whose names begin with an underscore are Flet's own, and boolean.
    return isinstance(value, bool) if hint is None else fits(hint, value, partly=True)


def fits(hint: Any, value: Any, depth: int = MAX_DEPTH, *, partly: bool = False) -> bool:
    """Tell whether a value decoded from msgpack fits a type annotation.

    Args:
        partly: Objects may lack fields.
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
    return not isinstance(kind, type) or _is_one(kind, value, depth, partly)


def _is_one(kind: type, value: Any, depth: int, partly: bool) -> bool:
    """Tell whether a value is of a class, as msgpack has those of such a class."""
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
        given: Fields that are filled in elsewhere.
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
    """Return the type hints of a class; hints that cannot be resolved are left out."""
    found: dict[str, Any] = {}
    for one in reversed(kind.__mro__):
        for name, hint in one.__dict__.get("__annotations__", {}).items():
            # Resolved one by one: a name that only type checkers know would make all of them fail.
            alone = type("Alone", (), {"__annotations__": {name: hint}})
            with suppress(NameError, TypeError, AttributeError):
                found |= get_type_hints(alone, vars(sys.modules[one.__module__]), vars(ft))
    return found
