"""The person's actions: each sends commands to the realm and applies the replies to the state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flet_app import commands
from flet_app.conversation import INVITED, MAX_KEPT_CLOSED_MESSAGES, AppConversation, entry_of
from flet_app.session import MAX_PAGE_MESSAGES, AppSession
from flet_app.state import StatePart
from shared.client import ChatError, ErrorCode
from shared.protocol.commands.accounts import Auth, Logout, Resume
from shared.protocol.commands.files import SendFile, SendGroupFile
from shared.protocol.commands.groups import (
    Accept,
    Ban,
    CreateGroup,
    GroupLeft,
    InboxGroup,
    InvitationDeclined,
    InviteGroup,
    Kick,
    SendGroup,
)
from shared.protocol.commands.history import Read
from shared.protocol.commands.messages import Message, Page, Sent
from shared.protocol.commands.private import Inbox, Send
from shared.protocol.commands.realms import AddRealm
from shared.protocol.errors import TEMPORARY
from shared.protocol.records import Reply
from shared.protocol.spec import Request

PAGE_MESSAGES = 50


class Actions(AppSession):
    """The actions of one window in its session."""

    # Conversations

    def switch(self, address: str) -> AppConversation:
        """Show a conversation with the messages that are loaded."""
        previous = self.state.open
        c = self.state.conversation(address)
        if previous is not None and previous is not c:
            previous.trim(MAX_KEPT_CLOSED_MESSAGES)
        self.state.opened(c)
        self._loaded[c] = None
        return c

    async def load(self, c: AppConversation) -> None:
        """Fetch a conversation's newest messages if needed; drop a conversation that does not
        exist."""
        if c.loaded or c.role == INVITED:
            return
        try:
            await self._load(c, min(MAX_PAGE_MESSAGES, max(PAGE_MESSAGES, c.unread + 10)))
        except ChatError as error:
            if error.code not in TEMPORARY and not c.last_seq:
                self.state.left(c.address)
            raise

    def close_conversation(self) -> None:
        """Close the open conversation; a narrow screen then shows the list."""
        self.state.opened(None)

    async def look_up(self, address: str) -> str:
        """Return a person's address as the realm spells it; a local person must exist."""
        return (await self.client.history(address, limit=1)).conversation

    async def load_older(self, c: AppConversation) -> None:
        """Fetch the page before the oldest loaded message."""
        first = c.first_seq
        if not c.loaded or not c.older or first is None:
            return
        page = await self.client.history(c.address, before=first, limit=PAGE_MESSAGES)
        if c.first_seq != first:
            return  # the oldest message has changed meanwhile
        c.earlier(page.messages, more=page.more)
        if c is self.state.open:
            self.state.changed(StatePart.MESSAGES)

    def saw(self, c: AppConversation) -> None:
        """Mark a conversation read: the person sees its newest message."""
        if c.last_seq > c.read_seq:
            self.state.read(c, c.last_seq)
            self._reads[c.address] = c.last_seq
            self._due.set()

    # Groups and realms

    async def create_group(self, name: str, realm: str = "") -> AppConversation:
        """Create a group, hosted by this realm or by another one."""
        made = await self.client.creategroup(name, realm or None)
        c = self.state.conversation(made.group)
        c.name, c.role, c.members = made.name, "owner", 1
        return c

    async def leave_group(self, address: str) -> None:
        """Leave a group; its chat disappears."""
        left = await self.client.leavegroup(address)
        self.state.left(left.group)

    async def accept(self, c: AppConversation) -> None:
        """Accept an invitation to a group."""
        await self.client.accept(c.address)
        c.role = "member"
        self.state.stale = True
        self._due.set()

    async def decline(self, c: AppConversation) -> None:
        """Decline an invitation; it disappears from the list."""
        await self.client.decline(c.address)
        self.state.left(c.address)

    async def add_realm(self, name: str, address: str, port: int, fingerprint: str) -> str:
        """Add another realm; return the fingerprint of its key."""
        added = await self.client.addrealm(name, address, port, fingerprint or None)
        await self.look_at_realms()
        return added.fingerprint

    async def look_at_realms(self) -> None:
        """Fetch the states of the links to other realms."""
        self.state.realms = (await self.client.listrealm()).realms
        self.state.changed(StatePart.REALMS)

    # Typed commands

    async def run(self, line: str, key: str = "") -> Reply:
        """Run a typed command and apply its effects to the state.

        Args:
            key: The idempotency key of a sending command.
        """
        request = commands.parse(line)
        if key and getattr(request, "idempotency_key", key) is None:
            request = replace(request, idempotency_key=key)  # type: ignore[type-var]
        if isinstance(request, Logout):
            await self.sign_out()
            raise ChatError(ErrorCode.NOT_AUTHENTICATED, "Signed out")
        if isinstance(request, Auth):
            return await self.sign_in(request.user, request.password)
        if isinstance(request, Resume) or request.spec.name in commands.APP_ONLY:
            raise ChatError(ErrorCode.BAD_COMMAND, "The app does this by itself")
        reply: Reply = await self.client.call(request)
        await self._did(request, reply)
        return reply

    async def _did(self, request: Request[Any], reply: Reply) -> None:
        if isinstance(reply, Sent) and isinstance(
            request, Send | SendGroup | SendFile | SendGroupFile
        ):
            self._posted(reply, getattr(request, "text", ""))
        elif isinstance(request, Inbox | InboxGroup) and isinstance(reply, Page):
            c = self.state.conversation(reply.conversation)
            self.state.read(c, c.last_seq)
        elif isinstance(request, Read):
            self.state.stale = True
        elif isinstance(reply, GroupLeft | InvitationDeclined):
            self.state.left(reply.group)
        elif isinstance(request, CreateGroup | InviteGroup | Kick | Ban | Accept | AddRealm):
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
