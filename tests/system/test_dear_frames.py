"""Frames that are dear to read: what one connection sends must not cost memory for good."""

from __future__ import annotations

import re
from pathlib import Path

from tests.rawclient import RawClient
from tests.realserver import RealServer


def resident(server: RealServer) -> int:
    """Return the server's resident memory in MiB."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found
    return int(found.group(1)) // 1024


async def test_a_refused_frame_is_not_kept_in_memory(real_server: RealServer) -> None:
    client = await RawClient.open(real_server.url)
    frame = '{"command":"ping","a":[0' + ",{},{}" * 170_000 + "]}"
    before = resident(real_server)
    for _ in range(30):  # each kept took 30 MiB
        await client.socket.send(frame)
        assert (await client.reply())["code"] == "bad_arguments"
    assert resident(real_server) - before < 300
    await client.close()
