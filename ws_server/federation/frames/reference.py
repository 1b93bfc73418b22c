"""The tables of a link's frames in docs/federation.md; `./chat reference` writes them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, cast

from shared.protocol.kinds import (
    Base64,
    LocalName,
    Number,
    Pattern,
    Text,
)
from ws_server.federation.frames.declaring import REQUIRED, Convertible, Declared, Field, Shape
from ws_server.federation.frames.field_kinds import Bounded
from ws_server.federation.frames.link_frames import FRAME_COST, FRAMES, UNKNOWN_COST
from ws_server.federation.frames.questions import QUESTIONS
from ws_server.federation.frames.rows import ROWS

PAGE: Final = "docs/federation.md"
BEGINNING: Final = "<!-- Generated from ws_server/federation/frames by `./chat reference`. -->\n"
END: Final = "<!-- End of the generated part. -->\n"


def markdown() -> str:
    """Return the generated part of docs/federation.md."""
    answers = {what: kind.answer.shape for what, kind in QUESTIONS.items()}
    frames = {name: kind.declared for name, kind in FRAMES.items()}
    asked = {name: kind.declared for name, kind in QUESTIONS.items()}
    parts = [
        f"Each frame costs {FRAME_COST} rows of the budget below; one of an unknown kind costs "
        f"{UNKNOWN_COST} more, and so does a second `open`. Unknown fields are passed over.",
        _table("frame", frames),
        _table("row", ROWS),
        _table("question", asked, answers),
        "Objects in them:",
        _objects([*(d.shape for d in (*frames.values(), *ROWS.values(), *asked.values()))]),
    ]
    return "\n\n".join(parts) + "\n"


def write(root: Path) -> None:
    """Write the generated part anew."""
    page = root / PAGE
    head, _, rest = page.read_text(encoding="utf-8").partition(BEGINNING)
    page.write_text(
        head + BEGINNING + "\n" + markdown() + "\n" + END + rest.partition(END)[2],
        encoding="utf-8",
    )


def written(root: Path) -> str:
    """Return the generated part as it stands in the document."""
    page = (root / PAGE).read_text(encoding="utf-8")
    return page.partition(BEGINNING)[2].partition(END)[0].strip("\n") + "\n"


def _table(
    what: str, kinds: Mapping[str, Declared[Any]], answers: Mapping[str, Shape[Any]] | None = None
) -> str:
    ok = " `ok` |" if answers else ""
    lines = [f"| {what} | sent by | fields |{ok} budget |", f"|{' --- |' * (4 + bool(answers))}"]
    for name, declared in kinds.items():
        answer = f" {_fields(answers[name].fields)} |" if answers else ""
        lines.append(
            f"| `{name}` {declared.help} | {declared.direction} | {_fields(declared.shape.fields)} "
            f"|{answer} {declared.budget} |"
        )
    return "\n".join(lines)


def _objects(shapes: Iterable[Shape[Any]]) -> str:
    """Return the table of the objects inside shapes, those inside them too."""
    found: dict[str, Shape[Any]] = {}
    waiting = [*shapes, *(kind.answer.shape for kind in QUESTIONS.values())]
    while waiting:
        for f in waiting.pop(0).fields:
            inner = _inner(f.kind)
            if inner is not None and inner.name not in found:
                found[inner.name] = inner
                waiting.append(inner)
    lines = ["| object | fields |", "| --- | --- |"]
    lines += [f"| {name} | {_fields(shape.fields)} |" for name, shape in found.items()]
    return "\n".join(lines)


def _inner(kind: Convertible) -> Shape[Any] | None:
    inner = getattr(kind, "kind", kind)
    return inner if isinstance(inner, Shape) else None


def _fields(fields: Iterable[Field]) -> str:
    return "; ".join(map(_field, fields)) or "none"


def _field(f: Field) -> str:
    if f.wire is None:
        return f"{bounds(f.kind)}: {f.help}"
    optional = "" if f.absent is REQUIRED else ", optional"
    return f"`{f.wire}` ({bounds(f.kind)}{optional}): {f.help}"


def bounds(kind: Convertible) -> str:
    """Return which values a kind takes."""
    match kind:
        case Shape():
            return kind.name
        case Number():
            return f"{_number(kind.least)} to {_number(kind.most)}"
        case Text():
            return f"{kind.least} to {kind.most:,} {'bytes' if kind.in_bytes else 'characters'}"
        case Pattern():
            return kind.described
        case LocalName():
            return "a name"
        case Base64():
            return f"base64 of {kind.size} bytes" if kind.size else "base64"
        case _:
            inner = _inner(kind)
            shown = cast(Bounded, kind).bounds
            return shown if inner is None else f"{shown}: {inner.name}"


def _number(number: int) -> str:
    for base in (2, 10):
        power = round(math.log(abs(number) + 1, base))
        if power > 9 and number + 1 == base**power:
            return f"{base}^{power} - 1"
        if power > 15 and abs(number) == base**power:
            return f"{'-' * (number < 0)}{base}^{power}"
    return f"{number:,}"
