"""Rules of single arguments: what each kind takes from a word and from JSON."""

from __future__ import annotations

import base64
import contextlib
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol import kinds
from shared.protocol.kinds import Kind, Number, Pattern, Secret, Text
from shared.protocol.spec import specs
from shared.protocol.values import MAX_NUMBER, Address, BadValue, GroupAddress
from tests.protocol.strategies import values_of

EVERY = {a.kind: f"{spec.name} {a.name}" for spec in specs() for a in spec.args}
"""Each kind once, with an argument that has it."""
each_kind = pytest.mark.parametrize("kind", EVERY, ids=list(EVERY.values()))
NAME = Text(10, one_line=True)


@each_kind
@given(data=st.data())
def test_what_is_written_reads_back_in_both_dialects(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(values_of(kind))
    assert kind.from_json(kind.to_json(value)) == value
    if not isinstance(kind, kinds.PositionsKind | kinds.Flag):
        assert kind.from_word(str(kind.to_json(value))) == value


@each_kind
@pytest.mark.parametrize(
    "value", [True, False, 1.0, float("nan"), float("inf"), [], {"a": {}}, [["x"]], -1, 10**30, ""]
)
def test_a_wrong_value_is_refused_with_a_sentence(kind: Kind, value: Any) -> None:
    if isinstance(kind, kinds.Flag) and isinstance(value, bool):
        return
    with pytest.raises(BadValue, match=r"."):
        kind.from_json(value)


@each_kind
@given(value=st.recursive(st.none() | st.floats() | st.integers() | st.text(), st.lists))
def test_any_json_value_is_taken_or_refused(kind: Kind, value: Any) -> None:
    with contextlib.suppress(BadValue):
        kind.from_json(value)


@pytest.mark.parametrize("kind", [kinds.MESSAGE_TEXT, kinds.LABEL, kinds.FILE_NAME, NAME])
@pytest.mark.parametrize("text", ["a\0b", "\0", "a\ud800", "\udfff"])
def test_nul_and_lone_surrogates_are_refused(kind: Kind, text: str) -> None:
    with pytest.raises(BadValue):
        kind.from_json(text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.MESSAGE_TEXT, "x" * 16_384),
        (kinds.MESSAGE_TEXT, "é" * 8_192),
        (kinds.LABEL, "x" * 64),
        (kinds.LABEL, "é" * 32),
        (kinds.NEW_PASSWORD, "x" * 6),
        (kinds.NEW_PASSWORD, "é" * 128),
        (kinds.PASSWORD, "x"),
    ],
)
def test_a_text_may_be_as_long_as_its_limit(kind: Kind, text: str) -> None:
    assert kind.from_word(text) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (kinds.MESSAGE_TEXT, ""),
        (kinds.MESSAGE_TEXT, "x" * 16_385),
        (kinds.MESSAGE_TEXT, "é" * 8_193),
        (kinds.LABEL, "x" * 65),
        (kinds.LABEL, "é" * 33),
        (kinds.NEW_PASSWORD, "x" * 5),
        (kinds.NEW_PASSWORD, "x" * 129),
    ],
)
def test_a_text_beyond_its_limits_is_refused(kind: Kind, text: str) -> None:
    with pytest.raises(BadValue):
        kind.from_word(text)


@pytest.mark.parametrize("text", ["a\nb", " ", "\t", "\x1b[2J", "a\u2028"])
def test_a_name_of_a_group_or_person_is_one_visible_line(text: str) -> None:
    with pytest.raises(BadValue):
        NAME.from_word(text)


@pytest.mark.parametrize("word", ["1", "200", "007"])
def test_a_number_is_written_in_digits(word: str) -> None:
    assert Number(1, 200).from_word(word) == int(word)


@pytest.mark.parametrize(
    "word",
    ["", "0", "201", "-1", "+1", "1.0", "1e2", "0x1", "١", "1_0", " 1", "9" * 17, "9" * 5000],
)
def test_nothing_else_is_a_number(word: str) -> None:
    with pytest.raises(BadValue):
        Number(1, 200).from_word(word)


@pytest.mark.parametrize("value", [True, "1", 1.0, 1.5, None, MAX_NUMBER + 1, -1, 2**64])
def test_in_json_a_number_is_an_integer_that_every_client_keeps(value: Any) -> None:
    with pytest.raises(BadValue):
        kinds.SEQ.from_json(value)
    assert kinds.SEQ.from_json(MAX_NUMBER) == MAX_NUMBER


def test_in_json_a_group_may_be_a_bare_number() -> None:
    assert kinds.GROUP.from_json(12) == kinds.GROUP.from_json("#12") == GroupAddress(12)
    assert kinds.GROUP.from_json("12") == GroupAddress(12)


