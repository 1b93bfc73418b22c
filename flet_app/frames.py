"""What a browser may say over a page's WebSocket, checked before Flet acts on it.

Flet lets a client set any property of any control of its page, builds whatever objects it spells,
and takes frames as fast as they come, all on the event loop of everybody. Its own client says
little; the rest is dropped here. The names are those that the client of the pinned version sends.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

import msgpack  # type: ignore[import-untyped]
from flet.messaging.protocol import MessageAction

from flet_app.script import HEAD, Said, Unreadable, read

MAX_FRAME = 8 << 20
"""Bytes of a frame with pasted files."""
MAX_OTHER = 128 << 10
"""Bytes of any other frame."""
MAX_ITEMS = 2_000
"""Items of one list or map."""
RATE, BURST = 100.0, 400.0
"""Frames a second, and at once; faster ones wait."""

ACTIONS = (
    MessageAction.REGISTER_CLIENT,
    MessageAction.CONTROL_EVENT,
    MessageAction.UPDATE_CONTROL_PROPS,
    MessageAction.INVOKE_METHOD,
)
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
    """The frames of one WebSocket."""

    def __init__(self) -> None:
        self.wanted = ""
        """The session to which the page wants to come back."""
        self.shown = ""
        """The session that the page still shows; then it is the one that it wants."""
        self._registered = False
        self._left = BURST
        self._at = -math.inf

    async def checked(self, frame: bytes) -> bytes | Said:
        """Return the frame as Flet may have it, or what our script says, when it is its turn.

        Raises:
            Nonsense: as it says.
        """
        await self._turn()
        if frame.startswith(HEAD):
            try:
                return read(frame)
            except Unreadable:
                raise Nonsense from None
        if len(frame) > MAX_FRAME or frame[:1] != b"\0":
            raise Nonsense
        try:
            number, body = msgpack.unpackb(
                frame[1:],
                strict_map_key=False,
                max_array_len=MAX_ITEMS,
                max_map_len=MAX_ITEMS,
                max_ext_len=64,
            )
            action = MessageAction(number)
        except (ValueError, TypeError, RecursionError):
            raise Nonsense from None
        if action not in ACTIONS or not isinstance(body, dict):
            raise Nonsense
        pastes = action == MessageAction.CONTROL_EVENT and body.get("name") == "paste_files"
        if len(frame) > MAX_OTHER and not pastes:
            raise Nonsense
        if action == MessageAction.REGISTER_CLIENT:
            if self._registered:
                raise Nonsense  # Flet's own client begins one session only
            self._registered = True
            if self.shown:
                # The script repeats what Flet's client said once; by now the page is another one.
                self.wanted = self.shown
                return _packed(action, {**body, "session_id": self.shown, "page": {}})
            self.wanted = str(body.get("session_id") or "")
            return self._only(frame, action, body, "page", PAGE)
        if action == MessageAction.UPDATE_CONTROL_PROPS:
            return self._only(frame, action, body, "props", PROPERTIES)
        return frame

    def _only(
        self,
        frame: bytes,
        action: MessageAction,
        body: dict[Any, Any],
        key: str,
        names: frozenset[str],
    ) -> bytes:
        """Leave out properties that no browser sets, and values that are no plain ones."""
        given = body.get(key)
        if not isinstance(given, dict):
            raise Nonsense
        kept = {name: value for name, value in given.items() if name in names and _plain(value)}
        if len(kept) == len(given):
            return frame
        return _packed(action, {**body, key: kept})

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


def _plain(value: Any, depth: int = 3) -> bool:
    """Whether a value is a scalar, or a small map of such."""
    if isinstance(value, dict):
        small = depth > 0 and len(value) <= 20
        return small and all(_plain(inner, depth - 1) for inner in value.values())
    return value is None or isinstance(value, str | int | float)
