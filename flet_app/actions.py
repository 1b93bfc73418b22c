"""What a person does: commands to the realm, and what becomes of the state by their answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from flet_app import commands
from flet_app.conversation import KEPT, KEPT_CLOSED, Conversation, entry_of
from flet_app.files import Files
from flet_app.host import Host
from flet_app.sending import Sending
from flet_app.state import Part, State
from shared.client import Backoff, ChatClient, ChatError, NoAnswer, Online, SignedOut
from shared.protocol.commands.accounts import Logout, SignedIn
from shared.protocol.commands.files import SendFile, SendGroupFile
from shared.protocol.commands.groups import (
    CreateGroup,
    InboxGroup,
    InviteGroup,
    Kick,
    LeaveGroup,
    SendGroup,
)
from shared.protocol.commands.history import Read, Received
from shared.protocol.commands.messages import Message, Page, Sent
from shared.protocol.commands.private import Inbox, Send
from shared.protocol.commands.realms import AddRealm
from shared.protocol.errors import TEMPORARY, ErrorCode
from shared.protocol.spec import Reply, Request
from shared.protocol.values import parse_conversation

log = logging.getLogger(__name__)

GATHERING = 0.15
"""Seconds in which what the realm is to be told, or asked, is gathered."""
RETRY_FIRST, RETRY_MOST = 0.3, 8.0
"""Bounds of the seconds between attempts to connect: somebody watches."""
PAGE = 50
LOADED = 30
"""Conversations whose messages are kept."""
MOST = 200
"""Messages asked for at a time."""

Remember = Callable[[str], Awaitable[None]]
"""Keeps the token for the next start; empty: forgets it."""


class Actions:
    """Everything that one window does. Methods raise `ChatError`, `NoAnswer` where they ask.

    Args:
        remember: Keeps the session's token.
    """

    def __init__(self, state: State, host: Host, remember: Remember) -> None:
        self.state = state
        self.server = host.server
        self._host = host
        self._remember = remember
        self._client: ChatClient | None = None
        self._tasks: list[asyncio.Task[None]] = []
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

    # The session

    async def register(self, user: str, real_name: str, password: str, country: str) -> None:
        """Create an account and sign in to it."""
        async with self._host.client(self.server, events=False, timeout=15.0) as client:
            await client.register(user, real_name, password, country)
        await self.sign_in(user, password)

    async def sign_in(self, user: str, password: str) -> None:
        """Sign in with a password, which is not kept."""
        client = await self._begin("")
        try:
            reply = await client.auth(user, password)
        except BaseException:
            await self._end()
            raise
        await self._signed_in(reply.user, reply.realm)

    async def resume(self, token: str) -> None:
        """Go on with the session of an earlier start; what came of it, the state tells."""
        await self._begin(token)

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
        await self._end()

    async def _begin(self, token: str) -> ChatClient:
        await self._end()
        backoff = Backoff(RETRY_FIRST, RETRY_MOST)
        client = self._client = self._host.client(self.server, token, backoff=backoff)
        await client.__aenter__()
        self.files = Files(self._host.folder, client, lambda: self.state.changed(Part.MESSAGES))
        self.sending = Sending(self.state, client, self.files.adopt)
        self._tasks = [asyncio.create_task(self._follow(client)), asyncio.create_task(self._tend())]
        return client

    async def _end(self) -> None:
        client, self._client = self._client, None
        tasks, self._tasks = self._tasks, []
        if self.sending is not None:
            self.sending.close()
        if self.files is not None:
            self.files.close()
        self.sending = self.files = None
        self._reads.clear()
        self._loaded.clear()
        me = asyncio.current_task()
        for task in tasks:
            if task is not me:
                task.cancel()
        if client is not None:
            await client.close()

    async def _signed_in(self, user: str, realm: str) -> None:
        if self.state.user != user:
            self.state.signed_in(user, realm, self.client.limits)
            self.state.stale = True
            self._due.set()
        await self._remember(self.client.token)

    async def _follow(self, client: ChatClient) -> None:
        """Let the state take each event."""
        async for event in client.events():
            if isinstance(event, Online) and self.state.user != client.user and client.token:
                await self._signed_in(client.user, client.realm)
            try:
                self.state.take(event)
            except Exception:
                log.exception("an event could not be shown")
            if isinstance(event, SignedOut):
                await self._remember("")
                await self._end()
                return
            if isinstance(event, Online):
                self.state.stale = True
            if self.state.received or self.state.stale:
                self._due.set()

    async def _tend(self) -> None:
        """Tell the realm what was received and read, and ask for what only lists tell."""
        while True:
            await self._due.wait()
            await asyncio.sleep(GATHERING)
            self._due.clear()
            try:
                await self._tell()
                if self.state.stale:
                    await self.refresh()
            except NoAnswer:
                self._due.set()  # the client waits for the connection, so this does not spin
            except ChatError as error:
                if error.code in TEMPORARY:
                    await asyncio.sleep(error.retry_after or 1.0)
                    self._due.set()
            except Exception:
                log.exception("the lists could not be asked for")
                await asyncio.sleep(1.0)

    async def _tell(self) -> None:
        for markers, marker in ((self.state.received, Received), (self._reads, Read)):
            for address, seq in list(markers.items()):
                told: Request[Any] = marker(parse_conversation(address), seq)
                await self.client.call(told)
                if markers.get(address) == seq:
                    del markers[address]

    async def refresh(self) -> None:
        """Ask for the lists, and for the open conversation as it is now."""
        self.state.stale = False
        asked = time.time()
        try:
            chats, groups, realms = await asyncio.gather(
                self.client.listpc(), self.client.listgroup(), self.client.listrealm()
            )
            self.state.realms = realms.realms
            self.state.lists(chats.conversations, groups.groups, asked)
            if self.state.open is not None:
                await self._load(self.state.open, MOST)
        except (ChatError, NoAnswer):
            self.state.stale = True
            raise

    # Conversations

    async def open(self, address: str) -> Conversation:
        """Show a conversation, from its newest messages on."""
        previous = self.state.open
        c = self.state.conversation(address)
        if previous is not None and previous is not c:
            previous.trim(KEPT_CLOSED)
        self.state.opened(c)
        self._loaded[c] = self._loaded.pop(c, None)
        if len(self._loaded) > LOADED:
            del self._loaded[oldest := next(iter(self._loaded))]
            oldest.unload()
        if not c.loaded:
            await self._load(c, min(MOST, max(PAGE, c.unread + 10)))
        return c

    def close_conversation(self) -> None:
        """Show the list alone, on a narrow screen."""
        self.state.opened(None)

    async def look_up(self, address: str) -> str:
        """Return how the realm writes a person's address, who must exist if it is here."""
        return (await self.client.history(address, limit=1)).conversation

    async def _load(self, c: Conversation, limit: int) -> None:
        c.loading = True
        try:
            page = await self.client.history(c.address, limit=limit)
        except BaseException:
            c.loading = False
            raise
        c.newest(page.messages, more=page.more)
        if c is self.state.open:
            self.state.changed(Part.MESSAGES)

    async def load_older(self, c: Conversation) -> None:
        """Read the page before the oldest message that is here."""
        first = c.first_seq
        if not c.loaded or not c.older or first is None:
            return
        page = await self.client.history(c.address, before=first, limit=PAGE)
        c.earlier(page.messages, more=page.more)
        if c is self.state.open:
            self.state.changed(Part.MESSAGES)

    def saw(self, c: Conversation) -> None:
        """The person sees the newest message of a conversation."""
        if c.last_seq > c.read_seq:
            self.state.read(c, c.last_seq)
            self._reads[c.address] = c.last_seq
            self._due.set()
        if len(c.entries) > KEPT:
            c.trim(KEPT)

    # Groups and realms

    async def create_group(self, name: str, realm: str = "") -> Conversation:
        """Make a group, here or hosted by another realm."""
        made = await self.client.creategroup(name, realm or None)
        c = self.state.conversation(made.group)
        c.name, c.role, c.members = made.name, "owner", 1
        return c

    async def leave_group(self, address: str) -> None:
        """Leave a group; its chat disappears."""
        left = await self.client.leavegroup(address)
        self.state.left(left.group)

    async def add_realm(self, name: str, address: str, port: int, fingerprint: str) -> str:
        """Make another realm known; return the fingerprint of its key."""
        added = await self.client.addrealm(name, address, port, fingerprint or None)
        await self.look_at_realms()
        return added.fingerprint

    async def look_at_realms(self) -> None:
        """Ask how the links stand."""
        self.state.realms = (await self.client.listrealm()).realms
        self.state.changed(Part.REALMS)

    # Commands as they are typed

    async def run(self, line: str) -> Reply:
        """Run a typed command and let the state know what it did."""
        request = commands.parse(line)
        if isinstance(request, Logout):
            await self.sign_out()
            raise ChatError(ErrorCode.NOT_AUTHENTICATED, "Signed out")
        reply: Reply = await self.client.call(request)
        await self._did(request, reply)
        return reply

    async def _did(self, request: Request[Any], reply: Reply) -> None:
        if isinstance(reply, SignedIn):
            await self._signed_in(reply.user, reply.realm)
        elif isinstance(reply, Sent) and isinstance(
            request, Send | SendGroup | SendFile | SendGroupFile
        ):
            self._posted(reply, getattr(request, "text", ""))
        elif isinstance(request, Inbox | InboxGroup) and isinstance(reply, Page):
            c = self.state.conversation(reply.conversation)
            self.state.read(c, c.last_seq)
        elif isinstance(request, Read):
            self.state.stale = True
        elif isinstance(request, LeaveGroup):
            self.state.left(str(request.group))
        elif isinstance(request, CreateGroup | InviteGroup | Kick | AddRealm):
            self.state.stale = True
        if self.state.stale:
            self._due.set()

    def _posted(self, reply: Sent, text: str) -> None:
        c = self.state.conversation(reply.conversation)
        message = Message(
            *(reply.message_id, reply.conversation, reply.seq or 0, self.state.user, reply.time),
            *(text, reply.file, reply.state),
        )
        entry = entry_of(message)
        entry.seq = reply.seq
        self.state.sent(c, c.put(entry), reply)
