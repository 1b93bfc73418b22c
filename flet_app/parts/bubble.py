"""One message of a conversation, with the day or the unread line above it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import flet as ft

from flet_app.conversation import DELIVERED, QUEUED, READ, REFUSED, STORED, WAITING
from flet_app.language import Texts
from flet_app.links import links
from flet_app.parts.controls import Handler, decoration, icon_button, is_rtl
from shared.protocol.commands.messages import size_in_words

PICTURE_WIDTH, PICTURE_HEIGHT = 260, 190
_FATES = {
    WAITING: ft.Icons.SCHEDULE,
    STORED: ft.Icons.DONE,
    QUEUED: ft.Icons.HOURGLASS_TOP,
    DELIVERED: ft.Icons.DONE_ALL,
    READ: ft.Icons.DONE_ALL,
    REFUSED: ft.Icons.ERROR_OUTLINE,
}


@dataclass(frozen=True, slots=True)
class BubbleLook:
    """Everything that a bubble shows; equal values look the same."""

    sender: str
    is_own: bool
    shows_sender: bool
    text: str
    clock: str
    fate: str = ""
    fate_words: str = ""
    day: str = ""
    """The day that begins with the message; empty if none does."""
    unread_line: str = ""
    file_name: str = ""
    file_size: int = 0
    file_about: str = ""
    """Why a declared picture is not shown."""
    picture: str = ""
    """The source for an image control; empty if there is no picture, or not yet."""
    done: float | None = None
    note: tuple[str, ...] = ()
    margin: int = 48
    """Pixels left free at the opposite side."""


@dataclass(frozen=True, slots=True)
class BubbleActions:
    """The actions of a bubble's buttons."""

    save: Handler
    cancel: Handler
    enlarge: Handler


