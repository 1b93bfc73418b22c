"""Serving pages: Flet's sessions over the WebSockets of browsers, and who comes back to which."""

from __future__ import annotations

import asyncio
import json
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import flet as ft
from flet.messaging.session import Session
from flet_web.fastapi import app_manager
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from flet_app.browser_host import BrowserHost, RealmWay, begun
from flet_app.browser_identity import BrowserIdentity, mark
from flet_app.file_urls import Tickets
from flet_app.frame_filter import Frames, InvalidFrame
from flet_app.host import PageHost
from flet_app.kept_pages import BrowserSocket, KeptPages
from flet_app.page_connection import PageConnection
from flet_app.page_socket import EXTENSION, PageSocket
from flet_app.script import CHANNEL, HelloFrame, PageFrame, PageScript, PingFrame
from shared.token_buckets import Buckets

LINGER_SECONDS = 300
"""Seconds a session outlives its WebSocket."""
FIRST_FRAME_SECONDS = 10.0
"""Seconds within which a browser must request a session."""
NEXT_FRAME_SECONDS = 1.0
"""Seconds within which Flet requests the next frame. It awaits nothing in between."""
FAREWELL_SECONDS = 10.0
"""Seconds within which the app notices that the connection of a page has ended."""

STALE_CODE = 4404
"""Close code for a page whose session is gone; link.js then reloads the page. The page still holds
controls of that session, which Flet's client could confuse with those of a new one."""

PAGES_A_SECOND, MAX_PAGES_AT_ONCE = 5.0, 100.0
"""Pages of one address that start in a second, and in a burst: each costs some milliseconds."""
STRANGER_FRAMES_A_SECOND, MAX_STRANGER_FRAMES_AT_ONCE = 200.0, 2_000.0
"""Frames in a second, and at once, of all pages of one address without a session of the realm."""

Start = Callable[[ft.Page, PageHost], Awaitable[None]]

SOCKET: ContextVar[BrowserSocket] = ContextVar("socket")
"""The WebSocket being served, also in all tasks started from it; the app's start reads it."""


