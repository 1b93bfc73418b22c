"""Open pages: the WebSocket of each, the session behind it, and how many there may be.

Flet keeps a session for a while after its WebSocket has gone, so that a reload or a lost network
finds it again. So what is bounded here is what is kept: sessions, and WebSockets without one yet.
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
from typing import Any

import flet as ft
from flet.messaging.protocol import MessageAction
from flet.messaging.session import Session
from flet_web.fastapi import FletApp, app_manager
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from flet_app.browser_host import BrowserHost, RealmWay, begun
from flet_app.frames import Frames, Nonsense
from flet_app.host import Host
from flet_app.page_socket import EXTENSION, PageSocket
from flet_app.script import CHANNEL, Hello, PageScript, Ping, Said
from flet_app.shapes import takes_event, takes_value
from flet_app.tickets import Tickets
from flet_app.turns import Turns
from flet_app.visitors import Visitor, mark

LINGER = 300
"""Seconds a session outlives its WebSocket."""
FIRST_FRAME = 10.0
"""Seconds in which a browser says which session it wants."""
PATIENCE = 1.0
"""Seconds until Flet takes the next frame. It waits for nothing in between."""
FAREWELL = 10.0
"""Seconds the app may take to learn that the connection of a page has ended."""

STALE = 4404
"""Closes the WebSocket of a page whose session is gone; link.js then loads the page anew. It still
holds controls of that session, and Flet's client may take those of a new one for them."""

BEGINNINGS, BEGINNINGS_AT_ONCE = 5.0, 100.0
"""Pages of one address that begin in a second, and at once: each costs some milliseconds."""
STRANGERS, STRANGERS_AT_ONCE = 200.0, 2_000.0
"""Frames in a second, and at once, of all pages of one address without a session of the realm."""
OURS = frozenset(("connect", "disconnect", "close", "error"))
"""Events of a page that only the server makes."""
MORE = 2
"""Pages that an address must have more than another one, before one that is open ends for it."""

Start = Callable[[ft.Page, Host], Awaitable[None]]


@dataclass(eq=False, slots=True)
class Socket:
    """One WebSocket of a browser, and the sessions that it began."""

    visitor: Visitor
    flet: FletApp
    wire: PageSocket
    frames: Frames
    begun: list[weakref.ref[Session]] = field(default_factory=list)
    end: Callable[[], None] = lambda: None
    since: float = field(default_factory=time.monotonic)
    hello: Hello = field(default_factory=Hello)
    script: PageScript | None = None
    """Of the session that is shown over it."""
    session: weakref.ref[Session] | None = None
    """That session."""

    def admit(self, known: bool) -> None:
        """Take large frames, or no more."""
        self.frames.known = known
        self.wire.admit(known)


SOCKET: ContextVar[Socket] = ContextVar("socket")
"""Set while a WebSocket is served, and in all that this starts: so the app's beginning knows it."""


