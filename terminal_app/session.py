"""One client of a realm with its known names: runs commands and yields events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from shared.client import (
    ChatClient,
    ChatError,
    ErrorCode,
    HistoryChanged,
    MessageArrived,
    NoAnswer,
    SignedOut,
)
from shared.client.arguments import filled
from shared.client.events import Told
from shared.protocol.commands.accounts import Auth, Logout, Resume, SignedIn
from shared.protocol.commands.groups import ListGroup
from shared.protocol.commands.meta import HelpPage
from shared.protocol.commands.private import ListPc
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from terminal_app.commands import ExitApp, SaveFile, SendPath, TypedCommand
from terminal_app.files import TerminalFiles
from terminal_app.names import KnownNames
from terminal_app.tokens import Tokens

LOOKUP_SECONDS = 5.0
"""Seconds to look up names and counts; later answers are ignored."""
MARKER_SECONDS = 1.0
"""Seconds between rounds of received markers, which count against the user's limits."""
ENDED = (ErrorCode.BAD_CREDENTIALS, ErrorCode.BAD_ARGUMENTS)
"""The refusals of an invalid token."""

Answer = Reply | ChatError | NoAnswer
"""The outcome of a command."""


class TerminalSession:
    """Runs commands on a client; stores its token and the names it sees."""

    def __init__(self, client: ChatClient, files: TerminalFiles, tokens: Tokens) -> None:
        self.client = client
        self.files = files
        self.names = KnownNames()
        self.user = ""
        """The user of the session; empty if nobody is signed in."""
        self._tokens = tokens
        self._token = ""
        self._resuming = False
        self.notice: Callable[[str], None] = print
        """Called with notices that no reply carries."""
        self._arrived: dict[str, int] = {}
        """The newest message of others by conversation, until its received marker is sent."""
        self._arrival = asyncio.Event()

    def resumes(self, user: str, token: str) -> None:
        """Note that the client has this token and resumes the session by itself."""
        self.user, self._token = user, token
        self._resuming = True

    def take_resumed(self) -> bool:
        """Whether the session of an earlier run has been resumed; true only once."""
        resuming, self._resuming = self._resuming, False
        return resuming

    async def answer(self, command: TypedCommand) -> Answer:
        """Run a line, and return its outcome.

        Calls reach the server in the order in which these coroutines start.
        """
        try:
            return await self._do(command)
        except (ChatError, NoAnswer) as why:
            return why

    async def _do(self, command: TypedCommand) -> Reply:
        what = command.what
        reply: Reply
        match what:
            case ChatError():
                raise what
            case HelpPage():
                return what
            case SendPath():
                reply = await self.files.send(what)
            case SaveFile():
                return await self.files.save(what)
            case Request():
                reply = await self.client.call(what)
            case ExitApp():
                raise AssertionError("the reader of the lines handles Leave")
        if isinstance(reply, SignedIn):
            self._signed_in(reply)
        elif isinstance(what, Logout):
            self._signed_out()
        self.names.learn(reply)
        return reply

    def has_token(self, user: str) -> bool:
        """Whether a token of `user` is stored."""
        return bool(self._tokens.of(user))

    async def sign_in(self, user: str, password: Callable[[], str]) -> Answer:
        """Sign in with the stored token of `user`, else with the password.

        Args:
            password: Called if there is no token, or the token has ended.
        """
        if token := self._tokens.of(user):
            answer = await self.answer(TypedCommand(Resume(token)))
            if not isinstance(answer, ChatError) or answer.code not in ENDED:
                return answer
            self._tokens.forget(user, token)
        try:
            return await self.answer(TypedCommand(filled(Auth, user=user, password=password())))
        except ChatError as why:
            return why

    async def look_up(self) -> dict[str, int]:
        """Learn the names of the user's conversations; return the unread counts."""
        unread: dict[str, int] = {}
        with contextlib.suppress(ChatError, NoAnswer, TimeoutError):
            async with asyncio.timeout(LOOKUP_SECONDS):
                chats = [page async for page in self.client.pages(ListPc())]
                groups = [page async for page in self.client.pages(ListGroup())]
                # Learned in reverse: the first pages have the newest conversations, which should
                # count as the latest.
                for reply in (*reversed(chats), *reversed(groups), await self.client.listrealm()):
                    self.names.learn(reply)
                unread = {c.conversation: c.unread for page in chats for c in page.conversations}
                unread |= {g.group: g.unread for page in groups for g in page.groups}
        return {conversation: count for conversation, count in unread.items() if count}

    def signed_in(self, unread: dict[str, int]) -> SignedIn:
        """Return the reply to a session that the client has resumed by itself."""
        client = self.client
        assert client.limits is not None and client.epoch is not None
        return SignedIn(
            client.user, client.realm, client.token, unread, client.epoch, 1, client.limits
        )

    async def events(self) -> AsyncIterator[Told]:
        """Yield events, after updating names and tokens."""
        async for event in self.client.events():
            self.names.learn(event)
            if isinstance(event, MessageArrived):
                self.names.name_group(event)
                if event.state is None:
                    self._arrived[event.conversation] = event.seq
                    self._arrival.set()
            elif isinstance(event, HistoryChanged):
                self.names.clear()
                self._arrived.clear()
            elif isinstance(event, SignedOut):
                self._resuming = False
                if not self.client.token:
                    self._signed_out()
            yield event

    async def confirm_received(self) -> None:
        """Send received markers; runs until cancelled."""
        while True:
            await self._arrival.wait()
            self._arrival.clear()
            arrived, self._arrived = self._arrived, {}
            for conversation, seq in arrived.items():
                with contextlib.suppress(ChatError, NoAnswer):
                    await self.client.received(conversation, seq)
            await asyncio.sleep(MARKER_SECONDS)

    def _signed_in(self, reply: SignedIn) -> None:
        self.user, self._token = reply.user, reply.token
        try:
            self._tokens.keep(reply.user, reply.token)
        except OSError as error:
            self.notice(f"you will have to sign in again the next time: {error}")

    def _signed_out(self) -> None:
        if self.user:
            self._tokens.forget(self.user, self._token)
        self.user = self._token = ""