class Pages:
    """All pages; an ASGI app for their WebSockets.

    A page without a signed-in person ends soon after its WebSocket; others linger.

    Args:
        start: The app's entry point; called once for each session.
        kept: The pages there are, with their bounds.
    """

    def __init__(self, start: Start, realm: RealmWay, tickets: Tickets, kept: KeptPages) -> None:
        self._start = start
        self._realm = realm
        self._tickets = tickets
        self.kept = kept
        self._tasks: set[asyncio.Task[Any]] = set()
        self._beginnings = Buckets(PAGES_A_SECOND, MAX_PAGES_AT_ONCE)
        self._strangers = Buckets(STRANGER_FRAMES_A_SECOND, MAX_STRANGER_FRAMES_AT_ONCE)
        self._scripts: weakref.WeakKeyDictionary[Session, PageScript] = weakref.WeakKeyDictionary()

    async def serve(
        self, visitor: BrowserIdentity, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve one WebSocket until it ends."""
        loop = asyncio.get_running_loop()
        # Flet identifies browsers by address and user agent. A phone changes its address, and
        # browsers may share one, so Flet gets our cookie's mark instead.
        scope = dict(scope, client=None, headers=_marked(scope["headers"], visitor.browser))
        flet = PageConnection(
            loop=loop,
            executor=app_manager.executor,
            main=self._begin,
            before_main=None,
            session_timeout_seconds=LINGER_SECONDS,
        )
        wire: PageSocket = scope["extensions"][EXTENSION]
        wire.network = visitor.network
        socket = BrowserSocket(visitor, flet, wire, Frames(lambda *said: socket.judge(*said)))
        SOCKET.set(socket)
        self.kept.sockets.add(socket)
        try:
            async with asyncio.timeout(None) as patience:
                socket.end = lambda: patience.reschedule(loop.time())
                next_frame = partial(self._next_frame, socket, receive, send, patience)
                await flet.handle(WebSocket(scope, next_frame, send))
        except TimeoutError:
            pass  # given up: see the comment above
        finally:
            self.kept.sockets.discard(socket)
            await self._part(socket)

    async def _next_frame(
        self, socket: BrowserSocket, receive: Receive, send: Send, patience: asyncio.Timeout
    ) -> Message:
        """Return the next frame of a page to Flet, or its end.

        Flet waits for ever if a browser goes before it has begun a session, or sends nonsense; and
        as it then never asks for the next frame, nor do we learn more.
        """
        now = asyncio.get_running_loop().time
        patience.reschedule(None if socket.heard else now() + FIRST_FRAME_SECONDS)
        message = await self._checked(socket, receive, patience)
        if not socket.heard and message["type"] == "websocket.receive":
            if not socket.frames.wanted:
                await asyncio.sleep(self._beginnings.overdraw(socket.visitor.network))
            elif not await self._back(socket, socket.frames):
                await send({"type": "websocket.close", "code": STALE_CODE})
                message = {"type": "websocket.disconnect", "code": STALE_CODE}
        socket.heard = message["type"] == "websocket.receive"
        busy = (
            FAREWELL_SECONDS
            if not socket.heard and self._serves(socket.flet)
            else NEXT_FRAME_SECONDS
        )
        patience.reschedule(now() + busy)
        return message

    async def _checked(
        self, socket: BrowserSocket, receive: Receive, patience: asyncio.Timeout
    ) -> Message:
        """Return the next frame that is for Flet, checked, or the end of the page."""
        frames = socket.frames
        while True:
            message = await receive()
            if "bytes" not in message and "text" not in message:
                return message
            patience.reschedule(None)
            if not frames.known:
                await asyncio.sleep(self._strangers.overdraw(socket.visitor.network))
            try:
                checked = await frames.checked(message.get("bytes") or b"")
            except InvalidFrame:
                return {"type": "websocket.disconnect", "code": 1008}
            if isinstance(checked, bytes):
                return {**message, "bytes": checked}
            if checked is not None:
                self._said(socket, checked)
                frames.shown = socket.hello.session

    async def _part(self, socket: BrowserSocket) -> None:
        """End the sessions that nobody comes back to, now that their WebSocket has gone."""
        for reference in socket.begun:
            session = reference()
            if session is not None and session.connection is socket.flet:
                await session.disconnect(0)
        session = socket.shown
        if session is None or session.connection not in (None, socket.flet):
            return
        if not self.kept.is_known(session):
            await session.disconnect(0)

    def _said(self, socket: BrowserSocket, said: PageFrame) -> None:
        """Handle a message of our script."""
        if isinstance(said, HelloFrame):
            socket.hello = said
        elif isinstance(said, PingFrame):
            # Answer after the first steps of all handlers that earlier frames have started.
            answer = json.dumps({"kind": "pong", "ping": said.ping}).encode()
            asyncio.get_running_loop().call_soon(
                socket.flet.send_data_channel_frame, CHANNEL, answer
            )
        elif socket.script is not None:
            socket.script.heard(said)

    async def _back(self, socket: BrowserSocket, frames: Frames) -> bool:
        """Reconnect a page to its session; False if the session has ended."""
        session = next((one for one in self.kept.sessions if one.id == frames.wanted), None)
        if session is None:
            return False
        if self.kept.sessions[session].browser != socket.visitor.browser:
            return not frames.shown  # Flet starts another session
        if frames.shown and (lost := session.connection) is not None:
            # The page notices the end of its connection before the server does.
            await session.disconnect(LINGER_SECONDS)
            for other in self.kept.sockets:
                if other.flet is lost:
                    other.end()
        if session.connection is None:
            socket.session = weakref.ref(session)
            socket.admit(self.kept.is_known(session))
            if (script := self._scripts.get(session)) is not None:
                socket.script = script
                script.greet(socket.hello)
        return True

    def _serves(self, flet: PageConnection) -> bool:
        """Tell whether this connection shows a session."""
        return any(session.connection is flet for session in self.kept.sessions)

    async def _begin(self, page: ft.Page) -> None:
        """Start the app for a new session."""
        socket, session = SOCKET.get(), page.session
        self.kept.sessions[session] = socket.visitor
        socket.begun.append(weakref.ref(session))
        if len(socket.begun) > 1:
            # Flet's own client starts only one; the bound stops other clients.
            socket.end()
            return
        socket.session = weakref.ref(session)
        self.kept.make_room(socket.visitor)
        host = await begun(
            page,
            socket.visitor.language,
            lambda: BrowserHost(
                socket.visitor, self._realm, self._tickets, session, self._admitted
            ),
            lambda: session.connection is socket.flet,
        )
        if host is None:
            await session.disconnect(0)
            return
        self.kept.hosts[session] = host
        assert host.page_script is not None
        self._scripts[session] = socket.script = host.page_script
        host.page_script.greet(socket.hello)
        # Flet keeps no reference to its tasks: the garbage collector could remove a waiting one.
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._start(page, host)
        except Exception:
            if session.connection is socket.flet:
                raise
        if session.connection is not socket.flet:
            # Otherwise Flet continues with a page that it has released.
            raise BrokenPipeError("the browser went before the app had begun")

    def _admitted(self, session: Session, known: bool) -> None:
        """Note that somebody has signed in or out at a page."""
        for socket in self.kept.sockets:
            if socket.flet is session.connection:
                socket.admit(known)


def _marked(headers: list[tuple[bytes, bytes]], browser: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with the cookie's mark in place of the user agent."""
    others = [(name, value) for name, value in headers if name != b"user-agent"]
    agent = b" ".join(value for name, value in headers if name == b"user-agent")
    return [*others, (b"user-agent", agent + b" " + mark(browser).encode())]
