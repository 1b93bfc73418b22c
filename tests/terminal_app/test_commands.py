"""What typed lines ask for: the table's commands, paths of files, and the client's own commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from shared.client import ChatError
from shared.protocol.commands.files import SendFile
from shared.protocol.commands.meta import HelpPage
from shared.protocol.commands.private import Send
from shared.protocol.values import Address, GroupAddress
from terminal_app.asking import ArgumentForm, form
from terminal_app.commands import OWN, ExitApp, SaveFile, SendPath, read, usage
from terminal_app.paths import check_sendable


def refusal(line: str, here: Path) -> str:
    what = read(line, here).what
    assert isinstance(what, ChatError)
    return what.message


@pytest.fixture
def here(tmp_path: Path) -> Path:
    for name in ("photo.png", "my file", "back\\slash"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_both_dialects_and_realm_spellings_ask_for_the_same(here: Path) -> None:
    lines = [
        "send bob@beta hi there",
        "sendpcrealm beta bob hi there",
        '{"command":"send","to":"bob@beta","text":"hi there"}',
    ]
    expected = Send(Address("bob", "beta"), "hi there")
    assert [read(line, here).what for line in lines] == [expected] * 3


@pytest.mark.parametrize(
    "line, to, path",
    [
        ("sendfile bob {}/photo.png", Address("bob"), "photo.png"),
        ("sendfile bob {}/my file  ", Address("bob"), "my file"),
        ('sendfile bob "{}/my file"', Address("bob"), "my file"),
        ("sendfile bob '{}/my file'", Address("bob"), "my file"),
        ('sendfile bob "{}/a \\"quoted\\" file"', Address("bob"), 'a "quoted" file'),
        ("sendfile bob {}/my\\ file", Address("bob"), "my file"),
        ("sendfile bob {}/back\\slash", Address("bob"), "back\\slash"),
        ("sendfile bob {}/no file", Address("bob"), "no file"),
        ("sendfilerealm beta bob {}/photo.png", Address("bob", "beta"), "photo.png"),
        ("sendgroupfile 12 {}/photo.png", GroupAddress(12), "photo.png"),
        ("sendgroupfilerealm beta #12 {}/photo.png", GroupAddress(12, "beta"), "photo.png"),
    ],
)
def test_an_absolute_path_is_the_rest_of_the_line(
    here: Path, line: str, to: Any, path: str
) -> None:
    assert read(line.format(here), Path("/")).what == SendPath(to, here / path)


def test_a_path_may_begin_at_home(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here))
    sent = SendPath(Address("bob"), here / "photo.png")
    assert read("sendfile bob ~/photo.png", Path("/")).what == sent
    assert refusal("sendfile bob ~nobody-here/x", here).endswith("write the whole path")


@pytest.mark.parametrize("typed", ["photo.png", "./photo.png", "my file", "'my file'", "a/../x y"])
def test_a_relative_path_is_refused_with_the_absolute_one(here: Path, typed: str) -> None:
    for command in ("sendfile bob", "sendfilerealm beta bob"):
        message = refusal(f"{command} {typed}", here)
        whole = os.path.normpath(here / typed.strip("'"))
        assert message.endswith(f"is a relative path. Type the absolute one: {command} {whole}")


def test_a_name_with_base64_behind_it_is_a_whole_file(here: Path) -> None:
    assert read("sendfile bob note.txt aGFsbG8=", here).what == SendFile(
        Address("bob"), "note.txt", b"hallo"
    )
    assert "data: must be base64, and with blanks" in refusal("sendfile bob note.txt a b", here)


def test_a_quoted_name_with_base64_behind_it_is_a_whole_file(here: Path) -> None:
    whole = SendFile(Address("bob"), "my note.txt", b"hi")
    assert read('sendfile bob "my note.txt" aGk=', here).what == whole
    assert read('sendfile "bob" "my note.txt" "aG k="', here).what == whole


def test_a_relative_path_with_blanks_is_no_name_with_base64(here: Path) -> None:
    # `file name` would be base64, if blanks could part it anywhere.
    assert isinstance(read("sendfile bob my file name", here).what, ChatError)


def test_a_folder_to_save_into_may_stand_in_quotes(here: Path) -> None:
    (here / "my films").mkdir()
    for typed in (f"{here}/my films", f'"{here}/my films"', f"'{here}/my films'"):
        assert read(f"save f_1 {typed}", here).what == SaveFile("f_1", here / "my films")


@pytest.mark.parametrize(
    "line, why",
    [
        ("sendfile", "<to> is missing. Usage: sendfile <to> </absolute/path>"),
        ("sendfile bob", "<path> is missing. Usage: sendfile <to> </absolute/path>"),
        (
            "sendfilerealm beta",
            "<to> is missing. Usage: sendfilerealm <realm> <to> </absolute/path>",
        ),
        ("sendfile #1 /x", "this is a group"),
        ("sendfile bob ''", "The path is empty or invalid"),
        ("save", "Give the file's id, shown after its name. Usage: save <file> [folder]"),
        ("exit now", "exit takes no arguments. Usage: exit"),
        ('sendfile bob "/x', 'a double quote (") is not closed'),
        ('save f_1 "/x', "There is no folder"),
        ("sav f_1", "did you mean save?"),
        ("format text", "start with --json to get JSON"),
        ("files push", "Small files are saved automatically here"),
        ("", "The line is empty"),
    ],
)
def test_a_line_that_cannot_be_done_says_what_to_type(here: Path, line: str, why: str) -> None:
    assert why in refusal(line, here)


def test_the_clients_own_commands_are_in_its_help(here: Path) -> None:
    assert read("save f_1 /tmp", here).what == SaveFile("f_1", Path("/tmp"))
    assert read("getfile f_1", here).what == SaveFile("f_1", None)
    assert read("EXIT", here).what == ExitApp()
    page = read("help", here).what
    assert isinstance(page, HelpPage)
    usages = {one.command: one.usage for one in page.commands}
    assert set(OWN) < set(usages) and not {"format", "files"} & set(usages)
    assert usages["sendfile"] == usage("sendfile") == "sendfile <to> </absolute/path>"


def test_what_cannot_be_sent_is_refused_before_anything_is(here: Path) -> None:
    def why(path: Path, limit: int | None = None) -> str:
        with pytest.raises(ChatError) as refused:
            check_sendable(path, limit)
        return refused.value.message

    assert check_sendable(here / "photo.png", 1) == 1
    assert why(here / "phto.png").endswith(f"; did you mean {here}/photo.png?")
    assert why(here / "x" / "y").endswith(f": there is no folder {here}/x")
    assert "is a folder. Pack it" in why(here)
    os.mkfifo(here / "pipe")
    assert "is no ordinary file" in why(here / "pipe")
    (here / "nothing").touch()
    assert "is empty, and empty files cannot be sent" in why(here / "nothing")
    assert "this server takes up to 0 bytes a file" in why(here / "photo.png", 0)
    named = here / os.fsdecode(b"\xff\x1b")
    named.write_bytes(b"x")
    assert why(named) == f"{here}/\\xff\\x1b has a name that cannot be sent; rename it first"


@pytest.mark.parametrize(
    "line, asked",
    [
        ("auth", ["User", "Password"]),
        ("auth bob", ["Password"]),
        ("register bob", ["Real name", "Password", "Country"]),
        ("passwd old", ["New password"]),
        ("resume", ["Token"]),
        ('register bob "Bob Marley"', ["Password", "Country"]),
        ('register bob "Bob Marley" "my pass word"', ["Country"]),
    ],
)
def test_what_a_line_with_secrets_leaves_out_is_asked_for(line: str, asked: list[str]) -> None:
    found = form(line)
    assert isinstance(found, ArgumentForm)
    assert [question.label for question in found.questions] == asked
    secret = {question.label for question in found.questions if question.secret}
    assert secret == {"Password", "New password", "Token"} & set(asked)


@pytest.mark.parametrize(
    "line",
    ["auth bob secret1", 'auth bob "my pass word"', "send bob", "help auth", "", "auth a b c"],
)
def test_other_lines_are_taken_as_they_are(line: str) -> None:
    assert form(line) is None


def test_a_wrong_word_is_refused_before_anything_is_asked() -> None:
    found = form("register b@d")
    assert isinstance(found, ChatError) and "Usage: register" in found.message
