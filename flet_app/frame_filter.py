"""The frames that a browser may send over a page's WebSocket, checked before Flet acts on them.

Flet lets a client set any property of any control of its page, builds any object that the client
names, and accepts frames at any rate, all on the event loop that everybody shares. Flet's own
client sends few kinds of frames; all others are dropped here. The names are those that the client
of the pinned version sends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import flet as ft
import msgpack  # type: ignore[import-untyped]
from flet.messaging.protocol import MessageAction, decode_ext_from_msgpack

from flet_app import msgpack_bounds
from flet_app.frame_shapes import takes_value
from flet_app.script import HEAD, MAX_FRAME_BYTES, InvalidScriptFrame, PageFrame, read

MAX_FILE_FRAME_BYTES = 8 << 20
"""Bytes of a frame with pasted files."""
MAX_OTHER_FRAME_BYTES = 128 << 10
"""Bytes of any other frame."""
MAX_STRANGER_FRAME_BYTES = 64 << 10
"""Bytes of any frame before somebody is signed in."""
MAX_ITEMS, MAX_STRANGER_ITEMS = 4_000, 500
"""Values in one frame, keys included."""
FRAMES_A_SECOND, MAX_FRAMES_AT_ONCE = 100.0, 400.0
"""Frames a second, and at once; faster ones wait."""

Judge = Callable[[MessageAction, dict[str, Any]], bool]
"""Tells whether a statement about a control of the page is possible."""

FIELDS: dict[MessageAction, dict[str, type | tuple[type, ...]]] = {
    MessageAction.REGISTER_CLIENT: {
        "session_id": (str, type(None)),
        "page_name": str,
        "page": dict,
    },
    MessageAction.CONTROL_EVENT: {"target": int, "name": str, "data": object},
    MessageAction.UPDATE_CONTROL_PROPS: {"id": int, "props": dict},
    MessageAction.INVOKE_METHOD: {
        "control_id": int,
        "call_id": str,
        "result": object,
        "error": (str, type(None)),
    },
}
"""The fields of each action."""
PAGE = frozenset(
    "debug height media multi_view platform platform_brightness pwa pyodide route test wasm web "
    "width window".split()
)
PROPERTIES = frozenset(
    "_dismissed height media open platform_brightness route selection value width".split()
)
"""Properties that are set for the page at its start, and for any control later."""


class InvalidFrame(Exception):
    """No legitimate client sends this frame; close the connection."""


class Frames:
    """The filter for the frames of one WebSocket.

    Args:
        judge: Called with each event, property and result; those it rejects are dropped.
    """

    def __init__(self, judge: Judge = lambda action, body: True) -> None:
        self.wanted = ""
        """The session that the page asks to resume."""
        self.shown = ""
        """The session that the page still shows; the page then asks to resume this one."""
        self.known = False
        """Whether somebody is signed in; only then may frames be large."""
        self._judge = judge
        self._registered = False
        self._left = MAX_FRAMES_AT_ONCE
        self._at = -math.inf

    async def checked(self, frame: bytes) -> bytes | PageFrame | None:
        """Return the frame that Flet may process, or the message of our script, when its turn
        comes.

        Returns:
            None if the frame does not apply to the current page.

        Raises:
            InvalidFrame: no legitimate client sends this frame.
        """
        await self._turn()
        if frame.startswith(HEAD):
            if len(frame) > (MAX_FRAME_BYTES if self.known else MAX_STRANGER_FRAME_BYTES):
                raise InvalidFrame
            try:
                return read(frame)
            except InvalidScriptFrame:
                raise InvalidFrame from None
        action, body = self._read(frame)
        if action == MessageAction.REGISTER_CLIENT:
            if self._registered:
                raise InvalidFrame  # Flet's own client starts only one session
            self._registered = True
            if self.shown:
                # The script repeats the first frame of Flet's client; the page has changed since.
                self.wanted = self.shown
                return _packed(action, {**body, "session_id": self.shown, "page": {}})
            self.wanted = body["session_id"] or ""
            page = _only(body["page"], PAGE)
            page = {
                name: value for name, value in page.items() if takes_value(ft.Page, name, value)
            }
            return _packed(action, {**body, "page": page})
        if not self._registered:
            raise InvalidFrame
        if action == MessageAction.UPDATE_CONTROL_PROPS:
            body["props"] = _only(body["props"], PROPERTIES)
            return _packed(action, body) if self._judge(action, body) else None
        return frame if self._judge(action, body) else None

    def _read(self, frame: bytes) -> tuple[MessageAction, dict[str, Any]]:
        """Check the size and content of a frame before unpacking, then its form."""
        if frame[:1] != b"\0" or len(frame) > (
            MAX_FILE_FRAME_BYTES if self.known else MAX_STRANGER_FRAME_BYTES
        ):
            raise InvalidFrame
        try:
            msgpack_bounds.check(frame, 1, MAX_ITEMS if self.known else MAX_STRANGER_ITEMS)
            # Flet decodes this too and must not fail.
            number, body = msgpack.unpackb(frame[1:], ext_hook=decode_ext_from_msgpack)
            action = MessageAction(number)
            fields = FIELDS[action]
        except (msgpack_bounds.BoundExceeded, ValueError, TypeError, KeyError, ArithmeticError):
            raise InvalidFrame from None
        if not isinstance(body, dict) or body.keys() != fields.keys():
            raise InvalidFrame
        if not all(isinstance(body[name], kind) for name, kind in fields.items()):
            raise InvalidFrame
        pastes = action == MessageAction.CONTROL_EVENT and body["name"] == "paste_files"
        if len(frame) > MAX_OTHER_FRAME_BYTES and not pastes:
            raise InvalidFrame
        return action, body

    async def _turn(self) -> None:
        """Wait until there is a token in the bucket."""
        now = asyncio.get_running_loop().time()
        self._left = min(MAX_FRAMES_AT_ONCE, self._left + (now - self._at) * FRAMES_A_SECOND)
        self._at = now
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(-self._left / FRAMES_A_SECOND)


def _packed(action: MessageAction, body: dict[Any, Any]) -> bytes:
    packed: bytes = msgpack.packb([action.value, body])
    return b"\0" + packed


def _only(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Keep only the properties that browsers set, with plain values."""
    return {name: value for name, value in given.items() if name in names and _plain(value)}


def _plain(value: Any, depth: int = 3) -> bool:
    """Whether a value is a scalar, or a small map of such."""
    if isinstance(value, dict):
        small = depth > 0 and len(value) <= 20
        return small and all(_plain(inner, depth - 1) for inner in value.values())
    return value is None or isinstance(value, str | int | float)
