"""The JSON dialect, in both directions: `{"command": "send", "to": "bob", "text": "hi"}`."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable
from heapq import nsmallest
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from shared.protocol.call import Call, Dialect
from shared.protocol.errors import TEMPORARY, ChatError, ErrorCode
from shared.protocol.kinds import LABEL
from shared.protocol.nearest import unknown_command
from shared.protocol.records import EVENTS, Event, Record, Reply
from shared.protocol.spec import TABLE, Request, Spec
from shared.protocol.values import BadValue

R = TypeVar("R", bound=Reply)

_LENIENT_BYTES, _LENIENT_VALUES = 256 * 1024, 10_000
"""Bytes and values up to which near-JSON is decoded; Python's decoder takes 3 ms for the worst of
these frames, and 150 ms for 1 MiB."""
_MAX_CONTAINERS = 20_000
"""Brackets in a frame: more than a text can have. 350,000 lists in 1 MiB took 300 ms, mostly in the
garbage collector; this many take 2 ms."""
_MAX_VALUES = 40_000
"""Colons, commas and brackets in a frame: `sync` with 10,000 names has half as many. 90,000 keys in
1 MiB took 16 ms, 200,000 short strings 13 ms."""
_BEGINNING = re.compile(rb'\s*\{\s*"command"\s*:\s*"(\w{1,64})"')
_PASSTHROUGH = orjson.OPT_PASSTHROUGH_DATACLASS


def parse(frame: bytes | str) -> Call:
    """Decode a frame that begins with `{`; never raises."""
    call = Call(Dialect.JSON)
    if len(frame) > _MAX_CONTAINERS and (error := _overfull(frame)) is not None:
        call.error = error
        return call
    strict = True
    try:
        body = orjson.loads(frame)
    except orjson.JSONDecodeError:
        strict = False
        body = _lenient(frame)
    try:
        if type(body) is not dict:
            raise ChatError(ErrorCode.BAD_COMMAND, "This is not a JSON object. Try help")
        name = body.pop("command", None)
        label = body.pop("id", None)
        spec = TABLE.get(name) if type(name) is str else None
        if spec is not None:
            call.command = name
        wrong_label = ""
        if label is not None:
            try:
                call.label = LABEL.from_json(label)
            except BadValue as why:
                wrong_label = f"id {why}"
        if type(name) is not str:
            raise ChatError(
                ErrorCode.BAD_COMMAND, 'The object has no "command". Try {"command":"help"}'
            )
        if spec is None:
            raise unknown_command(name)
        if wrong_label:
            raise spec.refusal(name, None, wrong_label)
        if not strict:
            raise spec.refusal(name, None, "NaN, Infinity and lone surrogates are not allowed")
        call.request = _request(spec, name, body)
    except ChatError as error:
        # Drop the traceback, which would keep the whole frame alive in a cycle with the call.
        call.error = error.with_traceback(None)
    return call


def _overfull(frame: bytes | str) -> ChatError | None:
    """Refuse a frame with more values than any command has, without decoding it."""
    data = frame.encode(errors="replace") if isinstance(frame, str) else frame
    if data.count(b"[") + data.count(b"{") <= _MAX_CONTAINERS and _values(data) <= _MAX_VALUES:
        return None
    named = _BEGINNING.match(data)
    known = named is not None and named[1].decode() in TABLE
    code = ErrorCode.BAD_ARGUMENTS if known else ErrorCode.BAD_COMMAND
    return ChatError(code, "It has too many values")


def _values(data: bytes) -> int:
    """Return a lower bound of the number of keys and values of a frame."""
    return data.count(b"[") + data.count(b"{") + data.count(b":") + data.count(b",")


def _lenient(frame: bytes | str) -> object:
    """Decode near-JSON (NaN, lone surrogates), so that the refusal can be precise."""
    data = frame.encode(errors="replace") if isinstance(frame, str) else frame
    if len(data) > _LENIENT_BYTES or _values(data) > _LENIENT_VALUES:
        return None
    try:
        return json.loads(frame, parse_int=float)  # Python refuses very long integers
    except (ValueError, RecursionError):  # deep nesting is not a ValueError
        return None


def _request(spec: Spec, spelling: str, body: dict[str, Any]) -> Request[Any]:
    realm: str | None = None
    if spelling == spec.realm_name:
        given = body.pop("realm", None)
        if type(given) is not str:
            raise spec.refusal(spelling, None, "realm must be a realm's name")
        realm = given
    values: dict[str, Any] = {}
    for a in spec.args:
        value = body.pop(a.name, None)
        if value is None:
            continue
        try:
            values[a.name] = a.kind.from_json(value)
        except BadValue as why:
            raise spec.refusal(spelling, a, str(why)) from None
    if body:
        unknown = ", ".join(nsmallest(20, body))[:100]
        raise spec.refusal(spelling, None, f"unknown argument: {unknown}")
    return spec.build(spelling, values, realm)


def format_request(request: Request[Any], label: str | None = None) -> bytes:
    """Return the frame that spells `request`."""
    spec = request.spec
    body: dict[str, Any] = {"command": spec.name}
    if label is not None:
        body["id"] = label
    for a in spec.args:
        value = getattr(request, a.name)
        if value is not None:
            body[a.name] = a.kind.to_json(value)
    return orjson.dumps(body)


def _nested(value: object) -> object:
    if isinstance(value, Record):
        return value.to_wire()
    raise TypeError(type(value).__name__)


def format_reply(reply: Reply, command: str, label: str | None) -> bytes:
    """Return the reply's frame: status, command, id, message, then the result fields."""
    body: dict[str, Any] = {"status": "OK", "command": command}
    if label is not None:
        body["id"] = label
    body["message"] = reply.worded()
    body.update(reply.to_wire())
    return orjson.dumps(body, _nested, _PASSTHROUGH)


