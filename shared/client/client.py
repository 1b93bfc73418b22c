"""`ChatClient`: commands as coroutines, events as an iterator, over a connection that
reconnects."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from shared.client.backoff import Backoff
from shared.client.connection import Way, parse_url
from shared.client.events import Told
from shared.client.exchange import Exchange
from shared.client.lists import L, every_page
from shared.client.methods import Methods
from shared.client.transfers import Progress
from shared.protocol.commands.accounts import Limits
from shared.protocol.commands.files import ChunkTaken
from shared.protocol.commands.messages import FileInfo, Message, Sent
from shared.protocol.spec import R, Request
from shared.protocol.values import Address, GroupAddress, fold

CALL_SECONDS = 30.0
"""Seconds a call waits for its answer, including reconnects."""


class ChatClient(Methods):
    """A client of one realm. Use it as `async with ChatClient(url) as client`.

    Args:
        url: `ws://host:port` or `wss://host:port`.
        token: Token of an earlier session, in place of a password: the client resumes the session
        by itself.
        positions, epoch: The values of `positions` and `epoch` when the app last ran; without them
        events begin at the present.
        timeout: Seconds each call waits for its answer, reconnecting included.
        files: `offer`, or `push` to receive the contents of files up to 8 MiB as `FileChunk`
        events.
        events: False for an app that only sends and never takes events.
        bot: True for a program: its messages are marked, so that other programs do not answer them.
        tls: The TLS context for `wss://`; by default the system's trusted certificates.
        unix: The realm's socket on this machine, instead of the host and port of `url`.
        forwarded_for: Address of the person this client acts for; the realm's limits then count
        that address. Accepted through `unix`, or from the realm's `--trusted-proxies`.
        backoff: Delays between attempts to connect.

    Raises:
        ValueError: `url` is not such an address, or `forwarded_for` is not an IP address.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        positions: Mapping[str, int] | None = None,
        epoch: str | None = None,
        timeout: float = CALL_SECONDS,
        files: str = "offer",
        events: bool = True,
        bot: bool = False,
        tls: ssl.SSLContext | None = None,
        unix: Path | None = None,
        forwarded_for: str = "",
        backoff: Backoff | None = None,
    ) -> None:
        uri = parse_url(url)
        if forwarded_for:
            ipaddress.ip_address(forwarded_for)
        if uri.secure and tls is None and unix is None:
            tls = ssl.create_default_context()
        known = None if positions is None else dict(positions)
        self._host = uri.host
        self._timeout = timeout
        way = Way(uri, tls, unix, forwarded_for)
        self._exchange = Exchange(way, backoff or Backoff(), known, epoch, events, bot, timeout)
        self._session = self._exchange.session
        self._session.token, self._session.kept = token, bool(token)
        self._session.files = files

    def __repr__(self) -> str:
        return f"<ChatClient {self._session.user or 'nobody'} at {self._host}>"

    @property
    def token(self) -> str:
        """The session's secret, to store for the next start; empty without a session."""
        return self._session.token

    @property
    def user(self) -> str:
        """The user signed in, spelt as registered; empty before."""
        return self._session.user

    @property
    def realm(self) -> str:
        """The realm's own name; empty before signing in."""
        return self._session.realm

    @property
    def limits(self) -> Limits | None:
        """The server's limits; None before signing in."""
        return self._session.limits

    @property
    def online(self) -> bool:
        """Whether the client is connected, and has resumed its session if it has one."""
        return self._exchange.ready

    @property
    def positions(self) -> dict[str, int]:
        """The last `seq` of each conversation that was delivered: taken from `events()`, or
        replied.

        An app may store it together with `epoch`, and continue from there after a restart.
        """
        return self._exchange.queue.positions

    @property
    def epoch(self) -> str | None:
        """The id of the history that `positions` belong to."""
        return self._exchange.queue.epoch

    async def __aenter__(self) -> ChatClient:
        self._exchange.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection, within seconds; waiting calls raise `NoAnswer`."""
        await self._exchange.close()

    def events(self) -> AsyncIterator[Told]:
        """Return the events of the server and the client's notices, in order; for one task.

        Each message comes once, in the order of `seq` in its conversation, over any number of
        reconnects. Messages that this client sent are delivered by the reply to the call instead.
        The iterator ends when the client is closed. Waiting for the next event may be cancelled.
        """
        return self._exchange.queue

    async def call(self, request: Request[R]) -> R:
        """Send one command and return its reply.

        A sending command without an idempotency key gets one. If the connection breaks before the
        answer, commands that are safe to repeat are sent again, in order.

        Raises:
            ChatError: the server refused, or too many calls wait (`unavailable`).
            NotSent: no connection within `timeout`, or the client was closed: nothing was done.
            OutcomeUnknown: the command was sent, but no answer came, and a repeat may not be safe.
        """
        return await self._exchange.call(request, self._timeout)

    def pages(self, request: Request[L]) -> AsyncIterator[L]:
        """Yield a list page by page: `async for page in client.pages(ListPc())`.

        The pages are consistent while the connection lasts, even if messages arrive; after a
        reconnect a conversation may come twice.

        Raises:
            ChatError, NotSent: see `call`.
        """
        return every_page(self.call, request)

    async def answer(
        self, message: Message, text: str, *, idempotency_key: str | None = None
    ) -> Sent | None:
        """Answer a person's message, for programs: in the same conversation, and marked as `bot`.

        Returns:
            None, and sends nothing, if a program or this client's own user wrote the message.
            Otherwise programs would answer each other, or themselves, for ever.
        """
        own = message.state is not None or fold(message.sender) == fold(self.user)
        if message.bot or own:
            return None
        send = self.sendg if message.conversation.startswith("#") else self.send
        return await send(message.conversation, text, idempotency_key=idempotency_key, bot=True)

    async def send_file(
        self,
        to: Address | GroupAddress | str,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> ChunkTaken:
        """Send a file of any size the server takes; see `Transfers.send`."""
        return await self._exchange.transfers.send(to, path, name, progress, idempotency_key)

    async def save_file(
        self,
        file: FileInfo | str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Fetch a file and return its path; see `Transfers.save`."""
        return await self._exchange.transfers.save(file, path, progress)
