"""Tokens between runs, lines of input, and what is shown of what others wrote."""

from __future__ import annotations

import contextlib
import io
import os
import re
from pathlib import Path

import pytest

from shared.client import ChatError, NotSent, Offline, Receipt
from shared.protocol.commands.accounts import Registered
from shared.protocol.json_dialect import parse_reply
from shared.protocol.values import MAX_FRAME
from terminal_app.__main__ import parse
from terminal_app.commands import TypedCommand
from terminal_app.lines import typed_lines
from terminal_app.printing import answer_lines, event_lines
from terminal_app.progress import Bars
from terminal_app.scripted import MEANING, Exit
from terminal_app.tokens import Tokens, state_folder
from tests.realserver import ROOT


def test_a_token_belongs_to_one_server_and_user_and_is_read_by_its_user_alone(
    tmp_path: Path,
) -> None:
    here, there = Tokens(tmp_path, "ws://a:1/"), Tokens(tmp_path, "ws://b:1")
    assert here.latest() is None
    here.keep("..", "one")
    here.keep("Bob", "two")
    os.utime(next(tmp_path.rglob("bob.token")), (1, 1))
    assert (here.of(".."), here.of("bob"), there.of("bob")) == ("one", "two", "")
    assert here.latest() == ".."
    assert Tokens(tmp_path, "WS://A:1").of("BOB") == "two"
    assert all(path.stat().st_mode & 0o077 == 0 for path in tmp_path.rglob("*"))
    here.forget("bob", "an older one")
    assert here.of("bob") == "two"
    here.forget("bob", "two")
    assert here.of("bob") == ""


@pytest.mark.parametrize("token", ["tökén", "two\nlines\r\n", " blank ", "\u202e\x1b[2J"])
def test_a_token_that_is_no_ascii_is_kept_as_it_is(tmp_path: Path, token: str) -> None:
    """The client once ended with a traceback when a server gave it one."""
    tokens = Tokens(tmp_path, "ws://a:1")
    tokens.keep("bob", token)
    assert tokens.of("bob") == token
    tokens.forget("bob", token)
    assert tokens.of("bob") == ""


def test_the_document_has_every_option_variable_and_exit_code() -> None:
    document = (ROOT / "docs" / "terminal.md").read_text()
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as shown:
        parse(["--help"])
    options = set(re.findall(r"--[a-z-]+|CHAT_TERMINAL_[A-Z]+", shown.getvalue())) - {"--help"}
    assert len(options) == 10
    assert all(f"`{option}" in document for option in options)
    for code in Exit:
        assert f"| {code:d} | " in document
        assert f"{code:d} {MEANING[code]}" in " ".join(shown.getvalue().split())


def test_the_state_lies_where_the_desktop_wants_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value, folder in [(str(tmp_path / "x"), "x"), ("relative", ".local/state")]:
        monkeypatch.setenv("XDG_STATE_HOME", value)
        assert state_folder() == tmp_path / folder / "simple-chatting"


async def test_lines_of_a_file_are_read_whole_and_those_too_long_are_refused(
    tmp_path: Path,
) -> None:
    long = b"x" * (MAX_FRAME + 1)
    tmp_path.joinpath("lines").write_bytes(
        b"one\r\n\n  \n" + long + b"\n\xff\ntwo " + b"y" * 70_000 + b"\n" + long
    )
    source = os.open(tmp_path / "lines", os.O_RDONLY)
    lines = [line async for line in typed_lines(source)]
    os.close(source)
    said = [line if isinstance(line, str) else line.what for line in lines]
    assert [type(line) for line in lines] == [str, TypedCommand, TypedCommand, str, TypedCommand]
    assert said[0] == "one" and str(said[3])[:5] == "two y"
    codes = [what.code for what in said if isinstance(what, ChatError)]
    assert codes == ["too_large", "bad_command", "too_large"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xef\xbb\xbfsend bob hi\r\nping\r\n", ["send bob hi", "ping"]),
        (b"\xef\xbb\xbf", []),
        (b"\xef\xbb\xbfping", ["ping"]),
        (b"pi\xef\xbb\xbfng\n", ["pi\ufeffng"]),
        (b"a", ["a"]),
    ],
)
async def test_lines_from_windows_are_read(tmp_path: Path, content: bytes, said: list[str]) -> None:
    (tmp_path / "lines").write_bytes(content)
    source = os.open(tmp_path / "lines", os.O_RDONLY)
    assert [line async for line in typed_lines(source)] == said
    os.close(source)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
async def test_lines_in_utf_16_are_refused_once_with_what_to_do(
    tmp_path: Path, encoding: str
) -> None:
    (tmp_path / "lines").write_bytes("send bob hi\nping\nping\n".encode(encoding))
    source = os.open(tmp_path / "lines", os.O_RDONLY)
    (line,) = [line async for line in typed_lines(source)]
    os.close(source)
    assert isinstance(line, TypedCommand) and isinstance(line.what, ChatError)
    assert "These lines are UTF-16" in line.what.message


def test_a_reply_is_worded_as_the_server_worded_it() -> None:
    frame = b'{"status":"OK","command":"register","message":"Welcome \\u001b[2J","user":"bob"}'
    reply = parse_reply(frame, Registered)
    assert answer_lines(reply) == [("done", "OK Welcome \\x1b[2J")]


def test_what_was_not_answered_says_so_as_a_server_would() -> None:
    assert answer_lines(NotSent("no answer in time: send was not sent")) == [
        ("error", "ERROR unavailable No answer in time: send was not sent")
    ]


def test_a_notice_is_one_line_whatever_a_server_says() -> None:
    assert event_lines(Offline("gone\n[bob] forged\x1b", 1)) == [
        ("notice", "(no connection: gone [bob] forged\\x1b; trying again)")
    ]
    assert event_lines(Receipt("bob", "bob", 3, 0)) == []


def test_a_bar_shows_a_name_as_it_is_and_goes_when_the_file_is_there() -> None:
    bars = Bars(live=False)
    assert bars.draw(80) == ""
    bar = bars.begin("sending", "[red]a\x1b[2J.txt", 2_000_000)
    bar.move(1_000_000, 2_000_000)
    drawn = bars.draw(80)
    assert "sending [red]a\\x1b[2J.txt" in drawn and " 50%" in drawn
    bar.end()
    assert bars.draw(80) == "" and not len(bars)
