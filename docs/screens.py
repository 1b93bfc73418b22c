"""Makes the pictures of the app in docs/screens: a real server, real windows, and some people.

Run it as `./chat pictures`, after `./chat test` has installed the browser.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from pathlib import Path

from shared.client import ChatClient
from tests.flet_app import talk
from tests.flet_app.png import write_png
from tests.flet_app.talk import PASSWORD, PHONE, Person, Room
from tests.realserver import RealServer

FOLDER = Path(__file__).with_name("screens")
WIDTH, HEIGHT = 520, 380


def landscape(path: Path) -> Path:
    """Write a PNG of hills in the evening."""

    def colour(x: int, y: int) -> tuple[int, int, int]:
        for depth, (base, height, speed) in enumerate(
            ((250, 40, 70.0), (290, 30, 45.0), (335, 18, 28.0))
        ):
            if y > base - height * math.sin((x + 60 * depth) / speed):
                return 30 + 12 * depth, 78 - 12 * depth, 74 - 14 * depth
        if math.hypot(x - 380, y - 190) < 38:
            return 255, 226, 150
        down = y / 300
        return int(250 - 40 * down), int(150 + 60 * down), int(120 + 20 * down)

    return write_png(path, WIDTH, HEIGHT, colour)


async def others(here: RealServer, there: RealServer, picture: Path) -> None:
    """Let the others have said what they say."""
    async with (
        ChatClient(here.url, events=False) as ana,
        ChatClient(here.url, events=False) as bob,
        ChatClient(here.url, events=False) as mei,
        ChatClient(there.url, events=False) as henderson,
    ):
        for client, name in ((bob, "bob"), (mei, "mei"), (henderson, "henderson")):
            await client.register(name, name.title(), PASSWORD, "Peru")
            await client.auth(name, PASSWORD)
        await ana.auth("ana", PASSWORD)
        await ana.addrealm("beta", "localhost", there.port)
        group = (await ana.creategroup("Sunday ride 🚲")).group
        for name in ("bob", "mei", "henderson@beta"):
            await ana.invitegroup(group, name)
        await henderson.send("ana@alpha", "The train leaves at 8:40, I checked")
        await bob.send("ana", "Coffee at four?")
        await ana.send("bob", "With pleasure ☕")
        await bob.send("ana", "See you then")
        await bob.sendg(group, "Who is in for Sunday? I'd say up to the lake and back.")
        await mei.sendg(group, "我来！ I'll bring the pump this time.")
        await henderson.sendg(f"{group}@alpha", "Count me in. I come over by train.")
        await mei.send_file(group, picture, name="the-lake.png")
        await ana.sendg(group, "Beautiful! Meet at nine, at the bridge.")
        await bob.sendg(group, "👍 https://example.org/route/lake")


async def pictures(windows: Room, ana: Person) -> None:
    """Take them."""
    await ana.open("Sunday ride")
    await ana.sees("example.org")
    await ana.button("Enlarge the-lake.png").wait_for()
    await ana.picture("desktop")
    await ana.type("/sendp")
    await ana.button("/sendpcrealm <realm> <to> <text...>").wait_for()
    await ana.picture("commands")
    phone = await windows.person(viewport=PHONE, color_scheme="dark")
    listed = phone.conversation("henderson")
    await phone.submit("Sign in", listed, Username="ana", Password=PASSWORD)
    await phone.picture("phone-list")
    await phone.open("Sunday ride")
    await phone.sees("example.org")
    await phone.button("Enlarge the-lake.png").wait_for()
    await phone.picture("phone-chat")


async def main() -> None:
    """Start two realms, let people talk, and take the pictures."""
    talk.PICTURES = FOLDER
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = RealServer(folder / "alpha", "--web-port", "0")
        there = RealServer(folder / "beta", "--realm", "beta")
        try:
            for server in (here, there):
                server.data.parent.mkdir()
                server.start()
            async with talk.room(here.web_url) as windows:
                ana = await windows.registered("ana")
                await others(here, there, landscape(folder / "lake.png"))
                await ana.conversation("Sunday ride").wait_for()
                await pictures(windows, ana)
        finally:
            here.kill()
            there.kill()


if __name__ == "__main__":
    asyncio.run(main())
