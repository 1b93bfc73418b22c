"""A decoded frame of a client: a request or a refusal, with its label."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from shared.protocol.errors import ChatError
from shared.protocol.spec import Request


class Dialect(Enum):
    """The dialect of a frame."""

    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class Call:
    """One decoded frame of a client.

    Exactly one of `request` and `error` is set. `command` is the spelling that the client used, if
    it is a known one; `label` is the `id` to echo in the JSON dialect.
    """

    dialect: Dialect
    request: Request[Any] | None = None
    error: ChatError | None = None
    command: str | None = None
    label: str | None = None
    size: int = 0
    """Size of the frame in bytes."""
