"""What any frame from a client becomes: a request, or a refusal, with its label."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from shared.protocol.errors import ChatError
from shared.protocol.spec import Request


class Dialect(Enum):
    """How a frame is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(slots=True)
class Call:
    """One frame of a client, read.

    Exactly one of `request` and `error` is set. `command` is the spelling the client used, if it
    is one; `label` is the `id` to echo, in the JSON dialect.
    """

    dialect: Dialect
    request: Request[Any] | None = None
    error: ChatError | None = None
    command: str | None = None
    label: str | None = None
    size: int = 0
    """Bytes of the frame."""
