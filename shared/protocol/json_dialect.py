"""`{"command": "send", "to": "bob", "text": "hi"}` and its answers, both ways."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import orjson

from shared.protocol.call import Call, Dialect
from shared.protocol.errors import TEMPORARY, ChatError, ErrorCode
from shared.protocol.kinds import LABEL
from shared.protocol.spec import (
    EVENTS,
    TABLE,
    Event,
    Record,
    Reply,
    Request,
    Spec,
    unknown_command,
)
from shared.protocol.values import BadValue

_LENIENT_LIMIT = 256 * 1024
"""Bytes up to which that is done; Python's own reader takes 150 ms for the worst 1 MiB."""
_PASSTHROUGH = orjson.OPT_PASSTHROUGH_DATACLASS


def parse(frame: bytes | str) -> Call:
    """Read one frame that begins with `{`; never raises."""
    call = Call(Dialect.JSON)
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
        # Without its traceback, which would keep the whole frame in a cycle with the call.
        call.error = error.with_traceback(None)
    return call


def _lenient(frame: bytes | str) -> object:
    """Read what is nearly JSON (NaN, lone surrogates), so that the refusal can be precise."""
    if len(frame) > _LENIENT_LIMIT:
        return None
    try:
        return json.loads(frame, parse_int=float)  # Python refuses to read very long integers
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
        unknown = ", ".join(sorted(body))[:100]
        raise spec.refusal(spelling, None, f"unknown: {unknown}")
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
    body["message"] = reply.sentence()
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


def parse_reply(frame: bytes | str, reply: type[Reply]) -> Reply:
    """Read the answer to a command whose reply is `reply`.

    Raises:
        ChatError: the server refused.
        ValueError: the frame is no reply, or misses a field.
    """
    body = orjson.loads(frame)
    if not isinstance(body, dict) or body.get("status") not in ("OK", "ERROR"):
        raise ValueError("no reply")
    if body["status"] == "OK":
        return cast(Reply, _read(reply, body))
    if body.get("code") not in set(ErrorCode) or "message" not in body:
        raise ValueError("no refusal known here")
    known = {"status", "command", "id", "code", "message", "temporary", "retry_after"}
    raise ChatError(
        ErrorCode(body["code"]),
        body["message"],
        retry_after=body.get("retry_after"),
        **{name: value for name, value in body.items() if name not in known},
    )


def parse_event(frame: bytes | str) -> Event:
    """Read an event.

    Raises:
        ValueError: the frame is no event known here, or misses a field.
    """
    body = orjson.loads(frame)
    kind = EVENTS.get(str(body.get("event"))) if isinstance(body, dict) else None
    if kind is None:
        raise ValueError("no event")
    return cast(Event, _read(kind, body))


def _read(kind: type[Record], body: Mapping[str, Any]) -> Record:
    """Build a record from its wire fields; unknown keys are from a newer server and ignored."""
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for w in kind.wires:
        if w.wire in body:
            values[w.name] = _typed(hints[w.name], body[w.wire])
        elif not w.optional:
            raise ValueError(f"{kind.__name__} misses {w.wire}")
    return kind(**values)


def _typed(hint: Any, value: Any) -> Any:
    """Return `value` with the records that `hint` names inside it."""
    if value is None:
        return None
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        hint = next(a for a in get_args(hint) if a is not type(None))
        return _typed(hint, value)
    if origin is list:
        return [_typed(get_args(hint)[0], item) for item in value]
    if isinstance(hint, type) and issubclass(hint, Record):
        return _read(hint, value)
    return value
