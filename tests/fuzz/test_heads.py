"""Heads of requests that nobody should send: answered or closed, and nothing of them stays."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from random import Random

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.wire import HANDSHAKE
from tests.test_observability import rows

pytestmark = pytest.mark.system
COUNT = 400
PIECES = [
    *(b"GET", b"POST", b" ", b"/", b"//x/metrics", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9", b"\r\n"),
    *(
        b"\n",
        b"\r",
        b"\0",
        b"\xff",
        b":",
        b"Host: localhost\r\n",
        b"Host:\r\n",
        b"Origin: null\r\n",
    ),
    *(b"Upgrade: websocket\r\n", b"Connection: Upgrade\r\n", b'Connection: ,;="\r\n'),
    *(b"Sec-WebSocket-Version: 13\r\n", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
    *(b"Sec-WebSocket-Key: \xe9\r\n", b'Sec-WebSocket-Extensions: a; b="\r\n', b" folded\r\n"),
    *(b"Sec-WebSocket-Protocol: ,,\r\n", b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n"),
    *(
        b"Content-Length: 99999999999\r\n",
        b"Expect: 100-continue\r\n",
        b"x" * 9_000,
        b"\x16\x03\x01",
    ),
    *(b"X-Forwarded-For: " + b"1," * 3_000 + b"\r\n", b"Origin: http://[\r\n", b"Host: [::1\r\n"),
    b"A: b\r\n" * 200,
]


def any_head(chance: Random) -> bytes:
    """Return a good head that was spoilt, or pieces of heads by chance."""
    if chance.random() < 0.5:
        head = bytearray(HANDSHAKE)
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(len(head))
            head[at : at + chance.randrange(3)] = chance.choice(PIECES)
        return bytes(head)
    return b"".join(chance.choices(PIECES, k=chance.randrange(1, 30)))


async def send(port: int, head: bytes, chance: Random) -> bytes:
    """Send a head, in two parts perhaps, and return the first of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(OSError, TimeoutError):
        cut = chance.randrange(len(head) + 1)
        writer.write(head[:cut])
        await asyncio.sleep(0)
        writer.write(head[cut:])
        if chance.random() < 0.7:
            writer.write_eof()
        async with asyncio.timeout(0.2):
            answer = await reader.read(64)
    writer.transport.abort()
    return answer


def resident(server: RealServer) -> int:
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


async def test_no_head_of_a_request_does_harm(tmp_path: Path) -> None:
    server = RealServer(tmp_path, "--rate-limits", "on", "--trusted-proxies", "127.0.0.1")
    server.start()
    try:
        client = await RawClient.signed_in(server.url, "alice")
        chance = Random(9)
        for head in (b"\r\n\r\n", b"GET", HANDSHAKE * 2, HANDSHAKE + b"\x81", b"\0" * 20_000):
            await send(server.port, head, chance)
        before = resident(server)
        statuses = set()
        for _ in range(COUNT // 20):
            heads = [any_head(chance) for _ in range(20)]
            for answer in await asyncio.gather(*(send(server.port, h, chance) for h in heads)):
                assert answer == b"" or answer.startswith(b"HTTP/1.1 "), answer
                statuses.add(answer[9:12])
            await client.ask("ping")
        assert b"500" not in statuses and {b"101", b"400"} <= statuses, statuses
        assert resident(server) - before < 24
        await client.close()
        explained = {name for name in rows("The log") if "…" not in name}
        for line in server.log.splitlines():
            if line.startswith("timestamp="):
                found = re.search(r'event=(?:"([^"]*)"|(\S+))', line)
                assert found and (found[1] or found[2]) in explained, line
        assert "Traceback" not in server.log
    finally:
        server.kill()


async def test_a_head_of_more_than_16_kib_is_refused_at_once(server: RealServer) -> None:
    """It could have a megabyte, of a hundred lines."""
    head = (
        HANDSHAKE[:-2] + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 200) for n in range(100)) + b"\r\n"
    )
    assert (await send(server.port, head, Random(1))).startswith(b"HTTP/1.1 431 ")
