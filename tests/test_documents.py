"""What ARCHITECTURE.md, CONTRIBUTING.md and the pages for developers say of the code is so."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.realserver import ROOT
from tests.test_architecture import DEFINITIONS, MAX_LINES, SOURCES, files
from tests.world import World
from ws_server import departures, handlers, passwords, pipeline
from ws_server.context import HANDLERS
from ws_server.federation.handshake.handshake_client import HANDSHAKE
from ws_server.net import connection, reader
from ws_server.net.hub import Hub
from ws_server.net.session import MAX_HANDSHAKE_FRAME, Session
from ws_server.store import cache, database, journal, write_queue
from ws_server.store.engines import adapter
from ws_server.store.federation import outbox
from ws_server.store.journal import Journal

DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
SERVER = ROOT / "ws_server"
PAGES = [
    *(ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", DOCS / "threads.md", DOCS / "bounds.md"),
    *(DOCS / "adding-a-feature.md", *sorted(DECISIONS.glob("*.md"))),
]
MAX_WORDS = 2_000
"""Of ARCHITECTURE.md: about four pages."""
MAKES_THREADS = ("Thread", "ThreadPoolExecutor", "FairThreadPool")


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    part = read(page).partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the calls in a module with the last name of what is called."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute):
                yield called.attr, node
            elif isinstance(called, ast.Name):
                yield called.id, node


def of_server(path: Path) -> str:
    return str(path.relative_to(SERVER))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(page)):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_and_tests_that_are_named_exist(page: Path) -> None:
    # What a worked example makes is not here yet.
    made = re.findall(r"^(?:New file|Generated) `([^`]+)`", read(page), flags=re.MULTILINE)
    everywhere = [str(path.relative_to(ROOT)) for path in files(*SOURCES, "tests", "benchmarks")]
    for name in re.findall(r"`([\w/]+\.py)`", read(page)):
        found = any(f"/{path}".endswith(f"/{name}") for path in [*everywhere, *made])
        assert found, f"{page.name} names {name}"


def test_the_architecture_takes_at_most_four_pages_and_names_every_folder() -> None:
    text = read(ROOT / "ARCHITECTURE.md")
    assert len(text.split()) <= MAX_WORDS
    table = rows(ROOT / "ARCHITECTURE.md", "Processes and folders")
    folders = {cells[0].strip("`") for cells in table}
    for folder in folders:
        assert (ROOT / folder).is_dir(), folder
    for package in ("shared", "ws_server"):
        inside = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob(f"{package}/*/*.py")}
        assert inside <= folders


def test_the_picture_of_a_message_names_what_is_in_the_code() -> None:
    picture = read(DOCS / "pictures" / "message.svg").partition("</defs>")[2]
    named = re.findall(r"\b[A-Za-z]+\.(_?[a-z]\w+)\b(?!\.py)", re.sub(r"\S+\.py\b", "", picture))
    assert len(named) > 7
    defined = {
        node.name
        for path in files("ws_server")
        for node in ast.walk(ast.parse(read(path)))
        if isinstance(node, DEFINITIONS)
    }
    assert set(named) <= defined


async def test_a_message_takes_the_passes_of_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fourth writes to the sockets: tests/net/test_connection.py."""
    loop = asyncio.get_running_loop()
    passes = 0
    # In which pass each was first called.
    seen: dict[str, int] = {}

    def count() -> None:
        nonlocal passes, counting
        passes += 1
        counting = loop.call_soon(count)

    def noted(name: str, function: Any) -> Any:
        def wrapped(*arguments: Any) -> Any:
            seen.setdefault(name, passes)
            return function(*arguments)

        return wrapped

    async with World(tmp_path) as world:
        alice, bob = await world.log_in("alice", "bob")
        for owner, name in (
            *((Journal, "post"), (Journal, "_begin"), (Journal, "_committed")),
            *((Session, "reply"), (Hub, "push")),
        ):
            monkeypatch.setattr(owner, name, noted(name, getattr(owner, name)))
        counting = loop.call_soon(count)
        alice.send("send bob hi")
        await bob.push()
        counting.cancel()
    assert list(seen) == ["post", "_begin", "_committed", "reply", "push"]
    assert seen["post"] + 1 == seen["_begin"] < seen["_committed"]
    assert seen["_committed"] == seen["reply"] == seen["push"]


def test_decisions_are_numbered_dated_and_listed() -> None:
    records = sorted(DECISIONS.glob("[0-9]*.md"))
    assert [int(record.name[:4]) for record in records] == [*range(1, len(records) + 1)]
    index = read(DECISIONS / "README.md")
    for record in records:
        text = read(record)
        heading = re.match(r"# (\d{4}): (.+)\n\nDate: (\d{4}-\d\d-\d\d)\n", text)
        assert heading and heading[1] == record.name[:4], record.name
        assert "\n## What\n\n" in text and "\n## Why\n\n" in text, record.name
        assert f"| [{heading[1]}]({record.name}) | {heading[2]} | {heading[3]} |" in index


