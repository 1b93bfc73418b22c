"""The cost of a link between two realms on this machine.

Run it as `python -m benchmarks.realms`. All figures are of one run, so compare ratios: the latency
from `sendpcrealm` to the push in the other realm beside that of `send` within one realm and beside
a bare synced commit; messages a second with both realms' disks; delivery to a realm after its
absence; and the first figure again while 49 known realms are absent.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection

from benchmarks.commits import Commits
from tests.federation.impostor import Impostor
from tests.rawclient import RawClient
from tests.realserver import RealServer

PAIRS = 20
RATE = 500
SECONDS = 10.0
IN_FLIGHT = 32
"""Unanswered messages of one sender in the closed loop."""
WAITING = 10_000
AWAY = 49
DEAD_PORT = 9
"""A port without a listener."""


class Crowd:
    """Senders in alpha, and their recipients in beta or alpha."""

    def __init__(self, senders: list[RawClient], receivers: list[RawClient], to: list[str]) -> None:
        self.senders = senders
        self.receivers = receivers
        self.to = to
        self.latencies: list[float] = []
        self.answered = 0
        self._room = [asyncio.Semaphore(IN_FLIGHT) for _ in senders]

    async def _hear(self, socket: ClientConnection, room: asyncio.Semaphore | None) -> None:
        async for frame in socket:
            body: dict[str, Any] = orjson.loads(frame)
            if body.get("event") == "message" and room is None:
                self.latencies.append(time.perf_counter() - float(body["text"]))
            elif body.get("status") == "ERROR":
                raise RuntimeError(body)
            elif "status" in body and room is not None:
                self.answered += 1
                room.release()

    async def _send(self, sender: int) -> None:
        text = f"{time.perf_counter():.6f}"
        await self.senders[sender].send("send", to=self.to[sender], text=text)

    async def _steadily(self) -> None:
        begun, sent = time.perf_counter(), 0
        while True:
            while sent < (time.perf_counter() - begun) * RATE:
                await self._send(sent % len(self.senders))
                sent += 1
            await asyncio.sleep(0.001)

    async def _as_fast_as_answered(self, sender: int) -> None:
        while True:
            await self._room[sender].acquire()
            await self._send(sender)

    async def run(self, *, steadily: bool) -> tuple[list[float], float]:
        """Return the latencies of SECONDS, sorted, and the answers a second."""
        tasks = [asyncio.create_task(self._hear(c.socket, None)) for c in self.receivers]
        tasks += [
            asyncio.create_task(self._hear(c.socket, room))
            for c, room in zip(self.senders, self._room, strict=True)
        ]
        if steadily:
            talking = [asyncio.create_task(self._steadily())]
        else:
            talking = [
                asyncio.create_task(self._as_fast_as_answered(n)) for n in range(len(self.senders))
            ]
        await asyncio.sleep(1)
        self.latencies, self.answered = [], 0
        await asyncio.sleep(SECONDS)
        found, answered = sorted(self.latencies), self.answered / SECONDS
        for task in talking:
            task.cancel()
        await asyncio.sleep(2)  # until messages in transit arrive
        for task in tasks:
            if task.done() and task.exception():
                raise RuntimeError("a client has ended") from task.exception()
            task.cancel()
        await asyncio.gather(*tasks, *talking, return_exceptions=True)
        return found, answered


def percent(found: Sequence[float], share: float) -> float:
    """Return a percentile of latencies in milliseconds."""
    return sorted(found)[min(len(found) - 1, int(len(found) * share))] * 1000


def memory(server: RealServer) -> int:
    """Return the peak memory of a server in MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


async def crowd(alpha: RealServer, beta: RealServer, *, abroad: bool) -> Crowd:
    """Sign in PAIRS pairs."""
    kind = "abroad" if abroad else "here"
    there = beta if abroad else alpha
    senders, receivers, to = [], [], []
    for number in range(PAIRS):
        known = f"{kind}-r{number}"
        senders.append(await RawClient.signed_in(alpha.url, f"{kind}-s{number}", register=False))
        receivers.append(await RawClient.signed_in(there.url, known, register=False))
        to.append(f"{known}@beta" if abroad else known)
    return Crowd(senders, receivers, to)


