"""Rules of typed lines and of answers in words; sections 2 and 3 of the contract."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol import text_dialect
from shared.protocol.commands.groups import CreateGroup
from shared.protocol.commands.history import Sync
from shared.protocol.commands.messages import Sent
from shared.protocol.commands.private import ListPc, Send
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import TABLE, Request, Spec, specs
from shared.protocol.values import Address, BadValue
from tests.contract import SPELLINGS
from tests.protocol.strategies import requests

TYPED = [(line, request) for request, frames in SPELLINGS for line in frames if "{" not in line]
TYPEABLE = [s for s in specs() if not any(a.required and a.json_only for a in s.args)]


def refusal(line: str) -> ChatError:
    """Return what the line is refused with."""
    call = text_dialect.parse(line)
    assert call.request is None and call.error is not None
    return call.error


@pytest.mark.parametrize(("line", "request_"), TYPED, ids=[line for line, _ in TYPED])
def test_every_spelling_is_the_same_request(line: str, request_: Request[Any]) -> None:
    call = text_dialect.parse(line)
    assert (call.request, call.error) == (request_, None)
    assert call.command == line.split()[0].lower()


def test_every_spelling_of_the_table_is_tried() -> None:
    assert {line.split()[0].lower() for line, _ in TYPED} == TABLE.keys() - {
        *("sync", "link", "linkproof")
    }


@pytest.mark.parametrize("spec", TYPEABLE, ids=[s.name for s in TYPEABLE])
@given(data=st.data())
def test_a_request_reads_back_from_its_line(spec: Spec, data: st.DataObject) -> None:
    request = data.draw(requests(spec, typed=True))
    assert text_dialect.parse(text_dialect.format_request(request)).request == request


@pytest.mark.parametrize(
    "text", ["hi  there", "hi ", "hi\t", "a\nb", "a\r\n b \n", "{x}", "= before=1", "é 👋", "\\n"]
)
def test_the_rest_of_the_line_is_verbatim(text: str) -> None:
    assert text_dialect.parse(f"send bob {text}").request == Send(Address("bob"), text)
    assert text_dialect.parse(f"sendpcrealm beta bob {text}").request == Send(
        Address("bob", "beta"), text
    )


def test_an_optional_argument_before_the_rest_is_json_only() -> None:
    assert text_dialect.parse("send bob idempotency_key=k").request == Send(
        Address("bob"), "idempotency_key=k"
    )
    assert text_dialect.parse("creategroup realm=beta").request == CreateGroup("realm=beta")


def test_blanks_around_words_do_not_count() -> None:
    assert text_dialect.parse(" \t listpc   beta  \r\n").request == ListPc("beta")


@pytest.mark.parametrize(
    "request_",
    [
        Send(Address("bob"), " hi"),
        Send(Address("bob"), "hi", "key"),
        CreateGroup("team", "beta"),
        Sync({}),
    ],
)
def test_what_only_json_can_carry_is_not_written_in_words(request_: Request[Any]) -> None:
    with pytest.raises(BadValue, match="JSON"):
        text_dialect.format_request(request_)


@pytest.mark.parametrize("line", ["", " ", "\t\r\n", "\n\n"])
def test_a_blank_line_is_no_command(line: str) -> None:
    assert refusal(line).code is ErrorCode.BAD_COMMAND


@pytest.mark.parametrize(
    "line", ["snd bob hi", "42", "send\0 bob hi", "\ufeffping", "é", "ping\x1b[2J", "\x0bping"]
)
def test_an_unknown_word_is_no_command(line: str) -> None:
    assert refusal(line).code is ErrorCode.BAD_COMMAND
    assert text_dialect.parse(line).command is None


@pytest.mark.parametrize(
    "line",
    [
        "send",
        "send bob",
        "send b#b hi",
        "send #12 hi",
        "send bob a\0b",
        "send bob a\ud800",
        f"send bob {'x' * 16_385}",
        "sendpcrealm",
        "sendpcrealm beta",
        "sendpcrealm be#ta bob hi",
        "sendpcrealm beta bob",
        "listpcrealm",
        "listpcrealm beta gamma delta",
        "listpcrealm realm=beta",
        "creategrouprealm beta",
        "inbox bob 0",
        "inbox bob before=0",
        "inbox bob before=",
        "inbox bob before=5 before=6",
        "inbox bob 5 before=6",
        "inbox bob limit=0",
        "inbox bob limit=201",
        "inbox bob 1 2 3",
        "inbox bob limit=True",
        "inbox bob user=eve",
        "inbox bob nonsense=1",
        "history bob before=1 after=1",
        "invitegroup bob 12",
        "sendg bob hi",
        "sync",
        "sync {}",
        "sync have={}",
        "ping pong",
        "logout now",
        "format xml",
        "files pull",
        "getfile f_1 -1",
        "addrealm beta localhost 0",
        "addrealm beta localhost 65536",
        "addrealm beta localhost http",
        f"upload bob a.png 0 {'ab' * 32}",
        f"upload bob a.png 1 {'AB' * 32}",
        "upload bob a.png 1 ab",
        "chunk u_1 0 a",
        "register bob Bob short Indonesia",
        "register bob@beta Bob secret1 Indonesia",
        "register bob Bob secret1",
    ],
)
def test_wrong_arguments_are_refused_with_the_usage(line: str) -> None:
    error = refusal(line)
    name = line.split()[0]
    assert error.code is ErrorCode.BAD_ARGUMENTS
    assert error.message.endswith(f". Usage: {TABLE[name].usage(name)}")


def test_the_argument_at_fault_is_named() -> None:
    assert refusal("inbox bob limit=0").message.startswith("limit: must be from 1 to 200")
    assert refusal("send").message.startswith("<to> is missing")


@pytest.mark.parametrize("command", ["sendfile bob", "sendgroupfile 12"])
@pytest.mark.parametrize("path", ["/home/me/photo.png", "C:\\photo.png", "photo.png"])
def test_a_path_without_content_is_refused_and_told_why(command: str, path: str) -> None:
    error = refusal(f"{command} {path}")
    assert error.code is ErrorCode.BAD_ARGUMENTS
    assert "the server opens no files" in error.message and "base64" in error.message


def test_a_realm_spelling_without_content_is_told_so_too() -> None:
    assert "the server opens no files" in refusal("sendfilerealm beta bob /a.png").message


def test_a_reply_begins_with_ok_and_lists_one_item_a_line() -> None:
    lines = text_dialect.format_reply(Sent("bob", 3, "m_1", 0, "stored")).split("\n")
    assert lines[0].startswith("OK ") and len(lines) == 1


def test_a_refusal_begins_with_its_code() -> None:
    error = ChatError(ErrorCode.UNKNOWN_USER, "Nobody here is called eve")
    assert text_dialect.format_error(error) == "ERROR unknown_user Nobody here is called eve"


def test_a_refusal_in_words_tells_when_to_try_again_and_what_is_right() -> None:
    slow = ChatError(ErrorCode.RATE_LIMITED, "Too fast", retry_after=2.5)
    assert text_dialect.format_error(slow) == "ERROR rate_limited Too fast (try again in 2.5 s)"
    moved = ChatError(ErrorCode.CONFLICT, "Go on at offset 7", offset=7)
    assert text_dialect.format_error(moved) == "ERROR conflict Go on at offset 7"


@given(st.text())
def test_a_refusal_is_one_line_that_no_frame_can_forge(line: str) -> None:
    call = text_dialect.parse(line)
    if call.error is not None:
        shown = text_dialect.format_error(call.error)
        assert shown.replace("\n  ", "").isprintable()


def test_a_long_word_is_read_as_fast_as_a_long_text() -> None:
    def seconds(line: str) -> float:
        # Of this process alone, however busy the machine is.
        begin = time.process_time()
        text_dialect.parse(line)
        return time.process_time() - begin

    # Every connection waits while one frame is read, so a whole file must not take long.
    assert min(seconds("sendfile bob a.png " + "A" * 699_048) for _ in range(10)) < 0.02
