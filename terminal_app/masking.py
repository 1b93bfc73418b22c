"""Passwords and tokens in a line that is being typed: where they are, and that nothing keeps them.

Which words are secret follows from the kinds of argument in the command table.
"""

from __future__ import annotations

import re

from shared.protocol.kinds import Secret
from shared.protocol.spec import TABLE, Spec, nearest_command
from shared.protocol.text_dialect import BLANK, first_word
from terminal_app.commands import OWN

_WORD = re.compile(rf"[^{BLANK}]+")
_NAMES = re.compile(
    "|".join(sorted({a.name for s in TABLE.values() for a in s.args if isinstance(a.kind, Secret)}))
)
"""The arguments that are secret, as JSON names them."""

Span = tuple[int, int]
"""Where a secret begins, and where it has ended."""


def takes_secrets(spec: Spec) -> bool:
    """Whether a command has an argument that nobody may see."""
    return any(isinstance(a.kind, Secret) for a in spec.words)


def secret_spans(line: str) -> list[Span]:
    """Return where secrets are in a line, which may be unfinished or misspelt."""
    if line.lstrip(BLANK).startswith("{"):
        named = _NAMES.search(line)
        return [(named.end(), len(line))] if named else []
    spec = _spec(line)
    if spec is None:
        return []
    words = [found.span() for found in _WORD.finditer(line)][1:]
    spans = []
    for arg, (begin, end) in zip(spec.words, words, strict=False):
        if isinstance(arg.kind, Secret):
            # Whoever types a blank into a password shall not see the rest of it.
            spans.append((begin, len(line) if arg is spec.words[-1] else end))
    return spans


def masked(line: str) -> str:
    """Return a line with `*` for each character of a secret."""
    for begin, end in secret_spans(line):
        line = line[:begin] + "*" * (end - begin) + line[end:]
    return line


def may_be_kept(line: str) -> bool:
    """Whether a line may be kept in the history.

    Not if its command takes a secret, even where none is seen: words may be in the wrong places.
    Nor if it is no command, for that may be a misspelt one.
    """
    if line.lstrip(BLANK).startswith("{"):
        return _NAMES.search(line) is None
    name = first_word(line)[0].lower()
    return name in OWN or (name in TABLE and not takes_secrets(TABLE[name]))


def _spec(line: str) -> Spec | None:
    """Return the command of a line, or the one that is likely meant."""
    name = first_word(line)[0].lower()
    return TABLE.get(name) or TABLE.get(nearest_command(name) or "")
