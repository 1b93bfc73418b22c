"""The effect of a backup of a large realm on the latency of 100 people who chat meanwhile.

Run it as `python -m benchmarks.backup_beside_chat`. The realm holds MESSAGES messages and FILES
files of 10 MB. Rounds without and with a backup alternate, with the chat and on the cores of
`benchmarks.file_beside_chat`. The backup is a separate process, as an operator starts it, and may
use any core.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.file_beside_chat import PEOPLE, Chat
from benchmarks.history import fill
from tests.rawclient import RawClient
from tests.realserver import RealServer

MESSAGES = 300_000
FILES = 20
SECONDS = 6.0
ROUNDS = 5


async def prepare(server: RealServer) -> None:
    for i in range(PEOPLE):
        await (await RawClient.signed_in(server.url, f"p{i}")).close()
    first = await RawClient.signed_in(server.url, "p0", register=False)
    await first.ask("send", to="p0", text="first")
    await first.close()


def add_files(data: Path) -> None:
    """Add contents that only the realm's table of files refers to."""
    with sqlite3.connect(data / "chat.db") as connection:
        for number in range(FILES):
            content = os.urandom(10_000_000)
            sha256 = hashlib.sha256(content).hexdigest()
            (data / "blobs" / sha256[:2]).mkdir(exist_ok=True)
            (data / "blobs" / sha256[:2] / sha256).write_bytes(content)
            connection.execute(
                "INSERT INTO files (id, conversation_id, owner_id, name, size, type, sha256) "
                "VALUES (?, 1, 1, 'x.bin', ?, 'application/octet-stream', ?)",
                (f"f_{number}", len(content), sha256),
            )
    connection.close()


async def backup(server: RealServer, archive: Path, cpus: set[int]) -> float:
    """Run a backup and return its duration in seconds."""
    begin = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ws_server", "admin", "backup", str(archive)),
        *("--data", str(server.data)),
        stdout=asyncio.subprocess.DEVNULL,
    )
    os.sched_setaffinity(process.pid, cpus)
    assert await process.wait() == 0
    return time.perf_counter() - begin


async def measure(server: RealServer, folder: Path, cpus: set[int]) -> None:
    clients = [
        await RawClient.signed_in(server.url, f"p{i}", register=False) for i in range(PEOPLE)
    ]
    chat = Chat([client.socket for client in clients])
    listening = [asyncio.create_task(chat.listen(client.socket)) for client in clients]
    stop = asyncio.Event()
    talking = asyncio.create_task(chat.talk(stop))
    ratios = []
    for _ in range(ROUNDS):
        p99 = {}
        for beside in (False, True):
            await asyncio.sleep(1)
            chat.latencies.clear()
            if beside:
                took = await backup(server, folder / "realm.tar", cpus)
            else:
                await asyncio.sleep(SECONDS)
            latencies = sorted(chat.latencies)
            p99[beside] = latencies[int(len(latencies) * 0.99)] * 1e3
            print(
                f"{f'with a backup of {took:.1f} s' if beside else 'without':>24}: "
                f"median {median(latencies) * 1e3:.2f} ms, p99 {p99[beside]:.2f} ms"
            )
        ratios.append(p99[True] / p99[False])
    print(f"median ratio of the p99s: {median(ratios):.2f}")
    stop.set()
    await talking
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for client in clients:
        await client.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = RealServer(folder)
        server.start()
        try:
            asyncio.run(prepare(server))
            server.stop()
            fill(server.data / "chat.db", 1, 1, MESSAGES)
            add_files(server.data)
            server.start()
            cpus = os.sched_getaffinity(0)
            if len(cpus) > 1:
                for task in os.listdir(f"/proc/{server.pid}/task"):
                    os.sched_setaffinity(int(task), {min(cpus)})
                os.sched_setaffinity(0, {max(cpus)})
            asyncio.run(measure(server, folder, cpus))
        finally:
            server.kill()


if __name__ == "__main__":
    main()
