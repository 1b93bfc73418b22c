"""Fixtures for tests of the apps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from flet_app import sending, session
from flet_app.main import start
from flet_app.script import PageScript
from shared.client.notices import Online
from tests.flet_app.apps import PROBE, App
from tests.flet_app.browser import Browser
from tests.flet_app.looking import Open, Window
from tests.flet_app.scripted import Answer, ScriptedHost
from tests.flet_app.unseen import Unseen
from tests.realserver import RealServer

PER_ADDRESS = 20
"""Pages of one address at once."""
NUMBERS = count()
"""Each browser has an address of its own, as pages of one are limited."""


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One probe for all tests of a module that do not stop theirs."""
    options = ["--trusted-proxies", "127.0.0.9", "--max-address-pages", str(PER_ADDRESS)]
    found = App(tmp_path_factory.mktemp("app"), *options, program=PROBE)
    yield found
    found.kill()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the app wait for almost nothing before it tries again."""
    monkeypatch.setattr(session, "GATHER_SECONDS", 0.001)
    monkeypatch.setattr(sending, "RETRY_SECONDS", 0.001)


@pytest.fixture(scope="module")
def web_realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server that also serves the app."""
    server = RealServer(tmp_path_factory.mktemp("realm"), "--web-port", "0")
    server.start()
    yield server
    server.kill()


@pytest_asyncio.fixture
async def new_browser(app: App) -> AsyncIterator[Callable[..., Browser]]:
    """Gives browsers that are closed with the test."""
    made: list[Browser] = []

    def make(**options: Any) -> Browser:
        options.setdefault("address", f"127.1.0.{next(NUMBERS) % 250 + 1}")
        made.append(Browser(app.port, **options))
        return made[-1]

    yield make
    for browser in made:
        await browser.close()


@pytest_asyncio.fixture
async def window(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens windows: signed in, if a token is kept in the browser."""
    opened: list[Window] = []

    async def open(
        script: dict[type, Answer] | None = None,
        *,
        token: str = "kept",
        signs_in: bool = True,
        in_browser: bool = False,
        **replies: Any,
    ) -> Window:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        unseen = Unseen(get=token, **replies)
        host = ScriptedHost(folder, script)
        if in_browser:
            host.page_script = PageScript(unseen.session)
        found = Window(unseen, host)
        opened.append(found)
        await start(unseen.page, host)
        if token and signs_in:
            found.tell(Online("ana"))
            await unseen.until(lambda: "ana on alpha" in unseen.texts())
        return found

    yield open
    for each in opened:
        await each.unseen.fire(each.unseen.page, "close")
