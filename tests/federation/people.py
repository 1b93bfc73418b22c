"""What tests of links between realms say and wait for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from tests.rawclient import LIMIT, RawClient
from tests.realserver import RealServer
from ws_server import key
from ws_server.admin import control


async def eventually(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Ask until the answer is true, and return it; for what no event tells."""
    deadline = time.monotonic() + LIMIT
    while not (answer := await holds()):
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)
    return answer


async def operate(server: RealServer, command: str, **given: str) -> list[str]:
    """Run an admin command inside a running server and return what it says."""
    said: list[str] = []
    await control.call(server.data, command, given, said.append)
    return said


async def add(client: RawClient, name: str, server: RealServer, **more: Any) -> dict[str, Any]:
    """Say `addrealm` and return the reply, whatever it says."""
    return await client.say("addrealm", name=name, address="127.0.0.1", port=server.port, **more)


async def realm(client: RawClient, name: str) -> dict[str, Any]:
    """Return what `listrealm` says of a realm; empty if nothing."""
    found = (await client.ask("listrealm"))["realms"]
    return next((one for one in found if one["realm"] == name), {})


async def link_is(client: RawClient, name: str, link: str) -> None:
    """Wait until a realm's link is up or down; the client is an admin, who is told."""
    while (await realm(client, name)).get("link") != link:
        await client.event("realm")


async def join(client: RawClient, name: str, server: RealServer) -> None:
    """Add a realm by a name and wait until its link is up; the client is an admin."""
    await add(client, name, server)
    await link_is(client, name, "up")


async def texts(client: RawClient, conversation: str) -> list[str]:
    """Return what was written in a conversation."""
    reply = await client.say("history", conversation=conversation)
    return [message["text"] for message in reply.get("messages", [])]


async def idle(client: RawClient) -> bool:
    """Tell whether nothing waits for any realm."""
    return all(row["queued"] == 0 for row in (await client.ask("listrealm"))["realms"])


async def share_group(ana: RawClient, bob: RawClient, beta: RealServer) -> str:
    """Link ana's realm to beta, where bob is, and return a group of hers that both are in."""
    await join(ana, "beta", beta)
    group = str((await ana.ask("creategroup", name="shared"))["group"])
    await ana.ask("invitegroup", group=group, user="bob@beta")
    await bob.event("group")
    return group


def fingerprint_of(server: RealServer) -> str:
    """Return the fingerprint of a realm's own key."""
    own = key.read(server.data)
    assert own is not None
    return key.fingerprint(own.public_key().public_bytes_raw())
