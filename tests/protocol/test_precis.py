"""Names, texts and passwords as people write them on any keyboard; precis.py names the rules."""

from __future__ import annotations

from unicodedata import normalize

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.protocol import kinds, precis
from shared.protocol.commands.accounts import Register
from shared.protocol.values import BadValue

NAME = Register.spec.by_name["real_name"].kind
UNSEEN = [
    *("\u200b", "\u200b\u200b", "\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\ufe0f", "\u200d"),
    *("\u00ad", "\u034f", "\u180e", "\u2060", "\ufeff", "\u00a0", "\u3000", "\u2003", "\u202f"),
    *("\U000e0041\U000e0042", "\U000e0100", "\U0001d173", "\u061c", "\u200e", "\u200f", "\ufffc"),
    *("\u0301", "\u0301\u0302", "\u20e3", "\u17b5", "\u2064", "\u2800\u2800 \u200b", "\U0001d159"),
]
"""What shows nothing, or marks that stand on nothing."""
SEEN = [
    "👩‍👩‍👧",  # joined by U+200D
    "❤️",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",  # tags behind a flag
    "1️⃣",
    "می‌خواهم",  # U+200C within a Persian word
    "क्‍ष",
    "葛\U000e0100城",  # a variant of an ideograph
    "é",
    "ㅋ",
    "ก็",
    ".",
]


@pytest.mark.parametrize("text", UNSEEN, ids=ascii)
def test_a_name_or_a_text_that_shows_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="visible"):
        NAME.from_json(text)
    for around in (text, f" {text}\n{text}"):
        with pytest.raises(BadValue, match="shows nothing; write something that can be seen"):
            kinds.MESSAGE_TEXT.from_json(around)


@pytest.mark.parametrize("text", [" ", "\n", " \t\r\n "])
def test_a_text_of_blanks_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="shows nothing"):
        kinds.MESSAGE_TEXT.from_json(text)


@pytest.mark.parametrize("text", SEEN, ids=ascii)
def test_emoji_and_words_that_need_joiners_stay_as_they_are(text: str) -> None:
    for written in (text, f"x {text}", f"{text} \u200f\u202bx"):
        assert kinds.MESSAGE_TEXT.from_json(written) == written
    assert NAME.from_json(text) == normalize("NFC", text)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Jose\u0301", "José"),
        ("\u200bBob\u200b", "Bob"),
        ("\u00a0Bob\u3000", "Bob"),
        ("Bob\n", "Bob"),
        ("B\u00ado\u2060b\ufeff", "Bob"),
        ("Bo\u200db", "Bob"),
        ("Bob\U000e0041\U000e0042\U000e007f", "Bob"),
        ("🏴\U000e0041\U000e0042\U000e007f", "🏴"),
        ("\u200dé\u200d", "é"),
        ("שלום\u200f", "שלום"),
        ("x" + "\u0335" * 50, "x" + "\u0335" * precis.MAX_MARKS),
        ("x" + "\u0335\u200d" * 50 + "y", "x" + "\u0335" * precis.MAX_MARKS + "y"),
    ],
    ids=ascii,
)
def test_a_name_is_kept_without_what_nobody_sees(written: str, kept: str) -> None:
    name = NAME.from_json(written)
    assert name.replace("\u200d", "") == kept


@pytest.mark.parametrize(
    "name",
    ["a\u202eb", "a\u2066b\u2069", "\u202a", "a\u2028b", "a\u0085b", "a\nb", "a\x1b", "a\tb"],
)
def test_a_name_that_turns_or_breaks_its_line_is_refused(name: str) -> None:
    with pytest.raises(BadValue, match="must be one line of visible text"):
        NAME.from_json(name)


@given(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.text("aé\u0301\u200c\u200d\u200b\u3000\u00a0\u212a")
)
@example("\u200c\u3000\u200c\u00a1")  # a joiner behind a blank was at the beginning afterwards
def test_a_cleaned_name_stays_as_it_is(written: str) -> None:
    try:
        name = precis.clean_name(written)
    except BadValue:
        return
    assert precis.clean_name(name) == name == normalize("NFC", name)
    assert precis.tamed_name(written, "-") == (name or "-")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_what_another_realm_accepted_as_a_name_is_shown_somehow(written: str) -> None:
    name = precis.tamed_name(written, "(no name)")
    assert name and precis.shows_something(name) and "\n" not in name and "\u202e" not in name


def test_a_password_is_one_whatever_keyboard_it_was_typed_on() -> None:
    mac, windows = normalize("NFD", "pässwörd"), normalize("NFC", "pässwörd")
    assert mac != windows
    assert kinds.NEW_PASSWORD.from_json(mac) == kinds.NEW_PASSWORD.from_json(windows) == windows
    assert kinds.NEW_PASSWORD.from_json("my\u00a0pass\u3000word") == "my pass word"
    assert kinds.NEW_PASSWORD.from_json(" Pass Word ") == " Pass Word "  # nothing is taken away
    assert (
        kinds.NEW_PASSWORD.from_json("ｆｕｌｌ１２") == "ｆｕｌｌ１２"
    )  # RFC 8265: no width mapping


def test_the_length_of_a_password_is_counted_as_it_is_kept() -> None:
    assert kinds.NEW_PASSWORD.from_json("e\u0301" * 128) == "é" * 128
    for wrong in ("e\u0301" * 5, "e\u0301" * 129, "x" * 129):
        with pytest.raises(BadValue, match="must have 6 to 128 characters"):
            kinds.NEW_PASSWORD.from_json(wrong)


def test_a_new_password_has_no_controls_but_an_old_one_may() -> None:
    for typed in ("pass\tword", "pass\x1bword", "password\r"):
        with pytest.raises(BadValue, match="control characters"):
            kinds.NEW_PASSWORD.from_json(typed)
        assert kinds.PASSWORD.from_json(typed) == typed
