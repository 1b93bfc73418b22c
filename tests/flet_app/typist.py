"""Somebody who types without pause, far away from the app: real keys, and nothing is typed twice.

The app does not speak to a screen reader here, as for nearly everybody: what it shows is a picture,
so what came of the keys is asked of the realm and of the one box that has the focus.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Browser, CDPSession, Locator, Page, async_playwright

from shared.client import ChatClient
from tests.flet_app.chromium import FLAGS, LIMIT, listen, program
from tests.flet_app.talk import DESKTOP, PASSWORD
from tests.proxy import Proxy
from tests.realserver import RealServer

KEY = 80
"""Milliseconds between two keys of somebody who types fast."""
Spot = tuple[float, float]


class Typist:
    """One window of one person, behind a proxy that delays."""

    def __init__(self, page: Page, cdp: CDPSession, client: ChatClient, proxy: Proxy) -> None:
        self.page = page
        self.cdp = cdp
        self.client = client
        self.proxy = proxy
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def far(self, round_trip: int) -> None:
        """Put the app so many milliseconds away."""
        self.proxy.delay = round_trip / 2000

    async def types(self, *lines: str) -> None:
        """Type lines, each ended by Enter, without looking."""
        for line in lines:
            await self.page.keyboard.type(line, delay=KEY)
            await self.page.keyboard.press("Enter")

    async def box(self) -> str:
        """What stands in the box that has the focus."""
        return str(await self.page.evaluate("document.activeElement.value ?? ''"))

    async def until_box(self, text: str) -> None:
        """Wait until a box has the focus and holds a text."""
        holds = "text => (document.activeElement?.value ?? null) === text"
        try:
            await self.page.wait_for_function(holds, arg=text, timeout=LIMIT)
        except Exception:
            raise AssertionError(f"{await self.box()!r} instead of {text!r}") from None

    async def texts(self, peer: str, count: int) -> list[str]:
        """Wait until the realm has so many messages with somebody; return them all."""
        async with asyncio.timeout(LIMIT / 1000):
            while True:
                found = [m.text for m in (await self.client.history(peer)).messages]
                if len(found) >= count:
                    # Whatever should not have been sent has been sent by now too.
                    await self.settled()
                    return [m.text for m in (await self.client.history(peer)).messages]
                await asyncio.sleep(0.05)

    async def settled(self) -> None:
        """Wait until the app has answered everything that the page has told it."""
        await self.page.wait_for_function(
            "() => { const kept = JSON.parse(sessionStorage.getItem('chat.kept') ?? '{}');"
            " return !(kept.lines ?? []).length }",
            timeout=LIMIT,
        )

    async def place(self, name: str) -> None:
        """Wait until the address bar names a conversation."""
        await self.page.wait_for_function(
            "name => location.pathname === name", arg=f"/c/{name}", timeout=LIMIT
        )

    async def click(self, spot: Spot) -> None:
        await self.page.mouse.click(*spot)

    async def key(self, type: str, key: str, code: int, **more: Any) -> None:
        """Have the browser get a key with the number that an input method gives it."""
        given = {"type": type, "key": key, "code": key, "windowsVirtualKeyCode": code, **more}
        await self.cdp.send("Input.dispatchKeyEvent", given)

    async def compose(self, text: str) -> None:
        """Have an input method show a text that is not confirmed."""
        given = {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
        await self.cdp.send("Input.imeSetComposition", given)

    async def paste(self, text: str) -> None:
        await self.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await self.page.evaluate("text => navigator.clipboard.writeText(text)", text)
        await self.page.keyboard.press("Control+V")

    async def close(self) -> None:
        await self.page.context.close()


async def middle(found: Locator) -> Spot:
    """Where something is on the screen, once it stands still there: what moves is drawn anew."""
    box, before = await found.bounding_box(timeout=LIMIT), None
    async with asyncio.timeout(LIMIT / 1000):
        while box is None or box != before:
            await asyncio.sleep(0.1)
            before, box = box, await found.bounding_box(timeout=LIMIT)
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Start a browser; skips the test if there is none."""
    path = program()
    async with async_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("flt-semantics-identifier")
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


async def account(server: RealServer, user: str) -> ChatClient:
    """Make an account and sign in; the caller leaves the client."""
    client = ChatClient(server.url, events=False)
    await client.__aenter__()
    await client.register(user, user.title(), PASSWORD, "Peru")
    await client.auth(user, PASSWORD)
    return client


async def sit_down(
    browser: Browser,
    proxy: Proxy,
    client: ChatClient,
    place: str,
    *,
    hears: bool = False,
    script: str = "",
    **options: Any,
) -> Typist:
    """Open a window of somebody who is signed in, at a conversation.

    Args:
        hears: Whether they use a screen reader.
        script: What the browser runs first, such as one that makes it an older one.
    """
    options.setdefault("viewport", DESKTOP)
    options.setdefault("locale", "en-GB")
    context = await browser.new_context(**options)
    token = f'"\\"{client.token}\\""'
    await context.add_init_script(
        f"if (!sessionStorage.signed) {{ sessionStorage.signed = 1;"
        f" localStorage['flutter.chat.token'] = {token} }}"
    )
    await context.add_init_script(script)
    page = await context.new_page()
    page.set_default_timeout(LIMIT)
    typist = Typist(page, await context.new_cdp_session(page), client, proxy)
    await page.goto(f"http://localhost:{proxy.port}{place}")
    if hears:
        await listen(page)
    return typist
