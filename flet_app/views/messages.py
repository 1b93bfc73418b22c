"""The messages of the open conversation: a slice that moves as the person scrolls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from itertools import pairwise
from typing import Any

import flet as ft

from flet_app.attachments import Attachments
from flet_app.clock import clock, day, moment
from flet_app.conversation import QUEUED, REFUSED, AppConversation, BubbleEntry
from flet_app.files import is_picture
from flet_app.order import days_in_order
from flet_app.parts.bubble import Bubble, BubbleActions, BubbleLook
from flet_app.parts.controls import icon_button
from flet_app.theme import MAX_BUBBLE_PIXELS
from flet_app.window import Window

SLICE_BUBBLES = 150
"""Bubbles shown at the newest end; more while the person scrolls back."""
MAX_SHOWN_MESSAGES = 500
"""Bubbles at a time: each update compares them all, about 9 ms for 500."""
STEP_BUBBLES = 50
NEAR_END_PIXELS = 40
"""Pixels from the end that count as the end."""
FETCH_AHEAD_PIXELS = 600
"""Pixels from the beginning at which older messages are fetched."""


class MessagePane:
    """One opened conversation; each gets a new object, so that it starts at the end."""

    def __init__(self, window: Window, c: AppConversation, attachments: Attachments) -> None:
        self._window = window
        self._attachments = attachments
        self.c = c
        self._bubbles: dict[str, Bubble] = {}
        self._first: BubbleEntry | None = None
        """The oldest entry shown."""
        self._last: BubbleEntry | None = None
        """The newest entry shown while the person has scrolled back; None for all to the end."""
        self._seen = 0
        """The newest message when the person was last at the end; later ones count as new."""
        self._older = False
        """Older messages are being fetched."""
        self._owed = False
        """The fetch failed, and the person still sees the place of these messages."""
        self.list = ft.ListView(
            expand=True,
            reverse=True,
            spacing=6,
            padding=ft.Padding.symmetric(horizontal=16, vertical=12),
            scroll_interval=60,
            on_scroll=window.handler(self._scrolled),
        )
        self._jump = ft.FilledTonalButton(
            window.texts("newest"),
            icon=ft.Icons.KEYBOARD_ARROW_DOWN,
            on_click=window.handler(self._to_newest),
            elevation=2,
            right=16,
            bottom=12,
            visible=False,
        )
        self._begins = ft.Text(
            size=13,
            color=ft.Colors.OUTLINE,
            text_align=ft.TextAlign.CENTER,
            visible=False,
        )
        self.control = ft.Stack(
            [
                # A text that is selectable by itself is missing from the semantics tree.
                ft.SelectionArea(self.list),
                ft.Container(self._begins, alignment=ft.Alignment.CENTER, left=0, right=0, top=40),
                self._jump,
            ],
            expand=True,
        )

    @property
    def is_at_end(self) -> bool:
        """Whether the person sees the newest message."""
        return self._last is None

    async def to_end(self) -> None:
        """Scroll to the newest message."""
        await self._to_newest(None)

    def show(self) -> None:
        """Show the present messages."""
        entries = self.c.entries
        first, last = self._bounds(entries)
        shown = entries[first:last]
        # Until the history is loaded, earlier messages are missing above new ones.
        self._first = shown[0] if shown and self.c.loaded else None
        bubbles, going_on = {}, []
        unread_from = self._unread_line(entries)
        for entry, begins in zip(shown, self._days(entries, first, last), strict=True):
            look = self._look(entry, begins, entry is unread_from)
            bubble = self._bubbles.get(entry.key)
            if bubble is None or bubble.look != look:
                if bubble is not None and bubble.goes_on(look):
                    going_on.append(bubble)
                else:
                    bubble = self._bubble(entry, look)
            bubbles[entry.key] = bubble
        self._bubbles = bubbles
        self.list.controls = list(reversed(bubbles.values()))
        if self.is_at_end:
            self._seen = self.c.last_seq
        new = sum(e.state is None and (e.seq or 0) > self._seen for e in entries[last:])
        self._show_jump(new)
        self._begins.visible = self.c.loaded and not entries
        self._begins.value = self._window.texts("say_hello")
        self._window.update(self.control, *going_on)

    def _bounds(self, entries: list[BubbleEntry]) -> tuple[int, int]:
        """Return the bounds of the slice to show."""
        first = _index(entries, self._first)
        last = _index(entries, self._last)
        end = len(entries) if last is None else last + 1
        if first is None or (self._last is None and end - first > SLICE_BUBBLES):
            first = max(0, end - SLICE_BUBBLES)
        return first, end

    def _show_jump(self, new: int) -> None:
        texts = self._window.texts
        words = texts("newest_count", count=new) if new else texts("newest")
        self._jump.visible = not self.is_at_end
        self._jump.content = words

    def _unread_line(self, entries: list[BubbleEntry]) -> BubbleEntry | None:
        since = self.c.unread_from
        unread = (e for e in entries if e.state is None and (e.seq or 0) >= since)
        return next(unread, None) if since else None

    def _bubble(self, entry: BubbleEntry, look: BubbleLook) -> Bubble:
        attachments, handler = self._attachments, self._window.handler

        def on(do: Callable[[AppConversation, BubbleEntry], Any]) -> Any:
            async def handle(_: Any) -> None:
                await do(self.c, entry)

            return handler(handle)

        handlers = BubbleActions(
            on(attachments.save), on(attachments.cancel), on(attachments.enlarge)
        )
        return Bubble(look=look, texts=self._window.texts, handlers=handlers)

    def _days(self, entries: list[BubbleEntry], first: int, last: int) -> Iterator[str]:
        """Yield the day above each entry of a slice; empty unless a day begins with the entry."""
        zone, now = self._window.host.zone, self._window.now().date()
        start = max(first - 1, 0)
        dates = [moment(entry.time, zone).toordinal() for entry in entries[start:last]]
        days = days_in_order(dates, now.toordinal())
        if not first:
            days.insert(0, 0)
        for before, here in pairwise(days):
            yield "" if here == before else day(date.fromordinal(here), now, self._window.texts)

    def _look(self, entry: BubbleEntry, begins_day: str, is_first_unread: bool) -> BubbleLook:
        window, texts = self._window, self._window.texts
        is_own = entry.state is not None
        fate = self.c.fate(entry)
        file = entry.file
        picture = why_not = ""
        if file is not None and is_picture(file):
            picture = self._attachments.picture(entry)
            why_not = self._attachments.why_not(entry)
        return BubbleLook(
            sender=entry.sender,
            is_own=is_own,
            shows_sender=not is_own and self.c.is_group,
            text=entry.text,
            clock=clock(moment(entry.time, window.host.zone)),
            fate=fate,
            fate_words=self._fate_words(entry, fate),
            day=begins_day,
            unread_line=texts("unread_line") if is_first_unread else "",
            file_name=file.name if file else "",
            file_size=file.size if file else 0,
            file_about=why_not,
            picture=picture,
            done=None if picture and not is_own else entry.done,
            note=entry.note,
            margin=self._margin(),
        )

    def _fate_words(self, entry: BubbleEntry, fate: str) -> str:
        texts = self._window.texts
        if fate == REFUSED and entry.why:
            return texts("refused_why", why=entry.why)
        if fate == QUEUED and self.c.realm:
            return texts("queued_for", realm=self.c.realm)
        return texts(fate) if fate else ""

    def _margin(self) -> int:
        """Limit the width of bubbles, in steps, so that not each pixel of resizing rebuilds
        them."""
        if self._window.is_narrow:
            return 48
        width = (self._window.page.width or 1000) - 360
        return max(64, int(width - MAX_BUBBLE_PIXELS) // 60 * 60)

    # Scrolling

    async def _scrolled(self, event: Any) -> None:
        entries = self.c.entries
        if event.pixels <= NEAR_END_PIXELS:
            await self._show_newer(entries, event)
        elif self._last is None and entries:
            self._last = entries[-1]
            self._show_jump(0)
            self._window.update(self._jump)
        self._owed = False
        if event.max_scroll_extent - event.pixels < FETCH_AHEAD_PIXELS:
            await self._show_older()

    async def go_on(self) -> None:
        """The connection is back: retry a failed fetch."""
        if self._owed:
            await self._show_older()

    async def _show_newer(self, entries: list[BubbleEntry], event: Any) -> None:
        """Show newer messages: the person is at the end of the slice."""
        at = _index(entries, self._last)
        if at is None:
            self._last = None
            self.seen()
        elif at + STEP_BUBBLES >= len(entries):
            self._last = None
            self.show()
            self.seen()
        else:
            # Offsets count from the end, so scroll by about the height of the added messages.
            height = (event.max_scroll_extent + event.viewport_dimension) / len(self._bubbles)
            self._last = entries[at + STEP_BUBBLES]
            self.show()
            await self.list.scroll_to(offset=event.pixels + height * STEP_BUBBLES, duration=0)

    async def _show_older(self) -> None:
        """Show one more page at the beginning, from memory or from the realm."""
        if self._older or self._first is None:
            return
        self._older = True
        try:
            entries = self.c.entries
            at = _index(entries, self._first) or 0
            if at == 0 and self.c.older:
                await self._window.actions.load_older(self.c)
                entries = self.c.entries
                at = _index(entries, self._first) or 0
            if at == 0:
                return
            if len(self._bubbles) >= MAX_SHOWN_MESSAGES:
                await self._leave_newest(entries, at)
            self._first = entries[max(0, at - STEP_BUBBLES)]
            self.show()
        except Exception:
            self._owed = True
            raise
        finally:
            self._older = False

    async def _leave_newest(self, entries: list[BubbleEntry], at: int) -> None:
        """Drop bubbles far below, and keep the position of the person near the top."""
        self._last = entries[at + SLICE_BUBBLES]
        self.show()
        await self.list.scroll_to(offset=-1, duration=0)

    async def _to_newest(self, _: Any) -> None:
        self._last = self._first = None
        self.show()
        await self.list.scroll_to(offset=0, duration=0)
        self.seen()

    def seen(self) -> None:
        """Report the newest message as read, if the person sees it."""
        window = self._window
        # A list that was just closed may still report scrolling.
        if self.c is window.state.open and self.c.loaded and self.is_at_end and window.is_looked_at:
            window.actions.saw(self.c)


def _index(entries: list[BubbleEntry], wanted: BubbleEntry | None) -> int | None:
    """Return the index of an entry; None if the entry is gone."""
    if wanted is None:
        return None
    return next((at for at, entry in enumerate(entries) if entry is wanted), None)


def back_button(window: Window, handle: Any) -> ft.Control:
    """Return the button that leads back to the list on a narrow screen."""
    return icon_button(window.texts("back"), ft.Icons.ARROW_BACK, handle)