async def register(alpha: RealServer, beta: RealServer) -> RawClient:
    """Register all accounts and link both realms; return alpha's admin."""
    admin = await RawClient.signed_in(alpha.url, "admin")
    for server, names in ((alpha, ("abroad-s", "here-s", "here-r")), (beta, ("abroad-r",))):
        for name in (f"{kind}{number}" for kind in names for number in range(PAIRS)):
            await (await RawClient.signed_in(server.url, name)).close()
    await admin.ask("addrealm", name="beta", address="127.0.0.1", port=beta.port)
    await until(admin, lambda realm: realm["link"] == "up")
    return admin


async def until(client: RawClient, holds: Callable[[dict[str, Any]], bool]) -> None:
    """Wait until a condition on beta holds; beta is the first realm in alpha's list."""
    while not holds((await client.ask("listrealm"))["realms"][0]):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.1)


async def latency(what: str, of: Crowd, folder: Path) -> None:
    with Commits(folder) as commits:
        found, _ = await of.run(steadily=True)
    bare = percent(commits.seconds, 0.99)
    p50, p99 = percent(found, 0.5), percent(found, 0.99)
    print(
        f"{what}: {len(found) / SECONDS:.0f} messages/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms;"
        f" a bare commit {percent(commits.seconds, 0.5):.1f} and {bare:.1f} ms;"
        f" p99 of both {p99 / bare:.1f} : 1",
        flush=True,
    )


async def after_an_absence(alpha: RealServer, beta: RealServer) -> None:
    """Let WAITING messages wait for beta, then measure their delivery."""
    sender = await RawClient.signed_in(alpha.url, "abroad-s0", register=False)
    beta.kill()
    before = memory(alpha)
    for first in range(0, WAITING, 500):
        for number in range(first, first + 500):
            await sender.send("send", to="abroad-r0@beta", text=f"waits {number}")
        for _ in range(500):
            assert (await sender.reply())["state"] == "queued"
    held = memory(alpha)
    await asyncio.to_thread(beta.start)
    begun = time.perf_counter()
    receiver = await RawClient.signed_in(beta.url, "abroad-r0", register=False)
    await until(sender, lambda realm: realm["queued"] == 0)
    took = time.perf_counter() - begun
    texts: list[str] = []
    earlier: dict[str, int] = {}
    while len(texts) < WAITING:
        page = await receiver.ask("history", conversation="abroad-s0@alpha", limit=200, **earlier)
        earlier = {"before": page["messages"][0]["seq"]}
        texts = [m["text"] for m in page["messages"]] + texts
    assert texts[-WAITING:] == [f"waits {number}" for number in range(WAITING)]
    print(
        f"{WAITING:,} messages waiting: all delivered in order {took:.1f} s after the return;"
        f" sender's memory at most {before} MiB before, {held} with all waiting,"
        f" {memory(alpha)} afterwards",
        flush=True,
    )
    for client in (sender, receiver):
        await client.close()


async def know_others(alpha: RealServer) -> None:
    """Add absent realms to alpha, each with messages in its outbox."""
    sender = await RawClient.signed_in(alpha.url, "admin", register=False)
    for number in range(AWAY):
        away = await Impostor.linked(alpha.url, f"x-away-{number:02}", port=DEAD_PORT)
        await away.close()
        for text in range(20):
            await sender.ask("send", to=f"x@x-away-{number:02}", text=f"{text}")
    await sender.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        servers = []
        for realm in ("alpha", "beta"):
            (folder / realm).mkdir()
            servers.append(RealServer(folder / realm, "--realm", realm))
        alpha, beta = servers
        try:
            for server in servers:
                server.start()
            admin = await register(alpha, beta)
            here = await crowd(alpha, beta, abroad=False)
            abroad = await crowd(alpha, beta, abroad=True)
            await latency("within one realm", here, folder)
            await latency("to the other realm", abroad, folder)
            _, within = await here.run(steadily=False)
            _, across = await abroad.run(steadily=False)
            print(
                f"as fast as answered: {within:.0f} messages/s within one realm,"
                f" {across:.0f} over one link, stored by both",
                flush=True,
            )
            await admin.close()
            await after_an_absence(alpha, beta)
            abroad = await crowd(alpha, beta, abroad=True)
            await latency("to the other realm, again", abroad, folder)
            await know_others(alpha)
            await latency(f"the same with {AWAY} more realms that are away", abroad, folder)
        finally:
            for server in servers:
                server.kill()


if __name__ == "__main__":
    asyncio.run(main())
