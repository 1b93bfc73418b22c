"""Web addresses in messages: their places and their targets.

Pure. `linkify-it` finds candidates and where they end; this module decides which become links. An
address that could lead elsewhere than it appears to stays plain text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from urllib.parse import urlsplit

import idna
from linkify_it.main import LinkifyIt, Match

from shared.protocol.values import BIDIRECTIONAL

MAX_LINKS = 20
"""Links of one message, each of which costs two controls; the rest stays text."""
MAX_LINK_CHARACTERS = 2_048
"""Characters of an address; the time to find one grows faster than the length."""
MAX_NESTED_LINKS = 8
"""Addresses nested in one, as in those of web archives; each is tried."""

_WORD = re.compile(
    # The characters that end an address in any script: blanks, brackets and quotes, East Asian
    # punctuation (and its wide forms), and characters that are invisible or change the direction.
    r"[^\s<>\"`“”„«»‹›\u3000-\u3003\u3008-\u301f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
    r"\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff" + BIDIRECTIONAL.pattern[1:-1] + r"]+"
)
_MAY_BE = re.compile(r"https?://|mailto:|www\.|(?<![\w.:/@-])[\w-]+\.\w", re.IGNORECASE)
_UNSPACED = re.compile(r"(?<=[^\x00-\x7f])(?=https?://|www\.|mailto:)", re.IGNORECASE)
"""Letters of a script without blanks, before an address."""
_WRAPPED = re.compile(r"[*_~|'‘’]+")
_TRAILING = ".,;:!?'*~|"
_LOOK_ALIKE = ("CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU", "GEORGIAN")
"""Scripts with letters that look like Latin ones."""

_linkify = LinkifyIt({"ftp:": None, "//": None}, {"fuzzy_email": False, "fuzzy_link": True})


@dataclass(frozen=True, slots=True)
class TextLink:
    """One address of a text."""

    start: int
    end: int
    url: str
    """http, https or mailto."""
    host: str = ""
    """The encoded form (RFC 5891) if the host has look-alike letters; else empty."""


@lru_cache(maxsize=2_000)
def links(text: str) -> tuple[TextLink, ...]:
    """Return the first MAX_LINKS addresses of a text, in order.

    Text with `http://`, `https://` or `mailto:` becomes a link, and so do `www.` and bare domains,
    except those that may be file names (`readme.md`). A person's address is not a link: `bob@x.org`
    is a person of another realm.
    """
    return tuple(islice(_links(text), MAX_LINKS))


def _links(text: str) -> Iterator[TextLink]:
    for start, word in _words(text):
        wrapped = _WRAPPED.match(word)
        before = wrapped[0] if wrapped else ""
        for match in _linkify.match(word[len(before) :]) or []:
            if word[len(before) + match.last_index :].startswith("@"):
                continue  # bob.com@beta is a person's address
            if (link := _link(match, start + len(before) + match.index, before)) is not None:
                yield link


def _words(text: str) -> Iterator[tuple[int, str]]:
    """Yield the parts that may hold an address, with their offsets."""
    for run in _WORD.finditer(text):
        start = run.start()
        for word in _UNSPACED.split(run[0]):
            if (
                len(word) <= MAX_LINK_CHARACTERS
                and 0 < len(_MAY_BE.findall(word)) <= MAX_NESTED_LINKS
            ):
                yield start, word
            start += len(word)


def _link(match: Match, start: int, before: str) -> TextLink | None:
    shown = _without_end(match.raw, before)
    end, scheme = start + len(shown), match.schema or "http:"
    rest = shown[len(match.schema) :]
    if scheme == "mailto:":
        return TextLink(start, end, scheme + rest)
    try:
        found = urlsplit(scheme + ("" if match.schema else "//") + rest)
        host, port = found.hostname or "", found.port
        sent = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except ValueError:
        return None  # IDNAError is a ValueError
    if not host or "@" in found.netloc or "\\" in rest:
        return None  # the host is the part behind the @
    if not match.schema and not _is_no_file(host, rest):
        return None
    url = found._replace(netloc=sent if port is None else f"{sent}:{port}").geturl()
    return TextLink(start, end, url, sent if _is_look_alike(host) else "")


def _without_end(raw: str, before: str) -> str:
    """Return an address without trailing punctuation of the sentence or of Markdown."""
    ends = _TRAILING + before
    while raw and (raw[-1] in ends or _is_punctuation(raw[-1])):
        raw = raw[:-1]
    return raw


def _is_punctuation(letter: str) -> bool:
    return not letter.isascii() and unicodedata.category(letter)[0] == "P"


def _is_no_file(host: str, rest: str) -> bool:
    """Tell whether a domain without a scheme is not a file name, as `main.rs` is."""
    top = host.rpartition(".")[2]
    return host.startswith("www.") or len(top) > 2 or "/" in rest


def _is_look_alike(host: str) -> bool:
    """Tell whether a host can be mistaken for one in Latin letters."""
    if host.isascii() or not host.rpartition(".")[2].isascii():
        return False
    names = (unicodedata.name(letter, "") for letter in host if not letter.isascii())
    return any(name.startswith(_LOOK_ALIKE) or "DOTLESS" in name for name in names)
