"""The bots in the documents work as they are printed, against a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.client.people import LIMIT, People, Told, new_name
from tests.realserver import ROOT, RealServer

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs(document: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return [block for block in BLOCK.findall(text) if "asyncio.run" in block]


ECHO = programs("README.md")[0]
SERVICE = programs("docs/bots.md")[1]


@contextlib.asynccontextmanager
async def running(program: str, server: RealServer, folder: Path) -> AsyncIterator[None]:
    """Run a document's program in a process of its own."""
    path = folder / "bot.py"
    path.write_text(program.replace("ws://localhost:8765", server.url), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ECHO_PASSWORD": "secret1"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(path)),
        cwd=folder,
        env=environment,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.kill()
        _, errors = await process.communicate()
        assert errors == b""


async def echoed(person: Told, to: str, text: str) -> None:
    """Send a text until its echo comes; the bot may still be starting."""
    count = len(person.texts)
    async with asyncio.timeout(LIMIT):
        while person.texts[count:].count(text) == 0:
            await person.send(to, text)
            with contextlib.suppress(AssertionError):
                await person.until(lambda: text in person.texts[count:], 1)


async def an_account(people: People, name: str = "echo") -> None:
    client = await people.open()
    with contextlib.suppress(Exception):
        await client.register(name, "Echo", "secret1", "Indonesia")


def test_both_documents_have_the_same_bot_of_at_most_ten_lines() -> None:
    assert programs("docs/bots.md")[0] == ECHO
    assert len([line for line in ECHO.splitlines() if line.strip()]) <= 10


async def test_the_echo_bot_answers_people_and_groups_but_not_itself(
    people: People, server: RealServer, tmp_path: Path
) -> None:
    await an_account(people)
    ana = await people.join("ana")
    group = (await ana.client.creategroup("cake lovers")).group
    async with running(ECHO, server, tmp_path):
        await echoed(ana, "echo", "hello")
        await ana.client.invitegroup(group, "echo")
        await echoed(ana, group, "hello all")
        again = await people.open()
        await again.auth("echo", "secret1")
        await again.send("ana", "from another session")
        await again.send("echo", "a note")
        await echoed(ana, "echo", "still there?")
        history = await ana.history("echo")
        assert [m.text for m in history if m.sender == "echo"].count("from another session") == 1
        notes = (await again.history("echo")).messages
        assert [m.text for m in notes] == ["a note"]


@pytest.mark.parametrize("program", [ECHO, SERVICE], ids=["echo", "service"])
async def test_two_bots_in_one_group_answer_a_person_and_not_each_other(
    people: People, server: RealServer, tmp_path: Path, program: str
) -> None:
    """Each bot takes events in order, so an answer to the other bot would come before its next
    one."""
    carl = await people.join(new_name("carl"))
    group = (await carl.client.creategroup("robots")).group
    async with contextlib.AsyncExitStack() as stack:
        for name in (new_name("robot"), new_name("robot")):
            await an_account(people, name)
            await carl.client.invitegroup(group, name)
            folder = tmp_path / name
            folder.mkdir()
            as_this = program.replace('auth("echo"', f'auth("{name}"')
            await stack.enter_async_context(running(as_this, server, folder))
            await echoed(carl, name, "are you there?")
        before = len(await carl.history(group))
        for count, text in enumerate(("one", "two", "three"), 1):
            await carl.send(group, text)
            await carl.until(lambda: carl.texts.count(text) == 2)  # noqa: B023
            assert len(await carl.history(group)) == before + 3 * count
        texts = [message.text for message in await carl.history(group)]
        assert texts[before:] == ["one"] * 3 + ["two"] * 3 + ["three"] * 3
        answers = [m for m in carl.messages if m.conversation == group]
        assert [m.bot for m in answers] == [True] * 6


async def test_the_service_goes_on_where_it_was(
    people: People, server: RealServer, tmp_path: Path
) -> None:
    await an_account(people)
    ana = await people.join("ana")
    async with running(SERVICE, server, tmp_path):
        await echoed(ana, "echo", "hello")
        await asyncio.sleep(0.2)
    state = tmp_path / "echo.json"
    assert state.stat().st_mode & 0o077 == 0
    assert json.loads(state.read_text())["token"]
    await ana.send("echo", "while you were away")
    async with running(SERVICE, server, tmp_path):
        await ana.until(lambda: "while you were away" in ana.texts)


@pytest.mark.parametrize("document", ["README.md", "docs/bots.md"])
def test_every_program_in_the_documents_is_valid(document: str) -> None:
    for program in programs(document):
        compile(program, document, "exec")