@ft.control(isolated=True)  # type: ignore[arg-type]
class Bubble(ft.Column):
    """A message's control. Isolated: an update of the list does not compare each bubble's
    contents."""

    look: Any = field(default=None, metadata={"skip": True})
    texts: Any = field(default=None, metadata={"skip": True})
    handlers: Any = field(default=None, metadata={"skip": True})

    def goes_on(self, look: BubbleLook) -> bool:
        """Show the progress of the file; False if anything else changed and a new bubble is needed.

        A new bubble would remove the button just as somebody presses it to cancel.
        """
        if None in (self.look.done, look.done) or replace(self.look, done=look.done) != look:
            return False
        self.look = look
        self._bar.value = look.done
        return True

    def build(self) -> None:
        look: BubbleLook = self.look
        self.spacing = 6
        self.tight = True
        self.horizontal_alignment = ft.CrossAxisAlignment.STRETCH
        above = [_separator(look.day, quiet=True)] if look.day else []
        if look.unread_line:
            above.append(_separator(look.unread_line, quiet=False))
        self.controls = [*above, self._note() if look.note else self._row()]

    def _row(self) -> ft.Control:
        look: BubbleLook = self.look
        box = ft.Container(
            ft.Column(self._body(), spacing=2, tight=True),
            padding=ft.Padding.symmetric(horizontal=12, vertical=8),
            border_radius=_corners(look.is_own),
            bgcolor=_paper(look),
        )
        spoken = ft.Semantics(
            identifier="message",
            label="" if look.shows_sender or self._is_active else look.sender,
            container=True,
            content=box,
            expand=True,
            expand_loose=True,
        )
        end, start = ft.MainAxisAlignment.END, ft.MainAxisAlignment.START
        side = (
            ft.Margin.only(left=look.margin) if look.is_own else ft.Margin.only(right=look.margin)
        )
        return ft.Row([spoken], alignment=end if look.is_own else start, margin=side)

    def _body(self) -> list[ft.Control]:
        look: BubbleLook = self.look
        ink = ft.Colors.ON_SECONDARY_CONTAINER if look.is_own else ft.Colors.ON_SURFACE
        body: list[ft.Control] = []
        if look.shows_sender:
            name = ft.Text(
                look.sender, size=12, weight=ft.FontWeight.W_600, color=ft.Colors.PRIMARY
            )
            body.append(self._spoken(name))
        if look.file_name:
            body += self._file(ink)
        else:
            body.append(_linked(look.text, ink))
        who = "" if look.shows_sender else look.sender
        return [*body, self._spoken(self._foot(ink), who)]

    @property
    def _is_active(self) -> bool:
        """Whether the bubble has links or buttons; its texts are then separate semantic nodes."""
        look: BubbleLook = self.look
        return bool(look.file_name or links(look.text))

    def _spoken(self, control: ft.Control, label: str = "") -> ft.Control:
        """Make a text beside buttons reachable for a screen reader; otherwise all are read as
        one."""
        if not self._is_active:
            return control
        return ft.Semantics(container=True, label=label, content=control)

    def _foot(self, ink: str) -> ft.Control:
        look: BubbleLook = self.look
        pale = ft.Colors.with_opacity(0.7, ink)
        foot: list[ft.Control] = [ft.Text(look.clock, size=11, color=pale)]
        if look.fate:
            colour = {READ: ft.Colors.PRIMARY, REFUSED: ft.Colors.ERROR}.get(look.fate, pale)
            shows_words = look.fate in (WAITING, QUEUED, REFUSED)
            foot.append(
                ft.Icon(
                    _FATES[look.fate],
                    size=14,
                    color=colour,
                    semantics_label=None if shows_words else look.fate_words,
                )
            )
            if shows_words:
                words = ft.Text(look.fate_words, size=11, color=colour, expand=True)
                words.expand_loose = True
                foot.append(words)
        return ft.Row(foot, spacing=4, tight=True, alignment=ft.MainAxisAlignment.END)

    def _file(self, ink: str) -> list[ft.Control]:
        look: BubbleLook = self.look
        texts: Texts = self.texts
        name = look.file_name
        if look.picture:
            image = ft.Image(
                look.picture,
                width=PICTURE_WIDTH,
                height=PICTURE_HEIGHT,
                fit=ft.BoxFit.COVER,
                border_radius=8,
                cache_width=2 * PICTURE_WIDTH,
                gapless_playback=True,
                exclude_from_semantics=True,
                error_content=ft.Column(
                    [
                        ft.Icon(ft.Icons.BROKEN_IMAGE_OUTLINED, size=40),
                        ft.Text(texts("damaged_picture"), size=12, color=ink),
                    ],
                    alignment=ft.MainAxisAlignment.CENTER,
                    horizontal_alignment=ft.CrossAxisAlignment.CENTER,
                ),
            )
            shown: list[ft.Control] = [
                ft.Semantics(
                    label=texts("enlarge", name=name),
                    button=True,
                    image=True,
                    content=ft.Container(image, on_click=self.handlers.enlarge, border_radius=8),
                )
            ]
        else:
            shown = []
        buttons: list[ft.Control] = []
        if look.done is not None:
            cancel = texts("cancel_file", name=name)
            buttons.append(icon_button(cancel, ft.Icons.CLOSE, self.handlers.cancel, icon_size=20))
        elif look.fate not in (WAITING, REFUSED):
            save = texts("save", name=name)
            buttons.append(
                icon_button(save, ft.Icons.DOWNLOAD_OUTLINED, self.handlers.save, icon_size=20)
            )
        described = ft.Column(
            [
                ft.Text(name, color=ink, max_lines=2, overflow=ft.TextOverflow.ELLIPSIS),
                ft.Text(size_in_words(look.file_size), size=11, color=ink),
                *([ft.Text(look.file_about, size=11, color=ink)] if look.file_about else []),
            ],
            spacing=0,
            tight=True,
        )
        icon = decoration(ft.Icon(_icon_of(name), color=ink))
        about = self._spoken(described)
        about.expand = about.expand_loose = True
        shown.append(ft.Row([icon, about, *buttons], spacing=8, tight=True))
        if look.done is not None:
            self._bar = ft.ProgressBar(look.done, width=PICTURE_WIDTH, border_radius=4)
            shown.append(self._bar)
        return shown

    def _note(self) -> ft.Control:
        """Return the bubble of a note by the app, such as the answer to a command."""
        first, *rest = self.look.note
        lines: list[ft.Control] = [
            ft.Text(first, size=12, weight=ft.FontWeight.W_600),
            *(ft.Text(line, size=12) for line in rest),
        ]
        box = ft.Container(
            ft.Column(lines, spacing=2, tight=True),
            padding=12,
            border_radius=12,
            border=ft.Border.all(1, ft.Colors.OUTLINE_VARIANT),
            bgcolor=ft.Colors.SURFACE_CONTAINER_LOWEST,
        )
        return ft.Semantics(identifier="note", container=True, content=box)


