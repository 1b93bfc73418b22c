"""Whatever a frame holds, reading it gives a request or a refusal; section 2 of the contract."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call
from shared.protocol.errors import ErrorCode
from shared.protocol.spec import TABLE, specs
from tests.fuzz.frames import Known, any_frame, broken, of_command
from tests.fuzz.seeds import RAW, SEEDS

many = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
SPELLINGS = st.sampled_from(sorted(TABLE))
KEYS = st.sampled_from(sorted({a.name for s in specs() for a in s.args} | {"id", "realm", "x"}))


def check(call: Call) -> None:
    """Check what holds for every frame that was read."""
    assert (call.request is None) != (call.error is None)
    if call.error is not None:
        assert call.error.code in (ErrorCode.BAD_COMMAND, ErrorCode.BAD_ARGUMENTS)
        body = orjson.loads(json_dialect.format_error(call.error, call.command, call.label))
        assert body["message"] and len(body["message"]) < 1_000
        shown = text_dialect.format_error(call.error)
        assert shown.encode() and shown.replace("\n  ", "").isprintable()
    if call.request is not None:
        again = json_dialect.parse(json_dialect.format_request(call.request, call.label))
        assert (again.request, again.error) == (call.request, None)


def check_both(frame: str) -> None:
    """Read the frame in either dialect."""
    check(text_dialect.parse(frame))
    check(json_dialect.parse(frame))
    try:
        as_bytes = frame.encode()
    except UnicodeEncodeError:
        return
    check(json_dialect.parse(as_bytes))


@pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: repr(seed)[:60])
def test_every_seed_is_read_or_refused(seed: str) -> None:
    check_both(seed)


@pytest.mark.parametrize("raw", RAW)
def test_what_is_not_utf_8_is_refused(raw: bytes) -> None:
    assert json_dialect.parse(raw).request is None


@many
@given(st.text(st.characters()))
def test_any_text_is_read_or_refused(text: str) -> None:
    check_both(text)


@many
@given(st.binary())
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    check(json_dialect.parse(raw))
    check(json_dialect.parse(b"{" + raw))


@many
@given(SPELLINGS, st.text(st.characters()))
def test_any_line_of_a_command_is_read_or_refused(spelling: str, rest: str) -> None:
    check(text_dialect.parse(f"{spelling} {rest}"))


@many
@given(SPELLINGS, st.lists(st.sampled_from(["bob", "#1", "1", "a=b", "limit=1", "realm=b", "\n"])))
def test_any_words_of_a_command_are_read_or_refused(spelling: str, words: list[str]) -> None:
    check(text_dialect.parse(" ".join([spelling, *words])))


@many
@given(SPELLINGS, st.dictionaries(KEYS, JSON_VALUES))
def test_any_object_of_a_command_is_read_or_refused(spelling: str, body: dict[str, Any]) -> None:

    check(json_dialect.parse(json.dumps({"command": spelling, **body})))


@many
@given(JSON_VALUES)
def test_any_json_is_read_or_refused(value: Any) -> None:

    check_both(json.dumps(value))


@pytest.mark.parametrize("spec", specs(), ids=[s.name for s in specs()])
def test_a_nearly_right_frame_is_read_or_refused(spec: Any) -> None:
    chance = Random(spec.name)
    for number in range(100):
        frame = of_command(chance, Known(), spec, str(number))
        check_both(frame)
        check_both(broken(chance, frame))


def test_any_frame_of_the_session_fuzz_is_read_or_refused() -> None:
    chance = Random(1)
    for number in range(1_000):
        check_both(any_frame(chance, Known(), str(number)))
