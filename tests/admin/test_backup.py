"""Rules of `admin backup` and `admin restore`: what comes back is what was there."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import stat
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert

from tests.admin.command import admin, done, refusal
from tests.admin.realms import leftovers, live, people, seen, serving, tables
from tests.cluster import Cluster
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.transfers import end
from ws_server.store.admin.dump import LEFT_OUT
from ws_server.store.database import Database
from ws_server.store.schema import metadata


def make_realm(data: Path) -> None:
    """Make a realm with one account."""
    bob = ("user", "add", "bob", "--real-name", "B", "--country", "P")
    done(*bob, "--create", data=data, input="secret-bob")


async def chat(
    sender: RawClient, answered: list[dict[str, Any]], begun: asyncio.Event, stop: asyncio.Event
) -> None:
    while not stop.is_set():
        number = len(answered)
        answered.append(await sender.ask("send", to="erin", text=f"{number}"))
        if number == 20:
            begun.set()


async def test_what_clients_see_is_the_same_after_a_backup_beside_a_chat_and_a_restore(
    real_server: RealServer, tmp_path: Path
) -> None:
    tokens = await live(real_server.url)
    before = await seen(real_server.url, tokens)
    dave, erin = await people(real_server.url, "dave", "erin", register=True)
    old_epoch = (await erin.ask("sync", have={}))["epoch"]
    answered: list[dict[str, Any]] = []
    begun, stop = asyncio.Event(), asyncio.Event()
    talking = asyncio.create_task(chat(dave, answered, begun, stop))
    await begun.wait()
    known = len(answered)
    archive = tmp_path / "realm.tar"
    said = await asyncio.to_thread(done, "backup", archive, data=real_server.data)
    stop.set()
    await talking
    await end(dave, erin)
    assert len(answered) > known, "nobody could write during the backup"
    assert "5 accounts" in said
    real_server.kill()

    done("restore", archive, data=tmp_path / "again" / "data")
    with serving(tmp_path / "again") as server:
        assert await seen(server.url, tokens) == before
        assert (server.data / "realm.key").read_bytes() == (
            real_server.data / "realm.key"
        ).read_bytes()
        erin = await RawClient.signed_in(server.url, "erin", register=False)
        synced = await erin.ask("sync", have={"dave": 1}, epoch=old_epoch)
        assert (synced["recovered"], synced["messages"]) == (False, [])
        assert synced["epoch"] != old_epoch
        kept = (await erin.ask("sync", have={}, epoch=synced["epoch"]))["messages"]
        assert len(kept) >= known
        told = [(a["message_id"], a["seq"], a["time"]) for a in answered[: len(kept)]]
        assert [(m["id"], m["seq"], m["time"]) for m in kept] == told
        # Life goes on: seqs follow, keys are known, new ids are new.
        alice = await RawClient.signed_in(server.url, "alice", register=False)
        repeated = await alice.ask("send", to="bob", text="x", idempotency_key="3")
        assert (repeated["seq"], repeated["duplicate"]) == (4, True)
        assert (await alice.ask("send", to="erin", text="hi"))["seq"] == 1
        assert (await alice.ask("creategroup", name="new"))["group"] == "#3"
        frank = await RawClient.signed_in(server.url, "frank")
        await end(alice, erin, frank)
        assert "Traceback" not in server.log


async def test_a_realm_moves_between_the_databases_by_a_backup(
    tmp_path: Path, cluster: Cluster
) -> None:
    elsewhere = ("--database", cluster.fresh_realm())
    (tmp_path / "first").mkdir()
    with serving(tmp_path / "first", *elsewhere) as server:
        tokens = await live(server.url)
        before = await seen(server.url, tokens)
        said = done("backup", tmp_path / "x.tar", *elsewhere, data=server.data)
        assert "3 accounts" in said
        done("export", "alice", tmp_path / "alice.zip", *elsewhere, data=server.data)
        why = refusal("restore", tmp_path / "x.tar", *elsewhere, data=tmp_path / "over")
        assert "not empty" in why or "uses this database" in why
    done("restore", tmp_path / "x.tar", data=tmp_path / "second" / "data")
    with serving(tmp_path / "second") as server:
        assert await seen(server.url, tokens) == before
        done("backup", tmp_path / "y.tar", data=server.data)
    back = ("--database", cluster.new_database())
    done("restore", tmp_path / "y.tar", *back, data=tmp_path / "third" / "data")
    with serving(tmp_path / "third", *back) as server:
        assert await seen(server.url, tokens) == before
        # Numbers go on where they were.
        alice = await RawClient.signed_in(server.url, "alice", register=False)
        assert (await alice.ask("creategroup", name="new"))["group"] == "#3"
        assert (await alice.ask("send", to="bob", text="hi"))["message_id"]
        await alice.close()


def test_every_table_comes_back_or_is_named_as_left_out(tmp_path: Path) -> None:
    """A table that is added to the schema is covered by this as it is."""
    data = tmp_path / "data"
    make_realm(data)
    database = Database.open(f"sqlite:///{data / 'chat.db'}")

    def invent(tx: Connection) -> None:
        tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        for table in metadata.sorted_tables:
            for number in (7, 8):
                tx.execute(insert(table).values(invented(table, number)))

    database.write(invent)
    database.close()
    before = tables(data / "chat.db")
    assert all(len(before[table.name]) >= 2 for table in metadata.sorted_tables)
    # The invented file has no content yet.
    for size, sha256 in {row[4::2] for row in before["files"]}:
        (data / "blobs" / sha256[:2]).mkdir(exist_ok=True)
        (data / "blobs" / sha256[:2] / sha256).write_bytes(bytes(size))
    done("backup", tmp_path / "x.tar", data=data)
    done("restore", tmp_path / "x.tar", data=tmp_path / "again")
    after = tables(tmp_path / "again" / "chat.db")
    epochs = [dict(found["meta"]).pop("epoch") for found in (before, after)]
    assert epochs[0] != epochs[1]
    for found, epoch in zip((before, after), epochs, strict=True):
        found["meta"].remove(("epoch", epoch))
    assert before.keys() == after.keys()
    for name, rows in before.items():
        assert after[name] == ([] if name in LEFT_OUT - {"alembic_version"} else rows), name


EMPTY = {
    7: "837885c8f8091aeaeb9ec3c3f85a6ff470a415e610b8ba3e49f9b33c9cf9d619",
    8: "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc",
}
"""The sha256 of so many zero bytes."""


def invented(table: Table, number: int) -> dict[str, Any]:
    """Return a row with a value in every column that may have one."""
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name == "sha256":
            row[column.name] = EMPTY[number]
        elif column.foreign_keys or column.name in ("row", "size"):
            row[column.name] = number
        elif column.type.python_type is bytes:
            row[column.name] = bytes([number, 0, 255]) * 10
        else:
            row[column.name] = column.type.python_type(number)
    if table.name == "conversations":
        row["number"] = None  # a private one; a group has no people in its row
    return row


async def test_a_realm_is_backed_up_while_no_server_runs_also_after_a_crash(
    real_server: RealServer, tmp_path: Path
) -> None:
    (alice,) = await people(real_server.url, "alice", register=True)
    for number in range(20):
        await alice.ask("send", to="alice", text=f"{number}")
    await alice.close()
    real_server.kill()
    assert (real_server.data / "chat.db-wal").stat().st_size
    done("backup", tmp_path / "crashed.tar", data=real_server.data)
    real_server.start()
    assert real_server.stop() == 0
    done("backup", tmp_path / "stopped.tar", data=real_server.data)
    for name in ("crashed", "stopped"):
        done("restore", tmp_path / f"{name}.tar", data=tmp_path / name)
        assert len(tables(tmp_path / name / "chat.db")["messages"]) == 20
    real_server.start()
    await end(*await people(real_server.url, "alice"))


def test_only_the_owner_may_read_what_is_written(tmp_path: Path) -> None:
    data, archive = tmp_path / "data", tmp_path / "x.tar"
    make_realm(data)
    archive.write_text("an older one that anybody may read")
    archive.chmod(0o644)
    begun = int(time.time())
    done("backup", archive, data=data)
    done("export", "bob", tmp_path / "bob.zip", data=data)
    (tmp_path / "new").mkdir(mode=0o755)
    done("restore", archive, data=tmp_path / "new")
    made = [archive, tmp_path / "bob.zip", tmp_path / "new", *(tmp_path / "new").rglob("*")]
    assert {"chat.db", "realm.key", "blobs"} <= {path.name for path in made}
    for path in made:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path
    assert begun <= int((data / "last-backup").read_text()) <= time.time()
    assert leftovers(tmp_path, "data", "x.tar", "bob.zip", "new") == []


def test_a_backup_changes_nothing_in_an_older_database_and_comes_back_migrated(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    (data / "blobs").mkdir(parents=True)
    script = (Path(__file__).parent.parent / "store" / "schema_0001.sql").read_text()
    with closing(sqlite3.connect(data / "chat.db")) as connection:
        connection.executescript(script)
    before = tables(data / "chat.db")
    sha256 = before["files"][0][6]
    (data / "blobs" / sha256[:2]).mkdir()
    (data / "blobs" / sha256[:2] / sha256).write_bytes(b"hello")
    done("backup", tmp_path / "x.tar", data=data)
    assert tables(data / "chat.db") == before
    assert before["alembic_version"] == [("0001",)]
    assert "older version" in refusal("export", "bob", tmp_path / "bob.zip", data=data)
    done("restore", tmp_path / "x.tar", data=tmp_path / "new")
    after = tables(tmp_path / "new" / "chat.db")
    assert after["alembic_version"] > before["alembic_version"]
    assert before["messages"]
    for old, new in zip(before["messages"], after["messages"], strict=True):
        assert new[: len(old)] == old  # later versions add columns, empty where nobody filled them
        assert not any(new[len(old) :])
    assert "Bob" in done("user", "list", data=tmp_path / "new")
    # It has fewer tables of what is to end.
    done("restore", tmp_path / "x.tar", "--end-sessions", data=tmp_path / "ended")
    assert tables(tmp_path / "ended" / "chat.db")["tokens"] == []


def test_sessions_come_back_unless_they_are_to_end(tmp_path: Path) -> None:
    data = tmp_path / "data"
    make_realm(data)
    with closing(sqlite3.connect(data / "chat.db")) as connection:
        connection.execute("INSERT INTO tokens VALUES (x'00ff', 1, 2, 3, '::1')")
        connection.commit()
    done("backup", tmp_path / "x.tar", data=data)
    done("restore", tmp_path / "x.tar", data=tmp_path / "kept")
    done("restore", tmp_path / "x.tar", "--end-sessions", data=tmp_path / "ended")
    assert tables(tmp_path / "kept" / "chat.db")["tokens"] == [(b"\x00\xff", 1, 2, 3, "::1")]
    assert tables(tmp_path / "ended" / "chat.db")["tokens"] == []


def test_a_database_outside_the_folder_is_backed_up_and_restored(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", f"sqlite:///{tmp_path / 'a b#.db'}"
    words = (
        "user",
        "add",
        "bob",
        "--real-name",
        "B",
        "--country",
        "P",
        "--create",
        "--database",
        elsewhere,
    )
    done(*words, data=data, input="secret-bob")
    assert not (data / "chat.db").exists()
    done("backup", tmp_path / "x.tar", "--database", elsewhere, data=data)
    why = refusal("restore", tmp_path / "x.tar", "--database", elsewhere, data=tmp_path / "new")
    assert "not empty" in why
    shutil.copy(tmp_path / "x.tar", tmp_path / "cut.tar")
    with open(tmp_path / "cut.tar", "r+b") as file:
        file.truncate((tmp_path / "cut.tar").stat().st_size - 2048)
    other = f"sqlite:///{tmp_path / 'other.db'}"
    why = refusal("restore", tmp_path / "cut.tar", "--database", other, data=tmp_path / "new")
    assert "truncated" in why
    made = ("a b#.db", "a b#.db-wal", "a b#.db-shm", "a b#.db.lock", "x.tar", "cut.tar")
    assert leftovers(tmp_path, "data", *made) == []
    done("restore", tmp_path / "x.tar", "--database", other, data=tmp_path / "new")
    listed = admin("user", "list", "--database", other, data=tmp_path / "new")
    assert listed.stdout.startswith("bob: B, P")
    assert not (tmp_path / "new" / "chat.db").exists()
