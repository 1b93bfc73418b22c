"""Rules of names, addresses and what people wrote; sections 2 to 4 of the contract."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol.file_names import clean_file_name
from shared.protocol.values import (
    MAX_FILE_NAME,
    Address,
    BadValue,
    GroupAddress,
    fold,
    in_words,
    parse_conversation,
)
from tests.protocol.strategies import CONVERSATIONS, GROUPS, NASTY, PEOPLE

ESC = "\x1b"


@pytest.mark.parametrize("word", ["b", "bob", "Bob.B_2-x", "a" * 32, "12", "-", "..."])
def test_a_name_is_1_to_32_of_its_alphabet(word: str) -> None:
    assert Address.parse(word) == Address(word)


@pytest.mark.parametrize(
    "word",
    [
        "",
        "a" * 33,
        "bo b",
        "böb",
        "bob\n",
        "bob\0",
        "#12",
        "b/b",
        "bob@",
        "@beta",
        "b@c@d",
        "bob@#",
    ],
)
def test_nothing_else_is_a_person(word: str) -> None:
    with pytest.raises(BadValue):
        Address.parse(word)


def test_a_person_of_another_realm_is_written_with_it() -> None:
    assert Address.parse("bob@beta") == Address("bob", "beta")
    assert str(Address("bob", "beta")) == "bob@beta"


def test_names_are_compared_without_case_and_shown_as_written() -> None:
    assert fold("BoB") == fold("bOb")
    assert str(Address.parse("BoB@Beta")) == "BoB@Beta"


@pytest.mark.parametrize("word", ["#12", "12", "#012"])
def test_a_group_is_a_number_with_or_without_its_sign(word: str) -> None:
    assert str(GroupAddress.parse(word)) == "#12"


def test_a_group_of_another_realm_is_written_with_it() -> None:
    assert GroupAddress.parse("12@beta") == GroupAddress.parse("#12@beta")
    assert str(GroupAddress(12, "beta")) == "#12@beta"


@pytest.mark.parametrize(
    "word", ["", "#", "#0", "0", "-1", "+1", "1.0", "##1", "#1@", "#1@b c", "#bob", "#١٢", "9" * 16]
)
def test_nothing_else_is_a_group(word: str) -> None:
    with pytest.raises(BadValue):
        GroupAddress.parse(word)


def test_a_conversation_is_a_group_only_with_its_sign() -> None:
    assert parse_conversation("#12") == GroupAddress(12)
    assert parse_conversation("12") == Address("12")


@given(CONVERSATIONS)
def test_every_address_reads_back_as_itself(address: Address | GroupAddress) -> None:
    assert parse_conversation(str(address)) == address


@given(PEOPLE | GROUPS)
def test_a_realm_qualifies_only_what_is_unqualified(address: Address | GroupAddress) -> None:
    assert address.in_realm("gamma").realm == (address.realm or "gamma")


@pytest.mark.parametrize("realm", ["alpha", "ALPHA", "Alpha"])
def test_this_realms_own_name_is_no_realm(realm: str) -> None:
    assert Address("bob", realm).without_local_realm("alpha") == Address("bob")
    assert GroupAddress(1, realm).without_local_realm("alpha") == GroupAddress(1)
    assert Address("bob", realm).without_local_realm("beta") == Address("bob", realm)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/home/me/photo.png", "photo.png"),
        ("C:\\Users\\me\\photo.png", "photo.png"),
        ("..\\../photo.png", "photo.png"),
        ("/etc/passwd", "passwd"),
        (f"pho{ESC}[2Jto.png", "pho[2Jto.png"),
        ("photo\r\n.png", "photo.png"),
        ("photo\u202egnp.exe", "photognp.exe"),
        ("\u2066photo\u2069.png\u200f", "photo.png"),
        (" photo.png ", "photo.png"),
        ("фото 1.png", "фото 1.png"),
        (".bashrc", ".bashrc"),
    ],
)
def test_a_file_name_loses_paths_and_deceiving_characters(given: str, kept: str) -> None:
    assert clean_file_name(given) == kept


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/", "a\\..", " ", "\n", "\u202e", "a/ .. "])
def test_what_leaves_nothing_is_no_file_name(name: str) -> None:
    with pytest.raises(BadValue):
        clean_file_name(name)


def test_a_file_name_has_at_most_255_bytes() -> None:
    assert clean_file_name("é" * 127) == "é" * 127
    with pytest.raises(BadValue):
        clean_file_name("é" * 128)
    assert clean_file_name("/" * 5000 + "a") == "a"


@given(st.text(st.characters(exclude_categories=["Cs"])) | NASTY)
def test_a_cleaned_file_name_is_safe_and_stays_as_it_is(name: str) -> None:
    try:
        cleaned = clean_file_name(name)
    except BadValue:
        return
    assert clean_file_name(cleaned) == cleaned
    assert not re.search(r"[/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", cleaned)
    assert cleaned not in ("", ".", "..")
    assert len(cleaned.encode()) <= MAX_FILE_NAME


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("hi there", "hi there"),
        ("Привет, 世界 👋", "Привет, 世界 👋"),
        ("a\nb", "a\n  b"),
        ("a\r\nb", "a\n  b"),
        ("a\rb", r"a\x0db"),
        (f"a{ESC}[31m", r"a\x1b[31m"),
        ("a\x9b31m", r"a\x9b31m"),
        ("a\x07\x7f\0", r"a\x07\x7f\x00"),
        ("a\x85b", r"a\x85b"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\u202eevil", r"\u202eevil"),
        ("pay\u200bpal", r"pay\u200bpal"),
        ("hi\u200b\u200c\u200d\u2060\ufeff", r"hi\u200b\u200c\u200d\u2060\ufeff"),
        ("hi\U000e0041\U000e0042\U000e007f", r"hi\U000e0041\U000e0042\U000e007f"),
        ("🏴\U000e0048\U000e0049", r"🏴\U000e0048\U000e0049"),  # tags that are no flag
        ("👋\U000e0048", r"👋\U000e0048"),
        ("x\ufe01\ufe02", r"x\ufe01\ufe02"),
        ("👋\ufe0f\ufe0f\U000e0100", r"👋️\ufe0f\U000e0100"),  # one selector is enough
        ("é\u200b\u200b", "é\u200b" + r"\u200b"),
        ("a\u00adb\u2064\u3164\uffa0", r"a\xadb\u2064\u3164\uffa0"),
        ("(1)\u200f 2", r"(1)\u200f 2"),
    ],
    ids=ascii,
)
def test_in_words_line_breaks_are_indented_and_controls_are_shown(written: str, shown: str) -> None:
    assert in_words(written) == shown


@pytest.mark.parametrize(
    "written",
    [
        *(
            "👩‍👩‍👧",
            "❤️",
            "❤️‍🔥",
            "🏴‍☠️",
            "👨🏽‍🦰",
            "1️⃣ #️⃣",
            "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f!",
        ),
        *("می‌خواهم", "क्‍ष", "葛\U000e0100城", "ភាសា\u200bខ្មែរ", "שלום\u200f (1)", "ᠮ\u180b"),
        *("naïve", "a\u00a0b", "⠓⠊⠀⠞⠓⠑⠗⠑"),
    ],
    ids=ascii,
)
def test_in_words_what_scripts_and_emoji_need_stays(written: str) -> None:
    assert in_words(written) == written


def test_in_words_a_text_full_of_marks_takes_no_longer_than_others() -> None:
    """Each mark must not have the whole text searched."""
    marks = "\u200e" * 5_000
    begun = time.process_time()
    assert in_words(marks) == r"\u200e" * 5_000
    assert time.process_time() - begun < 0.1


@given(st.text(st.characters(exclude_categories=["Cs"])) | NASTY)
def test_in_words_nobody_forges_a_line_or_steers_a_terminal(written: str) -> None:
    shown = in_words(written).replace("\n  ", "")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]", shown)
    assert not re.search("[\u2060-\u206f\ufeff\U000e0080-\U000e00ff]", shown)
    assert len(shown.splitlines()) <= 1
    assert in_words(shown) == shown
