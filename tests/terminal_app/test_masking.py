"""What is secret in a line is masked while it is typed, and kept nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.protocol.masking import secret_spans
from terminal_app.history import MAX_LINES, LineHistory, may_be_kept


@pytest.mark.parametrize(
    "line, seen",
    [
        ("auth bob", "auth bob"),
        ("auth bob s", "auth bob *"),
        ("  AUTH  bob  secret 1", "  AUTH  bob  ********"),
        ("register bob Bob secret1 New Zealand", "register bob Bob ******* New Zealand"),
        ('register bob "Bob Marley" "my pass" Peru', 'register bob "Bob Marley" ********* Peru'),
        ('auth "bob" "my pass', 'auth "bob" ********'),
        ('auth bob "a \\" b"', "auth bob ********"),
        ('passwd "old one" "new one"', "passwd ********* *********"),
        # What may be the password of a misread line is masked too.
        ("register rob Rob Downey hunter22 USA", "register rob Rob *******************"),
        ("register rob Rob Downey hunter22", "register rob Rob ***************"),
        ('register rob "Rob Downey', 'register rob "Rob ******'),
        ("passwd old new", "passwd *** ***"),
        ("resume abc", "resume ***"),
        ("invitation K3F9-7QWX", "invitation *********"),
        ("invitatoin K3F9-7QWX", "invitatoin *********"),
        ('{"command":"register","invitation":"x"}', '{"command":"register","invitation******'),
        ("auht bob secret1", "auht bob *******"),
        ("login bob secret1", "login bob *******"),
        ("send bob auth bob secret1", "send bob auth bob secret1"),
        ('{"command":"auth","password":"x"}', '{"command":"auth","password******'),
        ('{"command":"ping"}', '{"command":"ping"}'),
        ("", ""),
    ],
)
def test_secrets_are_masked_as_the_table_says(line: str, seen: str) -> None:
    for begin, end in secret_spans(line):
        line = line[:begin] + "*" * (end - begin) + line[end:]
    assert line == seen


@pytest.mark.parametrize(
    "line, kept",
    [
        ("send bob hi", True),
        ("exit", True),
        ("save f_1", True),
        ('{"command":"ping"}', True),
        ("auth", False),
        ("auth secret1", False),  # the name was forgotten
        ("register bob Bob Marley secret1 Jamaica", False),
        ("PASSWD a b", False),
        ("auht bob secret1", False),
        ('{"command":"resume","token":"x"}', False),
        ("secret1", False),
    ],
)
def test_a_line_that_may_hold_a_secret_is_not_kept(line: str, kept: bool) -> None:
    assert may_be_kept(line) == kept


def test_the_history_keeps_the_latest_lines_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history"
    history = LineHistory(path)
    for line in ("send bob 1", "send bob 1", "auth bob secret1", "secret1", "send bob 2"):
        history.append_string(line)
    assert history.get_strings() == ["send bob 1", "send bob 2"]
    assert list(LineHistory(path).load_history_strings()) == ["send bob 2", "send bob 1"]
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    path.write_text("".join(f"send bob {n}\n" for n in range(MAX_LINES + 5)))
    assert len(list(LineHistory(path).load_history_strings())) == MAX_LINES
    assert path.read_text().splitlines()[0] == "send bob 5"


def test_a_history_that_cannot_be_kept_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = LineHistory(tmp_path / "file" / "history")
    assert list(history.load_history_strings()) == []
    history.append_string("send bob hi")
    assert history.get_strings() == ["send bob hi"]
