"""A window without a browser: Flet's session over a connection that notes what it would send.

It uses modules of Flet that are not public, so it belongs to the pinned version.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import flet as ft
import msgpack
from flet.controls.base_control import BaseControl
from flet.controls.context import _context_page
from flet.messaging.connection import Connection
from flet.messaging.protocol import Message, MessageAction, configure_encode_object_for_msgpack
from flet.messaging.session import Session
from flet.pubsub.pubsub_hub import PubSubHub

from flet_app.script import CHANNEL

LIMIT = 40.0


class Unseen(Connection):
    """What stands for the browser; each call to it is answered with `replies[name]`, or None.

    A reply that is an exception lets the call fail.
    """

    def __init__(self, **replies: Any) -> None:
        super().__init__()
        self.loop = asyncio.get_running_loop()
        self.pubsubhub = PubSubHub(loop=self.loop)
        self.page_url, self.page_name = "http://test", ""
        self.replies = replies
        self.calls: list[str] = []
        self.told: list[dict[str, Any]] = []
        """What the page's script was told."""
        self.bytes = 0
        self.sent = asyncio.Event()
        """Something was sent."""
        self.session = Session(self)
        _context_page.set(self.session.page)
        self.session.apply_page_patch(
            {"route": "/", "web": True, "width": 1280, "height": 800, "platform": "linux"}
        )
        self._pack(self.session.get_page_patch())

    @property
    def page(self) -> ft.Page:
        return self.session.page

    def send_message(self, message: Message) -> None:
        # Encoding takes the snapshots that the next comparison needs.
        self.bytes += len(self._pack([message.action, message.body]))
        self.sent.set()
        if message.action == MessageAction.INVOKE_METHOD:
            body = message.body
            self.calls.append(body.name)
            self.last_called = self.session.index.get(body.control_id)
            reply = self.replies.get(body.name)
            failed = isinstance(reply, Exception)
            self.loop.call_soon(
                self.session.handle_invoke_method_results,
                body.control_id,
                body.call_id,
                None if failed else reply,
                str(reply) if failed else None,
            )

    def send_data_channel_frame(self, channel_id: int, payload: bytes) -> None:
        assert channel_id == CHANNEL
        self.told.append(json.loads(payload))

    def dispose(self) -> None:
        pass

    def _pack(self, found: Any) -> bytes:
        packed = msgpack.packb(found, default=configure_encode_object_for_msgpack(BaseControl))
        assert packed is not None
        return packed

    async def fire(self, control: BaseControl, event: str, data: Any = None) -> None:
        """Let a control have an event, as the browser would."""
        await self.session.dispatch_event(control._i, event, data)

    def find(self, kind: type, fits: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the first control of a kind that is shown."""
        return next(c for c in self.shown() if isinstance(c, kind) and fits(c))

    def shown(self) -> list[BaseControl]:
        """Return all controls of the page that are visible, dialogs and notices included."""
        return list(_walk([self.page.controls, self.page.overlay, self.page._dialogs.controls]))

    def texts(self) -> list[str]:
        """Return every text on the page."""
        return [c.value for c in self.shown() if isinstance(c, ft.Text) and c.value]

    async def until(self, fact: Callable[[], bool]) -> None:
        """Let everything else run until something holds."""
        async with asyncio.timeout(LIMIT):
            while not fact():  # noqa: ASYNC110 - facts of many kinds, without an event
                await asyncio.sleep(0.005)


def controls_of(found: BaseControl) -> list[BaseControl]:
    """Return a control and all visible controls in it."""
    return list(_walk(found))


def _walk(found: Any) -> Iterator[BaseControl]:
    if isinstance(found, list | tuple):
        for one in found:
            yield from _walk(one)
    elif isinstance(found, BaseControl) and getattr(found, "visible", True):
        yield found
        for name in found.__dataclass_fields__:
            if not name.startswith("_") and name not in ("parent", "data"):
                yield from _walk(getattr(found, name, None))
