"""Actions of a person in the app's window, with controls found as by a screen reader."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, TimeoutError, async_playwright, expect

from tests.flet_app.chromium import FLAGS, LIMIT, listen, program
from tests.realserver import ROOT

PICTURES = Path(os.environ.get("CHAT_PICTURES") or ROOT / "pictures")
"""Where pictures of the screens go."""
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PASSWORD = "secret12"


class Person:
    """Somebody at a window."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=re.compile(f"^{_escaped(name)}(?!\\w)"))

    def box(self, name: str = "Write a message") -> Locator:
        return self.page.get_by_role("textbox", name=name)

    def conversation(self, text: str) -> Locator:
        return self.page.get_by_test_id("conversation").filter(has_text=text)

    def message(self, text: str) -> Locator:
        return self.page.get_by_test_id("message").filter(has_text=text)

    def title(self, text: str) -> Locator:
        """The header of the open conversation."""
        return self.page.get_by_test_id("title").filter(has_text=text)

    def complaint(self, sentence: str) -> Locator:
        """The error shown by a form."""
        return self.page.get_by_test_id("error").filter(has_text=sentence)

    async def load(self, url: str) -> None:
        await self.page.goto(url)
        await self.listen()

    async def listen(self) -> None:
        await listen(self.page)

    async def fill(self, **values: str) -> None:
        """Fill boxes by their names, `_` for a blank.

        The engine needs a moment to go from one box to the next, and loses what comes sooner.
        """
        for name, value in values.items():
            box = self.box(name.replace("_", " "))
            await box.click()
            await self.page.wait_for_timeout(200)
            await box.fill(value)
            await self.page.wait_for_timeout(100)

    async def submit(self, button: str, seen: Locator, **values: str) -> None:
        """Fill in a form and press its button, again if a busy engine has lost a value."""
        for _ in range(3):
            await self.fill(**values)
            await self.button(button).click()
            with suppress(TimeoutError):
                await seen.wait_for(timeout=10_000)
                return
        raise AssertionError(f"{button} with {list(values)} comes to nothing")

    async def register(self, user: str) -> None:
        await self.button("Create account").click()
        await self.box("Real name").wait_for()
        about = {"Username": user, "Real_name": user.title(), "Country": "Peru"}
        new_chat = self.button("New chat")
        await self.submit("Create account", new_chat, **about, Password=PASSWORD)

    async def chat(self, address: str) -> None:
        """Open a chat with somebody."""
        await self.button("New chat").click()
        await self.box("Person").wait_for()
        await self.submit("Open", self.title(address), Person=address)

    async def open(self, text: str) -> None:
        """Open a conversation; what is typed before it is open is meant for another one."""
        await self.conversation(text).click()
        await self.title(text).wait_for()

    async def type(self, text: str) -> None:
        """Write something without sending it, as soon as the box is clicked."""
        await self.box().click()
        if "\n" in text:
            await self.box().fill(text)
        else:
            await self.page.keyboard.type(text)
        await expect(self.box()).to_have_value(text, timeout=LIMIT)

    async def finds_written(self, text: str) -> None:
        """Look what stands in the box, which only shows while that has the focus."""
        await self.box().click()
        await expect(self.box()).to_have_value(text, timeout=LIMIT)

    async def say(self, text: str) -> None:
        """Send something."""
        await self.type(text)
        await self.page.keyboard.press("Enter")
        await expect(self.box()).to_have_value("", timeout=LIMIT)

    async def type_by_keys(self, name: str, text: str) -> None:
        """Go to a box by the keyboard and type; the engine may lose keys at first."""
        for _ in range(4):
            await self.tab_to(name)
            await self.page.keyboard.press("Control+A")
            await self.page.keyboard.type(text, delay=20)
            await self.page.wait_for_timeout(300)
            if await self.box(name).input_value() == text:
                return
        raise AssertionError(f"{text} cannot be typed into {name}")

    async def tab_to(self, name: str) -> None:
        """Go from control to control by the keyboard."""
        focused = "e => e.getAttribute('aria-label') || e.textContent"
        for _ in range(30):
            if await self.page.evaluate(f"({focused})(document.activeElement)") == name:
                await self.page.wait_for_timeout(300)
                return
            await self.page.keyboard.press("Tab")
            await self.page.wait_for_timeout(100)
        raise AssertionError(f"no Tab leads to {name}")

    async def sees(self, text: str, *more: str) -> None:
        """Wait until a message is shown, with more words in it."""
        found = self.message(text)
        for words in more:
            found = found.filter(has_text=words)
        await found.first.wait_for(timeout=LIMIT)

    async def messages(self) -> list[str]:
        """Return the texts of the messages on the screen, the oldest first."""
        return await self.page.get_by_test_id("message").all_inner_texts()

    async def attach(self, *paths: Path) -> None:
        async with self.page.expect_file_chooser() as chooser:
            await self.button("Attach file").click()
        await (await chooser.value).set_files(list(paths))

    async def menu(self, item: str) -> None:
        await self.button("Menu").click()
        await self.page.get_by_role("menuitem", name=item).click()

    async def until_title(self, title: str) -> None:
        await expect(self.page).to_have_title(title, timeout=LIMIT)

    async def picture(self, name: str) -> None:
        """Keep what the window looks like."""
        await self.page.mouse.move(0, 0)
        await self.page.wait_for_timeout(400)  # for what still moves
        await asyncio.to_thread(PICTURES.mkdir, exist_ok=True)
        await self.page.screenshot(path=PICTURES / f"{name}.png")


class Room:
    """One browser with a window for each person."""

    def __init__(self, browser: Any, url: str) -> None:
        self._browser = browser
        self.url = url
        self._opened: list[Any] = []

    async def person(self, *, viewport: Any = None, **options: Any) -> Person:
        """Open a window with cookies and storage of its own."""
        size = viewport or DESKTOP
        options.setdefault("locale", "en-GB")
        context = await self._browser.new_context(viewport=size, **options)
        context.set_default_timeout(LIMIT)
        self._opened.append(context)
        found = Person(await context.new_page())
        await found.load(self.url)
        return found

    async def beside(self, person: Person) -> Person:
        """Open another window of the same browser."""
        page = await person.page.context.new_page()
        self._opened.append(page)
        found = Person(page)
        await found.load(self.url)
        return found

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[Room]:
        """Close what is opened meanwhile: without a graphics card each window costs much."""
        before = len(self._opened)
        try:
            yield self
        finally:
            for window in self._opened[before:]:
                await window.close()
            del self._opened[before:]

    async def registered(self, user: str, **options: Any) -> Person:
        """Open a window and create an account in it."""
        found = await self.person(**options)
        await found.register(user)
        return found


@asynccontextmanager
async def room(url: str) -> AsyncIterator[Room]:
    """Start a browser; skips the test if there is none."""
    path = program()
    async with async_playwright() as playwright:
        playwright.selectors.set_test_id_attribute("flt-semantics-identifier")
        browser = await playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield Room(browser, url)
        finally:
            await browser.close()


def _escaped(name: str) -> str:
    """Return a name as a pattern that stands between slashes."""
    return re.escape(name).replace("/", r"\/")
