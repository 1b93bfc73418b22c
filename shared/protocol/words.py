r"""The words of a typed line: blanks part them, and double quotes make one word of several.

Inside quotes `\"` is a quote and `\\` a backslash; any other backslash is one, as in `"C:\new"`.
A quote within a word is part of it: only at the beginning of a word does it open anything.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from shared.protocol.values import BadValue

BLANK = " \t\r\n"
CURLED = "“”„‟＂"
"""What telephones and word processors write where a double quote was typed."""
SINGLE = "'‘’‚"
"""What people use as quotes who know shells; here they quote nothing."""

_GAP = re.compile(r"[ \t\r\n]*+")
_BARE = re.compile(r"[ \t\r\n]*+([^ \t\r\n]++)")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')


class Word(NamedTuple):
    """One word: its text without quotes, and where it stands in the line, quotes included."""

    text: str
    begin: int
    end: int
    quoted: bool = False


def skip(line: str, at: int = 0) -> int:
    """Return where the next word begins; the length of the line if there is none."""
    found = _GAP.match(line, at)
    assert found is not None
    return found.end()


def next_word(line: str, at: int = 0) -> Word | None:
    """Return the next word; None at the end of the line.

    Raises:
        BadValue: its quotes are not closed, or are no straight ones.
    """
    found = _BARE.match(line, at)
    if found is None:
        return None
    begin = found.start(1)
    if line[begin] in CURLED:
        raise BadValue(f'quotes are typed straight ("), not as {line[begin]}')
    if line[begin] != '"':
        return Word(found[1], begin, found.end())
    found = _QUOTED.match(line, begin)
    if found is None:
        raise BadValue(r'a double quote (") is not closed; inside quotes, write \" for one')
    if found.end() < len(line) and line[found.end()] not in BLANK:
        raise BadValue(r'a blank is missing behind a double quote ("); inside quotes, write \"')
    return Word(_ESCAPED.sub(r"\1", found[1]), begin, found.end(), quoted=True)


def bare_word(line: str, at: int = 0) -> Word | None:
    """Return the next word as it stands, whatever quotes it has; None at the end of the line."""
    found = _BARE.match(line, at)
    return Word(found[1], found.start(1), found.end()) if found else None


def rest_of(line: str, at: int) -> Word | None:
    """Return what is left of a line, verbatim from its first non-blank character."""
    begin = skip(line, at)
    return Word(line[begin:], begin, len(line)) if begin < len(line) else None


def rest_or_quoted(line: str, at: int) -> Word | None:
    """Return what is left of a line; if that is one quoted word, without its quotes."""
    rest = rest_of(line, at)
    if rest is None or not rest.text.startswith('"'):
        return rest
    try:
        word = next_word(line, at)
    except BadValue:
        return rest
    return word if word and skip(line, word.end) == len(line) else rest


def first_word(line: str) -> tuple[str, str]:
    """Return the first word as it stands and what follows the blanks behind it."""
    word = bare_word(line)
    return (word.text, line[skip(line, word.end) :]) if word else ("", "")


def words_of(line: str) -> list[Word]:
    """Return all words of a line that may be unfinished: quotes that fit nothing are letters."""
    words: list[Word] = []
    at = 0
    while (word := bare_word(line, at)) is not None:
        with suppress(BadValue):
            word = next_word(line, at) or word
        words.append(word)
        at = word.end
    return words


def quoted(text: str) -> str:
    """Return a text as one word, in quotes only where it needs them."""
    if text and text[0] not in f'"{CURLED}{SINGLE}' and not any(c in text for c in BLANK):
        return text
    return in_quotes(text)


def in_quotes(text: str) -> str:
    """Return a text as a quoted word."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
