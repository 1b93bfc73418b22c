"""What somebody looks for is found however it is spelt."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from shared.folding import begins, fold_text

FORMS = ("NFC", "NFD", "NFKC", "NFKD")


@pytest.mark.parametrize(
    "name, typed",
    [
        ("café", "cafe"),
        ("İstanbul", "istanbul"),
        ("ISPARTA", "ısparta"),
        ("straße", "strasse"),
        ("STRASSE", "straße"),
        ("Łódź", "lodz"),
        ("Ørsted Æble", "orsted aeble"),
        ("Đà Nẵng", "da nang"),
        ("Þór", "thor"),
        ("ΟΔΟΣ", "οδος"),
        ("Ёлка", "елка"),
        ("שָׁלוֹם", "שלום"),
        ("مُؤَسَّسَة", "موسسه"),
        ("علي", "علی"),
        ("می‌خواهم", "میخواهم"),
        ("ｆｕｌｌ ①", "full 1"),
        ("ﬁn", "fin"),
        ("١٢", "12"),
        ("O’Brien", "o'brien"),
        ("co‑op", "co-op"),
        ("ज़िंदगी", "जिंदगी"),
        ("so\u00adft", "soft"),
    ],
)
def test_accents_case_and_keyboards_make_no_difference(name: str, typed: str) -> None:
    for form in FORMS:
        assert fold_text(unicodedata.normalize(form, name)) == fold_text(typed)


@pytest.mark.parametrize("one, other", [("か", "が"), ("ดี", "ดา"), ("कि", "कु"), ("n", "m")])
def test_other_letters_stay_others(one: str, other: str) -> None:
    assert fold_text(one) != fold_text(other)


@pytest.mark.slow
def test_every_letter_has_one_form() -> None:
    for number in range(sys.maxunicode + 1):
        letter = chr(number)
        if unicodedata.category(letter) in ("Cs", "Cn"):
            continue
        folded = fold_text(letter)
        same = {fold_text(folded), fold_text(letter.upper()), fold_text(letter.lower())}
        same |= {fold_text(unicodedata.normalize(form, letter)) for form in FORMS}
        assert same == {folded}, hex(number)


@pytest.mark.parametrize(
    "wanted, text",
    [
        ("caf", "Grand Café"),
        ("gr ca", "Grand Café"),
        ("café gr", "Grand Café"),
        ("bob", "#bob"),
        ("beta", "bob@beta"),
        ("42", "team42"),
        ("smith", "bob.smith_jr"),
        ("京", "我爱东京"),
        ("タワ", "東京タワー"),
        ("", "anything"),
    ],
)
def test_the_beginning_of_each_word_is_found(wanted: str, text: str) -> None:
    assert begins(fold_text(wanted), fold_text(text))


@pytest.mark.parametrize("wanted, text", [("an", "and back, Juan"[4:]), ("afe", "café"), ("x", "")])
def test_the_middle_of_a_word_is_not(wanted: str, text: str) -> None:
    assert not begins(fold_text(wanted), fold_text(text))