def _separator(words: str, *, quiet: bool) -> ft.Control:
    colour = ft.Colors.OUTLINE if quiet else ft.Colors.PRIMARY
    line = ft.Colors.OUTLINE_VARIANT if quiet else ft.Colors.PRIMARY
    return ft.Row(
        [
            ft.Divider(color=line, expand=True),
            ft.Text(words, size=12, color=colour, weight=ft.FontWeight.W_500),
            ft.Divider(color=line, expand=True),
        ],
        spacing=12,
        margin=ft.Margin.symmetric(vertical=4),
    )


def _corners(is_own: bool) -> ft.BorderRadius:
    """Return corners with a sharp one at the sender's side."""
    return ft.BorderRadius(
        top_left=16, top_right=16, bottom_left=16 if is_own else 4, bottom_right=4 if is_own else 16
    )


def _paper(look: BubbleLook) -> str:
    if look.fate == REFUSED:
        return ft.Colors.ERROR_CONTAINER
    return ft.Colors.SECONDARY_CONTAINER if look.is_own else ft.Colors.SURFACE_CONTAINER_HIGHEST


def _linked(text: str, ink: str) -> ft.Text:
    """Return a text whose web addresses are links."""
    spans, at = [], 0
    for link in links(text):
        style = ft.TextStyle(color=ft.Colors.PRIMARY, decoration=ft.TextDecoration.UNDERLINE)
        # A mail program opens outside the browser; a new tab would stay empty.
        target = ft.UrlTarget.SELF if link.url.startswith("mailto:") else ft.UrlTarget.BLANK
        spans.append(ft.TextSpan(text[at : link.start]))
        spans.append(ft.TextSpan(text[link.start : link.end], style, url=ft.Url(link.url, target)))
        if link.host:
            spans.append(ft.TextSpan(f" ({link.host})"))
        at = link.end
    if not spans:
        return ft.Text(text, color=ink, rtl=is_rtl(text))
    return ft.Text(spans=[*spans, ft.TextSpan(text[at:])], color=ink, rtl=is_rtl(text))


_ICONS: list[tuple[Callable[[str], bool], ft.IconData]] = [
    (lambda n: n.endswith((".png", ".jpg", ".jpeg", ".gif", ".webp")), ft.Icons.IMAGE_OUTLINED),
    (lambda n: n.endswith((".mp4", ".mkv", ".webm", ".mov")), ft.Icons.MOVIE_OUTLINED),
    (
        lambda n: n.endswith((".mp3", ".ogg", ".opus", ".flac", ".wav")),
        ft.Icons.AUDIO_FILE_OUTLINED,
    ),
    (lambda n: n.endswith((".zip", ".gz", ".xz", ".tar", ".7z")), ft.Icons.FOLDER_ZIP_OUTLINED),
    (lambda n: n.endswith(".pdf"), ft.Icons.PICTURE_AS_PDF_OUTLINED),
]


def _icon_of(name: str) -> ft.IconData:
    matching = (icon for fits, icon in _ICONS if fits(name.lower()))
    return next(matching, ft.Icons.INSERT_DRIVE_FILE_OUTLINED)
