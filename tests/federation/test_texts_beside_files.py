"""A large file delays no message of the same link: files have a separate, paced queue."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.federation.two_realms import TwoRealms, fetched, pending
from tests.rawclient import RawClient
from tests.system.transfers import announced, go_on, noise, sha256_of

SIZE = 20_000_000
LATEST = 0.5
"""Seconds for a message in the 99th percentile; queued after the file, it would need several."""


async def p99(sender: RawClient, to: str, enough: Callable[[int], bool]) -> tuple[float, int]:
    """Send messages one after the other; return the 99th percentile and their number."""
    took: list[float] = []
    while not enough(len(took)):
        begun = time.perf_counter()
        sent = await sender.ask("send", to=to, text="hi")
        took.append(time.perf_counter() - begun)
        assert sent["state"] == "delivered"
    return sorted(took)[int(len(took) * 0.99)], len(took)


async def test_texts_flow_beside_a_file_of_20_mb(linked: TwoRealms) -> None:
    ana, _, bea, bea_is = await linked.two()
    to = f"{bea_is}@beta"
    content = noise(SIZE)
    alone, _ = await p99(ana, to, lambda count: count == 300)
    await go_on(ana, announced(to, content), content)
    beside, count = await p99(ana, to, lambda count: not pending(linked.beta))
    print(f"p99 of {count} texts beside the file: {beside / alone:.1f} times that of 300 alone")
    assert count > 20
    assert beside < LATEST
    files = []
    while not files:
        event = await bea.event("message")
        files += [event["file"]] if "file" in event else []
    assert sha256_of(await fetched(bea, files[0])) == sha256_of(content)
