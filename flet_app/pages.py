"""Open pages: the WebSocket of each, the session behind it, and how many there may be.

Flet keeps a session for a while after its WebSocket has gone, so that a reload or a lost network
finds it again. So what is bounded here is what is kept: sessions, and WebSockets without one yet.
"""

from __future__ import annotations

import asyncio
import json
import logging
import tempfile
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import Any

import flet as ft
from flet.messaging.session import Session
from flet_web.fastapi import FletApp, app_manager
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from flet_app.frames import Frames, Nonsense
from flet_app.host import Expected, Host
from flet_app.script import CHANNEL, Hello, PageScript, Ping, Said
from flet_app.texts import Texts
from flet_app.tickets import SessionFiles, Tickets
from flet_app.visitors import Visitor, mark
from shared.client import ChatClient

log = logging.getLogger(__name__)

LINGER = 300
"""Seconds a session outlives its WebSocket."""
FIRST_FRAME = 10.0
"""Seconds in which a browser says which session it wants."""
PATIENCE = 1.0
"""Seconds until Flet takes the next frame. It waits for nothing in between."""
FAREWELL = 10.0
"""Seconds the app may take to learn that the connection of a page has ended."""
RETRY = 2.0
"""Seconds until a page that found no room for its files tries again."""

STALE = 4404
"""Closes the WebSocket of a page whose session is gone; link.js then loads the page anew. It still
holds controls of that session, and Flet's client may take those of a new one for them."""

Start = Callable[[ft.Page, Host], Awaitable[None]]


class BrowserHost:
    """The `Host` of one page in a browser."""

    may_change_server = False
    opens_paths = False

    def __init__(
        self, visitor: Visitor, realm: RealmWay, tickets: Tickets, session: Session
    ) -> None:
        self.server = realm.server
        self.zone: tzinfo = visitor.zone
        self.language = visitor.language
        self.folder = Path(tempfile.mkdtemp(prefix="page-"))
        self.page_script: PageScript | None = PageScript(session)
        self._realm = realm
        self._address = visitor.address
        self._files = SessionFiles(tickets, visitor.browser, self.folder)
        # Should the app forget to close it, the session's end does.
        weakref.finalize(session, self._files.close)

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        return ChatClient(
            server, token=token, unix=self._realm.socket, forwarded_for=self._address, **options
        )

    def show(self, path: Path, type: str) -> str:
        return self._files.show(path, type)

    def offer(self, path: Path, name: str) -> str:
        return self._files.offer(path, name)

    def expect(self, name: str, size: int) -> Expected:
        return self._files.expect(name, size)

    def withdraw(self, url: str) -> None:
        self._files.withdraw(url)

    def close(self) -> None:
        self._files.close()


@dataclass(frozen=True, slots=True)
class RealmWay:
    """Where the realm is that the pages talk to.

    Args:
        server: Its address, as people know it.
        socket: Its Unix socket, if it has one for us.
    """

    server: str
    socket: Path | None


@dataclass(eq=False, slots=True)
class Socket:
    """One WebSocket of a browser, and the sessions that it began."""

    visitor: Visitor
    flet: FletApp
    begun: list[weakref.ref[Session]] = field(default_factory=list)
    end: Callable[[], None] = lambda: None
    hello: Hello = field(default_factory=Hello)
    script: PageScript | None = None
    """Of the session that is shown over it."""


SOCKET: ContextVar[Socket] = ContextVar("socket")
"""Set while a WebSocket is served, and in all that this starts: so the app's beginning knows it."""


