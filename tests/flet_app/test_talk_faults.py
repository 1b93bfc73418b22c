"""The app's windows while servers die, come back, and talk to other realms."""

from __future__ import annotations

import asyncio
import filecmp
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.client import ChatClient, MessageArrived
from tests.flet_app.chromium import LIMIT
from tests.flet_app.talk import room
from tests.realserver import RealServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    """A server that is where it was, for browsers too, when it starts again."""
    found = RealServer(tmp_path, "--web-port", "0")
    found.start()
    found.options = ("--web-port", str(found.web_port))
    yield found
    found.kill()


async def test_a_server_that_is_killed_under_open_windows_loses_and_doubles_nothing(
    server: RealServer,
) -> None:
    async with room(server.web_url) as windows, ChatClient(server.url) as bob:
        await bob.register("bob", "Bob", "secret12", "Peru")
        await bob.auth("bob", "secret12")
        a = await windows.registered("ana")
        await a.chat("bob")
        await a.say("before")
        await a.sees("before", "stored")
        await asyncio.to_thread(server.kill)
        banner = a.page.get_by_test_id("banner")
        await banner.wait_for(timeout=LIMIT)
        for n in range(3):
            await a.say(f"while it was away {n}")
        await a.sees("while it was away 2", "waiting")
        await a.picture("no-connection")
        await asyncio.to_thread(server.start)
        await banner.wait_for(state="detached", timeout=LIMIT)
        await a.sees("while it was away 2", "stored")
        await bob.send("ana", "and you are back")
        await a.sees("and you are back", "bob")
        shown = await a.messages()
        assert len(shown) == 5, shown
        kept = [m.text for m in (await bob.history("ana")).messages]
        away = [f"while it was away {n}" for n in range(3)]
        assert kept == ["before", *away, "and you are back"]
        assert all(text in line for text, line in zip(kept, shown, strict=True))


async def test_windows_of_an_app_that_was_restarted_hung_or_asked_to_sign_in(
    server: RealServer,
) -> None:
    """They took controls of the new start for those of the old one."""
    async with room(server.web_url) as windows:
        ana, ben = [await windows.registered(name) for name in ("ana", "ben")]
        for person in (ana, ben):
            await person.chat("ana")
            await person.say("before")
        assert await asyncio.to_thread(server.stop) == 0
        await asyncio.to_thread(server.start)
        for person in (ana, ben):
            await person.listen()
            await person.sees("before")
            await person.title("ana").wait_for()
        async with ChatClient(server.url) as dan:
            await dan.register("dan", "Dan", "secret12", "Peru")
            await dan.auth("dan", "secret12")
            await dan.send("ana", "after")
            await ana.open("dan")
            await ana.sees("after")
            await ana.say("you are heard")
            await ana.sees("you are heard", "stored")


async def test_a_file_goes_on_when_its_realm_is_killed_half_way(
    server: RealServer, tmp_path: Path
) -> None:
    """The app stands beside the realm, which has a part of the file when it dies."""
    film = tmp_path / "film.bin"
    film.write_bytes(b"".join(bytes([n]) * 2**20 for n in range(12)))
    async with room(server.web_url) as windows, ChatClient(server.url) as bob:
        await bob.register("bob", "Bob", "secret12", "Peru")
        await bob.auth("bob", "secret12")
        a = await windows.registered("ana")
        await a.chat("bob")
        await a.attach(film)
        await a.button("Cancel film.bin").wait_for()
        parts = server.data / "blobs"
        async with asyncio.timeout(30):
            while size(parts) < 2**20:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        await a.page.get_by_test_id("banner").wait_for()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            async for event in bob.events():
                if isinstance(event, MessageArrived):
                    break
        assert event.file is not None and event.seq == 1
        saved = await bob.save_file(event.file, tmp_path / "saved.bin")
        assert await asyncio.to_thread(filecmp.cmp, saved, film, shallow=False)
        await a.sees("film.bin", "stored")
        assert (await bob.history("ana")).messages[-1].seq == 1


async def test_people_of_another_realm_are_written_to_from_the_window(tmp_path: Path) -> None:
    here = RealServer(tmp_path / "alpha", "--web-port", "0")
    there = RealServer(tmp_path / "beta", "--realm", "beta")
    for server in (here, there):
        server.data.parent.mkdir()
        server.start()
    try:
        async with room(here.web_url) as windows, ChatClient(there.url) as zed:
            await zed.register("zed", "Zed", "secret12", "Peru")
            await zed.auth("zed", "secret12")
            a = await windows.registered("ana")
            await a.button("Add realm").click()
            await a.box("Fingerprint").wait_for()
            silent = a.complaint("The realm does not answer.")
            await a.submit("Add", silent, Name="beta", Address="localhost", Port="1")
            await a.picture("add-realm")
            added = a.page.get_by_text("beta was added.").first
            await a.submit("Add", added, Port=str(there.port))
            await a.chat("zed@beta")
            await a.say("Hello over there")
            await a.sees("Hello over there", "delivered")
            async with asyncio.timeout(30):
                async for event in zed.events():
                    if isinstance(event, MessageArrived):
                        await zed.answer(event, "Hello back")
                        break
            await a.sees("Hello back", "zed@beta")
            await a.menu("Realms")
            await a.page.get_by_label(re.compile("beta\\s+connected")).wait_for()
            await a.picture("realms")
            await a.button("Close").click()
            await asyncio.to_thread(there.kill)
            await a.page.get_by_text(
                "beta is not connected; messages wait until it is"
            ).first.wait_for()
            await a.say("For when you are back")
            await a.sees("For when you are back", "queued for beta")
            await a.picture("realm-away")
            await asyncio.to_thread(there.start)
            await a.sees("For when you are back", "delivered")
    finally:
        here.kill()
        there.kill()
