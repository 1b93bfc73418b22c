"""Simulated users of several realms, who write through all faults and record replies and pushes.

A user sends without waiting, each message under an idempotency key. Messages without a reply when
the connection ends are sent again, in their order, on the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from websockets.exceptions import ConnectionClosed

from tests.federation.people import eventually
from tests.federation.two_realms import cut
from tests.history import history
from tests.proxy import Proxy
from tests.rawclient import RawClient
from tests.realserver import RealServer

GONE = (ConnectionClosed, OSError, EOFError, TimeoutError)
IN_FLIGHT = 16
"""Most unanswered messages of one user."""
FINAL = ("stored", "delivered", "refused")


class Home(RealServer):
    """A realm that can be killed while the rest of the test runs."""

    def __init__(self, folder: Path, name: str, *options: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, "--realm", name, *options)
        self.name = name

    async def begin(self) -> None:
        await asyncio.to_thread(self.start)


@dataclass
class Wish:
    """A message that a user wants to send; its text is unique."""

    place: str
    text: str
    arguments: dict[str, Any]
    command: str
    answer: dict[str, Any] | None = None
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    state: str = ""
    """The last reported state, or the code of a refusal."""

    @property
    def failed(self) -> bool:
        return self.answer is not None and self.answer["status"] != "OK"


def place_of(one: Person, other: Person) -> str:
    """Return one common name for a private chat, whose two users have different names for it."""
    return " ".join(sorted((one.full, other.full)))


@dataclass
class Connection:
    """The pushes to one connection."""

    client: RawClient
    behind: dict[str, int] = field(default_factory=dict)
    """The last seq of each conversation at its start; pushes have higher ones."""
    pushed: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)
    """The pushed messages of each conversation, in their order: seq, id and sender."""
    deliveries: dict[str, list[str]] = field(default_factory=dict)
    """The states in `delivery` events, by message id."""
    queued: set[str] = field(default_factory=set)
    """Ids of the messages with the reply `queued`."""


class Person:
    """A user with one connection at a time; `live` reconnects it."""

    def __init__(self, name: str, home: Home) -> None:
        self.name = name
        self.home = home
        self.full = f"{name}@{home.name}"
        self.wishes: list[Wish] = []
        self.connection: Connection | None = None
        self.before: list[Connection] = []
        self.online = asyncio.Event()
        self._token = ""
        self._labels: dict[str, Wish | asyncio.Future[dict[str, Any]]] = {}
        self._early: dict[str, dict[str, Any]] = {}
        """Replies that arrived before the `send` of their command returned."""
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._living: asyncio.Task[None] | None = None
        self._wanted: asyncio.Queue[Wish] = asyncio.Queue()

    def address(self, place: str) -> str:
        """Return this user's address for a place."""
        if place.startswith("#"):
            return place.removesuffix(f"@{self.home.name}")
        one, _, other = place.partition(" ")
        return (other if one == self.full else one).removesuffix(f"@{self.home.name}")

    def full_name(self, name: str) -> str:
        """Return the common name of the user whom this user's realm calls `name`."""
        return name if "@" in name else f"{name}@{self.home.name}"

    async def join(self) -> None:
        """Register, and stay connected from now on."""
        client = await RawClient.signed_in(self.home.url, self.name)
        reply = await client.ask("auth", user=self.name, password=f"secret-{self.name}")
        self._token = reply["token"]
        await client.close()
        self._living = asyncio.create_task(self._live())
        await self.online.wait()

    async def leave(self) -> None:
        """Disconnect for good."""
        if self._living is not None:
            self._living.cancel()
            await asyncio.gather(self._living, return_exceptions=True)
        if self.connection is not None:
            await self.connection.client.close()

    def wish(self, place: str, text: str) -> Wish:
        """Queue a message to be sent once."""
        group = place.startswith("#")
        arguments = {
            "group" if group else "to": self.address(place),
            "text": text,
            "idempotency_key": f"key-{self.full}-{len(self.wishes)}",
        }
        wish = Wish(place, text, arguments, "sendg" if group else "send")
        self.wishes.append(wish)
        self._wanted.put_nowait(wish)
        return wish

    async def say(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command, on a new connection if necessary, and return its reply or error."""
        while True:
            await self.online.wait()
            connection = self.connection
            assert connection is not None
            future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
            try:
                label = await connection.client.send(command, **arguments)
                if self.connection is not connection:
                    continue
                self._expect(label, future)
                return await future
            except GONE:
                await asyncio.sleep(0.05)

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a command and return its reply, which must be OK."""
        reply = await self.say(command, **arguments)
        assert reply["status"] == "OK", (self.full, command, reply)
        return reply

    def pushed(self, place: str) -> list[tuple[int, str, str]]:
        """Return the messages of a place pushed to the present connection: seq, id and sender."""
        if self.connection is None:
            return []
        return self.connection.pushed.get(self.address(place), [])

    async def history(self, place: str) -> list[dict[str, Any]]:
        """Return all messages of a place, oldest first; check that their seqs have no gap."""
        return await history(self.ask, self.address(place))

    async def settle(self) -> None:
        """Wait until all queued messages are answered."""
        assert self._living is not None
        for wish in self.wishes:
            answered = asyncio.create_task(wish.answered.wait())
            try:
                await asyncio.wait([answered, self._living], return_when=asyncio.FIRST_COMPLETED)
            finally:
                answered.cancel()
            if self._living.done():
                # The task has failed, as it never ends by itself.
                raise RuntimeError(f"{self.full} has given up") from self._living.exception()

    async def learn_states(self) -> None:
        """Query the state of all messages whose `delivery` event this user may have missed."""
        for wish in self.wishes:
            if wish.state == "queued":
                reply = await self.ask(wish.command, **wish.arguments)
                assert reply["duplicate"] is True, reply
                self._answered(wish, reply)

    async def _live(self) -> None:
        while True:
            with suppress(*GONE):
                await self._connect()
                await self._talk()
            self.online.clear()
            if self.connection is not None:
                self.before.append(self.connection)
                with suppress(*GONE):
                    await self.connection.client.close()
                self.connection = None
            self._drop_labels()
            await asyncio.sleep(0.05)

    def _drop_labels(self) -> None:
        for waiting in self._labels.values():
            if isinstance(waiting, asyncio.Future) and not waiting.done():
                waiting.set_exception(ConnectionResetError())
        self._labels.clear()
        self._early.clear()

    async def _connect(self) -> None:
        client = await RawClient.open(self.home.url)
        try:
            await self._catch_up(client)
        except BaseException:
            await cut(client)
            raise

    async def _catch_up(self, client: RawClient) -> None:
        await client.ask("resume", token=self._token)
        connection = Connection(client)
        have = await client.ask("sync", have={})
        for standing in have["conversations"]:
            connection.behind[standing["conversation"]] = standing["last_seq"]
        self.connection = connection
        for event in client.events:
            self._take(event)
        client.events.clear()
        self._room = asyncio.Semaphore(IN_FLIGHT)

    async def _talk(self) -> None:
        speaking = asyncio.create_task(self._speak())
        assert self.connection is not None
        try:
            while True:
                # An idle connection waits for longer than a frame may take.
                frame = await self._frame(self.connection.client)
                self._take(frame)
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)

    @staticmethod
    async def _frame(client: RawClient) -> dict[str, Any]:
        while True:
            with suppress(TimeoutError):
                return await client.frame()

    async def _speak(self) -> None:
        assert self.connection is not None
        client = self.connection.client
        with suppress(*GONE):
            unanswered = [wish for wish in self.wishes if wish.answer is None]
            while not self._wanted.empty():
                self._wanted.get_nowait()
            for wish in unanswered:
                await self._utter(client, wish)
            self.online.set()
            while True:
                await self._utter(client, await self._wanted.get())

    async def _utter(self, client: RawClient, wish: Wish) -> None:
        if wish.answer is None:
            await self._room.acquire()
            label = await client.send(wish.command, **wish.arguments)
            self._expect(label, wish)

    def _expect(self, label: str, waiting: Wish | asyncio.Future[dict[str, Any]]) -> None:
        self._labels[label] = waiting
        if label in self._early:
            self._take(self._early.pop(label))

    def _take(self, frame: dict[str, Any]) -> None:
        assert self.connection is not None
        if frame.get("event") == "message":
            pushed = self.connection.pushed.setdefault(frame["conversation"], [])
            pushed.append((frame["seq"], frame["id"], self.full_name(frame["from"])))
        elif frame.get("event") == "delivery":
            told = self.connection.deliveries.setdefault(frame["message_id"], [])
            told.append(frame["state"])
            for wish in self.wishes:
                if wish.answer and wish.answer.get("message_id") == frame["message_id"]:
                    wish.state = frame["state"]
        elif "event" not in frame:
            waiting = self._labels.pop(frame["id"], None)
            if waiting is None:
                self._early[frame["id"]] = frame
            if isinstance(waiting, asyncio.Future):
                if not waiting.done():
                    waiting.set_result(frame)
            elif waiting is not None:
                self._room.release()
                self._answered(waiting, frame)

    def _answered(self, wish: Wish, reply: dict[str, Any]) -> None:
        wish.answer = reply
        wish.answered.set()
        if reply["status"] != "OK":
            wish.state = reply["code"]
            return
        assert self.connection is not None
        if wish.state not in FINAL:
            told = self.connection.deliveries.get(reply["message_id"])
            wish.state = told[-1] if told else reply["state"]
        if reply["state"] == "queued":
            self.connection.queued.add(reply["message_id"])


async def befriend(one: Person, other: Person, there: Proxy, back: Proxy) -> None:
    """Add two realms to each other, so that each dials the other through a proxy.

    Args:
        there: The proxy to the realm of `other`.
        back: The proxy to the realm of `one`.
    """
    address = "127.0.0.1"
    await one.ask("addrealm", name=other.home.name, address=address, port=there.port)
    await other.ask("addrealm", name=one.home.name, address=address, port=back.port)
    for person, realm in ((one, other.home.name), (other, one.home.name)):
        await eventually(partial(linked, person, realm))


async def linked(person: Person, realm: str) -> bool:
    """Return whether the link from a user's realm to another one is up."""
    found = (await person.ask("listrealm"))["realms"]
    return any(row["realm"] == realm and row["link"] == "up" for row in found)


async def chatter(
    person: Person, places: Sequence[str], chance: random.Random, count: int, pause: float
) -> None:
    """Send messages to random places, with pauses of at most `pause` seconds."""
    for number in range(count):
        place = chance.choice(places)
        person.wish(place, f"{person.full} {len(person.wishes)} {number}")
        await asyncio.sleep(chance.uniform(0, pause))
