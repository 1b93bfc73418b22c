"""What `kill -9` may not do to messages, files, tokens and markers (contract, section 5).

`CHAT_KILL_ROUNDS=500 pytest tests/system/test_kill.py` runs for longer; `CHAT_KILL_SEED` repeats
the choices of a run.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.history import history
from tests.rawclient import RawClient
from tests.realserver import RealServer

ROUNDS = int(os.environ.get("CHAT_KILL_ROUNDS", "6"))
SEED = int(os.environ.get("CHAT_KILL_SEED", "0")) or time.time_ns() % 1_000_000
NAMES = ("alice", "bob", "carol")
GROUP = "#1"
IN_FLIGHT = 24
"""Commands of one sender that may be unanswered."""
FILES_SHARE = 0.08
GONE = (ConnectionClosed, OSError, EOFError)


@dataclass
class Wish:
    """A message somebody wants sent; `marker` is its text or its file's name, and unique."""

    place: str
    command: str
    arguments: dict[str, Any]
    marker: str
    sha256: str = ""
    answer: dict[str, Any] | None = None


@dataclass
class Person:
    """A sender who remembers, over all crashes, what was asked and what was answered."""

    name: str
    token: str = ""
    client: RawClient | None = None
    unanswered: deque[Wish] = field(default_factory=deque)
    answered: list[Wish] = field(default_factory=list)
    pushed: list[dict[str, Any]] = field(default_factory=list)
    read_asked: dict[str, int] = field(default_factory=dict)
    read_kept: dict[str, int] = field(default_factory=dict)
    count: int = 0

    @property
    def line(self) -> RawClient:
        assert self.client is not None
        return self.client

    def place(self, conversation: str) -> str:
        """Return one name for a conversation that its two readers call differently."""
        if conversation.startswith("#"):
            return conversation
        return " ".join(sorted((self.name, conversation)))

    def address(self, place: str) -> str:
        """Return how this person calls a place."""
        if place.startswith("#"):
            return place
        return next(name for name in place.split() if name != self.name)

    def wish(self, chance: random.Random) -> Wish:
        """Invent the next message."""
        self.count += 1
        marker = f"{self.name}-{self.count}"
        to = chance.choice([GROUP, *(name for name in NAMES if name != self.name)])
        group = to == GROUP
        arguments: dict[str, Any] = {"idempotency_key": f"key-{marker}"}
        arguments["group" if group else "to"] = to
        if chance.random() > FILES_SHARE:
            arguments["text"] = marker
            return Wish(self.place(to), "sendg" if group else "send", arguments, marker)
        content = chance.randbytes(chance.randint(1, 20_000))
        arguments |= {"name": marker, "data": base64.b64encode(content).decode()}
        command = "sendgroupfile" if group else "sendfile"
        sha256 = hashlib.sha256(content).hexdigest()
        return Wish(self.place(to), command, arguments, marker, sha256)


class Kept:
    """What the server's history holds, by place, as read after each crash."""

    def __init__(self) -> None:
        self.messages: dict[str, list[dict[str, Any]]] = {}

    async def read_on(self, people: list[Person]) -> None:
        """Read what is new in every place; its seqs must follow without a gap."""
        for place in [GROUP, *(f"{a} {b}" for a in NAMES for b in NAMES if a < b)]:
            person = next(p for p in people if p.name in place or place == GROUP)
            known = self.messages.setdefault(place, [])
            known += await history(person.line.ask, person.address(place), len(known))

    def by_marker(self) -> dict[str, list[dict[str, Any]]]:
        """Return the messages by their text, or by the name of their file."""
        found: dict[str, list[dict[str, Any]]] = {}
        for messages in self.messages.values():
            for message in messages:
                marker = message["file"]["name"] if "file" in message else message["text"]
                found.setdefault(marker, []).append(message)
        return found


