"""A lean WebSocket client, so that the generator's cost does not hide the server's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

TEXT, CLOSE = WSMsgType.TEXT, WSMsgType.CLOSE
ANSWER_LIMIT = 120.0
"""Seconds to wait for an answer before the load; many sign-ins queue at the server."""


class Refused(Exception):
    """A server refused or ended a connection that a workload needs; the text is its message."""


class Connection(WSListener):
    """One connection. Text frames go to `on_text`, except while `ask` waits for its answer."""

    def __init__(self) -> None:
        self.on_text: Callable[[bytes], object] = self._keep
        self.broken = ""
        self._early: list[bytes] = []
        self._question: tuple[asyncio.Future[bytes], bytes, bytes | None] | None = None
        self._closing = False

    def _keep(self, payload: bytes) -> None:
        self._early.append(payload)

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == TEXT:
            payload = frame.get_payload_as_bytes()
            if self._question is None:
                self.on_text(payload)
            else:
                self._answer(payload)
        elif frame.msg_type == CLOSE:
            self.broken = self.broken or f"closed with {frame.get_close_code()}"
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if not self._closing:
            self.broken = self.broken or "connection lost"
        if self._question is not None and not self._question[0].done():
            self._question[0].set_exception(Refused(self.broken))

    def send(self, text: str) -> None:
        """Queue a frame in the socket; never waits."""
        self._transport.send(TEXT, text.encode())

    async def ask(self, text: str, want: bytes, refusal: bytes | None = None) -> bytes:
        """Send, and return the first frame that contains `want`; other frames go to `on_text`.

        Raises:
            Refused: a frame with `refusal` was first, or the connection was lost.
            TimeoutError: neither arrived within ANSWER_LIMIT.
        """
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._question = answer, want, refusal
        early, self._early = self._early, []
        for payload in early:
            self._answer(payload)
        self.send(text)
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                return await answer
        finally:
            self._question = None

    def _answer(self, payload: bytes) -> None:
        assert self._question is not None
        answer, want, refusal = self._question
        if answer.done():
            self.on_text(payload)
        elif refusal is not None and refusal in payload:
            answer.set_exception(Refused(payload.decode(errors="replace")[:500]))
        elif want in payload:
            answer.set_result(payload)
        else:
            self.on_text(payload)

    async def close(self) -> None:
        self._closing = True
        self._transport.disconnect(graceful=False)
        await self._transport.wait_disconnected()


async def connect(port: int, path: str = "/", subprotocol: str | None = None) -> Connection:
    """Open a connection to a server on this machine, without TLS and without compression."""
    headers = {"Sec-WebSocket-Protocol": subprotocol} if subprotocol else None
    _, connection = await ws_connect(
        Connection,
        f"ws://127.0.0.1:{port}{path}",
        extra_headers=headers,
        websocket_handshake_timeout=30,
        read_buffer_init_size=4096,
    )
    assert isinstance(connection, Connection)
    return connection
