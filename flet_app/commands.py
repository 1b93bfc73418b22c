"""Lines that begin with `/`: the commands of the table, their completion and usage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.protocol import text_dialect
from shared.protocol.masking import secret_spans, takes_secrets
from shared.protocol.spec import TABLE, Access, Request

MAX_SUGGESTIONS = 6
"""Most suggestions at a time."""
APP_ONLY = ("format", "files", "chunk", "upload", "sync", "resume", "getfile")
"""Commands that the app sends by itself; people need not type them."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One suggested completion of a line."""

    line: str
    """The completed line."""
    usage: str
    summary: str


def is_command(text: str) -> bool:
    """Whether a text is a command: `//` begins a message with a slash."""
    return text.startswith("/") and not text.startswith("//")


def suggestions(text: str) -> list[Suggestion]:
    """Return the commands that start with a line, or the usage of the command it names."""
    if not is_command(text) or "\n" in text:
        return []
    word, blank, _ = text[1:].partition(" ")
    name = word.lower()
    if blank:
        spec = TABLE.get(name)
        return [Suggestion(text, f"/{spec.usage(name)}", spec.summary)] if spec else []
    found = [
        Suggestion(f"/{spelling} ", f"/{spec.usage(spelling)}", spec.summary)
        for spelling, spec in TABLE.items()
        if spelling.startswith(name)
        and spec.access is not Access.REALM
        and spelling not in APP_ONLY
        and not any(a.required and a.json_only for a in spec.args)
    ]
    return sorted(found, key=lambda s: (s.line.strip() != f"/{name}", s.line))[:MAX_SUGGESTIONS]


def plain() -> list[str]:
    """Return the commands without a password or token among their arguments."""
    return [spelling for spelling, spec in TABLE.items() if not takes_secrets(spec)]


def parse(text: str) -> Request[Any]:
    """Return the request that a line spells.

    Raises:
        ChatError: the line is not a valid command; the message shows the usage.
    """
    call = text_dialect.parse(text[1:])
    if call.error is not None:
        raise call.error
    assert call.request is not None
    return call.request


def shown(text: str) -> str:
    """Return a line with its secrets masked."""
    line = text[1:]
    for begin, end in reversed(secret_spans(line)):
        line = f"{line[:begin]}•••{line[end:]}"
    return f"/{line}"
