"""Names of countries of several words, to tell them from a password with a country behind it."""

from __future__ import annotations

import re
from typing import Final

from shared.protocol.values import MIN_PASSWORD

# The words of six letters and more that stand before others in the names of ISO 3166, in usual and
# in full, and of regions whose people name those instead; in English and in Indonesian, which the
# app speaks, and what "United States" and "United Kingdom" are in some other languages.
_WORDS: Final = frozenset(
    """
    african afrika american amerika antigua arabian argentine ascension australian bolivarian
    bosnia bouvet britania british brunei burkina canary cayman central channel christmas
    commonwealth county democratic demokrat demokratik demokratis dominican dominika eastern
    emirat emirates equatorial estados etats-unis falkland federal federasi federated federation
    federative french guinea hashemite hellenic herzegovina independent inggris islamic island
    islands kepulauan kerajaan kingdom korean kosovo lebanese macedonia makedonia marshall
    micronesia montenegro negara netherlands norfolk northern oriental palestine palestinian
    people's peoples people’s persatuan perserikatan pitcairn plurinational polinesia principality
    province puerto region republic republica republik republique república russian république
    selandia selatan serikat sierra slovak socialist solomon southern spanish special states
    sultanate svalbard syrian taiwan tanzania territory trinidad tristan united vatican vatikan
    vereinigte vereinigtes verenigd verenigde virgin wallis western états-unis
    """.split()
)
_PLAIN: Final = re.compile(r"[^\W\d_]+(?:[-.'’][^\W\d_]+)*[.,]?")
"""A word as names of people and countries have it: letters, with marks between them."""


def is_plain(word: str) -> bool:
    """Whether a word could be a part of a person's or a country's name."""
    return _PLAIN.fullmatch(word.strip("()")) is not None


def could_hold_a_password(country: str) -> bool:
    """Whether one of the words typed for a country may be meant as a password.

    A password has MIN_PASSWORD characters, and the country comes behind it: so a long word that
    begins no country's name, or one that is no name at all.
    """
    *heads, last = country.split() or [""]
    long_heads = (word for word in heads if len(word) >= MIN_PASSWORD)
    if any(not is_plain(word) or word.strip("(),.").lower() not in _WORDS for word in long_heads):
        return True
    return len(last) >= MIN_PASSWORD and not is_plain(last)
