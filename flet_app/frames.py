"""What a browser may say over a page's WebSocket, checked before Flet acts on it.

Flet lets a client set any property of any control of its page, builds whatever objects it spells,
and takes frames as fast as they come, all on the event loop of everybody. Its own client says
little; the rest is dropped here. The names are those that the client of the pinned version sends.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

import flet as ft
import msgpack  # type: ignore[import-untyped]
from flet.messaging.protocol import MessageAction, decode_ext_from_msgpack

from flet_app import packed
from flet_app.script import HEAD, MAX_SAID, Said, Unreadable, read
from flet_app.shapes import takes_value

MAX_FRAME = 8 << 20
"""Bytes of a frame with pasted files."""
MAX_OTHER = 128 << 10
"""Bytes of any other frame."""
MAX_STRANGER = 64 << 10
"""Bytes of any frame before somebody is signed in."""
MAX_ITEMS, MAX_STRANGER_ITEMS = 4_000, 500
"""Values in one frame, keys included."""
RATE, BURST = 100.0, 400.0
"""Frames a second, and at once; faster ones wait."""

Judge = Callable[[MessageAction, dict[str, Any]], bool]
"""Tells whether what Flet's client says of the page's controls can be."""

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
"""What each action says."""
PAGE = frozenset(
    "debug height media multi_view platform platform_brightness pwa pyodide route test wasm web "
    "width window".split()
)
PROPERTIES = frozenset(
    "_dismissed height media open platform_brightness route selection value width".split()
)
"""Of the page when it begins, and of any control later."""


class Nonsense(Exception):
    """No browser of ours says this; the connection is to be ended."""


class Frames:
    """The frames of one WebSocket.

    Args:
        judge: Told of every event, property and result; what it does not take is dropped.
    """

    def __init__(self, judge: Judge = lambda action, body: True) -> None:
        self.wanted = ""
        """The session to which the page wants to come back."""
        self.shown = ""
        """The session that the page still shows; then it is the one that it wants."""
        self.known = False
        """Whether somebody is signed in, whose frames may be large."""
        self._judge = judge
        self._registered = False
        self._left = BURST
        self._at = -math.inf

    async def checked(self, frame: bytes) -> bytes | Said | None:
        """Return the frame as Flet may have it, or what our script says, when it is its turn.

        Returns:
            None if it means nothing for the page as it is now.

        Raises:
            Nonsense: as it says.
        """
        await self._turn()
        if frame.startswith(HEAD):
            if len(frame) > (MAX_SAID if self.known else MAX_STRANGER):
                raise Nonsense
            try:
                return read(frame)
            except Unreadable:
                raise Nonsense from None
        action, body = self._read(frame)
        if action == MessageAction.REGISTER_CLIENT:
            if self._registered:
                raise Nonsense  # Flet's own client begins one session only
            self._registered = True
            if self.shown:
                # The script repeats what Flet's client said once; by now the page is another one.
                self.wanted = self.shown
                return _packed(action, {**body, "session_id": self.shown, "page": {}})
            self.wanted = body["session_id"] or ""
            page = _only(body["page"], PAGE)
            page = {
                name: value for name, value in page.items() if takes_value(ft.Page, name, value)
            }
            return _packed(action, {**body, "page": page})
        if not self._registered:
            raise Nonsense
        if action == MessageAction.UPDATE_CONTROL_PROPS:
            body["props"] = _only(body["props"], PROPERTIES)
            return _packed(action, body) if self._judge(action, body) else None
        return frame if self._judge(action, body) else None

    def _read(self, frame: bytes) -> tuple[MessageAction, dict[str, Any]]:
        """Judge size and content of a frame before it is unpacked, then its form."""
        if frame[:1] != b"\0" or len(frame) > (MAX_FRAME if self.known else MAX_STRANGER):
            raise Nonsense
        try:
            packed.check(frame, 1, MAX_ITEMS if self.known else MAX_STRANGER_ITEMS)
            # As Flet does, which must not fail over it.
            number, body = msgpack.unpackb(frame[1:], ext_hook=decode_ext_from_msgpack)
            action = MessageAction(number)
            fields = FIELDS[action]
        except (packed.TooMuch, ValueError, TypeError, KeyError, ArithmeticError):
            raise Nonsense from None
        if not isinstance(body, dict) or body.keys() != fields.keys():
            raise Nonsense
        if not all(isinstance(body[name], kind) for name, kind in fields.items()):
            raise Nonsense
        pastes = action == MessageAction.CONTROL_EVENT and body["name"] == "paste_files"
        if len(frame) > MAX_OTHER and not pastes:
            raise Nonsense
        return action, body

    async def _turn(self) -> None:
        """Wait until there is a token in the bucket."""
        now = asyncio.get_running_loop().time()
        self._left = min(BURST, self._left + (now - self._at) * RATE)
        self._at = now
        self._left -= 1
        if self._left < 0:
            await asyncio.sleep(-self._left / RATE)


def _packed(action: MessageAction, body: dict[Any, Any]) -> bytes:
    packed: bytes = msgpack.packb([action.value, body])
    return b"\0" + packed


def _only(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Leave out properties that no browser sets, and values that are no plain ones."""
    return {name: value for name, value in given.items() if name in names and _plain(value)}


def _plain(value: Any, depth: int = 3) -> bool:
    """Whether a value is a scalar, or a small map of such."""
    if isinstance(value, dict):
        small = depth > 0 and len(value) <= 20
        return small and all(_plain(inner, depth - 1) for inner in value.values())
    return value is None or isinstance(value, str | int | float)
