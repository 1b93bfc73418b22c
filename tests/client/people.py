"""Signed-in clients of a real server, and the messages that they received."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

from shared.client import Backoff, ChatClient, ChatError, MessageArrived
from shared.protocol.commands.messages import Message

LIMIT = 30.0
"""Seconds to wait for anything; generous, as test machines are busy."""
NUMBERS = count(1)


def new_name(stem: str = "person") -> str:
    return f"{stem}{next(NUMBERS)}"


class Told:
    """Everything delivered to one client: its events, and its own messages by their replies."""

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        self.events: list[Any] = []
        self.sent: list[tuple[str, int, str]] = []
        """Conversation, seq and id of every reply to a send."""
        self.taking = asyncio.Event()
        """Cleared: the app takes no more events."""
        self.taking.set()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.client.events():
            self.events.append(event)
            self._news.set()
            await self.taking.wait()

    @property
    def messages(self) -> list[Message]:
        return [event for event in self.events if isinstance(event, MessageArrived)]

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.messages]

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    async def send(self, to: str, text: str) -> None:
        """Send a text and record its place."""
        method = self.client.sendg if to.startswith("#") else self.client.send
        reply = await method(to, text)
        assert reply.seq is not None
        self.sent.append((reply.conversation, reply.seq, reply.message_id))

    async def until(self, holds: Callable[[], object], limit: float = LIMIT) -> None:
        """Wait until the events satisfy a condition."""
        try:
            async with asyncio.timeout(limit):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"not so after {limit} s: {self.events[-20:]}") from None

    async def all_told(self) -> None:
        """Wait until the whole history was delivered, and check that each message came once.

        Within each conversation, events come in the order of `seq`. Together with the replies to
        own sends they are the complete history, without gaps and duplicates.
        """
        for conversation in await self.conversations():
            history = await self.history(conversation)
            await self.until(lambda: len(self.known(conversation)) >= len(history))  # noqa: B023
            seqs = [m.seq for m in self.messages if m.conversation == conversation]
            assert seqs == sorted(set(seqs)), "events of a conversation come in order, once"
            assert sorted(self.known(conversation)) == [(m.seq, m.id) for m in history]

    def known(self, conversation: str) -> list[tuple[int, str]]:
        """Return seq and id of the delivered messages of a conversation, in any order."""
        events = [(m.seq, m.id) for m in self.messages if m.conversation == conversation]
        return events + [(seq, id) for place, seq, id in self.sent if place == conversation]

    async def conversations(self) -> dict[str, int]:
        chats = (await self.client.listpc()).conversations
        groups = (await self.client.listgroup()).groups
        found = {chat.conversation: chat.last_seq for chat in chats}
        return found | {group.group: group.last_seq for group in groups}

    async def history(self, conversation: str) -> list[Message]:
        found: list[Message] = []
        more = True
        while more:
            page = await self.client.history(conversation, after=len(found), limit=200)
            found += page.messages
            more = page.more
        return found

    def stop(self) -> None:
        self._task.cancel()


class People:
    """Opens clients that end with the test."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._told: list[Told] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> People:
        return self

    async def __aexit__(self, *_: object) -> None:
        for told in self._told:
            told.stop()
        await self._stack.aclose()

    async def open(self, url: str = "", **options: Any) -> ChatClient:
        """Return a client that is not signed in and reconnects quickly."""
        options.setdefault("backoff", Backoff(0.05, 0.4))
        return await self._stack.enter_async_context(ChatClient(url or self.url, **options))

    async def sign_in(self, name: str, url: str = "", **options: Any) -> ChatClient:
        """Return a client of an account, which is registered if necessary."""
        client = await self.open(url, **options)
        try:
            await client.register(name, name, f"secret-{name}", "Peru")
        except ChatError as error:
            assert error.code == "user_exists"
        await client.auth(name, f"secret-{name}")
        return client

    def listen(self, client: ChatClient) -> Told:
        """Take the events of a client from now on."""
        told = Told(client)
        self._told.append(told)
        return told

    async def join(self, name: str, url: str = "", **options: Any) -> Told:
        return self.listen(await self.sign_in(name, url, **options))


async def two(people: People) -> tuple[Told, Told]:
    return await people.join(new_name()), await people.join(new_name())
