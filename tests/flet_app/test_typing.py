"""What is typed arrives, whole and once, however far away the app is; see docs/app.md, Writing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.flet_app.typist import Typist, account, chromium, sit_down
from tests.proxy import Proxy
from tests.realserver import RealServer

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(300),
    # One browser for all: starting the engine in a new one takes seconds.
    pytest.mark.asyncio(loop_scope="module"),
]
LINES = [f"line {n} fox" for n in range(8)]
NAMES = count()


@dataclass
class Desk:
    browser: Browser
    server: RealServer
    proxy: Proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(web_realm: RealServer) -> AsyncIterator[Desk]:
    async with chromium() as browser, Proxy(web_realm.web_port) as proxy:
        yield Desk(browser, web_realm, proxy)


@pytest_asyncio.fixture(loop_scope="module")
async def ana(desk: Desk) -> AsyncIterator[Typist]:
    """Somebody new at a window, with a chat with themself open and the box ready."""
    desk.proxy.delay = 0
    name = f"ana{next(NAMES)}"
    client = await account(desk.server, name)
    typist = await sit_down(desk.browser, desk.proxy, client, f"/c/{name}")
    await typist.until_box("")
    await typist.place(name)
    yield typist
    assert typist.errors == []
    await typist.close()
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("round_trip", [0, 100, 300])
async def test_lines_typed_without_pause_lost_letters(ana: Typist, round_trip: int) -> None:
    ana.far(round_trip)
    await ana.types(*LINES)
    assert await ana.texts(ana.client.user, len(LINES)) == LINES
    await ana.until_box("")
