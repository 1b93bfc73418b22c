"""Files through the terminal client: sent by their path, saved under a safe name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.client import MessageArrived
from shared.protocol.commands.messages import FileInfo
from tests.client.people import People, Told, new_name
from tests.proxy import Proxy
from tests.realserver import RealServer
from tests.terminal_app.terminal import Terminal

pytestmark = pytest.mark.system

CONTENT = os.urandom(3_000_000)


def file_at(path: Path, content: bytes = CONTENT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def received(who: Told, name: str) -> FileInfo:
    """Return the file of this name that somebody was sent."""

    def found() -> list[FileInfo]:
        files = [event.file for event in who.of(MessageArrived)]
        return [file for file in files if file is not None and file.name == name]

    await who.until(found)
    return found()[0]


async def test_a_file_is_sent_by_its_absolute_path_to_people_and_groups(
    server: RealServer, home: Path, ana: Told, bob: str, tmp_path: Path
) -> None:
    path = file_at(home / "my photo.png")
    other = ana.client.user
    group = (await ana.client.creategroup("team")).group
    await ana.client.invitegroup(group, bob)
    async with Terminal(home, server.url, columns=250) as terminal:
        await terminal.signs_in(bob)
        terminal.enter("sendfile " + other + " my photo.png")
        await terminal.shows(
            f"my photo.png is a relative path. Type the absolute one: sendfile {other}"
        )
        terminal.enter(f"sendfile {other} {path}")
        await terminal.shows(f"OK Sent to {other} as message 1")
        terminal.enter(f'sendgroupfile {group[1:]} "~/my photo.png"')
        await terminal.shows(f"OK Sent to {group} as message 1")
        terminal.enter(f"sendfile {other} small.txt aGFsbG8=")
        await terminal.shows(f"OK Sent to {other} as message 2")
        terminal.enter(f"sendfile {other} {home}")
        await terminal.shows("is a folder. Pack it into one file first, with zip or tar")
    for file in (await received(ana, "my photo.png"), await received(ana, "small.txt")):
        saved = await ana.client.save_file(file, tmp_path)
        expected = CONTENT if file.name == "my photo.png" else b"hallo"
        assert saved.read_bytes() == expected


async def test_a_transfer_shows_its_bar_and_is_cancelled_without_ending_the_client(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    path = file_at(home / "film.mp4")
    async with Proxy(server.port) as proxy, Terminal(home, proxy.url) as terminal:
        await terminal.signs_in(bob)
        proxy.delay = 0.3
        terminal.enter(f"sendfile {ana.client.user} {path}")
        await terminal.shows("sending film.mp4 ━")
        await terminal.shows("%")
        await terminal.shows("Ctrl+C cancels")
        terminal.press("\x03")
        await terminal.shows("(film.mp4 was not sent: cancelled)")
        proxy.delay = 0.0
        terminal.enter("whoami")
        await terminal.shows(f"OK {bob} on alpha")
        terminal.enter(f"sendfile {ana.client.user} {path}")
        await terminal.shows(f"OK Sent to {ana.client.user} as message 1")
        assert not any("film.mp4 ━" in line for line in terminal.page.lines)
    assert (await received(ana, "film.mp4")).size == len(CONTENT)


async def test_a_file_that_arrives_is_saved_under_a_safe_name_and_overwrites_nothing(
    server: RealServer, home: Path, people: People, ana: Told, bob: str
) -> None:
    downloads = home / "kept here"
    content = file_at(home / "a.txt", b"hallo")
    async with Terminal(home, server.url, "--downloads", str(downloads), columns=250) as terminal:
        await terminal.signs_in(bob)
        elsewhere = await people.sign_in(bob)
        await elsewhere.send_file(ana.client.user, content, name="own.txt")
        await terminal.shows(f"[me > {ana.client.user}] own.txt (5 bytes) file f_")
        for name in ("../../.profile", "x\x1b[2J.txt", "x\x1b[2J.txt"):
            await ana.client.send_file(bob, content, name=name)
        await terminal.shows(f"(.profile: saved as {downloads}/profile)")
        await terminal.shows(f"saved as {downloads}/x[2J (2).txt)")
        assert sorted(path.name for path in downloads.iterdir()) == [
            *("profile", "x[2J (2).txt", "x[2J.txt")
        ]
        assert all(path.read_bytes() == b"hallo" for path in downloads.iterdir())


async def test_a_larger_file_is_saved_when_asked_for(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    async with Terminal(home, server.url, "--save-up-to", "1", columns=250) as terminal:
        await terminal.signs_in(bob)
        await ana.client.send_file(bob, file_at(home / "film.mp4"))
        file = (await ana.client.history(bob)).messages[-1].file
        assert file is not None
        await terminal.shows(f"(3.0 MB, not saved automatically; type: save {file.id})")
        terminal.enter(f"save {file.id} /nowhere")
        await terminal.shows("There is no folder /nowhere. Make it first, or leave the folder out")
        terminal.enter(f"save {file.id}")
        await terminal.shows(f"OK Saved as {home}/downloads/film.mp4")
        terminal.enter(f"getfile {file.id}")
        await terminal.shows(f"OK Saved as {home}/downloads/film (2).mp4")
        terminal.enter("save f_nothing")
        await terminal.shows("ERROR unknown_file")
        saved = home / "downloads" / "film (2).mp4"
        assert saved.read_bytes() == CONTENT
        assert len(list(saved.parent.iterdir())) == 2


async def test_a_file_goes_to_another_realm_by_its_spelling(
    server: RealServer, home: Path, people: People, bob: str, tmp_path: Path
) -> None:
    beta = RealServer(tmp_path / "beta", "--realm", "beta")
    (tmp_path / "beta").mkdir()
    beta.start()
    try:
        eve = await people.join(new_name("eve"), beta.url)
        path = file_at(home / "note.txt", b"hallo")
        async with Terminal(home, server.url, columns=250) as terminal:
            await terminal.signs_in(bob)
            terminal.enter(f"addrealm beta 127.0.0.1 {beta.port}")
            await terminal.shows("OK Added beta, the link is up")
            terminal.enter(f"sendfilerealm beta {eve.client.user} {path}")
            await terminal.shows(f"OK Sent to {eve.client.user}@beta as message 1")
        assert (await received(eve, "note.txt")).size == 5
    finally:
        beta.kill()
