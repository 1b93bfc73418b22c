"""Builds requests from Python values, checked by the command table as on the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from shared.protocol.kinds import POSITIONS
from shared.protocol.spec import Request
from shared.protocol.values import Address, BadValue, GroupAddress

Q = TypeVar("Q", bound=Request[Any])


def filled(command: type[Q], **given: Any) -> Q:
    """Return the request with these arguments; addresses may be given as strings.

    Raises:
        ChatError: BAD_ARGUMENTS, an argument is invalid; the sentence shows the usage.
    """
    spec = command.spec
    values: dict[str, Any] = {}
    for arg in spec.args:
        value = given.pop(arg.name, None)
        if value is None:
            continue
        if isinstance(value, Mapping):
            value = POSITIONS.to_json(dict(value))
        if not isinstance(value, (Address, GroupAddress, bytes)):
            try:
                value = arg.kind.from_json(value)
            except BadValue as why:
                raise spec.refusal(spec.name, arg, str(why)) from None
        values[arg.name] = value
    assert not given, f"{spec.name} has no {', '.join(given)}"
    return spec.build(spec.name, values, None)  # type: ignore[return-value]
