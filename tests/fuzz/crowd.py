"""Several people who send any frame at any time, and what must hold for every reply."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call, Dialect
from shared.protocol.commands.accounts import Auth, Resume
from shared.protocol.commands.meta import SetFormat
from shared.protocol.commands.realms import AddRealm
from shared.protocol.errors import ErrorCode
from tests.fuzz.frames import Known, any_frame
from tests.world import Closed, Person, World

REFUSALS = {str(code) for code in ErrorCode} - {"internal"}
USERS = ["alice", "bob", "carol", "dave"]
BURST = 6
BINARY = Call(Dialect.TEXT)
NAMED = re.compile(r"(?:token |\b)((?<=token )\S+|[fu]_\w+|(?<!\S)#\d+)")


def read(frame: str) -> Call:
    """Return the frame as the server reads it."""
    frame = frame.removeprefix("\ufeff")
    raw = frame.encode()
    return json_dialect.parse(raw) if raw.lstrip()[:1] == b"{" else text_dialect.parse(frame)


@dataclass
class Talker:
    """One connection and what it still has to be answered."""

    person: Person
    known: Known
    pinned: Dialect | None = None
    asked: deque[tuple[str, Call]] = field(default_factory=deque)
    last_seq: dict[str, int] = field(default_factory=dict)
    one_user: bool = True
    """Nobody else has signed in here, to whom the same conversation is another one."""

    def send(self, frame: str | None) -> None:
        """Send a frame without waiting; None is a binary one."""
        if frame is None:
            self.asked.append(("a binary frame", BINARY))
            self.person.send_binary()
        else:
            self.asked.append((frame, read(frame)))
            self.person.send(frame)

    @property
    def ends_a_burst(self) -> bool:
        """Whether later replies may pass that to the last frame, as it waits for another realm."""
        return isinstance(self.asked[-1][1].request, AddRealm)

    async def hear(self) -> None:
        """Take and check the reply to each frame, in order.

        Raises:
            Closed: the server ended this session.
        """
        while self.asked:
            frame, call = self.asked[0]
            reply = await self.person.reply()
            self.asked.popleft()
            try:
                self._check(call, reply)
            except AssertionError as error:
                error.add_note(f"{frame[:500]!r} was answered {str(reply)[:500]!r}")
                raise
        self._check_pushes()

    def _check(self, call: Call, reply: Any) -> None:
        if isinstance(call.request, SetFormat):
            self.pinned = Dialect(call.request.dialect)  # its own reply is pinned already
        if call is not BINARY:
            dialect = self.pinned or call.dialect
            if isinstance(call.request, SetFormat) and call.dialect is Dialect.JSON:
                dialect = Dialect.JSON  # so that its label comes back
            assert isinstance(reply, dict if dialect is Dialect.JSON else str)
        if isinstance(reply, dict):
            keys = [k for k in ("status", "command", "id", "code", "message") if k in reply]
            assert list(reply)[: len(keys)] == keys
            assert reply.get("command") == call.command
            assert reply.get("id") == call.label
            code = reply.get("code")
            assert (reply["status"] == "ERROR") == (code is not None)
            self.known.learn(reply)
        else:
            assert all(c.isprintable() or c == "\n" for c in reply.replace("\u2026", ""))
            word, _, rest = reply.partition(" ")
            code = rest.partition(" ")[0] if word == "ERROR" else None
            self._learn(reply)
        assert code is None or code in REFUSALS
        if call is BINARY:
            assert code == "bad_command"
        elif call.error is not None:
            assert code == call.error.code
        elif isinstance(call.request, SetFormat):
            assert code is None
        elif isinstance(call.request, Auth | Resume) and code is None:
            self.one_user = False

    def _learn(self, reply: str) -> None:
        for name in NAMED.findall(reply)[:20]:
            names = {"f_": self.known.files, "u_": self.known.uploads}.get(name[:2])
            if name.startswith("#"):
                self.known.groups.append(name)
            elif names is not None:
                names.append(name)
            else:
                self.known.tokens.append(name)

    def _check_pushes(self) -> None:
        """In each conversation, messages come in the order of their seq."""
        for push in self.person.pushed():
            if self.one_user and isinstance(push, dict) and push["event"] == "message":
                conversation, seq = push["conversation"], push["seq"]
                assert seq > self.last_seq.get(conversation, 0)
                self.last_seq[conversation] = seq


class Crowd:
    """Four users on several connections each, in every state a session can be in."""

    def __init__(self, world: World, chance: Random) -> None:
        self.world = world
        self.chance = chance
        self.known = Known()
        self.talkers: list[Talker] = []
        self._count = 0

    async def gather(self) -> None:
        """Bring everybody into a state of his own."""
        for dialect in Dialect:
            for person in await self.world.log_in(*USERS, dialect=dialect):
                self.talkers.append(Talker(person, self.known))
                self.known.tokens.append(person.token)
            self.talkers.append(Talker(self.world.connect(dialect=dialect), self.known))
        alice, bob, carol, dave = self.talkers[:4]
        await self._ask(alice, "creategroup team", "invitegroup #1 bob", "sendg #1 hi")
        await self._ask(bob, "format json", "sendfile alice a.png aGk=")
        await self._ask(carol, "format text", "files push", "send alice hi")
        await self._ask(dave, f"upload bob a.png 5 {'ab' * 32}", "files push")

    async def _ask(self, talker: Talker, *frames: str) -> None:
        for frame in frames:
            talker.send(frame)
        await talker.hear()

    async def talk(self, steps: int) -> None:
        """Let people send bursts of frames, sometimes two at a time, and come and go."""
        for _ in range(steps):
            if self.chance.random() < 0.03:
                await self._replace(self.chance.choice(self.talkers))
            talkers = self.chance.sample(self.talkers, self.chance.choice([1, 1, 2, 3]))
            for talker in talkers:
                for _ in range(self.chance.randrange(1, BURST)):
                    talker.send(self._frame())
                    if talker.ends_a_burst:
                        break
            for talker in talkers:
                try:
                    await talker.hear()
                    if talker.person.session.account is None and self.chance.random() < 0.5:
                        talker.send(f"resume {self.chance.choice(self.known.tokens[-9:])}")
                        await talker.hear()
                except Closed as closed:
                    assert closed.code == 4501, closed
                    await self._replace(talker)

    def _frame(self) -> str | None:
        self._count += 1
        if self.chance.random() < 0.01:
            return None
        return any_frame(self.chance, self.known, str(self._count))

    async def _replace(self, talker: Talker) -> None:
        """Lose a connection, commands under way included, and open another one."""
        if not talker.person.session.has_ended:
            for _ in range(self.chance.randrange(BURST)):
                talker.send(self._frame())
            talker.person.leave()
        if self.chance.random() < 0.3:
            talker.person = self.world.connect()
        else:
            (talker.person,) = await self.world.log_in(self.chance.choice(USERS))
            self.known.tokens.append(talker.person.token)
        talker.pinned = None
        talker.asked.clear()
        talker.last_seq.clear()
        talker.one_user = True

    async def settle(self) -> None:
        """Everybody still gets an answer; who was signed out from elsewhere comes back first."""
        for talker in self.talkers:
            if talker.person.session.has_ended:
                await self._replace(talker)
        await asyncio.gather(*(self._ask(talker, "ping") for talker in self.talkers))


async def seqs(reader: Person, conversation: str) -> list[int]:
    """Return the seq of every message in a conversation, page by page."""
    found: list[int] = []
    more = True
    while more:
        page = await reader.ask(
            "history", conversation=conversation, after=found[-1] if found else 0, limit=200
        )
        found += [message["seq"] for message in page["messages"]]
        more = page["more"]
    return found