class Pages:
    """All pages; an ASGI app for their WebSockets.

    Args:
        start: The app; called once for each session.
        most, per_address: Sessions at once, those that linger included; of all and of one address.
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
        self._ending: set[asyncio.Task[None]] = set()
        self._sessions: weakref.WeakKeyDictionary[Session, Visitor] = weakref.WeakKeyDictionary()
        self._scripts: weakref.WeakKeyDictionary[Session, PageScript] = weakref.WeakKeyDictionary()

    def refuses(self, visitor: Visitor) -> bool:
        """Tell whether this browser can have no further page now."""
        kept = list(self._sessions.values())
        served = {session.connection for session in self._sessions}
        kept += [socket.visitor for socket in self._sockets if socket.flet not in served]
        ours = sum(other.address == visitor.address for other in kept)
        if len(kept) >= 2 * self._most or ours >= 2 * self._per_address:
            return True
        if len(kept) < self._most and ours < self._per_address:
            return False
        # It may be one of those that linger, coming back.
        return not any(
            session.connection is None and other.browser == visitor.browser
            for session, other in self._sessions.items()
        )

    @property
    def open(self) -> int:
        """How many pages have a WebSocket now."""
        return len(self._sockets)

    async def serve(self, visitor: Visitor, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket until it ends."""
        loop = asyncio.get_running_loop()
        # Flet tells browsers apart by address and user agent. A phone changes its address, and
        # others may have the same, so it is given our cookie's mark instead.
        scope = dict(scope, client=None, headers=_marked(scope["headers"], visitor.browser))
        flet = FletApp(
            loop=loop,
            executor=app_manager.executor,
            main=self._begin,
            before_main=None,
            session_timeout_seconds=LINGER,
        )
        socket = Socket(visitor, flet)
        SOCKET.set(socket)
        self._sockets.add(socket)
        heard = False
        frames = Frames()
        try:
            async with asyncio.timeout(None) as patience:
                socket.end = lambda: patience.reschedule(loop.time())

                async def next_frame() -> Message:
                    # Flet waits for ever if a browser goes before it has begun a session, or sends
                    # nonsense; and as it then never asks for the next frame, nor do we learn more.
                    nonlocal heard
                    patience.reschedule(None if heard else loop.time() + FIRST_FRAME)
                    while True:
                        message = await receive()
                        if "bytes" not in message and "text" not in message:
                            break
                        patience.reschedule(None)
                        try:
                            checked = await frames.checked(message.get("bytes") or b"")
                        except Nonsense:
                            message = {"type": "websocket.disconnect", "code": 1008}
                            break
                        if not isinstance(checked, bytes):
                            self._said(socket, checked)
                            frames.shown = socket.hello.session
                            continue
                        message = {**message, "bytes": checked}
                        if not heard and frames.wanted and not await self._back(socket, frames):
                            await send({"type": "websocket.close", "code": STALE})
                            message = {"type": "websocket.disconnect", "code": STALE}
                        break
                    heard = message["type"] == "websocket.receive"
                    busy = FAREWELL if not heard and self._serves(flet) else PATIENCE
                    patience.reschedule(loop.time() + busy)
                    return message

                await flet.handle(WebSocket(scope, next_frame, send))
        except TimeoutError:
            pass  # given up
        finally:
            self._sockets.discard(socket)
            for begun in socket.begun:
                session = begun()
                if session is not None and session.connection is flet:
                    await session.disconnect(0)

    def _said(self, socket: Socket, said: Said) -> None:
        """Take what our script says over a WebSocket."""
        if isinstance(said, Hello):
            socket.hello = said
        elif isinstance(said, Ping):
            # Behind the first steps of all that the frames before it have begun.
            answer = json.dumps({"kind": "pong", "ping": said.ping}).encode()
            asyncio.get_running_loop().call_soon(
                socket.flet.send_data_channel_frame, CHANNEL, answer
            )
        elif socket.script is not None:
            socket.script.heard(said)

    async def _back(self, socket: Socket, frames: Frames) -> bool:
        """Let a page come back to its session; False if that has ended."""
        session = next((one for one in self._sessions if one.id == frames.wanted), None)
        if session is None:
            return False
        if self._sessions[session].browser != socket.visitor.browser:
            return not frames.shown  # Flet begins another one
        if frames.shown and (lost := session.connection) is not None:
            # The page knows that this connection has ended, before we do.
            await session.disconnect(LINGER)
            for other in self._sockets:
                if other.flet is lost:
                    other.end()
        if session.connection is None and (script := self._scripts.get(session)) is not None:
            socket.script = script
            script.greet(socket.hello)
        return True

    def _serves(self, flet: FletApp) -> bool:
        """Tell whether a session is shown over this connection."""
        return any(session.connection is flet for session in self._sessions)

    async def _begin(self, page: ft.Page) -> None:
        """Run the app for a new session."""
        socket, session = SOCKET.get(), page.session
        self._sessions[session] = socket.visitor
        socket.begun.append(weakref.ref(session))
        if len(socket.begun) > 1:
            # Flet's own client begins one only; nobody shall begin any number.
            socket.end()
            return
        self._make_room(socket.visitor)
        host = await self._host(page, socket)
        if host is None:
            await session.disconnect(0)
            return
        assert host.page_script is not None
        self._scripts[session] = socket.script = host.page_script
        host.page_script.greet(socket.hello)
        await self._start(page, host)

    async def _host(self, page: ft.Page, socket: Socket) -> BrowserHost | None:
        """Make the host of a page; while the disk has no room for it, the page says so.

        None: the page has gone meanwhile.
        """
        session, is_told = page.session, False
        while session.connection is socket.flet:
            try:
                return BrowserHost(socket.visitor, self._realm, self._tickets, session)
            except OSError as error:
                if not is_told:
                    log.error("a page cannot begin: %s", error)
                    text = ft.Text(Texts(socket.visitor.language)("no_room_for_page"), size=16)
                    page.controls = [ft.SafeArea(ft.Container(text, padding=24))]
                    page.update()
                    is_told = True
            await asyncio.sleep(RETRY)
        return None

    def _make_room(self, visitor: Visitor) -> None:
        """End what lingered, if instead of coming back the browser has begun anew."""
        lingering = [
            (session, other)
            for session, other in self._sessions.items()
            if session.connection is None
        ]
        ours = [session for session, other in lingering if other.address == visitor.address]
        all_of_ours = sum(other.address == visitor.address for other in self._sessions.values())
        over = max(all_of_ours - self._per_address, len(self._sessions) - self._most)
        for session in ours[: max(over, 0)]:
            task = asyncio.create_task(session.disconnect(0))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


def _marked(headers: list[tuple[bytes, bytes]], browser: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with the mark of the browser's cookie for its user agent."""
    others = [(name, value) for name, value in headers if name != b"user-agent"]
    agent = b" ".join(value for name, value in headers if name == b"user-agent")
    return [*others, (b"user-agent", agent + b" " + mark(browser).encode())]
