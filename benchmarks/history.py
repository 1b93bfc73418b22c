"""The time to read a history page of 50 messages out of 1,000 and out of 1,000,000.

Run it as `python -m benchmarks.history`. Both conversations are in one database and are read
alternately, the newest page, a middle page and the oldest page, so that noise affects both equally.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.rawclient import RawClient
from tests.realserver import RealServer

SIZES = {"small": 1_000, "large": 1_000_000}
ROUNDS = 300


def fill(database: Path, conversation: int, sender: int, count: int) -> None:
    """Add messages to a conversation that has one."""
    with sqlite3.connect(database) as connection:
        connection.execute(
            """
            WITH RECURSIVE n(seq) AS (SELECT 2 UNION ALL SELECT seq + 1 FROM n WHERE seq < ?)
            INSERT INTO messages (conversation_id, seq, id, sender_id, time, text)
            SELECT ?, seq, 'm_' || ? || '_' || seq, ?, 1700000000000 + seq, printf('%064d', seq)
            FROM n
            """,
            (count, conversation, conversation, sender),
        )
        connection.execute(
            "UPDATE conversations SET last_seq = ? WHERE id = ?", (count, conversation)
        )


async def ask(server: RealServer) -> dict[str, list[float]]:
    alice = await RawClient.signed_in(server.url, "alice", register=False)
    took: dict[str, list[float]] = {name: [] for name in SIZES}
    for _ in range(ROUNDS):
        for name, size in SIZES.items():
            before = random.choice((None, size // 2, 51))
            page = {} if before is None else {"before": before}
            begin = time.perf_counter()
            reply = await alice.ask("history", conversation=name, limit=50, **page)
            took[name].append(time.perf_counter() - begin)
            assert len(reply["messages"]) == 50
    await alice.close()
    return took


async def prepare(server: RealServer) -> None:
    alice = await RawClient.signed_in(server.url, "alice")
    for name in SIZES:
        await (await RawClient.signed_in(server.url, name)).close()
        await alice.ask("send", to=name, text="first")
    await alice.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = RealServer(Path(folder))
        server.start()
        try:
            asyncio.run(prepare(server))
            server.stop()
            for conversation, count in enumerate(SIZES.values(), 1):
                fill(server.data / "chat.db", conversation, 1, count)
            server.start()
            took = asyncio.run(ask(server))
        finally:
            server.kill()
    for name, seconds in took.items():
        ordered = sorted(seconds)
        print(
            f"{SIZES[name]:>9,} messages: median {median(ordered) * 1e3:.2f} ms, "
            f"p99 {ordered[int(len(ordered) * 0.99)] * 1e3:.2f} ms a page"
        )
    print(f"ratio of the medians: {median(took['large']) / median(took['small']):.2f}")


if __name__ == "__main__":
    main()
