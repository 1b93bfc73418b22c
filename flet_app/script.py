"""The protocol between the app and the page's own script (assets/page).

Typing must neither wait for a distant server nor be lost with it. So a script in the page handles
Enter, keeps drafts, and outlives the app's process. It exchanges JSON with the app, in frames of
Flet's data channels under a number that Flet never assigns. The order among Flet's own frames is
kept.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from flet.messaging.session import Session

CHANNEL = 0xFFFF_FFFF
"""The number of our channel; Flet numbers its own from 1."""
HEAD = b"\1" + CHANNEL.to_bytes(4, "little")
"""The first byte of our frames; Flet's own begin with another one."""
MAX_FRAME_BYTES = 1 << 20
"""Bytes of one frame."""
MAX_DRAFTS = 200
"""Drafts in one frame."""


class InvalidScriptFrame(Exception):
    """The frame is not one of our script's."""


@dataclass(frozen=True, slots=True)
class HelloFrame:
    """The first frame of each WebSocket.

    Args:
        session: Flet's session that the page still shows after a lost connection; else empty.
        user: The owner of the drafts.
        drafts: The text of each box, by the conversation's address.
    """

    session: str = ""
    user: str = ""
    drafts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LineFrame:
    """A line was sent, by Enter or the button. The script repeats it until the app answers `done`.

    Args:
        key: Unique for the line; the same in each repetition.
        to: The conversation's address.
    """

    key: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class DraftFrame:
    """The text of a box at the time when another box replaced it."""

    to: str
    text: str


@dataclass(frozen=True, slots=True)
class EmptiedFrame:
    """The text of this box was sent, but the browser could not empty a box without the focus."""

    box: int


@dataclass(frozen=True, slots=True)
class TooLongFrame:
    """The text is too long, by its size in bytes of UTF-8; it stays in its box."""

    size: int


@dataclass(frozen=True, slots=True)
class PingFrame:
    """Requests an answer that follows all changes caused by earlier frames."""

    ping: int


PageFrame = HelloFrame | LineFrame | DraftFrame | EmptiedFrame | TooLongFrame | PingFrame
KINDS: dict[str, type[Any]] = {
    "hello": HelloFrame,
    "line": LineFrame,
    "draft": DraftFrame,
    "emptied": EmptiedFrame,
    "long": TooLongFrame,
    "ping": PingFrame,
}
FIELDS: dict[str, type] = {
    **dict.fromkeys(("session", "user", "key", "to", "text"), str),
    **dict.fromkeys(("box", "size", "ping"), int),
    "drafts": dict,
}


def read(frame: bytes) -> PageFrame:
    """Decode a frame that begins with HEAD.

    Raises:
        InvalidScriptFrame: the frame is not one of our script's.
    """
    if len(frame) > MAX_FRAME_BYTES:
        raise InvalidScriptFrame
    try:
        said = orjson.loads(frame[len(HEAD) :])
    except orjson.JSONDecodeError:
        raise InvalidScriptFrame from None
    name = said.pop("kind", None) if isinstance(said, dict) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not all(type(value) is FIELDS.get(key) for key, value in said.items()):
        raise InvalidScriptFrame
    drafts = said.get("drafts", {})
    if len(drafts) > MAX_DRAFTS or not all(type(text) is str for text in drafts.values()):
        raise InvalidScriptFrame
    try:
        read: PageFrame = kind(**said)
    except TypeError:
        raise InvalidScriptFrame from None
    return read


class PageScript:
    """The script of one page, as the app sees it; the app sets `heard` and `greeted`."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)
        self._hello = HelloFrame()
        self.heard: Callable[[PageFrame], None] = lambda said: None
        """Called with each message that is not answered here."""
        self.greeted: Callable[[], None] = lambda: None
        """Called when the page has reconnected, before it shows the session's present state."""

    def greet(self, hello: HelloFrame) -> None:
        """Handle the first frame of a WebSocket for this session."""
        self._hello = hello
        self.greeted()

    def take_drafts(self, user: str) -> dict[str, str]:
        """Return the drafts kept by the page: once, and only to the person who wrote them."""
        hello, self._hello = self._hello, HelloFrame()
        return hello.drafts if hello.user == user else {}

    def tell(self, kind: str, **said: Any) -> None:
        """Send a message after all earlier updates; it is lost without a connection."""
        session = self._session()
        if session is not None and session.connection is not None:
            payload = json.dumps({"kind": kind, **said}).encode()
            session.connection.send_data_channel_frame(CHANNEL, payload)

    # Messages of the app

    def box(self, box: int, to: str, text: str, *, button: int, most: int, focus: bool) -> None:
        """Announce a box for messages.

        Args:
            box, button: Flet's ids of the box and of its send button.
            text: The initial text.
            most: Maximum bytes of UTF-8 of a message.
            focus: Whether the box takes the focus.
        """
        self.tell("box", box=box, to=to, text=text, button=button, most=most, focus=focus)

    def signed_in(self, user: str, plain: list[str]) -> None:
        """Report who is signed in; the app accepts lines from now on.

        Args:
            plain: The commands without secrets, which the page may store.
        """
        self.tell("user", user=user, plain=plain)

    def signed_out(self) -> None:
        """Report that nobody is signed in; the page must delete what it stored."""
        self.tell("forget")

    def done(self, key: str) -> None:
        """Report a line as done: the realm has answered, or a command has started."""
        self.tell("done", key=key)

    def give_back(self, key: str) -> None:
        """Return a line that cannot be sent now to its box."""
        self.tell("back", key=key)

    def look(self, language: str, colours: str) -> None:
        """Report the look of the app.

        Args:
            colours: light, dark, or system.
        """
        self.tell("look", language=language, colours=colours)
