"""Rules of the database: its schema, its history id, and databases it refuses to open."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from shared.protocol.errors import ChatError, ErrorCode
from tests.cluster import KINDS, Cluster
from ws_server.store import database as database_module
from ws_server.store.database import Database, adapter_for
from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.migrating import KNOWN, MIGRATIONS, NEWEST, current, migrate
from ws_server.store.schema import metadata


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """An open database."""
    made = Database.open(database_url)
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def empty_urls(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The URLs of two databases without tables."""
    if request.param == "sqlite":
        return [f"sqlite:///{tmp_path / name}" for name in ("one.db", "two.db")]
    cluster: Cluster = request.getfixturevalue("cluster")
    return [cluster.new_database() for _ in range(2)]


@pytest.mark.parametrize("way", ["all migrations", "at once"])
def test_either_way_makes_exactly_the_schema(empty_urls: list[str], way: str) -> None:
    def compare(tx: Connection) -> None:
        if way == "all migrations":
            migrate(tx, KNOWN[0])
        migrate(tx)
        assert current(tx) == NEWEST
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(tx, opts=options)
        assert context.get_current_revision() == NEWEST
        assert compare_metadata(context, metadata) == []
        # Not covered by the comparison above.
        found, where = inspect(tx), f"{tx.dialect.name}_where"
        for table in metadata.sorted_tables:
            checks = {c["name"] for c in found.get_check_constraints(table.name)}
            assert checks == {str(c.name) for c in table.constraints if hasattr(c, "sqltext")}
            partial = {
                index["name"]
                for index in found.get_indexes(table.name)
                if index.get("dialect_options", {}).get(where) is not None
            }
            assert partial == {
                index.name
                for index in table.indexes
                if index.dialect_options[tx.dialect.name]["where"] is not None
            }

    adapter = adapter_for(empty_urls[0])
    adapter.prepare(compare)
    adapter.close()


def test_every_migration_is_known() -> None:
    scripts = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert [script.revision for script in reversed(scripts)] == list(KNOWN)


def test_the_epoch_is_kept_over_restarts_and_differs_between_databases(
    empty_urls: list[str],
) -> None:
    epochs = []
    for url in (empty_urls[0], *empty_urls):
        database = Database.open(url)
        epochs.append(database.history_id)
        database.close()
    assert epochs[0] == epochs[1] != epochs[2]
    assert len(epochs[0]) == 16


def test_a_database_of_a_newer_version_is_refused_and_left_alone(empty_urls: list[str]) -> None:
    Database.open(empty_urls[0]).close()
    direct = adapter_for(empty_urls[0])

    def version(tx: Connection) -> str:
        return str(tx.scalar(text("SELECT version_num FROM alembic_version")))

    direct.write(lambda tx: tx.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    direct.close()
    with pytest.raises(DatabaseRefused, match="newer version .*schema 9999"):
        Database.open(empty_urls[0])
    direct = adapter_for(empty_urls[0])
    assert direct.read(version) == "9999"
    direct.close()


@pytest.mark.parametrize("url", ["mysql://a:secret@b/c", "postgresql+psycopg://a:secret@b/c", "x"])
def test_a_url_of_another_kind_is_refused_by_naming_both(url: str) -> None:
    with pytest.raises(DatabaseRefused, match=r"sqlite:///PATH or postgresql\+asyncpg://") as said:
        Database.open(url)
    assert "secret" not in str(said.value)


async def test_a_question_sees_one_snapshot(database: Database) -> None:
    asked, written = threading.Event(), threading.Event()

    def question(tx: Connection) -> list[object]:
        ask = text("SELECT count(*) FROM meta")
        before = tx.scalar(ask)
        asked.set()
        assert written.wait(10)
        return [before, tx.scalar(ask)]

    def write() -> None:
        assert asked.wait(10)
        database.write(lambda tx: tx.execute(text("INSERT INTO meta VALUES ('k', 'v')")))
        written.set()

    (first, second), _ = await asyncio.gather(database.read(question), asyncio.to_thread(write))
    assert first == second
    assert await database.read(lambda tx: tx.scalar(text("SELECT value FROM meta WHERE key = 'k'")))


async def test_a_change_that_fails_leaves_nothing(database: Database) -> None:
    def fail(tx: Connection) -> None:
        tx.execute(text("INSERT INTO meta VALUES ('k', 'v')"))
        raise KeyError

    def look(tx: Connection) -> object:
        return tx.scalar(text("SELECT value FROM meta WHERE key = 'k'"))

    with pytest.raises(KeyError):
        await asyncio.to_thread(database.write, fail)
    assert await database.read(look) is None
    assert await asyncio.to_thread(database.write, look) is None


async def test_too_many_questions_are_refused_as_unavailable(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "MAX_WAITING_READS_EACH", 1)
    database = await asyncio.to_thread(Database.open, database_url)
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


async def test_a_disk_that_refuses_is_a_refusal(database: Database) -> None:
    def fail(tx: Connection) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(ChatError) as refused:
        await database.read(fail)
    assert refused.value.code is ErrorCode.UNAVAILABLE


async def test_a_bug_is_not_called_a_fault_of_the_store(database: Database) -> None:
    def bug(tx: Connection) -> None:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await database.read(bug)
    assert await database.read(lambda tx: tx.scalar(text("SELECT 7"))) == 7
