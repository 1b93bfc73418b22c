"""Debian's Chromium, without a screen or a graphics card, that notes what it asks for."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.async_api import Page, Request, async_playwright

PROGRAM = shutil.which("chromium")
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--enable-unsafe-swiftshader",
]
LIMIT = 30_000
"""Milliseconds to wait for anything; generous, as test machines are busy."""


def program() -> str:
    """Return where it is; skips the test if there is none."""
    if PROGRAM is None:
        pytest.skip("chromium is missing. On Debian: sudo apt-get install chromium")
    return PROGRAM


async def listen(page: Page) -> None:
    """Have the app speak to screen readers, which tests are."""
    switch = page.locator("flt-semantics-placeholder")
    await switch.wait_for(state="attached", timeout=LIMIT)
    await switch.dispatch_event("click")


@dataclass
class Window:
    """A window of a browser of its own, with cookies and storage of its own."""

    page: Page
    asked: list[str] = field(default_factory=list)
    """URLs it has asked for and got."""
    refused: list[str] = field(default_factory=list)
    """URLs that came to nothing."""

    async def open(self, url: str) -> None:
        """Load the app and have it speak to screen readers, which tests are."""
        await self.page.goto(url)
        await listen(self.page)

    async def sees(self, text: str) -> None:
        await self.page.get_by_text(text).first.wait_for(timeout=LIMIT)


@asynccontextmanager
async def window(**options: Any) -> AsyncIterator[Window]:
    """Open one; skips the test if there is no Chromium."""
    path = program()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        context = await browser.new_context(**options)
        found = Window(await context.new_page())

        def note(request: Request) -> None:
            found.asked.append(request.url)

        def miss(request: Request) -> None:
            found.refused.append(request.url)

        found.page.on("requestfinished", note)
        found.page.on("requestfailed", miss)
        try:
            yield found
        finally:
            await browser.close()
