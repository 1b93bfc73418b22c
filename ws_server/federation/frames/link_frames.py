"""The frames of a link. Each body is a JSON object with a `kind`; a link begins with `Open`.

`decode` is the decoder. It yields no frame for a body of an unknown kind: a newer realm may send
such bodies, and they are ignored at a high cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform

import orjson

from shared.protocol.kinds import BASE64, IDENTIFIER, SEQ, SHA256, Number
from shared.protocol.values import BadValue
from ws_server.federation.frames.declaring import Declared, Direction, Shaped, shaped, value
from ws_server.federation.frames.field_kinds import (
    CLAIM,
    Lenient,
    Refusals,
    Undecoded,
    WholeObject,
)
from ws_server.store.federation.realms import MAX_ROWS

F = TypeVar("F", bound="Frame")

FRAME_COST, UNKNOWN_COST = 5, 100
"""Cost in rows of verifying a frame, and of a frame of an unknown kind besides."""
MAX_UNSTORED = 4 * 2**20
"""Bytes of batches that may wait to be stored; a peer that respects the window sends a third."""
MAX_ASKED, ASKED_AT_ONCE = 256, 8
"""Open questions in each direction, and those of one realm that are answered at once, so that
users here are not delayed."""
MAX_WANTS = 64
"""Pieces that a peer may request at a time; a peer that respects its window requests fewer."""

ROW_BUDGET = f"its rows, of which {MAX_ROWS} or {MAX_UNSTORED // 2**20} MiB may wait to be stored"


class Overrun(Exception):
    """The peer sends more than the window allows, or violates the protocol."""


class Frame(Shaped):
    """One kind of frame; `declared` is its line in the table."""

    __slots__ = ()
    declared: ClassVar[Declared[Any]]

    def body(self) -> bytes:
        """Return the JSON of the frame, `kind` first."""
        return orjson.dumps({"kind": self.declared.kind, **self.shape.to_json(self)})


FRAMES: dict[str, type[Frame]] = {}
"""Every kind of frame by its name."""


@dataclass_transform(frozen_default=True, field_specifiers=(value,))
def frame(
    kind: str, direction: Direction = Direction.EITHER, *, budget: str = "none besides"
) -> Callable[[type[F]], type[F]]:
    """Declare a kind of frame; the class becomes a frozen dataclass and a line of `FRAMES`.

    Args:
        budget: What it costs besides the FRAME_COST of each frame, and how many there may be.
    """

    def declare(cls: type[F]) -> type[F]:
        assert kind not in FRAMES, f"{kind} is declared twice"
        made = cast(Any, shaped(cls))
        help = (made.__doc__ or "").strip().partition("\n")[0]
        made.declared = Declared(kind, made.shape, direction, help, budget)
        FRAMES[kind] = made
        return cast("type[F]", made)

    return declare


@shaped
class Have(Shaped):
    """The rows of the other realm that the sender of `open` has on disk."""

    log: str | None = value(
        "the history they belong to, empty at first", Lenient(str, "text"), absent=None
    )
    number: int = value("the last of them, 0 at first", CLAIM)


@frame("open", budget="the first frame of each side, once")
class Open(Frame):
    """Begins the stream of rows in both directions."""

    log: str = value("the history that the sender's row numbers belong to", IDENTIFIER)
    instance: str | None = value("this start of the sender's server", IDENTIFIER, absent=None)
    have: Have = value("the rows of the other realm that are known", Have.shape)
    refused: Mapping[str, object] = value(
        "those of the newest rows that were refused", Refusals(MAX_ROWS), absent={}
    )


@frame("batch", budget=ROW_BUDGET)
class Batch(Frame):
    """Carries rows, in the order of their numbers."""

    items: list[object] = value("the rows", Undecoded())


@frame("ack", budget="only of rows that were sent")
class Ack(Frame):
    """Confirms rows: those up to a number are on disk, or refused for ever."""

    up_to: int = value("the number of the last row", SEQ)
    refused: Mapping[str, object] = value("the refused rows among them", Refusals())


@frame("want", budget=f"{MAX_WANTS} at a time")
class Want(Frame):
    """Asks for a piece of a content."""

    sha256: str = value("the content", SHA256)
    offset: int = value("where the piece begins, in bytes", SEQ)


@frame("piece", Direction.ANSWER, budget="one answer to each `want`, in their order")
class Piece(Frame):
    """Carries a piece of a content."""

    sha256: str = value("the content", SHA256)
    offset: int = value("where the piece begins, in bytes", SEQ)
    data: bytes = value("the piece", BASE64)
    last: bool | None = value(
        "whether the content ends with it", Lenient(bool, "boolean"), absent=None
    )


@frame("later", Direction.ANSWER, budget="as `piece`")
class Later(Frame):
    """Says that the content is not here yet."""

    sha256: str = value("the content", SHA256)


@frame("gone", Direction.ANSWER, budget="as `piece`")
class Gone(Frame):
    """Says that the content will never be sent."""

    sha256: str = value("the content", SHA256)


_NUMBER = Number(-(2**63), 2**64 - 1)
_QUESTION_BUDGET = f"one question; {MAX_ASKED} at a time, {ASKED_AT_ONCE} worked on"


@frame("ask", budget=_QUESTION_BUDGET)
class Ask(Frame):
    """Asks a question."""

    id: int = value("the question's number", _NUMBER)
    what: str | None = value("the kind of question", Lenient(str, "text"), absent=None)
    fields: Mapping[str, Any] = value("its fields", WholeObject(), beside=True)


@frame("answer", Direction.ANSWER, budget="only to an open question, else ignored")
class Answer(Frame):
    """Answers or refuses a question."""

    id: int | None = value("the question's number", Lenient(int, "integer"), absent=None)
    ok: Mapping[str, Any] | None = value(
        "the fields of the answer", Lenient(dict, "object"), absent=None
    )
    code: str | None = value("of a refusal", Lenient(str, "text"), absent=None)
    message: str | None = value("why it is refused", Lenient(str, "text"), absent=None)


@frame("still")
class Still(Frame):
    """Asks over a replaced link whether the other side still has it."""


@frame("here", Direction.ANSWER, budget="over a replaced link; else as of an unknown kind")
class Here(Frame):
    """Answers `still` at once."""


@frame("copies")
class Copies(Frame):
    """Reports that two servers share the receiver's key."""


ContentAnswer = Piece | Later | Gone
"""The answers to `want`."""


def decode(body: object, begun: bool) -> Frame | None:
    """Return the frame of a body.

    Args:
        begun: The peer has sent `open`.

    Returns:
        None for a frame to ignore: of an unknown kind, or of one that is not expected now.

    Raises:
        BadValue: the body is no object, or no such frame; the sentence names kind and field.
        Overrun: the link begins with another frame than `open`.
    """
    if type(body) is not dict:
        raise BadValue("a frame must be an object")
    name = body.get("kind")
    kind = FRAMES.get(name) if type(name) is str else None
    if not begun and kind is not Open:
        raise Overrun("a link must begin with open")
    if kind is None or kind is Here or (begun and kind is Open):
        return None
    try:
        return cast(Frame, kind.shape.from_json(body))
    except BadValue as why:
        raise BadValue(f"{name}: {why}") from None


def is_here(body: object) -> bool:
    """Return whether a body is a frame `here`, the only one that counts over a replaced link."""
    return type(body) is dict and body.get("kind") == Here.declared.kind
