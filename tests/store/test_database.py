"""Rules of the database: its schema, its epoch, and what it refuses to open."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store import database as database_module
from ws_server.store.database import Database, DatabaseRefused
from ws_server.store.schema import metadata


def opened(folder: Path) -> Database:
    return Database.open(f"sqlite:///{folder / 'chat.db'}")


def test_the_migrations_make_exactly_the_schema(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.connect_writer() as tx:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(tx, opts=options)
        assert compare_metadata(context, metadata) == []
    database.close()


def test_the_migrations_make_the_same_checks_and_indexes(tmp_path: Path) -> None:
    """What `compare_metadata` does not look at."""
    database = opened(tmp_path)
    with database.connect_writer() as tx:
        found = inspect(tx)
        for table in metadata.sorted_tables:
            checks = {c["name"] for c in found.get_check_constraints(table.name)}
            assert checks == {str(c.name) for c in table.constraints if hasattr(c, "sqltext")}
            partial = {
                index["name"]
                for index in found.get_indexes(table.name)
                if index.get("dialect_options", {}).get("sqlite_where") is not None
            }
            assert partial == {
                index.name
                for index in table.indexes
                if index.dialect_options["sqlite"]["where"] is not None
            }
    database.close()


def test_the_schema_can_be_written_for_postgresql_too() -> None:
    for table in metadata.sorted_tables:
        assert "CREATE TABLE" in str(CreateTable(table).compile(dialect=postgresql.dialect()))


def test_the_epoch_is_kept_over_restarts_and_differs_between_databases(tmp_path: Path) -> None:
    epochs = []
    for folder in ("one", "one", "two"):
        (tmp_path / folder).mkdir(exist_ok=True)
        database = opened(tmp_path / folder)
        epochs.append(database.epoch)
        database.close()
    assert epochs[0] == epochs[1] != epochs[2]
    assert len(epochs[0]) == 16


def test_a_database_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with sqlite3.connect(tmp_path / "chat.db") as direct:
        direct.execute("UPDATE alembic_version SET version_num = '9999'")
    direct.close()
    with pytest.raises(DatabaseRefused, match="newer version .*schema 9999"):
        opened(tmp_path)
    with sqlite3.connect(tmp_path / "chat.db") as direct:
        (version,) = direct.execute("SELECT version_num FROM alembic_version").fetchone()
    direct.close()
    assert version == "9999"


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "chat.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(DatabaseRefused, match="not a database"):
        opened(tmp_path)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatabaseRefused, match="unable to open"):
        opened(tmp_path / "nowhere")


def test_a_database_that_somebody_holds_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    other = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseRefused, match="locked"):
        opened(tmp_path)
    other.close()


def test_commits_are_synced_and_references_checked(tmp_path: Path) -> None:
    database = opened(tmp_path)
    with database.connect_writer() as tx:
        found = [
            tx.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert found == ["wal", 2, 1]
    database.close()


async def test_a_question_sees_one_snapshot(tmp_path: Path) -> None:
    database = opened(tmp_path)
    asked, written = threading.Event(), threading.Event()

    def question(tx: Connection) -> list[object]:
        ask = text("SELECT count(*) FROM meta")
        before = tx.scalar(ask)
        asked.set()
        assert written.wait(10)
        return [before, tx.scalar(ask)]

    def write() -> None:
        assert asked.wait(10)
        with database.connect_writer() as tx, tx.begin():
            tx.execute(text("INSERT INTO meta VALUES ('k', 'v')"))
        written.set()

    found, _ = await asyncio.gather(database.read(question), asyncio.to_thread(write))
    assert found == [1, 1]
    database.close()


async def test_too_many_questions_are_refused_as_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "MAX_WAITING_READS", 3)
    database = opened(tmp_path)
    go_on = threading.Event()
    waiting = [asyncio.create_task(database.read(lambda tx: go_on.wait(10))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ChatError) as refused:
        await database.read(lambda tx: None)
    assert refused.value.code is ErrorCode.UNAVAILABLE
    go_on.set()
    assert await asyncio.gather(*waiting) == [True] * 3
    assert await database.read(lambda tx: 7) == 7
    database.close()


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (sqlite3.OperationalError("disk I/O error"), ErrorCode.UNAVAILABLE),
        (sqlite3.DatabaseError("database disk image is malformed"), ErrorCode.UNAVAILABLE),
        (OSError(28, "No space left on device"), ErrorCode.UNAVAILABLE),
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
