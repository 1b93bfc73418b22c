"""A person's session with the realm: signing in and out, following it, telling it what was seen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from flet_app.conversation import Conversation
from flet_app.files import Files
from flet_app.host import Host
from flet_app.sending import Sending
from flet_app.state import Part, State
from shared.client import Backoff, ChatClient, ChatError, NoAnswer, Offline, Online, SignedOut
from shared.protocol.commands.accounts import SignedIn
from shared.protocol.commands.groups import ListGroup
from shared.protocol.commands.history import Read, Received
from shared.protocol.commands.private import ListPc
from shared.protocol.errors import TEMPORARY
from shared.protocol.spec import Request
from shared.protocol.values import parse_conversation

log = logging.getLogger(__name__)

GATHERING = 0.15
"""Seconds in which what the realm is to be told, or asked, is gathered."""
RETRY_FIRST, RETRY_MOST = 0.3, 8.0
"""Bounds of the seconds between attempts to connect: somebody watches."""
MOST = 200
"""Messages asked for at a time."""
MOST_LISTED = 20_000
"""Rows of a list; those below are not known to the app until somebody writes there."""

P = TypeVar("P")
R = TypeVar("R")
Remember = Callable[[str], Awaitable[None]]
"""Keeps the token for the next start; empty: forgets it."""


async def whole(pages: AsyncIterator[P], rows: Callable[[P], list[R]]) -> list[R]:
    """Return the rows of all pages of a list, MOST_LISTED at most."""
    found: list[R] = []
    async for page in pages:
        found += rows(page)
        if len(found) >= MOST_LISTED:
            break
    return found


class Session:
    """One window's session, or none. Methods raise `ChatError`, `NoAnswer` where they ask.

    Args:
        remember: Keeps the session's token.
    """

    def __init__(self, state: State, host: Host, remember: Remember) -> None:
        self.state = state
        self.server = host.server
        self._host = host
        self._remember = remember
        self._client: ChatClient | None = None
        self._closed = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._due = asyncio.Event()
        self._reads: dict[str, int] = {}
        self._loaded: dict[Conversation, None] = {}
        """The conversations that were opened, the latest last."""
        self.sending: Sending | None = None
        self.files: Files | None = None

    @property
    def client(self) -> ChatClient:
        """The client of the session.

        Raises:
            NoAnswer: nobody is signed in any more.
        """
        if self._client is None:
            raise NoAnswer("nobody is signed in")
        return self._client

    async def register(self, user: str, real_name: str, password: str, country: str) -> None:
        """Create an account and sign in to it."""
        async with self._host.client(self.server, events=False, timeout=15.0) as client:
            await client.register(user, real_name, password, country)
        await self.sign_in(user, password)

    async def sign_in(self, user: str, password: str) -> SignedIn:
        """Sign in with a password, which is not kept; if that fails, nothing has changed."""
        client = await self._connect("")
        try:
            reply = await client.auth(user, password)
        except BaseException:
            await client.close()
            raise
        await self._adopt(client)
        await self._signed_in(client)
        return reply

    async def resume(self, token: str) -> None:
        """Go on with the session of an earlier start; what comes of it, the state tells."""
        await self._adopt(await self._connect(token))

    async def sign_out(self) -> None:
        """End the session here and at the realm."""
        with suppress(ChatError, NoAnswer, TimeoutError):
            async with asyncio.timeout(3):
                await self.client.logout()
        await self._end()
        self.state.signed_out()
        await self._remember("")

    async def close(self) -> None:
        """The window is gone; the session stays at the realm."""
        self._closed = True
        await self._end()

    async def _connect(self, token: str) -> ChatClient:
        if self._closed:
            raise NoAnswer("the window is closed")
        backoff = Backoff(RETRY_FIRST, RETRY_MOST)
        client = self._host.client(self.server, token, backoff=backoff)
        await client.__aenter__()
        self._run(self._follow(client))
        return client

    async def _adopt(self, client: ChatClient) -> None:
        """Let this client be the window's, instead of another one."""
        await self._end()
        if self._closed:
            await client.close()
            raise NoAnswer("the window is closed")
        self._client = client
        self.files = Files(self._host.folder, client, lambda: self.state.changed(Part.MESSAGES))
        self.sending = Sending(self.state, client, self.files.adopt)
        self._run(self._tend(client))

    async def _end(self) -> None:
        client, self._client = self._client, None
        if self.sending is not None:
            self.sending.close()
        if self.files is not None:
            self.files.close()
        self.sending = self.files = None
        self._reads.clear()
        self._loaded.clear()
        if client is not None:
            await client.close()

    def _run(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("following the realm failed", exc_info=error)

    async def _signed_in(self, client: ChatClient) -> None:
        if self.state.user != client.user:
            self.state.signed_in(client.user, client.realm, client.limits)
            self.state.stale = True
            self._due.set()
        await self._remember(client.token)

    async def _follow(self, client: ChatClient) -> None:
        """Let the state take each event, until the client is closed."""
        async for event in client.events():
            if self._client is not client:
                # It signs in; only why that takes long is of interest.
                if isinstance(event, Offline) and self._client is None:
                    self.state.take(event)
                continue
            try:
                if isinstance(event, Online) and self.state.user != client.user and client.token:
                    await self._signed_in(client)
                self.state.take(event)
            except Exception:
                log.exception("an event could not be shown")
            if isinstance(event, SignedOut):
                await self._remember("")
                await self._end()
                return
            if self.state.received or self.state.stale:
                self._due.set()

    async def _tend(self, client: ChatClient) -> None:
        """Tell the realm what was received and read, and ask for what only lists tell."""
        while self._client is client:
            await self._due.wait()
            await asyncio.sleep(GATHERING)
            self._due.clear()
            if self._client is not client:
                self._due.set()  # the next client's
                return
            pause = 0.0
            try:
                await self._tell(client)
                if self.state.stale and self.state.user:
                    await self.refresh()
            except NoAnswer:
                self._due.set()  # the client waits for the connection, so this does not spin
            except ChatError as error:
                pause = (error.retry_after or 1.0) if error.code in TEMPORARY else 0.0
            except Exception:
                log.exception("the lists could not be asked for")
                pause = 5.0
            if pause:
                await asyncio.sleep(pause)
                self._due.set()

    async def _tell(self, client: ChatClient) -> None:
        for markers, marker in ((self.state.received, Received), (self._reads, Read)):
            for address, seq in list(markers.items()):
                told: Request[Any] = marker(parse_conversation(address), seq)
                try:
                    await client.call(told)
                except ChatError as error:
                    # Of a group one is no longer in, for instance: nobody needs to know.
                    if error.code in TEMPORARY:
                        raise
                if markers.get(address) == seq:
                    del markers[address]

    async def refresh(self) -> None:
        """Ask for the lists, and for the open conversation as it is now."""
        client, state = self.client, self.state
        state.stale = False
        known = {key: c.last_seq for key, c in state.conversations.items()}
        try:
            chats, groups, realms = await asyncio.gather(
                whole(client.pages(ListPc()), lambda page: page.conversations),
                whole(client.pages(ListGroup()), lambda page: page.groups),
                client.listrealm(),
            )
        except BaseException:
            state.stale = True
            raise
        if self._client is not client:
            return  # they are somebody else's
        state.realms = realms.realms
        now = int(time.time() * 1000)
        state.lists(chats, groups, known, now)
        if state.received:
            self._due.set()
        if (c := state.open) is not None:
            with suppress(ChatError):
                await self._load(c, MOST)

    async def _load(self, c: Conversation, limit: int) -> None:
        c.loading = True
        try:
            page = await self.client.history(c.address, limit=limit)
        finally:
            c.loading = False
        c.newest(page.messages, more=page.more)
        if c is self.state.open:
            self.state.changed(Part.MESSAGES)
