"""The cost of the client library, compared with plain `websockets` and orjson.

Run it as `python -m benchmarks.client`. Rounds of both alternate. The other side is a separate
process, on another core if there is one, that answers at once and stores nothing: the client is
measured, not a server.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from itertools import count
from statistics import median
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection

from shared.client import ChatClient, MessageArrived
from tests.client.scripted import Scripted, answer

SENDS = 20_000
EVENTS = 50_000
IN_FLIGHT = 64
ROUNDS = 5
TEXT = "x" * 64
SEQS = count(1)
SENT = (
    '{"status":"OK","command":"send","id":"%s","message":"Sent to bench as message 4",'
    '"conversation":"bench","seq":%d,"message_id":"m_0123456789abcdef","time":1795395768254,'
    '"state":"stored"}'
)


async def plain_connection(url: str) -> ClientConnection:
    socket = await connect(url, proxy=None, compression=None)
    await plain_ask(socket, command="auth", id="0", user="bench", password="secret1")
    return socket


async def plain_ask(socket: ClientConnection, **body: Any) -> None:
    await socket.send(orjson.dumps(body).decode())
    while "event" in orjson.loads(await socket.recv()):
        pass


async def plain_sends(url: str) -> float:
    """Return sends a second."""
    socket = await plain_connection(url)
    begun, sent = time.perf_counter(), 0
    for answered in range(SENDS):
        while sent < min(SENDS, answered + IN_FLIGHT):
            sent += 1
            body = {
                "command": "send",
                "id": str(sent),
                "to": "bench",
                "text": TEXT,
                "idempotency_key": f"{begun}-{sent}",
            }
            await socket.send(orjson.dumps(body).decode())
        assert orjson.loads(await socket.recv())["status"] == "OK"
    took = time.perf_counter() - begun
    await socket.close()
    return SENDS / took


async def client_sends(url: str) -> float:
    async with ChatClient(url) as client:
        await client.auth("bench", "secret1")

        async def send(count: int) -> None:
            for _ in range(count):
                await client.send("bench", TEXT)

        begun = time.perf_counter()
        await asyncio.gather(*(send(SENDS // IN_FLIGHT) for _ in range(IN_FLIGHT)))
        return SENDS // IN_FLIGHT * IN_FLIGHT / (time.perf_counter() - begun)


async def plain_events(url: str) -> float:
    """Return events a second."""
    socket = await plain_connection(url)
    await socket.send('{"command":"ping","id":"1"}')
    begun, seen = time.perf_counter(), 0
    async for frame in socket:
        seen += orjson.loads(frame).get("event") == "message"
        if seen == EVENTS:
            break
    took = time.perf_counter() - begun
    await socket.close()
    return EVENTS / took


async def client_events(url: str) -> float:
    async with ChatClient(url) as client:
        await client.auth("bench", "secret1")
        await client.ping()
        begun, seen = time.perf_counter(), 0
        async for event in client.events():
            seen += isinstance(event, MessageArrived)
            if seen == EVENTS:
                break
        took = time.perf_counter() - begun
    return EVENTS / took


async def play(socket: ServerConnection, body: dict[str, Any]) -> bool:
    """Answer sends at once; after a ping, push all events as fast as they are read."""
    if body["command"] == "send":
        await socket.send(SENT % (body["id"], next(SEQS)))
        return True
    if body["command"] != "ping":
        return False
    await answer(socket, body)
    head = '{"event":"message","id":"m_0123456789abcdef","conversation":"bob","seq":'
    tail = f',"from":"bob","time":1795395768254,"text":"{TEXT}"}}'
    for seq in range(1, EVENTS + 1):
        await socket.send(f"{head}{seq}{tail}")
    return True


async def other_side() -> None:
    """Serve the clients, in a process of its own."""
    async with Scripted(play) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()


async def compare(
    what: str,
    url: str,
    plain: Callable[[str], Awaitable[float]],
    ours: Callable[[str], Awaitable[float]],
) -> None:
    ratios = []
    for _ in range(ROUNDS):
        a, b = await plain(url), await ours(url)
        ratios.append(b / a)
        print(f"{what}: plain {a:,.0f}/s, ChatClient {b:,.0f}/s, ratio {b / a:.2f}")
    print(f"{what}: median ratio {median(ratios):.2f}")


async def main() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.client", "other side"), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) > 1:
        os.sched_setaffinity(process.pid, {cpus[0]})
        os.sched_setaffinity(0, {cpus[1]})
    try:
        await compare("sends", url, plain_sends, client_sends)
        await compare("events", url, plain_events, client_events)
    finally:
        process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(other_side() if sys.argv[1:] else main())
