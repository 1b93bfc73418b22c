"""A hostile browser: almost valid frames, and invalid requests."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgpack
from flet.messaging.protocol import decode_ext_from_msgpack
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.flet_app.browser import EVENT, INVOKE, REGISTER, Browser

PROPS = 4
NAMES = (
    "click change submit focus blur resize route_change media_change scroll close connect "
    "disconnect error keyboard_event app_lifecycle_state_change platform_brightness_change "
    "view_pop paste_files selection_change hover dismiss result upload tap_outside login "
    "__init__ size_change animation_end locale_change visible"
).split()
FIELDS = (
    "route state key shift width height data control name target files event_type pixels value "
    "progress file_name error locales padding selection _dismissed open media platform"
).split()


def value(chance: random.Random, depth: int = 4) -> Any:
    """Return any value that msgpack can say."""
    kinds = 11 if depth else 8
    match chance.randrange(kinds):
        case 0:
            return None
        case 1:
            return chance.random() < 0.5
        case 2:
            return chance.choice([0, 1, -1, 2**31, 2**63 - 1, -(2**63), chance.randrange(1_000)])
        case 3:
            return chance.choice([0.0, float("nan"), float("inf"), 1e308, chance.random() * 1_000])
        case 4:
            return "".join(chance.choice("aZ0/#@ \n\0é漢\U0001f600\u202e") for _ in range(8))
        case 5:
            return bytes(chance.randrange(256) for _ in range(8))
        case 6:
            return msgpack.ExtType(chance.randrange(6), b"12:99:x"[: chance.randrange(8)])
        case 7:
            return chance.choice(["resume", "light", "/c/bob", "user", "dark", "portrait"])
        case 8:
            return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
        case 9:
            return {chance.choice(FIELDS): value(chance, depth - 1) for _ in range(4)}
        case _:
            return {"files": [value(chance, depth - 1)], "name": value(chance, depth - 1)}


def frame(chance: random.Random, ids: list[int]) -> bytes:
    """Return a frame that is nearly one of Flet's client."""
    target = chance.choice([*ids, -1, 10**9, 0]) if chance.random() < 0.9 else value(chance)
    props = {chance.choice(FIELDS): value(chance) for _ in range(3)}
    said = chance.choice(
        [
            [EVENT, {"target": target, "name": chance.choice(NAMES), "data": value(chance)}],
            [EVENT, {"target": target, "name": chance.choice(NAMES), "data": props}],
            [PROPS, {"id": target, "props": props}],
            [
                INVOKE,
                {
                    "control_id": target,
                    "call_id": "x",
                    "result": value(chance),
                    "error": chance.choice([None, "broken"]),
                },
            ],
        ]
    )
    if chance.random() < 0.03:
        said = chance.choice([[REGISTER, {"page": value(chance)}], value(chance), [99, {}], [3, 1]])
    packed = bytearray(b"\0" + msgpack.packb(said))
    if chance.random() < 0.05:
        packed[chance.randrange(len(packed))] = chance.randrange(256)
    return bytes(packed)


class Fuzzed:
    """A page whose browser says anything, and answers what it is asked with anything."""

    def __init__(self, browser: Browser, seed: int, token: str = "") -> None:
        self._browser = browser
        self._chance = random.Random(seed)
        self._token = token
        self.left = 0
        self.ids: list[int] = []
        self.shown = ""

    async def run(self, frames: int, until: str) -> None:
        """Open a page, wait for a text, and send frames; open another when it is ended."""
        if not self._browser.cookies:
            await self._browser.load()
        self.left = frames
        while self.left > 0:
            socket = await self._browser.socket()
            with suppress(ConnectionClosed):
                await self._one(socket, until)
            socket.transport.abort()

    async def _one(self, socket: ClientConnection, until: str) -> None:
        self.ids, self.shown = [], ""
        told = {"session_id": "", "page_name": "", "page": {"route": "/", "width": 1200.0}}
        await socket.send(b"\0" + msgpack.packb([REGISTER, told]))
        async with asyncio.timeout(20):
            while until not in self.shown:
                await self._hear(socket, honest=True)
        for _ in range(150):
            self.left -= 1
            await socket.send(frame(self._chance, self.ids))
            with suppress(TimeoutError):
                async with asyncio.timeout(0.002):
                    while True:
                        await self._hear(socket, honest=False)

    async def _hear(self, socket: ClientConnection, honest: bool) -> None:
        packed = await socket.recv()
        assert isinstance(packed, bytes)
        if packed[0] != 0:
            return
        action, body = msgpack.unpackb(
            packed[1:], ext_hook=decode_ext_from_msgpack, strict_map_key=False
        )
        text = str(body)
        self.shown += text
        self.ids += [int(found) for found in re.findall(r"'_i': (\d+)", text)]
        if action == INVOKE:
            asked = {name: body[name] for name in ("control_id", "call_id")}
            result = self._token if "chat.token" in text else None
            error = None
            if not honest and self._chance.random() < 0.5:
                result, error = value(self._chance), self._chance.choice([None, "no"])
            said = [INVOKE, {**asked, "result": result, "error": error}]
            await socket.send(b"\0" + msgpack.packb(said))


def memory(pid: int) -> int:
    """Return the bytes that a process has in memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) << 10