class Pages:
    """All pages; an ASGI app for their WebSockets.

    A page in which nobody is signed in ends soon after its WebSocket; others linger. Once there are
    too many, the address that has most has to give one up for one that has less.

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
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sessions: weakref.WeakKeyDictionary[Session, Visitor] = weakref.WeakKeyDictionary()
        self._hosts: weakref.WeakKeyDictionary[Session, BrowserHost] = weakref.WeakKeyDictionary()
        self._beginnings = Turns(BEGINNINGS, BEGINNINGS_AT_ONCE)
        self._strangers = Turns(STRANGERS, STRANGERS_AT_ONCE)
        self._scripts: weakref.WeakKeyDictionary[Session, PageScript] = weakref.WeakKeyDictionary()

    def refuses(self, visitor: Visitor) -> bool:
        """Tell whether this browser can have no further page now; another may end for it."""
        kept = self._kept()
        ours = sum(other.network == visitor.network for other in kept)
        # Twice as many, as what lingers may be replaced by what begins anew.
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
        """Return the sessions that are kept for a page that is away."""
        return [
            (session, visitor)
            for session, visitor in self._sessions.items()
            if session.connection is None and self._is_known(session)
        ]

    def _is_known(self, session: Session) -> bool:
        host = self._hosts.get(session)
        return host is not None and host.known

    def _kept(self) -> list[Visitor]:
        """Return whose pages there are, each as often as there are."""
        return [visitor for _, visitor in self._lingering()] + [
            socket.visitor for socket in self._sockets
        ]

    def _end_one_of_many(self, kept: list[Visitor], ours: int) -> bool:
        """End a page of the address that has most: one that lingers, then one of a stranger.

        Args:
            ours: Pages of the address that wants one more.

        Returns:
            False if that would not be fair.
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
        task = asyncio.create_task(session.disconnect(0))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

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
        wire: PageSocket = scope["extensions"][EXTENSION]
        wire.network = visitor.network
        frames = Frames(lambda action, body: self._judge(socket, action, body))
        socket = Socket(visitor, flet, wire, frames)
        SOCKET.set(socket)
        self._sockets.add(socket)
        heard = False
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
                        if not frames.known:
                            await asyncio.sleep(self._strangers.wait(visitor.network))
                        try:
                            checked = await frames.checked(message.get("bytes") or b"")
                        except Nonsense:
                            message = {"type": "websocket.disconnect", "code": 1008}
                            break
                        if checked is None:
                            continue
                        if not isinstance(checked, bytes):
                            self._said(socket, checked)
                            frames.shown = socket.hello.session
                            continue
                        message = {**message, "bytes": checked}
                        if heard:
                            break
                        if not frames.wanted:
                            await asyncio.sleep(self._beginnings.wait(visitor.network))
                        elif not await self._back(socket, frames):
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
            session = socket.session() if socket.session is not None else None
            if session is not None and session.connection in (None, flet):
                if not self._is_known(session):
                    await session.disconnect(0)

    def _judge(self, socket: Socket, action: MessageAction, body: dict[str, Any]) -> bool:
        """Tell whether a page has the control that something is said of, and it may be said.

        Properties that may not be set are taken out.
        """
        session = socket.session() if socket.session is not None else None
        if session is None:
            return False
        if action == MessageAction.INVOKE_METHOD:
            return body["control_id"] in session.index
        if action == MessageAction.CONTROL_EVENT:
            control = session.index.get(body["target"])
            return (
                control is not None
                and body["name"] not in OURS
                and takes_event(control, body["name"], body["data"])
            )
        control = session.index.get(body["id"])
        given = body["props"].items()
        body["props"] = {
            name: value for name, value in given if takes_value(type(control), name, value)
        }
        return control is not None

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
        if session.connection is None:
            socket.session = weakref.ref(session)
            socket.admit(self._is_known(session))
            if (script := self._scripts.get(session)) is not None:
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
        # Flet keeps none of its tasks, and one that waits would be lost with its page.
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
            # Or Flet goes on with a page that it has let go of.
            raise BrokenPipeError("the browser went before the app had begun")

    def _admitted(self, session: Session, known: bool) -> None:
        """Somebody has signed in at a page, or out."""
        for socket in self._sockets:
            if socket.flet is session.connection:
                socket.admit(known)

    def _make_room(self, visitor: Visitor) -> None:
        """End what lingered, if instead of coming back the browser has begun anew."""
        kept = self._kept()
        ours = [session for session, other in self._lingering() if other.network == visitor.network]
        all_of_ours = sum(other.network == visitor.network for other in kept)
        over = max(all_of_ours - self._per_address, len(kept) - self._most)
        for session in ours[: max(over, 0)]:
            self._end(session)


def _marked(headers: list[tuple[bytes, bytes]], browser: str) -> list[tuple[bytes, bytes]]:
    """Return the headers with the mark of the browser's cookie for its user agent."""
    others = [(name, value) for name, value in headers if name != b"user-agent"]
    agent = b" ".join(value for name, value in headers if name == b"user-agent")
    return [*others, (b"user-agent", agent + b" " + mark(browser).encode())]
