"""A whole realm in this process, and people who talk to it without sockets.

    async with World(tmp_path) as world:
        alice, bob = await world.log_in("alice", "bob")
        assert (await alice.say("send bob hi")).startswith("OK ")
        assert [push["text"] for push in await bob.pushes()] == ["hi"]

Everything is real but the connection: the composition root of `ws_server.app` puts the realm
together, and frames go through the gate to handlers, journal and database and back.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
from argon2 import PasswordHasher
from sqlalchemy import Connection

from shared.protocol.call import Dialect
from ws_server.app import Server, open_server
from ws_server.gate import Gate
from ws_server.net.session import Account, Session
from ws_server.realm import Realm
from ws_server.settings import Settings
from ws_server.store.accounts import tokens, users

PASSWORD = "secret1"
"""Everybody's password."""
LIMIT = 20.0
"""Seconds to wait for any frame; generous, as test machines are busy."""


@functools.cache
def _password_hash() -> str:
    # One for all accounts of all worlds: a real one takes 20 ms, and salt is not what is tested.
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(PASSWORD)


class Closed(Exception):
    """The server closed the connection, so no more frames come."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"closed with {code}")
        self.code = code


def _read(frame: bytes) -> Any:
    return orjson.loads(frame) if frame[:1] == b"{" else frame.decode()


class Person:
    """One connection; it is the `Outlet` of its session.

    Replies and pushes are dicts, or text where the session is answered in words.
    """

    def __init__(self, world: World, address: str) -> None:
        self.world = world
        self.session = Session(self, address)
        self.closed: int | None = None
        """The code the server closed this connection with."""
        self.token = ""
        """For `resume`, if `World.log_in` signed this person in."""
        self._replies: deque[bytes] = deque()
        self._pushes: deque[bytes] = deque()
        self._unread: deque[bytes | None] = deque()
        self._paused = False
        self._news = asyncio.Event()

    # What tests do

    def send(self, frame: str | bytes) -> None:
        """Send a text frame without waiting for its reply.

        Raises:
            UnicodeDecodeError: it is not UTF-8, which a real connection answers with 1007.
        """
        self._take(frame.encode() if isinstance(frame, str) else frame)

    def send_binary(self) -> None:
        """Send a binary frame without waiting for its reply."""
        self._take(None)

    async def reply(self) -> Any:
        """Return the next reply.

        Raises:
            Closed: none will come.
        """
        return _read(await self._next(self._replies))

    async def say(self, frame: str | bytes) -> Any:
        """Send a frame and return its reply, whatever it says."""
        self.send(frame)
        return await self.reply()

    async def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send a JSON command and return its reply, which must be OK."""
        reply = await self.say(orjson.dumps({"command": command, **arguments}))
        assert reply["status"] == "OK", reply
        return dict(reply)

    async def refused(self, command: str, **arguments: Any) -> str:
        """Send a JSON command and return the code it must be refused with."""
        reply = await self.say(orjson.dumps({"command": command, **arguments}))
        assert reply["status"] == "ERROR", reply
        return str(reply["code"])

    async def push(self) -> Any:
        """Return the next event; waits for one.

        Raises:
            Closed: none will come.
        """
        return _read(await self._next(self._pushes))

    async def pushes(self) -> list[Any]:
        """Return the events pushed before a ping was answered.

        Contents of files come in their own time; wait for those with `push`.
        """
        await self.say(
            "ping" if self.session.options.dialect is Dialect.TEXT else '{"command":"ping"}'
        )
        return self.pushed()

    def pushed(self) -> list[Any]:
        """Return the events pushed until now, without waiting."""
        found = [_read(frame) for frame in self._pushes]
        self._pushes.clear()
        return found

    def leave(self) -> None:
        """Lose the connection, as if the cable was cut."""
        if not self.session.has_ended:
            self.world.gate.leave(self.session)
        self._unread.clear()

    # What the server does

    def write(self, payload: bytes) -> None:
        # No push begins like this: in words it begins with a bracket, or is a FILE line.
        is_reply = payload.startswith((b'{"status":', b"OK ", b"ERROR "))
        (self._replies if is_reply else self._pushes).append(payload)
        self._news.set()

    def close_with(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = code
            self.world.gate.end(self.session)

    def finish(self) -> None:
        self._news.set()

    def admit(self, known: bool) -> None:
        """There are no strangers here."""

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False
        asyncio.get_running_loop().call_soon(self._go_on)

    @property
    def congested(self) -> bool:
        return False

    async def room(self) -> None:
        """There always is."""

    def _take(self, frame: bytes | None) -> None:
        self._unread.append(frame)
        self._go_on()

    def _go_on(self) -> None:
        while self._unread and not self._paused and not self.session.has_ended:
            frame = self._unread.popleft()
            if frame is None:
                self.world.gate.receive_binary(self.session)
            else:
                self.world.gate.receive(self.session, frame)

    async def _next(self, frames: deque[bytes]) -> bytes:
        async with asyncio.timeout(LIMIT):
            while not frames:
                if self.session.has_ended:
                    raise Closed(self.closed)
                self._news.clear()
                await self._news.wait()
        return frames.popleft()


class World:
    """A realm called alpha with its data in `folder`; opening it there again is a restart."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self._settings = Settings(
            **{
                "data": folder,
                "host": "127.0.0.1",
                "port": 0,
                "realm": "alpha",
                "rate_limits": "off",
                "web_port": "off",
                **settings,
            }
        )
        self._stack = AsyncExitStack()
        self._server: Server | None = None
        self._people: list[Person] = []

    async def __aenter__(self) -> World:
        self._server = await open_server(self._settings, self._stack)
        return self

    async def __aexit__(self, *_: object) -> None:
        for person in self._people:
            person.leave()
        await self._stack.aclose()

    @property
    def realm(self) -> Realm:
        assert self._server is not None
        return self._server.realm

    @property
    def gate(self) -> Gate:
        assert self._server is not None
        return self._server.gate

    def connect(self, address: str = "192.0.2.1", dialect: Dialect = Dialect.JSON) -> Person:
        """Return somebody who has not signed in; events come in `dialect` until he speaks."""
        person = Person(self, address)
        person.session.options.dialect = dialect
        self._people.append(person)
        return person

    async def add_users(self, *names: str) -> None:
        """Create the accounts that do not exist; the first of the realm is its admin."""
        password = _password_hash()

        def create(tx: Connection, now: int) -> None:
            for name in names:
                if users.find(tx, name) is None:
                    first = users.is_empty(tx)
                    users.create(tx, name, name.title(), "Indonesia", password, now, admin=first)

        await self.realm.journal.write(create)

    async def log_in(self, *names: str, dialect: Dialect = Dialect.JSON) -> list[Person]:
        """Return one more session of each of these users; accounts are created on first use."""
        await self.add_users(*names)
        return [await self._sign_in(name, dialect) for name in names]

    async def _sign_in(self, name: str, dialect: Dialect) -> Person:
        person = self.connect(dialect=dialect)
        person.token = secrets.token_urlsafe(32)
        hashed = tokens.hash_token(person.token)

        def keep(tx: Connection, now: int) -> users.User:
            user = users.existing(tx, name)
            tokens.add_token(tx, user.id, hashed, now)
            return user

        user = await self.realm.journal.write(keep)
        self.realm.hub.sign_in(person.session, Account(user.id, user.name, hashed))
        person.session.release()
        return person
