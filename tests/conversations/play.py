"""Plays: conversations in words, written down as people would see them.

    # Two people talk
    alice signs in
    bob signs in

    alice> send bob hi
    alice< OK Sent to bob as message 1
    bob< [alice] hi

`>` is what somebody types, `<` what he then sees, one frame each; further lines of the same frame
follow behind `|`. `alice (phone)` is one more connection of alice. What somebody sees stands in
its order; whose lines come first does not matter. Nobody may see anything that is not written:
that is checked whenever somebody types after the others were heard, and at the end.

What varies: `...` is any text in a line, and alone in a line any lines; `{file}` is any word the
first time, and the same word wherever it is written again, typed lines included. `{U+001B}` is
that character.

Stage directions:
    alice has an account            made with the password secret1, if there is none
    alice connects                  and has not signed in
    alice signs in                  account, connection and auth; nothing was unread
    alice goes away                 her connection is gone
    alice is disconnected with 4501 the server closed it
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.world import PASSWORD, Closed

LIMIT = 20.0
"""Seconds to wait for a frame; generous, as test machines are busy."""

_ACTOR = r"(?P<actor>[A-Za-z]+(?: \([a-z]+\))?)"
_SPEECH = re.compile(_ACTOR + r"(?P<way>[<>]) (?P<text>.+)")
_MORE = re.compile(r"\s+\|(?: (?P<text>.*))?")
_DIRECTION = re.compile(
    _ACTOR + r" (?P<what>has an account|connects|signs in|goes away|is disconnected with)"
    r"(?: (?P<code>\d{4}))?"
)
_SPECIAL = re.compile(r"\{(?P<name>[a-z]+)\}|\{U\+(?P<code>[0-9A-F]{4})\}|\.\.\.")
_PONG = ("OK Pong", '{"status":"OK","command":"ping"')


class BadPlay(Exception):
    """A play that cannot be read; the text names file and line."""


class Failed(AssertionError):
    """What happened is not what the play shows; the text names file and line."""


class Door(Protocol):
    """One connection to a server, frames as they are on the wire."""

    async def send(self, frame: str) -> None: ...

    async def receive(self) -> str:
        """Return the next frame.

        Raises:
            Closed: none will come.
        """

    async def leave(self) -> None: ...


class Stage(Protocol):
    """A realm to play in, empty at the beginning."""

    async def add_user(self, name: str) -> None:
        """Make an account with PASSWORD."""

    async def open(self) -> Door: ...


@dataclass
class Line:
    """One speech or direction, with all lines of its frame."""

    number: int
    actor: str
    what: str
    """`>`, `<`, or the words of a direction."""
    text: str = ""

    @property
    def user(self) -> str:
        return self.actor.partition(" ")[0]


@dataclass
class Play:
    """A play that was read."""

    name: str
    lines: list[Line]


def read(path: Path) -> Play:
    """Read a `.chat` file.

    Raises:
        BadPlay: it is none.
    """
    return parse(path.name, path.read_text(encoding="utf-8"))


def parse(name: str, text: str) -> Play:
    """Read a play from its text.

    Raises:
        BadPlay: it is none.
    """
    lines: list[Line] = []
    for number, row in enumerate(text.splitlines(), 1):
        where = f"{name}:{number}"
        if not row.strip() or row.startswith("#"):
            continue
        if more := _MORE.fullmatch(row):
            if not lines or lines[-1].what not in "<>":
                raise BadPlay(f"{where}: nothing is said that this line could belong to")
            lines[-1].text += "\n" + (more["text"] or "")
        elif speech := _SPEECH.fullmatch(row):
            lines.append(Line(number, speech["actor"], speech["way"], speech["text"]))
        elif direction := _DIRECTION.fullmatch(row):
            if (direction["code"] is None) == direction["what"].endswith("with"):
                raise BadPlay(f"{where}: a close code belongs behind `is disconnected with`")
            what, code = direction["what"], direction["code"] or ""
            lines.append(Line(number, direction["actor"], what, code))
        else:
            raise BadPlay(f"{where}: neither speech nor direction: {row}")
    if not lines:
        raise BadPlay(f"{name}: nothing happens")
    return Play(name, lines)


@dataclass
class Actor:
    """One connection on stage."""

    door: Door
    json: bool = False
    """Whether the last command was JSON, so that asking for news does not change the dialect."""

    async def say(self, frame: str) -> None:
        self.json = frame.lstrip().startswith("{")
        await self.door.send(frame)

    async def hear(self) -> str:
        async with asyncio.timeout(LIMIT):
            return await self.door.receive()

    async def news(self) -> list[str]:
        """Return what came before a ping was answered."""
        await self.door.send('{"command":"ping"}' if self.json else "ping")
        heard: list[str] = []
        while not (frame := await self.hear()).startswith(_PONG):
            heard.append(frame)
        return heard


@dataclass
class Performance:
    """One run of a play."""

    play: Play
    stage: Stage
    actors: dict[str, Actor] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    line: Line = field(default_factory=lambda: Line(0, "", ""))

    async def run(self) -> None:
        """Act the whole play.

        Raises:
            Failed: something else happened.
        """
        try:
            before = self.line
            for line in self.play.lines:
                self.line = line
                in_one_breath = (line.what, line.actor) == (before.what, before.actor)
                if line.what in (">", "signs in", "goes away") and not in_one_breath:
                    await self.nobody_hears_more()
                await self.act()
                before = line
            await self.nobody_hears_more()
        except Closed as closed:
            raise self.failed(f"was disconnected with {closed.code}") from None
        except TimeoutError:
            raise self.failed("heard nothing") from None
        finally:
            for actor in self.actors.values():
                await actor.door.leave()

    def failed(self, what: str, actor: str = "") -> Failed:
        return Failed(f"{self.play.name}:{self.line.number}: {actor or self.line.actor} {what}")

    @property
    def actor(self) -> Actor:
        if self.line.actor not in self.actors:
            raise self.failed("is not on stage")
        return self.actors[self.line.actor]

    async def act(self) -> None:
        acts: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            ">": self.types,
            "<": self.sees,
            "has an account": self.has_an_account,
            "connects": self.connects,
            "signs in": self.signs_in,
            "goes away": self.goes_away,
            "is disconnected with": self.is_disconnected,
        }
        await acts[self.line.what]()

    async def nobody_hears_more(self) -> None:
        for name, actor in self.actors.items():
            try:
                for frame in await actor.news():
                    raise self.failed(f"by then had also seen: {frame}", name)
            except Closed as closed:
                raise self.failed(f"by then was disconnected with {closed.code}", name) from None

    async def types(self) -> None:
        def put(found: re.Match[str]) -> str:
            if found["code"]:
                return chr(int(found["code"], 16))
            if found["name"] is None:
                return found[0]
            if found["name"] not in self.remembered:
                raise self.failed(f"cannot know {found[0]}")
            return self.remembered[found["name"]]

        await self.actor.say(_SPECIAL.sub(put, self.line.text))

    async def sees(self) -> None:
        frame = await self.actor.hear()
        found = self.pattern(self.line.text).fullmatch(frame)
        if found is None:
            raise self.failed(f"should see\n{self.line.text}\nbut saw\n{frame}")
        self.remembered.update(found.groupdict())

    def pattern(self, text: str) -> re.Pattern[str]:
        """Return what a frame must match to be this text."""
        seen: set[str] = set()

        def put(found: re.Match[str]) -> str:
            name = found["name"]
            if found["code"]:
                return re.escape(chr(int(found["code"], 16)))
            if name is None:
                return ".*"
            if name in self.remembered:
                return re.escape(self.remembered[name])
            if name in seen:
                return f"(?P={name})"
            seen.add(name)
            return rf"(?P<{name}>\S+)"

        def row(line: str) -> str:
            if line == "...":
                return r".*(?:\n.*)*"
            parts = []
            at = 0
            for found in _SPECIAL.finditer(line):
                parts += [re.escape(line[at : found.start()]), put(found)]
                at = found.end()
            return "".join([*parts, re.escape(line[at:])])

        return re.compile(r"\n".join(row(line) for line in text.split("\n")))

    async def has_an_account(self) -> None:
        if self.line.user not in self.users:
            self.users.add(self.line.user)
            await self.stage.add_user(self.line.user)

    async def connects(self) -> None:
        if self.line.actor in self.actors:
            raise self.failed("is on stage already")
        self.actors[self.line.actor] = Actor(await self.stage.open())

    async def signs_in(self) -> None:
        await self.has_an_account()
        await self.connects()
        await self.actor.say(f"auth {self.line.user} {PASSWORD}")
        frame = await self.actor.hear()
        welcome = f"OK Signed in as {self.line.user} on alpha; nothing unread\ntoken "
        if not frame.startswith(welcome):
            raise self.failed(f"could not sign in with nothing unread: {frame}")

    async def goes_away(self) -> None:
        await self.actor.door.leave()
        del self.actors[self.line.actor]

    async def is_disconnected(self) -> None:
        try:
            frame = await self.actor.hear()
        except Closed as closed:
            if str(closed.code) != self.line.text:
                raise self.failed(f"was disconnected with {closed.code}") from None
            del self.actors[self.line.actor]
        else:
            raise self.failed(f"saw: {frame}")
