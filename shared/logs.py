"""Logs: one line an event, `key=value`, to standard error.

Passwords, tokens and message texts are never given to a logger; see docs/observability.md.
"""

from __future__ import annotations

import logging

import structlog


def configure(level: str) -> None:
    """Send all logging, the libraries' too, through one formatter."""
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
                structlog.processors.LogfmtRenderer(
                    key_order=["timestamp", "level", "event"], drop_missing=True
                ),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # The libraries tell what every connection and every migration does, and warn of whatever
    # strangers send.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for name in ("flet", "flet_web", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)
