"""What the app and the page's own script (assets/page) say to each other.

Typing cannot wait for a server that is far away, nor end with it. So a script in the page handles
Enter, keeps what is written, and outlives the app's process. It talks to the app in JSON, in frames
of Flet's data channels with a number that Flet never gives; they keep their order among Flet's own.
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
"""Flet numbers its data channels from 1 on."""
HEAD = b"\1" + CHANNEL.to_bytes(4, "little")
"""Begins each frame of ours; Flet's own begin with another one."""
MAX_SAID = 1 << 20
"""Bytes of one frame."""
MAX_ITEMS = 200
"""Drafts in one frame."""


class Unreadable(Exception):
    """Our script does not say this."""


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of each WebSocket.

    Args:
        session: Flet's session that the page still shows, if it lost the one before; else empty.
        user: Whose drafts they are.
        drafts: What stands in each box or did, by the conversation's address.
    """

    session: str = ""
    user: str = ""
    drafts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """Something was sent, by Enter or the button; it is said again until it is `done`.

    Args:
        key: Of this line alone, however often it is said.
        to: The conversation's address.
    """

    key: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Draft:
    """What a box was left with when another one took its place."""

    to: str
    text: str


@dataclass(frozen=True, slots=True)
class Emptied:
    """What this box held was sent, but the browser could not empty it: it had not the focus."""

    box: int


@dataclass(frozen=True, slots=True)
class TooLong:
    """A text of so many bytes of UTF-8 was to be sent; it is still in its box."""

    size: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Asks for an answer behind everything that what came before it has changed."""

    ping: int


Said = Hello | Line | Draft | Emptied | TooLong | Ping
KINDS: dict[str, type[Any]] = {
    "hello": Hello,
    "line": Line,
    "draft": Draft,
    "emptied": Emptied,
    "long": TooLong,
    "ping": Ping,
}
FIELDS: dict[str, type] = {
    **dict.fromkeys(("session", "user", "key", "to", "text"), str),
    **dict.fromkeys(("box", "size", "ping"), int),
    "drafts": dict,
}


def read(frame: bytes) -> Said:
    """Read a frame that begins with HEAD.

    Raises:
        Unreadable: as it says.
    """
    if len(frame) > MAX_SAID:
        raise Unreadable
    try:
        said = orjson.loads(frame[len(HEAD) :])
    except orjson.JSONDecodeError:
        raise Unreadable from None
    name = said.pop("kind", None) if isinstance(said, dict) else None
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not all(type(value) is FIELDS.get(key) for key, value in said.items()):
        raise Unreadable
    drafts = said.get("drafts", {})
    if len(drafts) > MAX_ITEMS or not all(type(text) is str for text in drafts.values()):
        raise Unreadable
    try:
        read: Said = kind(**said)
    except TypeError:
        raise Unreadable from None
    return read


class PageScript:
    """The script of one page, as the app sees it; `heard` and `greeted` are the app's to set."""

    def __init__(self, session: Session) -> None:
        self._session = weakref.ref(session)
        self._hello = Hello()
        self.heard: Callable[[Said], None] = lambda said: None
        """Called with what it says, but for what is answered here."""
        self.greeted: Callable[[], None] = lambda: None
        """Called when the page has come back, before it is shown what the session is now."""

    def greet(self, hello: Hello) -> None:
        """Take the first frame of a WebSocket that comes to this session."""
        self._hello = hello
        self.greeted()

    def take_drafts(self, user: str) -> dict[str, str]:
        """Return the drafts that the page has kept, once, and to the one who wrote them."""
        hello, self._hello = self._hello, Hello()
        return hello.drafts if hello.user == user else {}

    def tell(self, kind: str, **said: Any) -> None:
        """Say something behind what the page has been shown; without a connection it is lost."""
        session = self._session()
        if session is not None and session.connection is not None:
            payload = json.dumps({"kind": kind, **said}).encode()
            session.connection.send_data_channel_frame(CHANNEL, payload)

    # What the app says

    def box(self, box: int, to: str, text: str, *, button: int, most: int, focus: bool) -> None:
        """There will be a box for messages.

        Args:
            box, button: Flet's numbers of it and of the button that sends.
            text: What it will hold.
            most: Bytes of UTF-8 that a message may have.
            focus: Whether it takes the focus.
        """
        self.tell("box", box=box, to=to, text=text, button=button, most=most, focus=focus)

    def signed_in(self, user: str, plain: list[str]) -> None:
        """Somebody is signed in, and lines are taken.

        Args:
            plain: The commands that carry no secret, so that the page may keep them.
        """
        self.tell("user", user=user, plain=plain)

    def signed_out(self) -> None:
        """Nobody is: what was kept is to be forgotten."""
        self.tell("forget")

    def done(self, key: str) -> None:
        """The app needs this line no more: the realm has answered, or a command begins."""
        self.tell("done", key=key)

    def give_back(self, key: str) -> None:
        """This line cannot be sent now; it belongs into its box again."""
        self.tell("back", key=key)

    def look(self, language: str, colours: str) -> None:
        """How the person sees the app.

        Args:
            colours: light, dark, or system.
        """
        self.tell("look", language=language, colours=colours)