@pytest.mark.slow
def test_every_thread_of_the_server_is_in_the_table() -> None:
    made = {
        (constant.value, of_server(path))
        for path in files("ws_server")
        for name, call in calls(path)
        if name in MAKES_THREADS
        for constant in ast.walk(call)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    }
    told = {
        (found[1], maker.strip("`"))
        for thread, maker, *_ in rows(DOCS / "threads.md", "Threads of the server")
        if (found := re.match(r"`(\w+)`", thread)) and maker != "`asyncio.to_thread`"
    }
    assert told == made


def test_every_module_of_the_server_that_makes_tasks_is_in_the_table() -> None:
    made = {
        of_server(path)
        for path in files("ws_server")
        if any(name in ("create_task", "ensure_future") for name, _ in calls(path))
    }
    told = {cells[0].strip("`") for cells in rows(DOCS / "threads.md", "Tasks of the event loop")}
    assert told == made


def test_the_journal_alone_writes_to_the_database() -> None:
    """Beside it, only what opens a database, or a program that has it for itself, does."""
    writers = {
        of_server(path)
        for path in files("ws_server")
        if re.search(r"database\.write\b", read(path))
    }
    assert writers == {"store/journal.py"}


def test_handlers_send_no_frames_and_one_closes_a_connection() -> None:
    found = {
        (path.name, used)
        for path in files("ws_server/handlers")
        for used in re.findall(r"\.outlet\.(\w+)|\.session\.(?:push|reply|refuse)\b", read(path))
    }
    assert found == {("links.py", "close_with")}


def test_the_files_that_editing_a_message_would_touch_are_counted() -> None:
    heading = "Files for a larger feature: editing a message"
    page = DOCS / "adding-a-feature.md"
    named = re.findall(r"`([\w/]+\.py)`", " ".join(files for _, files in rows(page, heading)))
    assert all((ROOT / path).is_file() for path in named)
    assert len(set(named)) == len(named) < 15
    assert f"it would change {len(named)} files of the sources" in read(page)


BOUNDS: dict[str, tuple[int | float, ...]] = {
    "commands of one connection that wait": (
        *(pipeline.MAX_QUEUED, pipeline.MAX_QUEUED_BYTES, pipeline.MAX_UNANSWERED),
    ),
    "frames of one connection parsed in a turn": (reader.MAX_FRAMES, reader.STEP),
    "frames waiting for one connection": (reader.MAX_UNSENT_BYTES,),
    "entries waiting for the journal": (write_queue.MAX_WAITING, write_queue.MAX_WAITING_EACH),
    "a transaction": (journal.MAX_BATCH, journal.BATCH_SECONDS * 1000),
    "questions waiting for a reader": (
        *(database.MAX_WAITING_READS, database.MAX_WAITING_READS_EACH, database.READERS // 2),
    ),
    "passwords waiting to be hashed": (
        *(passwords.MAX_WAITING_HASHES, passwords.MAX_WAITING_HASHES_PER_ADDRESS),
    ),
    "conversations in the cache": (cache.MAX_PRIVATE, cache.MAX_GROUP_MEMBERS),
    "frames of the handshake of a link": (MAX_HANDSHAKE_FRAME, HANDSHAKE),
    "rows that wait for one realm": (outbox.MAX_WAITING_ROWS,),
    "carrying out the commands of a departed peer": (
        departures.MAX_SECONDS,
        departures.MAX_SESSIONS,
        connection.MAX_RESCUED,
    ),
    "a store that is locked": (adapter.LOCK_WAIT,),
}


@pytest.mark.parametrize("start", BOUNDS)
def test_a_bound_is_the_one_in_the_code(start: str) -> None:
    lines = read(DOCS / "bounds.md").splitlines()
    (row,) = [line for line in lines if line.startswith(f"| {start}")]
    for bound in BOUNDS[start]:
        small, unit = next(
            (bound / size, unit)
            for size, unit in ((2**20, " MiB"), (2**10, " KiB"), (1, ""))
            if bound >= size and bound % size == 0
        )
        shown = {f"{small:,.0f}{unit}", f"{bound:,.0f}"}
        assert any(re.search(rf"(?<![\d,]){re.escape(f)}(?!,?\d)", row) for f in shown), bound


def test_the_length_of_files_is_the_one_that_is_checked() -> None:
    assert f"at most {MAX_LINES} lines" in read(ROOT / "CONTRIBUTING.md")


def test_a_message_makes_no_task() -> None:
    """The handlers that are pipelined are plain functions."""
    assert handlers
    pipelined = [found.handler for found in HANDLERS.values() if found.pipelined]
    assert pipelined and not any(map(inspect.iscoroutinefunction, pipelined))


def test_what_a_message_says_is_defined_in_one_module() -> None:
    """Each further module would have to be changed for a new field, such as a mark of edits."""
    columns = re.compile(r"\b(?:messages\.c|posts\.c|m|p)\.(?:text|bot)\b")
    assert columns.search("select(m.seq, m.text)")
    named = {path.name for path in files("ws_server/store") if columns.search(read(path))}
    assert named == set()
