"""Properties that only a real browser shows: the page is drawn, and contacts no other host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import quote, urlsplit

import pytest
from playwright.async_api import Response

from tests.flet_app.apps import App
from tests.flet_app.chromium import LIMIT, window
from tests.flet_app.probe import ROW

pytestmark = pytest.mark.system
LETTERS = "🎉🐈 👍❤ ગજ ꦏꦱ 数学 هم नम ひら 한국 สว של বক தக աբ აბ ∑∀ ☃☎ жщ ωψ"
"""Two letters of each script that the app can draw."""
ATTEMPTS = {
    "connect-src": "fetch('http://127.0.0.1:9/').catch(() => 0)",
    "img-src": "new Image().src = 'http://127.0.0.1:9/'",
    "script-src-elem": "document.head.append(Object.assign("
    "document.createElement('script'), {textContent: 'window.ran = 1'}))",
    "style-src-elem": "document.head.append(Object.assign("
    "document.createElement('link'), {rel: 'stylesheet', href: 'http://127.0.0.1:9/'}))",
}
"""What a script of somebody else's would try, by what of the policy stops it."""


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    found = App(tmp_path_factory.mktemp("chat"))
    yield found
    found.kill()


async def test_the_app_draws_itself_and_asks_nobody_else(chat: App) -> None:
    async with window(locale="id-ID", timezone_id="Asia/Jakarta") as browser:
        await browser.open(f"http://localhost:{chat.port}/")
        cookies = {cookie["name"]: cookie for cookie in await browser.page.context.cookies()}
        assert cookies["chat_zone"]["value"] == "Asia%2FJakarta"
        assert cookies["chat_browser"]["httpOnly"]
        assert cookies["chat_browser"]["sameSite"] == "Strict"
        hosts = {urlsplit(url).netloc for url in browser.asked if url.startswith("http")}
        assert hosts == {f"localhost:{chat.port}"}
        assert all("rive" in url for url in browser.refused), browser.refused


async def test_the_policy_stops_what_a_page_would_fetch_or_run(chat: App) -> None:
    async with window() as browser:
        await browser.page.goto(f"http://localhost:{chat.port}/healthz")
        for directive, attempt in ATTEMPTS.items():
            stopped = await browser.page.evaluate(
                "() => new Promise((stopped) => { addEventListener('securitypolicyviolation', "
                f"(e) => stopped(e.effectiveDirective), {{once: true}}); {attempt}; }})"
            )
            assert stopped == directive


async def test_scripts_of_the_world_are_drawn(app: App) -> None:
    """A letter without a glyph is a box, so two of them look alike."""
    pairs = LETTERS.split()
    alike = set(pairs)
    missing: list[str] = []

    def look(response: Response) -> None:
        if response.status >= 400:
            missing.append(response.url)

    async with window(viewport={"width": 800, "height": 2 * ROW * len(pairs)}) as browser:
        browser.page.on("response", look)
        text = quote("".join(pairs))
        await browser.page.goto(f"http://localhost:{app.port}/letters?letters={text}")
        async with asyncio.timeout(LIMIT / 1000):
            while alike:
                await browser.page.wait_for_timeout(200)  # fonts come one by one
                pictures = [
                    await browser.page.screenshot(
                        clip={"x": 0, "y": row * ROW, "width": ROW, "height": ROW}
                    )
                    for row in range(2 * len(pairs))
                ]
                alike = {
                    pair
                    for pair, one, other in zip(pairs, pictures[::2], pictures[1::2], strict=True)
                    if one == other
                }
        assert missing == []
