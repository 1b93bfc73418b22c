"""How texts are compared in searches: without case, accents and compatibility forms.

The app's filter, completion and search all fold the query and the texts alike. So letters that a
keyboard cannot type are found by letters that it can.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_PLAIN = (
    "ıi øo łl đd ħh ŧt ƀb ɓb ȼc ƈc ɖd ɗd ɇe ǥg ɠg ɨi ɉj ƙk ƚl ɱm ɲn ŋn ƥp ɍr ȿs ʈt ƭt ʉu ʋv ƶz ȥz"
)
"""Letters with a stroke or hook, which Unicode does not decompose, and their plain letters."""
_SPELT = str.maketrans(
    {
        **{pair[0]: pair[1] for pair in _PLAIN.split()},
        **{"æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ĳ": "ij", "ŉ": "n"},
        # Arabic and Persian keyboards produce different code points for the same letters.
        **{"ك": "ک", "ي": "ی", "ى": "ی", "ة": "ه", "ـ": ""},
        **{"’": "'", "‘": "'", "ʼ": "'", "ʻ": "'", "`": "'", "´": "'"},
        **dict.fromkeys("‐‑‒–—−", "-"),
    }
)
_LETTERS_OF_THEIR_OWN = (8, 9, 103, 118, 129, 130, 132)
"""Combining classes of marks that change the letter and are no accents: the voicing of kana,
viramas, and the vowels of Thai, Lao and Tibetan."""
_UNSPACED = (
    *("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE"),
    *("BALINESE", "TAI"),
)
"""Scripts without blanks between words, by the first word of their letters' Unicode names."""


def fold_text(text: str) -> str:
    """Return the form in which texts are compared: `Straße`, `STRASSE` and `strasse` are one.

    Compatibility forms are decomposed (NFKD, UAX #15), case is folded (Unicode 3.13, D145,
    independent of language: I, İ and ı are equal), accents and invisible characters are removed,
    and digits of all scripts become ASCII. The result is for comparison only; folding is
    idempotent.
    """
    if text.isascii():
        return text.lower().replace("`", "'")
    # Case folding may compose letters or add marks (İ), and so may decomposing the result.
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(map(_bare, apart)).translate(_SPELT)


def begins(wanted: str, text: str) -> bool:
    """Tell whether each word of `wanted` begins a word of a text; both are folded.

    In a script without blanks, any letter may begin a word.
    """
    return all(any(_starts_word(text, at) for at in _places(word, text)) for word in wanted.split())


def _starts_word(text: str, at: int) -> bool:
    if at == 0 or not text[at].isalnum() or not text[at - 1].isalnum():
        return True
    if text[at].isdecimal() != text[at - 1].isdecimal():
        return True
    return unicodedata.name(text[at], "").startswith(_UNSPACED)


def _places(wanted: str, text: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def _bare(letter: str) -> str:
    if letter.isascii():
        return letter
    mark = unicodedata.combining(letter)
    if mark and mark not in _LETTERS_OF_THEIR_OWN:
        return ""
    kind = unicodedata.category(letter)
    if kind == "Cf" or "\ufe00" <= letter <= "\ufe0f":
        return ""
    return str(unicodedata.decimal(letter)) if kind == "Nd" else letter
