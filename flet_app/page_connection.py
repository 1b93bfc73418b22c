"""Flet's connection of one page."""

from __future__ import annotations

from typing import Any

from flet.messaging.protocol import Message
from flet_web.fastapi import FletApp


class PageConnection(FletApp):
    """What is drawn after the WebSocket has ended is dropped.

    Flet releases its queue a moment before it parts the session from the connection. A page that
    comes back is sent whole, so that nothing is missing.
    """

    def send_message(self, message: Message) -> None:
        queue: Any = self._FletApp__send_queue  # type: ignore[attr-defined]
        if queue is not None:
            super().send_message(message)
