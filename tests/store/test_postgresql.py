"""Rules of PostgreSQL: commits without a reply, its faults, and tables that are not scanned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address
from tests.cluster import Cluster
from tests.handlers.test_crowds import add_conversations
from tests.store.journaling import commit, say, texts
from tests.world import World
from ws_server.store import conversation_summaries
from ws_server.store.database import Database
from ws_server.store.engines import postgresql, postgresql_bulk
from ws_server.store.engines.adapter import DatabaseRefused, bulk_of
from ws_server.store.steps import answer

pytestmark = pytest.mark.system


class Wire:
    """A proxy to PostgreSQL that can disconnect around a COMMIT."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ends: list[asyncio.StreamWriter] = []
        self.cut = ""
        """`before`: the next COMMIT is lost; `after`: its reply is lost."""
        self.was_cut = asyncio.Event()
        self.dead = False

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.dead:
            writer.close()
            return
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)
        self._ends += [writer, to_server]
        waits = asyncio.Event()

        async def answers() -> None:
            while (data := await from_server.read(65536)) and not waits.is_set():
                writer.write(data)

        listening = asyncio.create_task(answers())
        while data := await reader.read(65536):
            if self.cut and b"COMMIT" in data:
                if self.cut == "after":
                    waits.set()
                    to_server.write(data)
                    await listening
                self.cut = ""
                self.was_cut.set()
                break
            to_server.write(data)
        for end in (writer, to_server):
            end.close()
        await listening

    def kill(self) -> None:
        """Disconnect, and refuse new connections."""
        self.dead = True
        for end in self._ends:
            end.close()


@pytest.fixture
async def wire(cluster: Cluster) -> AsyncIterator[Wire]:
    made = Wire(cluster.port)
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    yield made
    made.kill()
    server.close()
    await asyncio.sleep(0.05)


@pytest.fixture
async def cut_off(tmp_path: Path, cluster: Cluster, wire: Wire) -> AsyncIterator[World]:
    """A realm whose database is behind the proxy."""
    url = make_url(cluster.fresh_realm()).set(port=wire.port)
    async with World(tmp_path, database=url.render_as_string(hide_password=False)) as world:
        await world.add_users("alice", "bob", "carol")
        yield world


async def test_a_commit_whose_answer_was_lost_is_answered_ok(cut_off: World, wire: Wire) -> None:
    first = say(1, Address("bob"), "one")
    await commit(cut_off.realm.journal, first)
    wire.cut = "after"
    draft = say(1, Address("bob"), "two", cached=first.message.conversation)
    await commit(cut_off.realm.journal, draft)
    assert (draft.error, draft.message.seq, wire.cut) == (None, 2, "")
    again = say(1, Address("bob"), "three", cached=draft.message.conversation)
    await commit(cut_off.realm.journal, again)
    assert await cut_off.realm.database.read(texts) == [(1, "one"), (2, "two"), (3, "three")]


async def test_a_commit_that_did_not_arrive_is_unavailable(cut_off: World, wire: Wire) -> None:
    wire.cut = "before"
    draft = say(1, Address("bob"), "lost")
    await commit(cut_off.realm.journal, draft)
    assert draft.error is not None and draft.error.code is ErrorCode.UNAVAILABLE
    assert "nothing was done" in draft.error.message
    again = say(1, Address("bob"), "again")
    await commit(cut_off.realm.journal, again)
    assert (again.error, again.message.seq) == (None, 1)
    assert await cut_off.realm.database.read(texts) == [(1, "again")]


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_commit_of_which_nothing_can_be_learnt_is_not_said_to_be_undone(
    cut_off: World, wire: Wire, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql, "DOUBT_WAIT", 1.0)
    draft = say(1, Address("bob"), "in doubt", key="k")
    wire.cut = cut

    async def watch() -> None:
        await wire.was_cut.wait()
        wire.kill()

    await asyncio.gather(commit(cut_off.realm.journal, draft), watch())
    assert draft.error is not None and draft.error.code is ErrorCode.UNAVAILABLE
    assert "nothing was done" not in draft.error.message
    assert "may be stored or not" in draft.error.message
    wire.dead = False
    await asyncio.sleep(postgresql.AWAY_WAIT)
    again = say(1, Address("bob"), "in doubt", key="k")
    await commit(cut_off.realm.journal, again)
    assert (again.error, again.message.seq, again.duplicate) == (None, 1, cut == "after")


