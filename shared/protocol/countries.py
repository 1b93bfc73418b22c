"""Country names of several words, to distinguish them from a password followed by a country."""

from __future__ import annotations

import re
from typing import Final

from shared.protocol.values import MIN_PASSWORD

# The words of six letters and more that stand before others in the names of ISO 3166, in usual and
# in full, and of regions whose people name those instead; in English and in Indonesian, which the
# app speaks, and what "United States" and "United Kingdom" are in some other languages.
_WORDS: Final = frozenset(
    """
    african afrika afrique america american amerika antigua arabian arabische argentine ascension
    australian basque bolivarian bosnia bouvet bretagne britain britania british brunei burkina
    caicos canary caribbean cayman central channel christmas commonwealth confederation coréia
    county democratic demokrat demokratik demokratis dominican dominika eastern emirat emirates
    equatorial estados eswatini etats-unis eustatius falkland federal federasi federated
    federation federative france french gabonese georgia grande guinea hashemite helena hellenic
    herzegovina independent indian inggris ireland islamic island islands italian keeling
    kepulauan kerajaan kingdom korean kosovo kyrgyz lebanese luxembourg maarten macedonia
    makedonia mariana marshall martin mcdonald micronesia miquelon montenegro myanmar negara
    netherlands norfolk northern nouvelle oriental outlying palestine palestinian pantai países
    people's peoples people’s persatuan perserikatan pierre pitcairn plurinational polinesia
    portuguese principality province puerto rakyat region republic republica republik republique
    república russian république sandwich selandia selatan serikat sierra slovak socialist solomon
    southern spanish special states sultanate svalbard syrian taiwan tanjung tanzania territory
    tiongkok togolese trinidad tristan unidos united vatican vatikan vereinigte vereinigtes verenigd
    verenigde vincent virgin wallis western états-unis
    """.split()
)
_PLAIN: Final = re.compile(r"[^\W\d_]+(?:[-.'’][^\W\d_]+)*[.,]?")
"""A word of a personal or country name: letters, with marks between them."""


def is_plain(word: str) -> bool:
    """Whether a word may be part of a person's or a country's name."""
    return _PLAIN.fullmatch(word.strip("()")) is not None


def could_hold_a_password(country: str) -> bool:
    """Whether one of the words typed as a country may be a misplaced password.

    A password has at least MIN_PASSWORD characters and comes before the country. So it is a long
    word that begins no country's name, or that is not a name at all. `Ontario,` with its comma is a
    name.
    """
    *heads, last = country.split() or [""]
    return any(
        not is_plain(word) or (word[-1] not in ",)" and word.lower() not in _WORDS)
        for word in heads
        if len(word) >= MIN_PASSWORD
    ) or (len(last) >= MIN_PASSWORD and not is_plain(last))
