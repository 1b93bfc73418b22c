"""Logs: one line an event, `key=value`, to standard error.

Passwords, tokens and message texts are never logged; see docs/observability.md.
"""

from __future__ import annotations

import logging

import structlog
from structlog.typing import EventDict

MAX_VALUE_CHARACTERS = 4_096
"""Characters of one value; libraries quote what strangers send."""


def cut(_: object, __: str, event: EventDict) -> EventDict:
    """Shorten a value that is too long to be useful."""
    for name, value in event.items():
        if isinstance(value, str) and len(value) > MAX_VALUE_CHARACTERS:
            event[name] = (
                f"{value[: MAX_VALUE_CHARACTERS // 2]} ... {value[-MAX_VALUE_CHARACTERS // 2 :]}"
            )
    return event


class Seldom(logging.Filter):
    """Limits the rate of records from libraries that log the input of strangers."""

    def __init__(self, most: int = 20, seconds: float = 60.0) -> None:
        super().__init__()
        self._most, self._seconds = most, seconds
        self._since, self._count = 0.0, 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.created - self._since > self._seconds:
            self._since, self._count = record.created, 0
        self._count += 1
        return self._count <= self._most


def configure(level: str) -> None:
    """Send all logging, including that of libraries, through one formatter."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                cut,
                structlog.processors.LogfmtRenderer(
                    key_order=["timestamp", "level", "event"], drop_missing=True
                ),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The libraries log each connection and migration, and warn about the input of strangers.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("flet_app.window").addFilter(Seldom())
    for name in ("flet", "flet_web", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)
        logging.getLogger(name).addFilter(Seldom())
