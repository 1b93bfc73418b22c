"""Open pages: their WebSockets, their sessions, and bounds on both.

Flet keeps a session for a while after its WebSocket has closed, so that a reload or a lost network
can resume it. The bounds therefore count sessions, and WebSockets without a session yet.
"""

from __future__ import annotations

import asyncio
import json
import time
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import flet as ft
from flet.messaging.protocol import MessageAction
from flet.messaging.session import Session
from flet_web.fastapi import FletApp, app_manager
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from flet_app.browser_host import BrowserHost, RealmWay, begun
from flet_app.browser_identity import Visitor, mark
from flet_app.file_urls import Tickets
from flet_app.frame_filter import Frames, InvalidFrame
from flet_app.frame_shapes import fits_page
from flet_app.host import Host
from flet_app.page_socket import EXTENSION, PageSocket
from flet_app.script import CHANNEL, Hello, PageScript, Ping, Said
from shared.background_tasks import BackgroundTasks
from shared.token_buckets import Buckets

LINGER = 300
"""Seconds a session outlives its WebSocket."""
FIRST_FRAME = 10.0
"""Seconds within which a browser must request a session."""
PATIENCE = 1.0
"""Seconds within which Flet requests the next frame. It awaits nothing in between."""
FAREWELL = 10.0
"""Seconds within which the app notices that the connection of a page has ended."""

STALE = 4404
"""Close code for a page whose session is gone; link.js then reloads the page. The page still holds
controls of that session, which Flet's client could confuse with those of a new one."""

BEGINNINGS, BEGINNINGS_AT_ONCE = 5.0, 100.0
"""Pages of one address that start in a second, and in a burst: each costs some milliseconds."""
STRANGERS, STRANGERS_AT_ONCE = 200.0, 2_000.0
"""Frames in a second, and at once, of all pages of one address without a session of the realm."""
MORE = 2
"""How many more pages an address must have than another one before it loses an open one."""

