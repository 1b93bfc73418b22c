"""A server that lasts for a module, and who talks there while a test misbehaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.realserver import RealServer
from tests.system.bystanders import Chat, known
from tests.system.wire import Wire


@pytest.fixture
async def chat(server: RealServer) -> AsyncIterator[Chat]:
    """Carol and dave, who should notice nothing."""
    carol, dave = [await known(server.url, name) for name in ("carol", "dave")]
    both = Chat(carol, dave)
    await both.talk()
    yield both
    await carol.close()
    await dave.close()


@pytest.fixture
async def wires() -> AsyncIterator[None]:
    """Drop all wires when a test ends, however it ends."""
    yield
    for wire in Wire.opened:
        wire.drop()
    Wire.opened.clear()
    await asyncio.sleep(0)
