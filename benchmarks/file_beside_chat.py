"""The effect of a 50 MB file on the latency of 100 people who chat meanwhile.

Run it as `python -m benchmarks.file_beside_chat`. Rounds without and with the file alternate. The
chat is an open loop of RATE messages a second between 50 pairs; the server has one core and this
load generator another, if there are two. Latency is from the send to the recipient's push.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

from tests.rawclient import RawClient
from tests.realserver import RealServer

PEOPLE = 100
RATE = 1_000
SECONDS = 6.0
FILE_SIZE = 50_000_000
ROUNDS = 3


class Chat:
    """The clients of the chat; every text contains the time when it was sent."""

    def __init__(self, sockets: list[ClientConnection]) -> None:
        self._sockets = sockets
        self.latencies: list[float] = []

    async def listen(self, socket: ClientConnection) -> None:
        async for frame in socket:
            body: dict[str, Any] = orjson.loads(frame)
            if body.get("event") == "message":
                self.latencies.append(time.perf_counter() - float(body["text"]))
            elif body.get("status") == "ERROR":
                raise RuntimeError(body)

    async def talk(self, until: asyncio.Event) -> None:
        begin, sent = time.perf_counter(), 0
        while not until.is_set():
            while sent < (time.perf_counter() - begin) * RATE:
                sender = sent % PEOPLE
                text = f"{time.perf_counter():.6f}"
                body = {"command": "send", "to": f"p{sender ^ 1}", "text": text}
                await self._sockets[sender].send(orjson.dumps(body).decode())
                sent += 1
            await asyncio.sleep(0.001)


async def send_file(url: str, content: bytes) -> float:
    """Upload the file as fast as the server accepts it; return the duration in seconds."""
    sender = await RawClient.signed_in(url, "sender", register=False)
    begin = time.perf_counter()
    opened = await sender.ask(
        "upload",
        to="receiver",
        name="film.mp4",
        size=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
    )
    offset, chunk = 0, opened["chunk"]
    while offset < len(content):
        data = base64.b64encode(content[offset : offset + chunk]).decode()
        taken = await sender.ask("chunk", upload=opened["upload"], offset=offset, data=data)
        offset = taken["offset"]
    took = time.perf_counter() - begin
    await sender.close()
    return took


async def fetch_file(url: str, seen: asyncio.Event) -> None:
    """Download the file as an app does, by getfile after its message."""
    receiver = await RawClient.signed_in(url, "receiver", register=False)
    seen.set()
    message = await receiver.event("message")
    await receiver.ask("getfile", file=message["file"]["id"])
    while not (await receiver.event("file"))["last"]:
        pass
    await receiver.close()


async def transfer(url: str) -> None:
    """Upload the file and download it again."""
    ready = asyncio.Event()
    content = os.urandom(FILE_SIZE)
    fetching = asyncio.create_task(fetch_file(url, ready))
    await ready.wait()
    print("ready", flush=True)
    begin = time.perf_counter()
    uploaded = await send_file(url, content)
    await fetching
    took = time.perf_counter() - begin
    print(f"  file of {FILE_SIZE:,} bytes: up in {uploaded:.1f} s, fetched after {took:.1f} s")


async def chatting(url: str, sockets: list[ClientConnection], file_too: bool) -> list[float]:
    chat = Chat(sockets)
    listening = [asyncio.create_task(chat.listen(socket)) for socket in sockets]
    stop = asyncio.Event()
    talking = asyncio.create_task(chat.talk(stop))
    await asyncio.sleep(1)
    chat.latencies.clear()
    if file_too:
        # In a separate process; otherwise the generator would measure its own delays.
        sending = await asyncio.create_subprocess_exec(
            *("nice", sys.executable, "-m", "benchmarks.file_beside_chat", url),
            stdout=asyncio.subprocess.PIPE,
        )
        assert sending.stdout is not None
        await sending.stdout.readline()
        # Only latencies during the transfer count.
        chat.latencies.clear()
        print((await sending.stdout.readline()).decode(), end="")
        await sending.wait()
    else:
        await asyncio.sleep(SECONDS)
    latencies = sorted(chat.latencies)
    stop.set()
    await talking
    await asyncio.sleep(0.5)
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    return latencies


async def measure(server: RealServer) -> None:
    for name in ("sender", "receiver", *(f"p{i}" for i in range(PEOPLE))):
        await (await RawClient.signed_in(server.url, name)).close()
    sockets = []
    for i in range(PEOPLE):
        socket = await connect(server.url, proxy=None, compression=None)
        await socket.send(
            orjson.dumps({"command": "auth", "user": f"p{i}", "password": f"secret-p{i}"}).decode()
        )
        await socket.recv()
        sockets.append(socket)
    ratios = []
    for _ in range(ROUNDS):
        p99 = {}
        for file_too in (False, True):
            latencies = await chatting(server.url, sockets, file_too)
            p99[file_too] = latencies[int(len(latencies) * 0.99)] * 1e3
            print(
                f"{'with the file' if file_too else 'without':>13}: "
                f"median {median(latencies) * 1e3:.2f} ms, p99 {p99[file_too]:.2f} ms"
            )
        ratios.append(p99[True] / p99[False])
    print(f"median ratio of the p99s: {median(ratios):.2f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = RealServer(Path(folder))
        server.start()
        try:
            cpus = sorted(os.sched_getaffinity(0))
            if len(cpus) > 1:
                for task in os.listdir(f"/proc/{server.pid}/task"):
                    os.sched_setaffinity(int(task), {cpus[0]})
                os.sched_setaffinity(0, {cpus[1]})
            asyncio.run(measure(server))
        finally:
            server.kill()


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(transfer(sys.argv[1]))
    else:
        main()
