"""Rules of JSON frames, both ways; sections 2 and 3 of the contract."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call
from shared.protocol.commands.groups import GroupPerson
from shared.protocol.commands.messages import Message, MessageArrived, Page, Sent
from shared.protocol.commands.meta import Ping, Pong
from shared.protocol.commands.private import Send
from shared.protocol.errors import TEMPORARY, ChatError, ErrorCode
from shared.protocol.records import EVENTS, Event, Reply
from shared.protocol.spec import TABLE, Request, Spec, specs
from shared.protocol.values import Address
from tests.contract import SPELLINGS
from tests.protocol.strategies import records, requests

WRITTEN = [(frame, request) for request, frames in SPELLINGS for frame in frames if "{" in frame]
REPLIES = sorted({spec.reply for spec in specs()}, key=lambda reply: reply.__name__)
SEND = {"command": "send", "to": "bob", "text": "hi"}


def refused(frame: str | bytes) -> Call:
    """Return the frame as read, which must be a refusal."""
    call = json_dialect.parse(frame)
    assert call.request is None and call.error is not None
    return call


def code(frame: str | bytes) -> ErrorCode:
    """Return what the frame is refused with."""
    error = refused(frame).error
    assert error is not None
    return error.code


@pytest.mark.parametrize(("frame", "request_"), WRITTEN, ids=[frame for frame, _ in WRITTEN])
def test_every_spelling_is_the_same_request(frame: str, request_: Request[Any]) -> None:
    call = json_dialect.parse(frame)
    assert (call.request, call.error) == (request_, None)
    assert call.command == json.loads(frame)["command"]


def test_every_spelling_of_the_table_is_tried() -> None:
    tried = {json.loads(frame)["command"] for frame, _ in WRITTEN}
    assert tried == TABLE.keys()


def test_positions_are_given_as_an_object() -> None:
    call = json_dialect.parse('{"command":"sync","have":{"bob":3,"#1":0},"epoch":"e"}')
    assert call.request is not None
    assert json_dialect.parse(json_dialect.format_request(call.request)).request == call.request


@pytest.mark.parametrize("spec", specs(), ids=[s.name for s in specs()])
@given(data=st.data())
def test_a_request_reads_back_from_its_frame(spec: Spec, data: st.DataObject) -> None:
    request = data.draw(requests(spec))
    call = json_dialect.parse(json_dialect.format_request(request, "label"))
    assert (call.request, call.label, call.command) == (request, "label", spec.name)


@pytest.mark.parametrize("reply", REPLIES, ids=[reply.__name__ for reply in REPLIES])
@given(data=st.data())
def test_a_reply_reads_back_from_its_frame(reply: type[Reply], data: st.DataObject) -> None:
    given_ = data.draw(records(reply))
    frame = json_dialect.format_reply(given_, "send", "label")
    assert json_dialect.parse_reply(frame, reply) == given_


def test_a_reply_keeps_the_sentence_as_the_server_worded_it() -> None:
    made = GroupPerson("#1", "bob", "is now in")
    frame = json_dialect.format_reply(made, "invitegroup", None)
    read = json_dialect.parse_reply(frame, GroupPerson)
    assert (made.worded(), read.worded()) == ("bob is now in #1", "bob is now in #1")
    assert json_dialect.format_reply(read, "invitegroup", None) == frame
    assert text_dialect.format_reply(read) == "OK bob is now in #1"
    # A server that words nothing is worded here.
    assert json_dialect.parse_reply(b'{"status":"OK","time":1}', Pong).worded() == "Pong"


@pytest.mark.parametrize("name", EVENTS)
@given(data=st.data())
def test_an_event_reads_back_from_its_frame(name: str, data: st.DataObject) -> None:
    event: Event = data.draw(records(EVENTS[name]))
    frame = json_dialect.format_event(event)
    assert frame.startswith(b'{"event":"%b"' % name.encode())
    assert json_dialect.parse_event(frame) == event


@pytest.mark.parametrize(
    "frame",
    [
        "{",
        "{}",
        "{}{}",
        '{"command":"ping"} x',
        "[]",
        "null",
        "{'command':'ping'}",
        '{"command":null}',
        '{"command":1}',
        '{"command":["ping"]}',
        '{"command":""}',
        '{"command":"PING"}',
        '{"command":"nope"}',
        '{"command":"\\ud800"}',
        '{"Command":"ping"}',
        '{"command":"ping",}',
        b'{"command":"ping","x":"\xff"}',
        '{"a":' * 100_000,
        "{" + "[" * 500_000,
        '{"command":"send","to":' + "[" * 10_000 + "]" * 10_000 + "}",
        '{"command":"ping","id":"' + "x" * 200_000,
    ],
    ids=lambda frame: repr(frame)[:40],
)
def test_what_is_no_object_with_a_known_command_is_no_command(frame: str | bytes) -> None:
    assert code(frame) is ErrorCode.BAD_COMMAND


@pytest.mark.parametrize(
    "change",
    [
        {"to": None},
        {"to": 1},
        {"to": True},
        {"to": ["bob"]},
        {"to": {"user": "bob"}},
        {"to": ""},
        {"to": "#12"},
        {"text": None},
        {"text": ""},
        {"text": 5},
        {"text": "a\0b"},
        {"text": "x" * 16_385},
        {"extra": 1},
        {"extra": None},
        {"realm": "beta"},
        {"idempotency_key": ""},
        {"idempotency_key": "x" * 65},
        {"idempotency_key": 1},
        {"id": 1},
        {"id": True},
        {"id": "x" * 65},
        {"id": "é" * 33},
        {"id": "a\0"},
        {"id": ["a"]},
        {"id": {}},
        {"\n": 1},
    ],
    ids=repr,
)
def test_unknown_missing_and_wrong_keys_are_bad_arguments(change: dict[str, Any]) -> None:
    call = refused(json.dumps(SEND | change))
    assert call.error is not None and call.error.code is ErrorCode.BAD_ARGUMENTS
    assert call.error.message.endswith("Usage: send <to> <text...>")
    assert call.command == "send"


@pytest.mark.parametrize(
    "value",
    ["NaN", "Infinity", "-Infinity", '"\\ud800"', '"\\udc00\\ud800"', '{"a":NaN}', '["\\udfff"]'],
)
@pytest.mark.parametrize("key", ["text", "extra", "to"])
def test_nan_and_lone_surrogates_are_bad_arguments(key: str, value: str) -> None:
    frame = '{"command":"send","id":"7","to":"bob","text":"hi","' + key + '":' + value + "}"
    call = refused(frame)
    assert call.error is not None and call.error.code is ErrorCode.BAD_ARGUMENTS
    assert (call.command, call.label) == ("send", "7")


@pytest.mark.parametrize("padding", [1_000, 100_000])
def test_nan_in_a_long_frame_is_bad_arguments_too(padding: int) -> None:
    frame = '{"command":"send","to":"bob","text":"' + "x" * padding + '","extra":NaN}'
    assert code(frame) is ErrorCode.BAD_ARGUMENTS


@pytest.mark.parametrize(
    "seq", ["true", "1.0", "1e2", "-1", "9" * 20, "9" * 5_000, '"1"', "9007199254740992", "[1]"]
)
def test_only_whole_numbers_that_every_client_keeps_are_numbers(seq: str) -> None:
    assert code('{"command":"read","conversation":"bob","seq":' + seq + "}") is (
        ErrorCode.BAD_ARGUMENTS
    )


def test_the_last_of_duplicate_keys_counts() -> None:
    call = json_dialect.parse('{"command":"send","to":"eve","text":"hi","to":"bob"}')
    assert call.request == Send(Address("bob"), "hi")


def test_a_null_is_an_argument_not_given() -> None:
    call = json_dialect.parse(json.dumps(SEND | {"id": None, "idempotency_key": None}))
    assert (call.request, call.label) == (Send(Address("bob"), "hi"), None)


@pytest.mark.parametrize("realm", [None, "", 1, True, ["beta"], "be ta", "beta@x", "x" * 33])
def test_a_realm_spelling_needs_a_realm(realm: Any) -> None:
    body = {"command": "sendpcrealm", "realm": realm, "to": "bob", "text": "hi"}
    call = refused(json.dumps(body))
    assert call.error is not None and call.error.code is ErrorCode.BAD_ARGUMENTS
    assert call.error.message.endswith("Usage: sendpcrealm <realm> <to> <text...>")


@pytest.mark.parametrize("label", ["7", "x" * 64, "é" * 32, "👋", '"\\\n'])
@pytest.mark.parametrize("command", ["ping", "nope", "send"])
def test_the_label_is_echoed_also_when_refused(command: str, label: str) -> None:
    call = json_dialect.parse(json.dumps({"command": command, "id": label}))
    assert call.label == label
    frame = (
        json_dialect.format_reply(Pong(0), command, call.label)
        if call.error is None
        else json_dialect.format_error(call.error, call.command, call.label)
    )
    assert orjson.loads(frame)["id"] == label


def test_an_empty_label_is_a_label() -> None:
    call = json_dialect.parse('{"command":"ping","id":""}')
    assert (call.request, call.label) == (Ping(), "")


def test_the_nearest_command_is_named() -> None:
    error = refused('{"command":"sendpcreal"}').error
    assert error is not None and "did you mean sendpcrealm?" in error.message


def test_a_reply_is_compact_and_has_its_keys_in_order() -> None:
    frame = json_dialect.format_reply(Sent("bob", 3, "m_1", 9, "stored"), "sendpcrealm", "7")
    assert frame == (
        b'{"status":"OK","command":"sendpcrealm","id":"7","message":"Sent to bob as message 3",'
        b'"conversation":"bob","seq":3,"message_id":"m_1","time":9,"state":"stored"}'
    )


def test_a_refusal_is_compact_and_has_its_keys_in_order() -> None:
    error = ChatError(ErrorCode.RATE_LIMITED, "Too fast", retry_after=0.5)
    assert json_dialect.format_error(error, "send", "7") == (
        b'{"status":"ERROR","command":"send","id":"7","code":"rate_limited","message":"Too fast",'
        b'"temporary":true,"retry_after":0.5}'
    )
    moved = ChatError(ErrorCode.CONFLICT, "Go on", offset=7)
    assert json_dialect.format_error(moved, None, None) == (
        b'{"status":"ERROR","code":"conflict","message":"Go on","offset":7}'
    )


@pytest.mark.parametrize("error_code", ErrorCode)
def test_temporary_marks_what_may_succeed_later(error_code: ErrorCode) -> None:
    body = orjson.loads(json_dialect.format_error(ChatError(error_code, "No"), "send", None))
    assert body.get("temporary") is (True if error_code in TEMPORARY else None)
    assert "retry_after" not in body


def test_a_refusal_reads_back_with_everything_it_holds() -> None:
    error = ChatError(ErrorCode.CONFLICT, "Go on", retry_after=1.5, offset=7)
    with pytest.raises(ChatError) as read:
        json_dialect.parse_reply(json_dialect.format_error(error, "chunk", "7"), Sent)
    again = read.value
    assert (again.code, again.message, again.retry_after, again.values) == (
        *(ErrorCode.CONFLICT, "Go on", 1.5),
        {"offset": 7},
    )


def test_a_message_has_the_fields_of_the_contract_in_order() -> None:
    event = MessageArrived("m_1", "alice", 4, "alice", 9, "hi", group_name="team")
    assert json_dialect.format_event(event) == (
        b'{"event":"message","id":"m_1","conversation":"alice","seq":4,"from":"alice","time":9,'
        b'"text":"hi"}'
    )


def test_records_inside_a_reply_are_written_by_their_wire_names() -> None:
    page = Page("bob", [Message("m_1", "bob", 1, "bob", 9, "hi")], False)
    body = orjson.loads(json_dialect.format_reply(page, "inbox", None))
    assert list(body["messages"][0]) == ["id", "conversation", "seq", "from", "time", "text"]


def test_keys_of_a_newer_server_are_ignored() -> None:
    assert json_dialect.parse_reply(b'{"status":"OK","time":1,"new":2}', Pong) == Pong(1)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"OK hi",
        b"[]",
        b'"OK"',
        b"{}",
        b'{"status":"MAYBE"}',
        b'{"status":["OK"]}',
        b'{"status":"OK"}',
        b'{"status":"ERROR"}',
        b'{"status":"ERROR","code":"unknown_user"}',
        b'{"status":"ERROR","code":"of_a_newer_server","message":"No"}',
    ],
)
def test_what_is_no_reply_is_a_value_error(frame: bytes) -> None:
    with pytest.raises(ValueError):
        json_dialect.parse_reply(frame, Pong)


@pytest.mark.parametrize("frame", [b"", b"[bob] hi", b"[]", b"{}", b'{"event":"new"}'])
def test_what_is_no_event_is_a_value_error(frame: bytes) -> None:
    with pytest.raises(ValueError):
        json_dialect.parse_event(frame)
    with pytest.raises(ValueError):
        json_dialect.parse_event(b'{"event":"realm","realm":"beta"}')


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param("{" + ",".join(f'"{n}":1' for n in range(40_000)) + "}", id="keys"),
        pytest.param("[" + '"",' * 200_000 + "1]", id="values"),
    ],
)
def test_more_values_than_any_command_has_are_refused_unread(extra: str) -> None:
    """90,000 keys in 1 MiB held the event loop for 16 ms, again and again."""
    call = json_dialect.parse(f'{{"command":"ping","a":{extra}}}'.encode())
    assert call.error is not None and call.error.code is ErrorCode.BAD_ARGUMENTS
    assert call.error.message == "It has too many values"


def test_sync_with_as_many_names_as_it_may_have_is_read() -> None:
    have = ",".join(f'"u{n}":1' for n in range(10_000))
    call = json_dialect.parse(f'{{"command":"sync","have":{{{have}}}}}'.encode())
    assert call.error is None


def test_many_values_beside_nan_are_not_read_by_the_slow_reader() -> None:
    """It took 20 ms for 240 KiB."""
    frame = '{"command":"ping","a":[' + "1," * 15_000 + "NaN]}"
    assert code(frame) is ErrorCode.BAD_COMMAND
    assert code('{"command":"ping","a":[NaN]}') is ErrorCode.BAD_ARGUMENTS