def format_error(error: ChatError, command: str | None, label: str | None) -> bytes:
    """Return the refusal's frame."""
    body: dict[str, Any] = {"status": "ERROR"}
    if command is not None:
        body["command"] = command
    if label is not None:
        body["id"] = label
    body["code"] = error.code
    body["message"] = error.message
    if error.code in TEMPORARY:
        body["temporary"] = True
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
    body.update(error.values)
    return orjson.dumps(body)


def format_event(event: Event) -> bytes:
    """Return the event's frame, `event` first."""
    return orjson.dumps({"event": event.event, **event.to_wire()}, _nested, _PASSTHROUGH)


def parse_frame(frame: bytes | str) -> dict[str, Any]:
    """Decode a frame of a server: an event if it has `event`, else a reply.

    Raises:
        ValueError: the frame is not a JSON object.
    """
    body = orjson.loads(frame)
    if type(body) is not dict:
        raise ValueError("no JSON object")
    return body


def parse_reply(frame: bytes | str, reply: type[R]) -> R:
    """Decode the frame of a reply of type `reply`; see `read_reply`."""
    return read_reply(orjson.loads(frame), reply)


def read_reply(body: object, reply: type[R]) -> R:
    """Return a reply of type `reply` from its JSON object.

    Raises:
        ChatError: the server refused.
        ValueError: the object is not such a reply, or lacks a field.
    """
    if not isinstance(body, dict) or body.get("status") not in ("OK", "ERROR"):
        raise ValueError("no reply")
    message, retry_after = body.get("message"), body.get("retry_after")
    if body["status"] == "OK":
        answer = cast(R, _reader(reply)(body))
        answer.said = message if type(message) is str else answer.sentence()
        return answer
    if body.get("code") not in set(ErrorCode) or type(message) is not str:
        raise ValueError("no refusal known here")
    if type(retry_after) not in (int, float, types.NoneType):
        raise ValueError("retry_after must be a number")
    known = {"self", "status", "command", "id", "code", "message", "temporary", "retry_after"}
    raise ChatError(
        ErrorCode(body["code"]),
        message,
        retry_after=retry_after,
        **{name: value for name, value in body.items() if name not in known},
    )


def parse_event(frame: bytes | str) -> Event:
    """Decode the frame of an event; see `read_event`."""
    return read_event(orjson.loads(frame))


def read_event(body: object) -> Event:
    """Return an event from its JSON object.

    Raises:
        ValueError: the event is unknown, or lacks a field.
    """
    kind = EVENTS.get(str(body.get("event"))) if isinstance(body, dict) else None
    if kind is None:
        raise ValueError("no event")
    return cast(Event, _reader(kind)(cast("dict[str, Any]", body)))


Reader = Callable[[Any], Any]
"""Returns a JSON value as what a field holds; raises ValueError if it is something else."""


_READERS: dict[type[Record], Reader] = {}


def _reader(kind: type[Record]) -> Reader:
    """Return the cached decoder of a record: resolving its hints costs more than decoding."""
    if kind not in _READERS:
        _READERS[kind] = _make_reader(kind)
    return _READERS[kind]


def _make_reader(kind: type[Record]) -> Reader:
    """Return the decoder of a record from its wire fields; unknown keys of newer servers are
    ignored."""
    hints = get_type_hints(kind)
    plan = [(w.name, w.wire, w.optional, _typed(hints[w.name], w.wire)) for w in kind.wires]

    def read(body: Any) -> Any:
        if type(body) is not dict:
            raise ValueError(f"{kind.__name__} must be an object")
        values: dict[str, Any] = {}
        for name, wire, optional, typed in plan:
            if wire in body:
                values[name] = typed(body[wire])
            elif not optional:
                raise ValueError(f"{kind.__name__} misses {wire}")
        return kind(**values)

    return read


def _typed(hint: Any, wire: str) -> Reader:
    """Return the decoder of one field."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        (only,) = (part for part in inner if part is not types.NoneType)
        some = _typed(only, wire)
        return lambda value: None if value is None else some(value)
    if origin is list:
        item = _typed(inner[0], wire)
        return lambda value: [item(one) for one in _exactly(list, value, wire)]
    if origin is dict:
        count = _typed(inner[1], wire)
        return lambda value: {key: count(one) for key, one in _exactly(dict, value, wire).items()}
    if issubclass(hint, Record):
        return _reader(hint)
    return lambda value: value if type(value) is hint else _exactly(hint, value, wire)


def _exactly(kind: type, value: Any, wire: str) -> Any:
    if type(value) is not kind:
        raise ValueError(f"{wire} must be {kind.__name__}")
    return value