@pytest.mark.parametrize(
    ("fault", "passes"),
    [
        (asyncpg.DiskFullError("x"), True),
        (asyncpg.TooManyConnectionsError("x"), True),
        (asyncpg.AdminShutdownError("x"), True),
        (asyncpg.QueryCanceledError("x"), True),
        (asyncpg.LockNotAvailableError("x"), True),
        (asyncpg.ReadOnlySQLTransactionError("x"), True),
        (asyncpg.ConnectionDoesNotExistError("x"), True),
        (TimeoutError(), True),
        (ConnectionRefusedError("x"), True),
        (asyncpg.UniqueViolationError("x"), False),
        (asyncpg.UndefinedTableError("x"), False),
        (asyncpg.DataError("x"), False),
        (KeyError("x"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_faults_that_may_pass_are_told_from_bugs(fault: Exception, passes: bool) -> None:
    assert postgresql.is_fault(fault) is passes


async def test_a_row_that_is_refused_is_not_told(
    tmp_path: Path, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    row = {"key": "epoch", "value": "my secret"}

    def change(tx: Connection, now: int) -> None:
        tx.execute(text("INSERT INTO meta VALUES (:key, :value)"), row)

    def null(tx: Connection, now: int) -> None:
        tx.execute(text("INSERT INTO meta VALUES (:value, NULL)"), row)

    async with World(tmp_path, database=cluster.fresh_realm()) as world:
        for bug in (change, null):
            with pytest.raises(ChatError) as refused:
                await world.realm.journal.write(bug)
            assert refused.value.code is ErrorCode.INTERNAL
    assert "violates" in caplog.text
    assert "my secret" not in caplog.text and "DETAIL" not in caplog.text


async def test_questions_may_not_write(tmp_path: Path, cluster: Cluster) -> None:
    async with World(tmp_path, database=cluster.fresh_realm()) as world:
        with pytest.raises(ChatError):
            await world.realm.database.read(lambda tx: tx.execute(text("DELETE FROM meta")))


def test_a_database_that_cannot_hold_every_text_is_refused(cluster: Cluster) -> None:
    name = "latin"
    cluster.sql("/postgres", f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(DatabaseRefused, match="LATIN1"):
        Database.open(cluster.url(name))


def test_a_connection_that_goes_as_a_copy_begins_is_a_fault_that_passes(cluster: Cluster) -> None:
    """Fixed bug: asyncpg raises an internal client error for it, which was answered `internal`."""
    database = Database.open(cluster.fresh_realm())

    def go(tx: Connection) -> None:
        raise asyncpg.InternalClientError("cannot switch to state 21; another operation is on")

    with pytest.raises(ConnectionError) as broken:
        database.write(go)
    refusal = database.unavailable(broken.value)
    assert refusal is not None and refusal.code == ErrorCode.UNAVAILABLE
    assert database.write(lambda tx: tx.scalar(text("SELECT 1"))) == 1
    database.close()


def test_what_is_called_off_is_synced_all_the_same(cluster: Cluster) -> None:
    url = cluster.new_database()
    name = url.rpartition("/")[2]
    cluster.sql(url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    database = Database.open(url)
    shown = database.write(lambda tx: tx.scalar(text("SHOW synchronous_commit")))
    database.close()
    assert shown == "on"


async def test_a_small_table_that_was_not_analyzed_yet_was_read_whole_for_a_few_rows(
    tmp_path: Path, cluster: Cluster
) -> None:
    """Fixed: scanning them made a sign-in cost PostgreSQL 4 ms instead of 0.4."""
    many = list(range(1, 11))

    def plans(tx: Connection) -> list[str]:
        return [
            "\n".join(
                str(row[0])
                for row in bulk_of(tx).fetch(
                    tx, "EXPLAIN " + postgresql_bulk._about(tx.dialect, statement), [many, many]
                )
            )
            for statement in (conversation_summaries._COUNTS, conversation_summaries._ALL[None])
        ]

    async with World(tmp_path, database=cluster.new_database()) as world:
        await world.add_users("alice")
        await world.realm.journal.write(lambda tx, now: add_conversations(tx, "chats", 1, ""))
        for plan in await world.realm.database.read(plans):
            assert "Seq Scan on members" not in plan, plan
            assert "Seq Scan on conversations" not in plan, plan


async def test_a_short_question_was_planned_anew_each_time(
    tmp_path: Path, cluster: Cluster
) -> None:
    """PostgreSQL assumes ten elements in an array, so it replanned for each shorter one."""

    def plans(tx: Connection) -> tuple[int, int]:
        for _ in range(10):
            answer(tx, conversation_summaries.unread(1))
        asked = (
            "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = $1"
        )
        sql = postgresql_bulk._about(tx.dialect, conversation_summaries._COUNTS)
        ((generic, custom),) = bulk_of(tx).fetch(tx, asked, [sql])
        return generic, custom

    async with World(tmp_path, database=cluster.new_database()) as world:
        await world.add_users("alice")
        await world.realm.journal.write(lambda tx, now: add_conversations(tx, "chats", 1, ""))
        assert await world.realm.database.read(plans) == (10, 0)
