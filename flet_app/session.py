"""A person's session with the realm: signing in and out, following events, sending markers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from flet_app.conversation import AppConversation
from flet_app.files import AppFiles
from flet_app.host import PageHost
from flet_app.sending import Sending
from flet_app.state import AppState, StatePart
from shared.background_tasks import BackgroundTasks
from shared.bounded import BoundedDict
from shared.client import Backoff, ChatClient, ChatError, NoAnswer, Offline, Online, SignedOut
from shared.protocol.commands.accounts import SignedIn
from shared.protocol.commands.groups import ListGroup
from shared.protocol.commands.history import Read, Received
from shared.protocol.commands.private import ListPc
from shared.protocol.errors import TEMPORARY
from shared.protocol.spec import Request
from shared.protocol.values import parse_conversation

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.15
"""Seconds for which markers and requests are gathered."""
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 0.3, 8.0
"""Bounds of the seconds between attempts to connect: somebody watches."""
MAX_LOADED_CONVERSATIONS = 30
"""Conversations whose messages are kept."""
MAX_PAGE_MESSAGES = 200
"""Messages of a page."""
MAX_LISTED_ROWS = 20_000
"""Rows of a list; the app learns of the others when somebody writes there."""

P = TypeVar("P")
R = TypeVar("R")
Remember = Callable[[str, str], Awaitable[None]]
"""Called with the server and its token, to store; an empty token removes the stored one."""


async def whole(pages: AsyncIterator[P], rows: Callable[[P], list[R]]) -> list[R]:
    """Return the rows of all pages of a list, at most MAX_LISTED_ROWS."""
    found: list[R] = []
    async for page in pages:
        found += rows(page)
        if len(found) >= MAX_LISTED_ROWS:
            break
    return found


class AppSession:
    """The session of one window, if any. Methods that send commands raise `ChatError`, `NoAnswer`.

    Args:
        remember: Stores the session's token.
    """

    def __init__(self, state: AppState, host: PageHost, remember: Remember) -> None:
        self.state = state
        self.server = host.server
        self._host = host
        self._remember = remember
        self._client: ChatClient | None = None
        self._adopted = ""
        """The server of the client; the person may have chosen another one since."""
        self._closed = False
        self._tasks = BackgroundTasks(
            lambda error: log.error("following the realm failed", exc_info=error)
        )
        self._due = asyncio.Event()
        self._reads: dict[str, int] = {}
        self._loaded: BoundedDict[AppConversation, None] = BoundedDict(
            MAX_LOADED_CONVERSATIONS, lambda oldest, _: oldest.unload()
        )
        """The conversations that were opened, the latest last."""
        self.sending: Sending | None = None
        self.files: AppFiles | None = None

    @property
    def client(self) -> ChatClient:
        """The client of the session.

        Raises:
            NoAnswer: nobody is signed in.
        """
        if self._client is None:
            raise NoAnswer("nobody is signed in")
        return self._client

    async def register(
        self,
        user: str,
        real_name: str,
        password: str,
        country: str,
        code: str = "",
        invitation: str = "",
    ) -> None:
        """Create an account and sign in to it.

        Args:
            code: The code of the first admin, for a realm without an admin.
            invitation: The code of an invitation, for a realm that requires one.
        """
        about, shown = (user, real_name, password, country), (code or None, invitation or None)
        async with self._host.client(self.server, events=False, timeout=15.0) as client:
            await client.register(*about, *shown)
        await self.sign_in(user, password)

    async def asks_for(self) -> tuple[bool, str]:
        """Return what the realm requires for registering.

        Returns:
            Whether the realm waits for its first admin, who has a code; and who may register
            without a code: everybody (`open`), people with an invitation (`invite`), nobody
            (`closed`).
        """
        async with self._host.client(self.server, events=False, timeout=15.0) as client:
            return (await client.code()).wanted, (await client.invitation()).registration

    async def sign_in(self, user: str, password: str) -> SignedIn:
        """Sign in with a password, which is not stored. A failure changes nothing."""
        server = self.server
        client = await self._connect(server, "")
        try:
            reply = await client.auth(user, password)
        except BaseException:
            await client.close()
            raise
        await self._adopt(client, server)
        await self._signed_in(client)
        return reply

    async def resume(self, token: str) -> None:
        """Resume the session of an earlier start; the state shows the outcome.

        Args:
            token: The stored token of the present server; no other server may see it.
        """
        server = self.server
        await self._adopt(await self._connect(server, token), server)

    async def sign_out(self) -> None:
        """End the session here and at the realm."""
        with suppress(ChatError, NoAnswer, TimeoutError):
            async with asyncio.timeout(3):
                await self.client.logout()
        await self._end()
        self._host.admit(False)
        self.state.signed_out()
        await self._remember(self._adopted, "")

    async def close(self) -> None:
        """The window is closed; the session remains valid at the realm."""
        self._closed = True
        await self._end()

    async def _connect(self, server: str, token: str) -> ChatClient:
        if self._closed:
            raise NoAnswer("the window is closed")
        backoff = Backoff(FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS)
        client = self._host.client(server, token, backoff=backoff)
        await client.__aenter__()
        self._tasks.start(self._follow(client))
        return client

    async def _adopt(self, client: ChatClient, server: str) -> None:
        """Make this client the window's, in place of the previous one."""
        await self._end()
        if self._closed:
            await client.close()
            raise NoAnswer("the window is closed")
        self._client, self._adopted = client, server
        self.files = AppFiles(
            self._host.folder, client, lambda: self.state.changed(StatePart.MESSAGES)
        )
        self.sending = Sending(self.state, client, self.files.adopt)
        self._tasks.start(self._tend(client))

    async def _end(self) -> None:
        client, self._client = self._client, None
        if self.sending is not None:
            self.sending.close()
        if self.files is not None:
            self.files.close()
        self.sending = self.files = None
        self._reads.clear()
        self._loaded.clear()
        self._due.set()  # wakes the task that tends this client, so that it ends
        if client is not None:
            await client.close()

    async def _signed_in(self, client: ChatClient) -> None:
        self._host.admit(True)
        if self.state.user != client.user:
            self.state.signed_in(client.user, client.realm, client.limits)
            self.state.stale = True
            self._due.set()
        await self._remember(self._adopted, client.token)

    async def _follow(self, client: ChatClient) -> None:
        """Apply each event to the state, until the client is closed."""
        async for event in client.events():
            if self._client is not client:
                # Before the sign-in, only the reason of a delay matters.
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
                self._host.admit(False)
                await self._remember(self._adopted, "")
                await self._end()
                return
            if self.state.received or self.state.stale:
                self._due.set()

    async def _tend(self, client: ChatClient) -> None:
        """Send markers to the realm, and fetch what only lists contain."""
        while self._client is client:
            await self._due.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._due.clear()
            if self._client is not client:
                self._due.set()  # the event is for the next client
                return
            pause = 0.0
            try:
                await self._tell(client)
                if self.state.stale and self.state.user:
                    await self.refresh()
            except NoAnswer:
                self._due.set()  # no busy loop: the client waits for the connection
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
                    # For example, the person has left the group; nobody needs to know.
                    if error.code in TEMPORARY:
                        raise
                if markers.get(address) == seq:
                    del markers[address]

    async def refresh(self) -> None:
        """Fetch the lists, and the present state of the open conversation."""
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
            return  # somebody else has signed in meanwhile
        state.realms = realms.realms
        now = int(time.time() * 1000)
        state.lists(chats, groups, known, now)
        if state.received:
            self._due.set()
        if (c := state.open) is not None:
            with suppress(ChatError):
                await self._load(c, MAX_PAGE_MESSAGES)

    async def _load(self, c: AppConversation, limit: int) -> None:
        c.loading = True
        try:
            page = await self.client.history(c.address, limit=limit)
        finally:
            c.loading = False
        c.newest(page.messages, more=page.more)
        if c is self.state.open:
            self.state.changed(StatePart.MESSAGES)
