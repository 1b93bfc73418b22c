r"""The words of a typed line: separated by blanks, or enclosed in double quotes.

Inside quotes `\"` is a quote and `\\` a backslash; any other backslash is literal, as in
`"C:\new"`. Only a quote at the beginning of a word opens a quoted word; elsewhere it is literal.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import NamedTuple

from shared.protocol.values import BadValue

BLANK = " \t\r\n"
CURLED = "“”„‟＂"
"""Typographic quotes that phones and word processors insert for a typed double quote."""
SINGLE = "'‘’‚"
"""Quotes of shells; here they are literal."""

_GAP = re.compile(r"[ \t\r\n]*+")
_BARE = re.compile(r"[ \t\r\n]*+([^ \t\r\n]++)")
_QUOTED = re.compile(r'"([^"\\]*+(?:\\.[^"\\]*+)*+)"', re.DOTALL)
_ESCAPED = re.compile(r'\\(["\\])')


class Word(NamedTuple):
    """One word: its text without quotes, and its span in the line including quotes."""

    text: str
    begin: int
    end: int
    quoted: bool = False


def skip(line: str, at: int = 0) -> int:
    """Return the start of the next word; the length of the line if there is none."""
    found = _GAP.match(line, at)
    assert found is not None
    return found.end()


def next_word(line: str, at: int = 0) -> Word | None:
    """Return the next word; None at the end of the line.

    Raises:
        BadValue: quotes are not closed, or are not straight ones.
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
    """Return the next word verbatim, including quotes; None at the end of the line."""
    found = _BARE.match(line, at)
    return Word(found[1], found.start(1), found.end()) if found else None


def rest_of(line: str, at: int) -> Word | None:
    """Return the rest of a line, verbatim from its first non-blank character."""
    begin = skip(line, at)
    return Word(line[begin:], begin, len(line)) if begin < len(line) else None


def rest_or_quoted(line: str, at: int) -> Word | None:
    """Return the rest of a line; without its quotes if it is one quoted word."""
    rest = rest_of(line, at)
    if rest is None or not rest.text.startswith('"'):
        return rest
    try:
        word = next_word(line, at)
    except BadValue:
        return rest
    return word if word and skip(line, word.end) == len(line) else rest


def first_word(line: str) -> tuple[str, str]:
    """Return the first word verbatim, and the text after the blanks that follow it."""
    word = bare_word(line)
    return (word.text, line[skip(line, word.end) :]) if word else ("", "")


def words_of(line: str) -> list[Word]:
    """Return all words of a possibly unfinished line: unmatched quotes are literal."""
    words: list[Word] = []
    at = 0
    while (word := bare_word(line, at)) is not None:
        with suppress(BadValue):
            word = next_word(line, at) or word
        words.append(word)
        at = word.end
    return words


def quoted(text: str) -> str:
    """Return a text as one word, quoted only if necessary."""
    if text and text[0] not in f'"{CURLED}{SINGLE}' and not any(c in text for c in BLANK):
        return text
    return in_quotes(text)


def in_quotes(text: str) -> str:
    """Return a text as a quoted word."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