def assert_as_answered(wish: Wish, found: list[dict[str, Any]]) -> None:
    """An answered message is there once, where and as it was answered."""
    assert wish.answer is not None
    assert len(found) == 1, f"{wish.marker} is there {len(found)} times"
    kept, answer = found[0], wish.answer
    assert (kept["id"], kept["seq"], kept["time"]) == (
        answer["message_id"],
        answer["seq"],
        answer["time"],
    )
    if wish.sha256:
        assert kept["file"] == answer["file"]
        assert kept["file"]["sha256"] == wish.sha256


async def come_back(person: Person, url: str) -> None:
    """Resume the session that a crash cut."""
    person.client = await RawClient.open(url)
    reply = await person.line.ask("resume", token=person.token)
    assert (reply["user"], reply["token"]) == (person.name, person.token)


async def check_markers(person: Person) -> None:
    """A marker is at least where OK said, and no further than was asked."""
    for conversation in (await person.line.ask("sync", have={}))["conversations"]:
        name = conversation["conversation"]
        kept, asked = person.read_kept.get(name, 0), person.read_asked.get(name, 0)
        assert kept <= conversation["read_seq"] <= max(kept, asked), (person.name, conversation)


async def send_again(person: Person, written: dict[str, list[dict[str, Any]]]) -> None:
    """Resend under its key what got no answer; `duplicate` tells whether it had been written."""
    for wish in person.unanswered:
        await person.line.send(wish.command, **wish.arguments)
    while person.unanswered:
        reply = await person.line.reply()
        wish = person.unanswered.popleft()
        assert reply["status"] == "OK", reply
        before = written.get(wish.marker, [])
        assert reply.get("duplicate", False) == bool(before), (wish.marker, before, reply)
        wish.answer = reply
        person.answered.append(wish)


async def repeat_answered(person: Person, chance: random.Random) -> None:
    """A repeat of what was answered long ago gives the first result and sends nothing."""
    for wish in chance.sample(person.answered, min(5, len(person.answered))):
        assert wish.answer is not None
        reply = await person.line.ask(wish.command, **wish.arguments)
        assert reply["duplicate"] is True
        assert (reply["message_id"], reply["seq"]) == (
            wish.answer["message_id"],
            wish.answer["seq"],
        )


async def load(person: Person, chance: random.Random) -> None:
    """Send without waiting for replies, and mark as read, until the server is gone."""
    waiting: deque[Wish | tuple[str, int]] = deque()
    room = asyncio.Semaphore(IN_FLIGHT)
    newest: dict[str, int] = {}

    async def speak() -> None:
        while True:
            await room.acquire()
            if newest and chance.random() < 0.05:
                name = chance.choice(sorted(newest))
                seq = newest[name]
                person.read_asked[name] = max(seq, person.read_asked.get(name, 0))
                waiting.append((name, seq))
                await person.line.send("read", conversation=name, seq=seq)
            else:
                wish = person.wish(chance)
                waiting.append(wish)
                person.unanswered.append(wish)
                await person.line.send(wish.command, **wish.arguments)

    async def listen() -> None:
        while True:
            frame = await person.line.frame()
            if frame.get("event") == "message":
                person.pushed.append(frame)
                newest[frame["conversation"]] = frame["seq"]
            if "event" in frame:
                continue
            assert frame["status"] == "OK", frame
            room.release()
            first = waiting.popleft()
            if isinstance(first, Wish):
                assert person.unanswered.popleft() is first
                first.answer = frame
                person.answered.append(first)
            else:
                person.read_kept[first[0]] = frame["read_seq"]

    speaking = asyncio.create_task(speak())
    try:
        await listen()
    except GONE:
        pass
    finally:
        speaking.cancel()
        await asyncio.gather(speaking, return_exceptions=True)


async def fetch(client: RawClient, file: dict[str, Any]) -> bytes:
    """Return a file's content."""
    await client.ask("getfile", file=file["id"])
    content = b""
    while True:
        piece = await client.event("file")
        if piece["file"] != file["id"]:
            continue
        assert piece["offset"] == len(content)
        content += base64.b64decode(piece["data"])
        if piece["last"]:
            return content


