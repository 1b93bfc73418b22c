"""A server cannot be used to scan ports: `addrealm` has one reply for everything but realms."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.federation.conftest import Enter, Start
from tests.federation.people import eventually
from tests.rawclient import RawClient
from tests.realserver import RealServer


class Web:
    """A listener that sends the same bytes to each connection."""

    def __init__(self, answer: bytes, hold: bool = False) -> None:
        self.answer = answer
        self.hold = hold
        self.count = 0
        self.port = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.count += 1
        await reader.read(4096)
        writer.write(self.answer)
        while self.hold and await reader.read(4096):
            pass
        writer.close()


@asynccontextmanager
async def web(answer: bytes = b"", *, hold: bool = False) -> AsyncIterator[Web]:
    listening = Web(answer, hold)
    server = await asyncio.start_server(listening.connected, "127.0.0.1", 0)
    listening.port = server.sockets[0].getsockname()[1]
    try:
        yield listening
    finally:
        server.close()
        await server.wait_closed()


async def refusal(client: RawClient, address: str, port: int) -> str:
    """Return the refusal of `addrealm`, without the requested address."""
    began = time.monotonic()
    reply = await client.say("addrealm", name="x", address=address, port=port)
    assert time.monotonic() - began < 11
    assert reply["code"] == "realm_unreachable"
    return str(reply["message"]).replace(f"{address} {port}", "THERE")


HTTP = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
UPGRADED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"


async def test_whatever_is_no_realm_is_refused_in_the_same_words(
    real_server: RealServer, enter: Enter
) -> None:
    people = [await enter(real_server, f"p{number}") for number in range(13)]
    files = len(os.listdir(f"/proc/{real_server.pid}/fd"))
    async with (
        web(HTTP) as site,
        web(UPGRADED) as liar,
        web(b"\x00\xff" * 9000) as noise,
        web() as closing,
        web(hold=True) as silent,
    ):
        places = (
            ("127.0.0.1", 1),
            ("no-such-host.invalid", 8765),
            ("169.254.169.254", 80),
            ("0.0.0.0", real_server.port),
            ("ws://user@localhost/", 8765),
            ("127.1", 8765),
            ("127.0.0.1", site.port),
            ("wss://127.0.0.1", site.port),
            ("127.0.0.1", liar.port),
            ("127.0.0.1", noise.port),
            ("127.0.0.1", closing.port),
            ("127.0.0.1", silent.port),
            ("wss://127.0.0.1", silent.port),
        )
        told = await asyncio.gather(
            *(refusal(one, *place) for one, place in zip(people, places, strict=True))
        )
    assert len(set(told)) == 1, told
    assert (await people[0].ask("listrealm"))["realms"] == []
    assert "Traceback" not in real_server.log

    async def all_closed() -> bool:
        return len(os.listdir(f"/proc/{real_server.pid}/fd")) <= files

    await eventually(all_closed)


GARBAGE: list[str | bytes] = [
    "",
    "[]",
    "OK nice",
    b"\x00\xff",
    "x" * 9_000,
    "x" * (2**20 + 1),
    '{"status":"OK"}',
    '{"status":"ERROR"}',
    '{"status":"ERROR","code":"realm_refused","message":5}',
    '{"status":"ERROR","code":["x"],"message":"x"}',
    '{"status":"ERROR","code":"realm_refused","message":"no","self":1,"message_":2}',
    '{"status":"ERROR","code":"realm_refused","message":"\\n\\u001b[2Jgone"}',
    '{"status":"OK","version":2,"name":"x","key":"","nonce":"","signature":""}',
    '{"status":"OK","version":1,"name":5,"key":[],"nonce":{},"signature":null}',
    '{"status":"OK","version":1,"name":"a b","key":"eA==","nonce":"eA==","signature":"eA=="}',
    '{"event":"message"}',
    "[" * 8_000,
]


async def test_whatever_a_websocket_says_that_is_no_realm_is_refused_in_the_same_words(
    real_server: RealServer, enter: Enter
) -> None:
    people = [await enter(real_server, f"p{number}") for number, _ in enumerate(GARBAGE)]
    said = iter(GARBAGE)

    async def connected(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(next(said))
        await socket.wait_closed()

    async with serve(connected, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        told = set(await asyncio.gather(*(refusal(one, "127.0.0.1", port) for one in people)))
    assert len(told) == 1 and next(said, None) is None
    assert "Traceback" not in real_server.log and "\x1b[2J" not in real_server.log


async def test_neither_redirects_nor_proxies_are_followed(tmp_path: Path) -> None:
    async with web(HTTP) as target:
        moved = b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:%d/\r\nContent-Length: 0\r\n\r\n"
        async with web(moved % target.port) as site:
            proxy = f"http://127.0.0.1:{target.port}"
            names = ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "HTTP_PROXY")
            server = RealServer(tmp_path, environment=dict.fromkeys(names, proxy))
            await asyncio.to_thread(server.start)
            try:
                emil = await RawClient.signed_in(server.url, "emil")
                await refusal(emil, "127.0.0.1", site.port)
                await emil.close()
            finally:
                server.kill()
            assert (site.count, target.count) == (1, 0)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::ffff:127.0.0.1", "10.255.1.1"])
async def test_a_public_realm_dials_nothing_of_its_own_network(
    public: RealServer, enter: Enter, address: str
) -> None:
    emil = await enter(public, f"emil-{address}".replace(":", "."))
    async with web(HTTP) as site:
        await refusal(emil, address, site.port)
        assert site.count == 0


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A realm that faces the internet."""
    server = RealServer(tmp_path_factory.mktemp("public"), "--public", "--realms", "open")
    server.start()
    yield server
    server.kill()


async def test_only_a_few_are_added_at_once_and_the_others_wait_no_longer(
    start: Start, enter: Enter
) -> None:
    alpha = await start("alpha")
    people = [await enter(alpha, f"p{number}") for number in range(12)]
    async with web(hold=True) as silent:
        asking = [asyncio.create_task(refusal(one, "127.0.0.1", silent.port)) for one in people]
        done, _ = await asyncio.wait(asking, timeout=4)
        assert (len(done), silent.count) == (0, 8)
        await asyncio.wait(asking)
        assert len({task.result() for task in asking}) == 1
