"""docs/adding-a-feature.md is complete: its blocks, applied to a copy, give the feature."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from websockets.asyncio.client import connect

from tests.realserver import EXECUTED, ROOT, RealServer

pytestmark = pytest.mark.system

PAGE = (ROOT / "docs" / "adding-a-feature.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"^(?P<how>New file|In|At the end of) `(?P<path>[^`]+)`:\n\n```\w*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
CONTRACT = [
    *("tests/protocol/test_reference.py", "tests/protocol/test_spec.py"),
    *("tests/handlers/test_fields.py", "tests/handlers/test_notes.py"),
    *("tests/protocol/test_text_dialect.py", "tests/conversations/test_plays.py"),
    *("tests/store/test_database.py", "tests/admin/test_export.py"),
]
CHOSEN = "(note or generated or two_plays or migration or exactly or tried or profile)"
"""The tests that the page names, and of their cases those that are about what it changes."""
WRITE_REFERENCE = re.compile(
    r"write_reference\(\) \{.*?<<'END'\n(?P<program>.*?)^END$", re.M | re.S
)


def apply(copy: Path) -> None:
    """Do what the page says, block by block."""
    for block in BLOCK.finditer(PAGE):
        path, text = copy / block["path"], block["text"]
        if block["how"] == "New file":
            assert not path.exists(), f"{path} is here already"
            path.write_text(text, encoding="utf-8")
            continue
        before = path.read_text(encoding="utf-8")
        if block["how"] == "At the end of":
            path.write_text(f"{before}\n\n{text}", encoding="utf-8")
            continue
        lines = text.splitlines(keepends=True)
        old = "".join(line[1:] for line in lines if line[0] in " -")
        new = "".join(line[1:] for line in lines if line[0] in " +")
        assert before.count(old) == 1, f"{block['path']} has not once:\n{old}"
        path.write_text(before.replace(old, new), encoding="utf-8")


def run(copy: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with the feature."""
    copy = tmp_path_factory.mktemp("with") / "copy"
    copy.mkdir()
    for folder in ("shared", "ws_server", "tests", "docs", "terminal_app"):
        unwanted = shutil.ignore_patterns("__pycache__", "screens")
        shutil.copytree(ROOT / folder, copy / folder, ignore=unwanted)
    for file in ("chat", "pyproject.toml"):
        shutil.copy(ROOT / file, copy)
    for linked in ("flet_app", "benchmarks"):
        (copy / linked).symlink_to(ROOT / linked)
    apply(copy)
    program = WRITE_REFERENCE.search((copy / "chat").read_text(encoding="utf-8"))
    assert program
    run(copy, "-c", program["program"])
    return copy


@pytest.fixture(scope="module")
def server(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    server = RealServer(tmp_path_factory.mktemp("server"))
    server.program, server.cwd = EXECUTED, copy
    server.start()
    yield server
    server.kill()


def test_every_block_of_code_is_applied() -> None:
    blocks = [*BLOCK.finditer(PAGE)]
    assert len(blocks) == PAGE.count("\n```") / 2
    assert {block["how"] for block in blocks} == {"New file", "In", "At the end of"}


def test_the_reference_names_the_commands(copy: Path) -> None:
    reference = (copy / "docs" / "commands.md").read_text(encoding="utf-8")
    assert "note <user> <text...>" in reference and "### notes" in reference
    methods = (copy / "shared" / "client" / "methods.py").read_text(encoding="utf-8")
    assert "def note(" in methods and "def notes(" in methods


async def test_the_commands_work_in_words_and_in_json(server: RealServer) -> None:
    async with connect(server.url, proxy=None) as socket:

        async def say(frame: str) -> str:
            await socket.send(frame)
            return str(await socket.recv())

        for user in ("ana", "bob"):
            assert (await say(f"register {user} Somebody a-secret-{user} Peru")).startswith("OK")
        assert (await say("auth ana a-secret-ana")).startswith("OK")
        assert await say("note bob Likes tea") == "OK Stored your note about bob"
        stored = orjson.loads(
            await say('{"command":"note","user":"BOB","text":"Owes me a coffee"}')
        )
        assert (stored["status"], stored["user"]) == ("OK", "bob")
        listed = orjson.loads(await say('{"command":"notes"}'))
        assert listed["notes"] == [{"user": "bob", "text": "Owes me a coffee"}]
        assert await say("notes") == "OK You have 1 note\nbob: Owes me a coffee"


def test_the_contract_and_the_tests_of_the_page_hold(copy: Path) -> None:
    chosen = f"{CHOSEN} and not (postgresql or real_server or reads_back)"
    words = ("-m", "pytest", "-v", "-n", "0", "-p", "no:cacheprovider", "-k", chosen, *CONTRACT)
    passed = re.findall(r"^(\S+?)(?:\[\S+)? PASSED", run(copy, *words), re.MULTILINE)
    assert {test.partition("::")[0] for test in passed} == set(CONTRACT)


def test_the_code_of_the_page_has_the_style_of_the_project(copy: Path) -> None:
    paths = sorted({block["path"] for block in BLOCK.finditer(PAGE) if ".py" in block["path"]})
    run(copy, "-m", "ruff", "check", *paths)
    run(copy, "-m", "ruff", "format", "--check", *paths)