@pytest.mark.parametrize("value", [True, 0, -12, 12.0, 10**15, None])
def test_no_other_number_is_a_group(value: Any) -> None:
    with pytest.raises(BadValue):
        kinds.GROUP.from_json(value)


@pytest.mark.parametrize(
    ("word", "content"),
    [
        ("aGk=", b"hi"),
        ("aGk", b"hi"),
        ("aG k=", b"hi"),
        ("aGVs\r\nbG8=\r\n", b"hello"),
        ("  aGVs\n\tbG8=", b"hello"),
        ("-_-_", b"\xfb\xff\xbf"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("data:image/png;base64,aGk=", b"hi"),
        ("DATA:text/plain;charset=utf-8;base64,aGk", b"hi"),
        ("AA==", b"\0"),
        ("AA", b"\0"),
    ],
)
def test_base64_is_taken_wrapped_url_safe_unpadded_and_as_a_data_url(
    word: str, content: bytes
) -> None:
    assert kinds.BASE64.from_word(word) == kinds.BASE64.from_json(word) == content


@given(st.binary(min_size=1), st.sampled_from([None, 4, 60, 64, 76]), st.booleans(), st.booleans())
def test_content_in_any_usual_base64_has_its_exact_size(
    content: bytes, width: int | None, url: bool, padded: bool
) -> None:
    text = (base64.urlsafe_b64encode if url else base64.b64encode)(content).decode()
    text = text if padded else text.rstrip("=")
    if width is not None:
        text = "\n".join(text[at : at + width] for at in range(0, len(text), width))
    assert kinds.BASE64.from_word(text) == content


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("", "at least one byte"),
        (" \n", "at least one byte"),
        ("=", "too few or too many ="),
        ("a", "the end is missing, as 1 letters"),
        ("aGVsb", "the end is missing, as 5 letters"),
        ("aGk==", "too few or too many ="),
        ("aGVs=", "too few or too many ="),
        ("aGk=aGk=", "the = at character 4 is not at its end"),
        ("aG\nk*", r"\* at character 5 is none of its signs"),
        ("é", "é at character 1 is none of its signs"),
        ("aGk\ufeff", r"U\+FEFF at character 4 is none of its signs"),
        ("data:,hello", "has its content in another form"),
        ("data:image/png;base64,aG.k", r"\. at character 25 is none of its signs"),
    ],
)
def test_what_is_no_base64_is_told_where_it_is_wrong(word: str, why: str) -> None:
    with pytest.raises(BadValue, match=why):
        kinds.BASE64.from_word(word)


def test_a_key_of_a_realm_has_one_spelling() -> None:
    key = kinds.Base64(size=3)
    assert key.from_word("-_-_".translate(str.maketrans("-_", "+/"))) == b"\xfb\xff\xbf"
    for other in ("-_-_", "+/+ /", "data:;base64,+/+/"):
        with pytest.raises(BadValue):
            key.from_word(other)


def test_passwords_and_tokens_are_secret_and_nothing_else_is() -> None:
    secret = {a.name for spec in specs() for a in spec.args if isinstance(a.kind, Secret)}
    assert secret == {
        *("password", "old_password", "new_password", "token", "code", "invitation"),
    }


def test_positions_are_an_object_of_conversations_and_seqs() -> None:
    assert kinds.POSITIONS.from_json({"bob": 0, "#2@beta": 7}) == {
        Address("bob"): 0,
        GroupAddress(2, "beta"): 7,
    }
    for wrong in ({"bob": -1}, {"bob": True}, {"b b": 1}, [["bob", 1]], "bob", {"bob": None}):
        with pytest.raises(BadValue):
            kinds.POSITIONS.from_json(wrong)


def test_a_pattern_fits_the_whole_word() -> None:
    kind = Pattern(re.compile("json|text"), "json or text")
    assert kind.from_word("json") == "json"
    for wrong in ("", "jsontext", "json\n", "JSON"):
        with pytest.raises(BadValue, match="json or text"):
            kind.from_word(wrong)


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("-1", "must be from 0 to 9007199254740991"),
        ("99999999999999999999", "must be from 0 to 9007199254740991"),
        ("9" * 5_000, "must be from 0 to 9007199254740991"),
        ("five", "must be a whole number"),
        ("1.5", "must be a whole number"),
        ("\u0661", "must be a whole number"),
    ],
)
def test_a_whole_number_out_of_bounds_is_not_called_none(word: str, why: str) -> None:
    with pytest.raises(BadValue, match=f"^{why}$"):
        Number().from_word(word)
