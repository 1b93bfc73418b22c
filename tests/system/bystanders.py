"""Two people who talk while others misbehave, and should notice nothing of it."""

from __future__ import annotations

import time

from tests.rawclient import RawClient


class Chat:
    """Two people who talk, and how long each message took to arrive."""

    def __init__(self, carol: RawClient, dave: RawClient) -> None:
        self.carol = carol
        self.dave = dave
        self.seconds: list[float] = []

    async def talk(self) -> None:
        """Send one message and see it arrive."""
        begun = time.monotonic()
        sent = await self.carol.ask("send", to="dave", text="still well?")
        assert (await self.dave.event("message"))["id"] == sent["message_id"]
        self.seconds.append(time.monotonic() - begun)

    def assert_unharmed(self) -> None:
        ordered = sorted(self.seconds)
        assert ordered[(len(ordered) - 1) // 2] < 0.5, ordered
        assert ordered[-1] < 3, ordered


async def known(url: str, name: str) -> RawClient:
    """Sign in somebody who may have registered in an earlier test."""
    client = await RawClient.open(url)
    password = f"secret-{name}"
    await client.say("register", user=name, real_name=name, password=password, country="Peru")
    await client.ask("auth", user=name, password=password)
    return client
