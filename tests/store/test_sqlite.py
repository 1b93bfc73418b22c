"""Rules of SQLite: its file, settings, locks and faults."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from tests.world import World
from ws_server.store.database import Database
from ws_server.store.engines.adapter import DatabaseRefused


def opened(folder: Path) -> Database:
    return Database.open(f"sqlite:///{folder / 'chat.db'}")


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(DatabaseRefused, match="not a database"):
        opened(tmp_path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="unable to open"):
        opened(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_database_that_somebody_holds_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    other = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseRefused, match="locked"):
        opened(tmp_path)
    other.close()


def test_commits_are_synced_and_references_checked(tmp_path: Path) -> None:
    database = opened(tmp_path)
    found = database.write(
        lambda tx: [
            tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    )
    assert found == ["wal", 2, 1]
    database.close()


@pytest.mark.slow
async def test_another_process_that_holds_the_database_makes_it_unavailable(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await _held(world, tmp_path)


async def _held(world: World, folder: Path) -> None:
    other = sqlite3.connect(folder / "chat.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(ChatError) as refused:
            await world.realm.journal.write(lambda tx, now: None)
    finally:
        other.execute("ROLLBACK")
        other.close()
    assert refused.value.code is ErrorCode.UNAVAILABLE
    assert await world.realm.journal.write(lambda tx, now: 7) == 7


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (sqlite3.OperationalError("disk I/O error"), ErrorCode.UNAVAILABLE),
        (sqlite3.DatabaseError("database disk image is malformed"), ErrorCode.UNAVAILABLE),
    ],
)
async def test_a_fault_of_the_store_is_a_refusal(
    tmp_path: Path, fault: Exception, code: ErrorCode
) -> None:
    database = opened(tmp_path)

    def fail(tx: Connection) -> None:
        raise fault

    with pytest.raises(ChatError) as refused:
        await database.read(fail)
    assert refused.value.code is code
    database.close()


async def test_a_bug_is_not_called_a_fault_of_the_store(tmp_path: Path) -> None:
    database = opened(tmp_path)

    def fail(tx: Connection) -> None:
        raise sqlite3.ProgrammingError("a bug")

    with pytest.raises(sqlite3.ProgrammingError):
        await database.read(fail)
    database.close()
