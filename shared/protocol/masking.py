"""Finds passwords and tokens in lines of the text dialect.

The kinds of arguments in the command table determine which words are secret.
"""

from __future__ import annotations

import re

from shared.protocol.kinds import Secret
from shared.protocol.nearest import nearest_command
from shared.protocol.spec import TABLE, Spec
from shared.protocol.words import first_word, skip, words_of

NAMES = re.compile(
    "|".join(sorted({a.name for s in TABLE.values() for a in s.args if isinstance(a.kind, Secret)}))
)
"""The secret arguments, by their names in JSON."""

Span = tuple[int, int]
"""The start and the end of a secret."""


def takes_secrets(spec: Spec) -> bool:
    """Whether a command has a secret argument."""
    return any(isinstance(a.kind, Secret) for a in spec.words)


def secret_spans(line: str) -> list[Span]:
    """Return the spans of secrets in a line, which may be unfinished or misspelt."""
    if line.startswith("{", skip(line)):
        named = NAMES.search(line)
        return [(named.end(), len(line))] if named else []
    spec = _spec(line)
    if spec is None or not takes_secrets(spec):
        return []
    words = words_of(line)[1:]
    spans = []
    bare: dict[str, str] = {}
    for arg, word in zip(spec.words, words, strict=False):
        if not word.quoted:
            bare[arg.name] = line[word.begin :] if arg.rest else word.text
        if isinstance(arg.kind, Secret):
            # A password typed with a blank must not show its rest.
            open_end = arg is spec.words[-1] or (word.text.startswith('"') and not word.quoted)
            spans.append((word.begin, len(line) if open_end else word.end))
    if spans and spec.request.doubt(bare) is not None:
        return [(spans[0][0], len(line))]
    return spans


def _spec(line: str) -> Spec | None:
    """Return the command of a line, or the one that was probably meant."""
    name = first_word(line)[0].lower()
    return TABLE.get(name) or TABLE.get(nearest_command(name) or "")
