"""`./chat`: it installs what is missing, once, and says what to do where it cannot."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.realserver import ROOT
from tests.system.product import run_chat

REQUIREMENTS = ["requirements.txt", "requirements-bench.txt", "requirements-dev.txt"]
RECORDER = """#!/bin/sh
# Stands for .venv/bin/python: records what it is asked, and fails to install if told so.
echo "$*" >> "$RECORD"
case "$*" in *"pip install"*) exit "${INSTALL_RESULT:-0}" ;; esac
"""
CHECKER = 'case "$*" in *ruff*) exit "${CHECK_RESULT:-0}" ;; esac\n'
NEEDED = "bash dirname readlink sha256sum".split()
NO_PYTHON = "#!/bin/sh\nexit 1\n"
NO_VENV = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\n'


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """The script with a virtual environment that only records."""
    for name in ("chat", *REQUIREMENTS):
        shutil.copy2(ROOT / name, tmp_path / name)
    program(tmp_path / ".venv" / "bin" / "python", RECORDER)
    return tmp_path / "chat"


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def installs(chat: Path, result: str = "0") -> int:
    """Serve, and return how often that installed something."""
    record = chat.parent / "record"
    record.write_text("")
    served = run_chat(chat, "serve", cwd=chat.parent, RECORD=str(record), INSTALL_RESULT=result)
    lines = record.read_text().splitlines()
    assert (served.returncode == 0) == (lines[-1] == "-P -m ws_server"), served
    return sum("pip install" in line for line in lines)


def test_it_installs_on_first_use_only(chat: Path) -> None:
    assert [installs(chat), installs(chat)] == [1, 0]


def test_it_installs_again_when_the_requirements_changed(chat: Path) -> None:
    assert installs(chat) == 1
    with open(chat.parent / "requirements.txt", "a") as requirements:
        requirements.write("# changed\n")
    assert [installs(chat), installs(chat)] == [1, 0]


def test_an_install_that_failed_is_repeated(chat: Path) -> None:
    assert [installs(chat, "1"), installs(chat, "1"), installs(chat), installs(chat)] == [
        1,
        1,
        1,
        0,
    ]


def test_a_failed_change_does_not_pass_for_the_old_install(chat: Path) -> None:
    assert installs(chat) == 1
    requirements = chat.parent / "requirements.txt"
    before = requirements.read_text()
    requirements.write_text(before + "# changed\n")
    assert installs(chat, "1") == 1
    requirements.write_text(before)
    assert installs(chat) == 1


def test_the_bench_installs_what_it_needs_and_passes_its_flags_on(chat: Path) -> None:
    record = chat.parent / "record"
    done = run_chat(chat, "bench", "--quick", cwd=chat.parent, RECORD=str(record))
    assert done.returncode == 0
    *_, product, bench, started = record.read_text().splitlines()
    assert product.endswith("/requirements.txt")
    assert bench.endswith("/requirements-bench.txt")
    assert started == "-P -m benchmarks --quick"


def test_the_terminal_client_runs_in_the_callers_folder_with_its_arguments(chat: Path) -> None:
    record = chat.parent / "record"
    arguments = ("terminal", "ws://a", "--execute", "send bob hi")
    assert run_chat(chat, *arguments, cwd=chat.parent, RECORD=str(record)).returncode == 0
    started = record.read_text().splitlines()[-1]
    assert started == "-P -m terminal_app ws://a --execute send bob hi"


@pytest.mark.parametrize(
    "python, package", [(NO_PYTHON, "python3 python3-venv"), (NO_VENV, "python3-venv")]
)
def test_it_says_what_to_install_where_python_is_missing(
    chat: Path, python: str, package: str
) -> None:
    shutil.rmtree(chat.parent / ".venv")
    tools = chat.parent / "bin"
    program(tools / "python3", python)
    for name in NEEDED:
        found = shutil.which(name)
        assert found
        (tools / name).symlink_to(found)
    refused = run_chat(chat, "serve", cwd=chat.parent, PATH=str(tools))
    assert refused.returncode == 1
    assert refused.stderr.splitlines() == [
        "Python 3.11 or newer with its venv module is needed. "
        f"On Debian or Ubuntu: sudo apt-get install {package}"
    ]


def test_an_unfinished_environment_is_made_anew(chat: Path) -> None:
    (chat.parent / ".venv" / "unfinished").touch()
    # The recorder stands for the Python that makes the new one too, and makes nothing.
    program(chat.parent / "bin" / "python3", RECORDER)
    path = f"{chat.parent / 'bin'}:/usr/bin:/bin"
    record = chat.parent / "record"
    failed = run_chat(chat, "serve", cwd=chat.parent, PATH=path, RECORD=str(record))
    assert failed.returncode != 0
    assert record.read_text().splitlines()[-1] == f"-m venv {chat.parent / '.venv'}"
    assert not (chat.parent / ".venv" / "bin").exists()


def test_install_puts_the_program_in_without_what_an_older_version_left(chat: Path) -> None:
    (chat.parent / "build" / "lib").mkdir(parents=True)
    record = chat.parent / "record"
    assert run_chat(chat, "install", cwd=chat.parent, RECORD=str(record)).returncode == 0
    requirements, package = (line for line in record.read_text().splitlines() if "pip" in line)
    assert requirements.endswith(f"-r {chat.parent / 'requirements.txt'}")
    assert "--no-deps" in package and package.endswith(f" {chat.parent}")
    assert not (chat.parent / "build").exists()


def test_lock_writes_one_file_for_what_runs_and_one_for_each_group(chat: Path) -> None:
    # The recorder cannot read pyproject.toml, so it says what groups there are.
    groups = RECORDER + 'case "$*" in *tomllib*) echo dev bench ;; esac\n'
    program(chat.parent / ".venv" / "bin" / "python", groups)
    program(chat.parent / ".venv" / "bin" / "uv", RECORDER)
    record = chat.parent / "record"
    locked = run_chat(chat, "lock", "--upgrade", cwd=chat.parent, RECORD=str(record))
    assert locked.returncode == 0
    lines = [line for line in record.read_text().splitlines() if "pip compile" in line]
    written = [line.partition("--output-file ")[2] for line in lines]
    assert written == [
        "requirements.txt --upgrade",
        "requirements-dev.txt --group dev --constraint requirements.txt --upgrade",
        "requirements-bench.txt --group bench --constraint requirements.txt --upgrade",
    ]


def checks(chat: Path, *arguments: str, result: str = "0") -> list[str]:
    """Run `./chat` with these words, and return what it ran beside installing."""
    program(chat.parent / ".venv" / "bin" / "python", RECORDER + CHECKER)
    record = chat.parent / "record"
    done = run_chat(chat, *arguments, cwd=chat.parent, RECORD=str(record), CHECK_RESULT=result)
    assert (done.returncode == 0) == (result == "0")
    assert ("./chat lint --fix repairs" in done.stderr) == (result != "0")
    return [line for line in record.read_text().splitlines() if re.match(r"-m (?!pip )", line)]


def test_lint_checks_style_and_types(chat: Path) -> None:
    assert checks(chat, "lint") == ["-m ruff check .", "-m ruff format --check .", "-m mypy"]


def test_lint_repairs_when_asked_to(chat: Path) -> None:
    assert checks(chat, "lint", "--fix") == ["-m ruff check --fix .", "-m ruff format .", "-m mypy"]


def test_a_lint_that_fails_says_how_to_repair(chat: Path) -> None:
    assert checks(chat, "lint", result="1") == ["-m ruff check ."]


def test_lint_takes_no_other_argument(chat: Path) -> None:
    refused = run_chat(chat, "lint", "shared", cwd=chat.parent, RECORD=str(chat.parent / "record"))
    assert (refused.returncode, refused.stderr) == (1, "./chat lint takes no argument but --fix.\n")


def test_the_quick_tests_come_without_lint(chat: Path) -> None:
    assert checks(chat, "test", "--quick", "-k", "inbox") == [
        "-m pytest --quick -n 2 --dist loadfile -k inbox"
    ]
    (measured,) = checks(chat, "test", "--coverage", "-n0")[1:]
    assert measured == "-m pytest --quick --cov --cov-branch -n0"


def test_asking_how_to_test_installs_nothing(chat: Path) -> None:
    record = chat.parent / "record"
    record.touch()
    shown = run_chat(chat, "test", "--help", cwd=chat.parent, RECORD=str(record))
    assert shown.stdout.startswith("Usage: ./chat COMMAND") and "test --quick" in shown.stdout
    assert record.read_text() == ""


@pytest.mark.parametrize("arguments", [(), ("help",), ("--help",)])
def test_usage_is_shown_when_asked_for(chat: Path, arguments: tuple[str, ...]) -> None:
    shown = run_chat(chat, *arguments, cwd=chat.parent)
    assert shown.returncode == 0
    assert shown.stdout.startswith("Usage: ./chat COMMAND")


def test_an_unknown_word_shows_usage_and_fails(chat: Path) -> None:
    refused = run_chat(chat, "sevre", cwd=chat.parent)
    assert refused.returncode == 2
    assert refused.stderr.startswith("There is no ./chat sevre.\nUsage: ./chat COMMAND")