Start = Callable[[ft.Page, Host], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Socket:
    """One WebSocket of a browser, and the sessions that it started."""

    visitor: Visitor
    flet: FletApp
    wire: PageSocket
    frames: Frames
    begun: list[weakref.ref[Session]] = field(default_factory=list)
    end: Callable[[], None] = lambda: None
    since: float = field(default_factory=time.monotonic)
    hello: Hello = field(default_factory=Hello)
    script: PageScript | None = None
    """The filter of the session that the WebSocket shows."""
    session: weakref.ref[Session] | None = None
    """That session."""
    heard: bool = False
    """Its latest frame was one for Flet."""

    @property
    def shown(self) -> Session | None:
        """The session that is shown over it, if there still is one."""
        return self.session() if self.session is not None else None

    def judge(self, action: MessageAction, body: dict[str, Any]) -> bool:
        """Tell whether the page may say this now; see `frame_shapes.fits_page`."""
        session = self.shown
        return session is not None and fits_page(session, action, body)

    def admit(self, known: bool) -> None:
        """Allow large frames, or refuse them again."""
        self.frames.known = known
        self.wire.admit(known)


SOCKET: ContextVar[Socket] = ContextVar("socket")
"""The WebSocket being served, also in all tasks started from it; the app's start reads it."""


class Pages:
    """All pages; an ASGI app for their WebSockets.

    A page without a signed-in person ends soon after its WebSocket; others linger. When there are
    too many, the address with the most pages loses one to an address with fewer.

    Args:
        start: The app's entry point; called once for each session.
        most, per_address: Sessions at once, of all and of one address, including lingering ones.
    """

    def __init__(
        self, start: Start, realm: RealmWay, tickets: Tickets, most: int, per_address: int
    ) -> None:
        self._start = start
        self._realm = realm
        self._tickets = tickets
        self._most = most
        self._per_address = per_address
        self._sockets: set[Socket] = set()
        self._ending = BackgroundTasks()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sessions: weakref.WeakKeyDictionary[Session, Visitor] = weakref.WeakKeyDictionary()
        self._hosts: weakref.WeakKeyDictionary[Session, BrowserHost] = weakref.WeakKeyDictionary()
        self._beginnings = Buckets(BEGINNINGS, BEGINNINGS_AT_ONCE)
        self._strangers = Buckets(STRANGERS, STRANGERS_AT_ONCE)
        self._scripts: weakref.WeakKeyDictionary[Session, PageScript] = weakref.WeakKeyDictionary()

    def refuses(self, visitor: Visitor) -> bool:
        """Tell whether this browser may not open another page now; another page may end for it."""
        kept = self._kept()
        ours = sum(other.network == visitor.network for other in kept)
        # Twice as many, because new sessions may replace lingering ones.
        if ours >= 2 * self._per_address:
            return True
        if ours >= self._per_address:
            return not self._may_come_back(visitor)
        if len(kept) < self._most:
            return False
        if len(kept) < 2 * self._most and self._may_come_back(visitor):
            return False
        return not self._end_one_of_many(kept, ours)

    def _may_come_back(self, visitor: Visitor) -> bool:
        return any(
            session.connection is None and other.browser == visitor.browser
            for session, other in self._lingering()
        )

    def _lingering(self) -> list[tuple[Session, Visitor]]:
        """Return the sessions whose pages are disconnected."""
        return [
            (session, visitor)
            for session, visitor in self._sessions.items()
            if session.connection is None and self._is_known(session)
        ]

    def _is_known(self, session: Session) -> bool:
        host = self._hosts.get(session)
        return host is not None and host.known

    def _kept(self) -> list[Visitor]:
        """Return the network of each page, with repetitions."""
        return [visitor for _, visitor in self._lingering()] + [
            socket.visitor for socket in self._sockets
        ]

    def _end_one_of_many(self, kept: list[Visitor], ours: int) -> bool:
        """End a page of the address with the most: first a lingering one, then a stranger's.

        Args:
            ours: The number of pages of the requesting address.

        Returns:
            False if no address has enough pages more.
        """
        counts = Counter(visitor.network for visitor in kept)
        away = [(counts[visitor.network], session) for session, visitor in self._lingering()]
        count, session = max(away, key=lambda one: one[0], default=(0, None))
        if session is not None and count >= ours:
            self._end(session)
            return True
        network, count = counts.most_common(1)[0]
        theirs = [socket for socket in self._sockets if socket.visitor.network == network]
        if not theirs or count < ours + MORE:
            return False
        found = min(theirs, key=lambda socket: (socket.frames.known, socket.since))
        self._sockets.discard(found)
        found.end()
        return True

    def _end(self, session: Session) -> None:
        self._sessions.pop(session, None)
        self._ending.start(session.disconnect(0))

    @property
    def open(self) -> int:
        """The number of pages with a WebSocket."""
        return len(self._sockets)

    async def serve(self, visitor: Visitor, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket until it ends."""
        loop = asyncio.get_running_loop()
        # Flet identifies browsers by address and user agent. A phone changes its address, and
        # browsers may share one, so Flet gets our cookie's mark instead.
        scope = dict(scope, client=None, headers=_marked(scope["headers"], visitor.browser))
        flet = FletApp(
            loop=loop,
            executor=app_manager.executor,
            main=self._begin,
            before_main=None,
            session_timeout_seconds=LINGER,
        )
        wire: PageSocket = scope["extensions"][EXTENSION]
        wire.network = visitor.network
        socket = Socket(visitor, flet, wire, Frames(lambda *said: socket.judge(*said)))
        SOCKET.set(socket)
        self._sockets.add(socket)
        try:
            async with asyncio.timeout(None) as patience:
                socket.end = lambda: patience.reschedule(loop.time())
                next_frame = partial(self._next_frame, socket, receive, send, patience)
                await flet.handle(WebSocket(scope, next_frame, send))
        except TimeoutError:
            pass  # given up: see the comment above
        finally:
            self._sockets.discard(socket)
            await self._part(socket)

    async def _next_frame(
        self, socket: Socket, receive: Receive, send: Send, patience: asyncio.Timeout
    ) -> Message:
        """Return the next frame of a page to Flet, or its end.

        Flet waits for ever if a browser goes before it has begun a session, or sends nonsense; and
        as it then never asks for the next frame, nor do we learn more.
        """
        now = asyncio.get_running_loop().time
        patience.reschedule(None if socket.heard else now() + FIRST_FRAME)
        message = await self._checked(socket, receive, patience)
        if not socket.heard and message["type"] == "websocket.receive":
            if not socket.frames.wanted:
                await asyncio.sleep(self._beginnings.overdraw(socket.visitor.network))
            elif not await self._back(socket, socket.frames):
                await send({"type": "websocket.close", "code": STALE})
                message = {"type": "websocket.disconnect", "code": STALE}
        socket.heard = message["type"] == "websocket.receive"
        busy = FAREWELL if not socket.heard and self._serves(socket.flet) else PATIENCE
        patience.reschedule(now() + busy)
        return message

    async def _checked(
        self, socket: Socket, receive: Receive, patience: asyncio.Timeout
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

    async def _part(self, socket: Socket) -> None:
        """End the sessions that nobody comes back to, now that their WebSocket has gone."""
        for reference in socket.begun:
            session = reference()
            if session is not None and session.connection is socket.flet:
                await session.disconnect(0)
        session = socket.shown
        if session is None or session.connection not in (None, socket.flet):
            return
        if not self._is_known(session):
            await session.disconnect(0)

    def _said(self, socket: Socket, said: Said) -> None:
        """Handle a message of our script."""
        if isinstance(said, Hello):
            socket.hello = said
        elif isinstance(said, Ping):
            # Answer after the first steps of all handlers that earlier frames have started.
            answer = json.dumps({"kind": "pong", "ping": said.ping}).encode()
            asyncio.get_running_loop().call_soon(
                socket.flet.send_data_channel_frame, CHANNEL, answer
            )
        elif socket.script is not None:
            socket.script.heard(said)

    async def _back(self, socket: Socket, frames: Frames) -> bool:
        """Reconnect a page to its session; False if the session has ended."""
        session = next((one for one in self._sessions if one.id == frames.wanted), None)
        if session is None:
            return False
        if self._sessions[session].browser != socket.visitor.browser:
            return not frames.shown  # Flet starts another session
        if frames.shown and (lost := session.connection) is not None:
            # The page notices the end of its connection before the server does.
            await session.disconnect(LINGER)
            for other in self._sockets:
                if other.flet is lost:
                    other.end()
        if session.connection is None:
            socket.session = weakref.ref(session)
            socket.admit(self._is_known(session))
            if (script := self._scripts.get(session)) is not None:
                socket.script = script
                script.greet(socket.hello)
        return True

    def _serves(self, flet: FletApp) -> bool:
        """Tell whether this connection shows a session."""
        return any(session.connection is flet for session in self._sessions)

    async def _begin(self, page: ft.Page) -> None:
        """Start the app for a new session."""
        socket, session = SOCKET.get(), page.session
        self._sessions[session] = socket.visitor
        socket.begun.append(weakref.ref(session))
        if len(socket.begun) > 1:
            # Flet's own client starts only one; the bound stops other clients.
            socket.end()
            return
        socket.session = weakref.ref(session)
        self._make_room(socket.visitor)
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
        self._hosts[session] = host
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
        for socket in self._sockets:
            if socket.flet is session.connection:
                socket.admit(known)

    def _make_room(self, visitor: Visitor) -> None:
        """End the browser's lingering sessions if it has started a new one instead of resuming."""
        kept = self._kept()
        ours = [session for session, other in self._lingering() if other.network == visitor.network]
        all_of_ours = sum(other.network == visitor.network for other in kept)
        over = max(all_of_ours - self._per_address, len(kept) - self._most)
        for session in ours[: max(over, 0)]:
            self._end(session)


def _marked(headers: list[tuple[bytes, bytes]], browser: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with the cookie's mark in place of the user agent."""
    others = [(name, value) for name, value in headers if name != b"user-agent"]
    agent = b" ".join(value for name, value in headers if name == b"user-agent")
    return [*others, (b"user-agent", agent + b" " + mark(browser).encode())]