@pytest.mark.timeout(60 + 10 * ROUNDS)
async def test_nothing_answered_is_lost_moved_or_doubled_by_kill_9(
    tmp_path: Path, database_url: str
) -> None:
    """Contract 5: OK only when durable; a repeat under the same key sends nothing twice."""
    print(f"CHAT_KILL_SEED={SEED} CHAT_KILL_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = RealServer(tmp_path, environment={"CHAT_DATABASE": database_url})
    server.start()
    try:
        people = [Person(name) for name in NAMES]
        for person in people:
            person.client = await RawClient.signed_in(server.url, person.name)
            reply = await person.line.ask(
                "auth", user=person.name, password=f"secret-{person.name}"
            )
            person.token = reply["token"]
        await people[0].line.ask("creategroup", name="all")
        for name in NAMES[1:]:
            await people[0].line.ask("invitegroup", group=GROUP, user=name)
        kept = Kept()
        for _ in range(ROUNDS):
            # The moment is drawn before, so that a seed gives the same ones again.
            moment = chance.uniform(0.05, 0.6)
            loads = [asyncio.create_task(load(p, random.Random(chance.random()))) for p in people]
            await asyncio.sleep(moment)
            server.kill()
            await asyncio.gather(*loads)
            for person in people:
                await person.line.close()
            server.start()
            for person in people:
                await come_back(person, server.url)
            await kept.read_on(people)
            written = kept.by_marker()
            for person in people:
                await check_markers(person)
                for wish in person.answered:
                    assert_as_answered(wish, written.get(wish.marker, []))
                for event in person.pushed:
                    ids = [m["id"] for m in kept.messages[person.place(event["conversation"])]]
                    assert ids[event["seq"] - 1] == event["id"], "pushed, and then lost"
                person.pushed.clear()
            for person in people:
                await send_again(person, written)
                await repeat_answered(person, chance)
        whole = Kept()
        await whole.read_on(people)
        for place, messages in kept.messages.items():
            assert messages == whole.messages[place][: len(messages)], "the history changed"
        written = whole.by_marker()
        wishes = [wish for person in people for wish in person.answered]
        for wish in wishes:
            assert_as_answered(wish, written[wish.marker])
        assert len(wishes) == len(written) == sum(p.count for p in people)
        for person in people:
            await person.line.settled()
            for wish in [w for w in person.answered if w.sha256][-20:]:
                assert wish.answer is not None
                content = await fetch(person.line, wish.answer["file"])
                assert hashlib.sha256(content).hexdigest() == wish.sha256
            await person.line.close()
        print(f"{len(wishes)} messages over {ROUNDS} kills")
        assert "Traceback" not in server.log
    finally:
        server.kill()


async def test_groups_members_and_ended_tokens_survive_kill_9(
    tmp_path: Path, database_url: str
) -> None:
    """What was answered OK is durable, whatever it was: membership, logout, a new password."""
    server = RealServer(tmp_path, environment={"CHAT_DATABASE": database_url})
    server.start()
    try:
        alice = await RawClient.signed_in(server.url, "alice")
        bob = await RawClient.signed_in(server.url, "bob")
        phone = await RawClient.signed_in(server.url, "bob", register=False)
        ended = (await phone.ask("auth", user="bob", password="secret-bob"))["token"]
        await alice.ask("creategroup", name="all")
        await alice.ask("invitegroup", group=GROUP, user="bob")
        await phone.ask("logout")
        await bob.ask("passwd", old_password="secret-bob", new_password="another-one")
        server.kill()
        server.start()
        bob = await RawClient.open(server.url)
        assert (await bob.say("resume", token=ended))["code"] == "bad_credentials"
        assert (await bob.say("auth", user="bob", password="secret-bob"))["code"] == (
            "bad_credentials"
        )
        await bob.ask("auth", user="bob", password="another-one")
        members = (await bob.ask("members", group=GROUP))["members"]
        assert [(m["user"], m["role"]) for m in members] == [("alice", "owner"), ("bob", "member")]
        await bob.close()
        server.kill()
    finally:
        server.kill()
