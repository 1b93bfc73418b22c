"""Commands and waits that tests of links between realms share."""

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
    """Poll until the answer is true, and return it; for conditions without an event."""
    deadline = time.monotonic() + LIMIT
    while not (answer := await holds()):
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.05)
    return answer


async def operate(server: RealServer, command: str, **given: str) -> list[str]:
    """Run an admin command against a running server and return its output."""
    said: list[str] = []
    await control.call(server.data, command, given, said.append)
    return said


async def add(client: RawClient, name: str, server: RealServer, **more: Any) -> dict[str, Any]:
    """Send `addrealm` and return the reply, success or error."""
    return await client.say("addrealm", name=name, address="127.0.0.1", port=server.port, **more)


async def realm(client: RawClient, name: str) -> dict[str, Any]:
    """Return the entry of a realm in `listrealm`; empty if it has none."""
    found = (await client.ask("listrealm"))["realms"]
    return next((one for one in found if one["realm"] == name), {})


async def link_is(client: RawClient, name: str, link: str) -> None:
    """Wait until a realm's link is up or down; the client must be an admin, who gets the event."""
    while (await realm(client, name)).get("link") != link:
        await client.event("realm")


async def join(client: RawClient, name: str, server: RealServer) -> None:
    """Add a realm under a name and wait until its link is up; the client must be an admin."""
    await add(client, name, server)
    await link_is(client, name, "up")


async def texts(client: RawClient, conversation: str) -> list[str]:
    """Return the texts of a conversation."""
    reply = await client.say("history", conversation=conversation)
    return [message["text"] for message in reply.get("messages", [])]


async def idle(client: RawClient) -> bool:
    """Return whether all outboxes are empty."""
    return all(row["queued"] == 0 for row in (await client.ask("listrealm"))["realms"])


async def share_group(ana: RawClient, bob: RawClient, beta: RealServer) -> str:
    """Link ana's realm to bob's, beta, and return a group of hers with both as members."""
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
