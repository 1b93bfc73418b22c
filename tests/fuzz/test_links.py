"""Anything at all over a link that is up: people here notice nothing, and nothing is left."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import orjson
from websockets.exceptions import ConnectionClosed

from tests.federation.hostile import MIB, Hostile, memory
from tests.federation.hostile import key_of as key_of_server
from tests.federation.impostor import Impostor
from tests.realserver import RealServer
from tests.system.bystanders import Chat, known

SECONDS = 8.0
KINDS = (
    *("open", "batch", "ack", "want", "piece", "later", "gone", "ask", "answer"),
    *("still", "here", "copies", "weather", "", "message"),
)
ROWS = ("message", "post", "group", "change", "receipt", "probe", "other", None)
ASKED = (
    *("user", "creategroup", "invite", "kick", "leave", "history", "groups", "roster", "probe"),
    *("", "x" * 300, None),
)


class Noise:
    """Frames made at random, always the same ones for a seed."""

    def __init__(self, seed: int, own_key: str) -> None:
        self._random = random.Random(seed)
        self._own_key = own_key
        self._number = 0

    def value(self, depth: int = 0) -> Any:
        """Return any value that JSON can hold, often one that is nearly right."""
        pick = self._random
        simple: list[Any] = [
            *(None, True, False, 0, 1, -1, 2**53, 2**63, 1.5, "", "carol", "dave", "eve", "#1"),
            *(
                "carol@alpha",
                "x~AAAA",
                "a" * 33,
                "x" * 2_000,
                "\u202e",
                "\x00",
                "\x1b[2J",
                "0" * 64,
            ),
            *(self._own_key, {"name": "eve"}, {"name": "carol", "key": self._own_key}),
            {"name": "carol", "key": self._own_key, "realm": "alpha"},
        ]
        if depth > 2 or pick.random() < 0.7:
            return pick.choice(simple)
        if pick.random() < 0.5:
            return [self.value(depth + 1) for _ in range(pick.randrange(6))]
        return {pick.choice(("name", "key", "from", "x")): self.value(depth + 1) for _ in range(4)}

    def body(self) -> dict[str, Any]:
        """Return the body of a frame."""
        kind = self._random.choice(KINDS)
        fields = {
            "batch": ("items",),
            "ack": ("up_to", "refused"),
            "open": ("log", "have", "refused", "instance"),
            "want": ("sha256", "offset"),
            "piece": ("sha256", "offset", "data", "last"),
            "answer": ("id", "ok", "code", "message"),
        }.get(kind, ("id", "sha256"))
        body: dict[str, Any] = {"kind": kind, **{name: self.value() for name in fields}}
        if kind == "batch" and self._random.random() < 0.9:
            body["items"] = [self.row() for _ in range(self._random.randrange(1, 20))]
        if kind == "ask":
            names = ("by", "group", "user", "name", "after", "limit", "token", "request")
            body |= {name: self.value() for name in names}
            body |= {"what": self._random.choice(ASKED), "id": self._random.randrange(5)}
        return body

    def row(self) -> dict[str, Any]:
        """Return a row, most of whose fields are right."""
        self._number += 1
        row: dict[str, Any] = {
            **{"number": self._number, "kind": self._random.choice(ROWS), "from": "eve"},
            **{"to": "carol", "id": f"i{self._number}", "seq": 1, "time": 1, "text": "x"},
            **{"group": 1, "name": "trap", "version": self._number, "last_seq": 0, "token": "t"},
            **{"members": [self.value() for _ in range(3)], "received": 1, "read": 1},
        }
        if row["kind"] in ("group", "change"):
            row["from"] = {"name": "carol", "key": self._own_key, "realm": "alpha"}
        for _ in range(self._random.randrange(3)):
            row[self._random.choice([name for name in row if name != "number"])] = self.value()
        return row


async def test_anything_over_a_link_is_felt_by_nobody(server: RealServer) -> None:
    """A realm links again and again and says whatever comes, correctly signed."""
    chat = Chat(*[await known(server.url, name) for name in ("carol", "dave")])
    await chat.talk()
    noise = Noise(20_261, key_of_server(server))
    until = time.monotonic() + SECONDS
    said = [0]

    async def misbehave(name: str) -> None:
        while time.monotonic() < until:
            hostile = await Hostile.ready(server, name)
            try:
                while time.monotonic() < until:
                    said[0] += 1
                    await hostile.say(**noise.body())
                    await asyncio.sleep(0)
            except ConnectionClosed:
                assert hostile.socket.close_code in (4400, 4401, 4402, 1009), name
            finally:
                await hostile.close()

    async def mumble() -> None:
        """Frames that are no JSON, or no object, under a right signature."""
        pick = random.Random(3)
        while time.monotonic() < until:
            mumbling = await Impostor.linked(server.url, "mumbling")
            await mumbling.open()
            assert mumbling.seal is not None
            body = pick.choice((b"", b"[]", b"{", b"null", b"\xff", b"[" * 50_000, b"1e999"))
            await mumbling.socket.send(mumbling.seal.close(body), text=True)
            assert await mumbling.closed_with() in (4400, 1007)

    # What the first moments take is kept, as caches are.
    before = memory(server)
    tasks = [asyncio.create_task(misbehave(name)) for name in ("one", "two")]
    tasks.append(asyncio.create_task(mumble()))
    while not all(task.done() for task in tasks):
        await chat.talk()
        await asyncio.sleep(0.02)
    await asyncio.gather(*tasks)
    await chat.talk()
    chat.assert_unharmed()
    assert said[0] > 100
    assert memory(server) - before < 60 * MIB
    assert "Traceback" not in server.log, server.log[server.log.find("Traceback") :][:3000]
    for event in await chat.carol.settled():
        # Nobody speaks as somebody here.
        assert event["event"] != "message" or event["from"] not in ("carol",), orjson.dumps(event)
    await chat.carol.close()
    await chat.dave.close()
