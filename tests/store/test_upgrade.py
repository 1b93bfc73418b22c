"""Rule of the migrations: a database of the first schema is migrated without losing data."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect

from tests.handlers.test_files import begin, push_rest
from tests.world import World
from ws_server.store.accounts import registering, users
from ws_server.store.database import Database
from ws_server.store.federation import realms
from ws_server.store.migrating import KNOWN, migrate
from ws_server.store.schema import metadata

FIRST = Path(__file__).with_name("schema_0001.sql")
BLANKS = ("\u200b", "\u2800")
MENDED = {
    ("a.webp", "application/octet-stream"): ("a.webp", "image/webp"),
    ("photo.jpg.gz", "image/jpeg"): ("photo.jpg.gz", "application/gzip"),
    ("\u200be\u0301.PNG", "image/png"): ("é.PNG", "image/png"),
    ("\u3164", "application/octet-stream"): ("file", "application/octet-stream"),
}
KEPT = [("a b.txt", "text/plain"), ("LICENSE", "application/octet-stream")]


def columns(database: Path) -> dict[str, list[str]]:
    """Return the columns of each table."""
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: [row[1] for row in connection.execute(f'PRAGMA table_info("{name}")')]
            for (name,) in names
        }


def rows(database: Path, tables: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return the values in these columns, each with its type."""
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        for name, known in tables.items():
            values = ", ".join(f'"{column}", typeof("{column}")' for column in known)
            found[name] = sorted(connection.execute(f'SELECT {values} FROM "{name}"'), key=repr)
    return found


def test_a_database_of_the_first_schema_is_upgraded_with_nothing_changed(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))
    known = columns(path)
    before = rows(path, known)
    assert all(before.values()), "a table of the first schema has no row here"
    database = Database.open(f"sqlite:///{path}")
    assert database.history_id == "0123456789abcdef"

    def look(tx: Connection) -> list[Any]:
        options = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(tx, opts=options), metadata) == []
        assert tx.exec_driver_sql("PRAGMA foreign_key_check").fetchall() == []
        assert tx.exec_driver_sql("PRAGMA integrity_check").fetchall() == [("ok",)]
        return list(tx.exec_driver_sql("SELECT DISTINCT disabled FROM users"))

    disabled = database.write(look)
    database.close()
    assert disabled == [(0,)]
    after = rows(path, known)
    assert before.pop("alembic_version") != after.pop("alembic_version")
    assert after == before


def test_names_nobody_could_see_and_types_of_before_are_mended(tmp_path: Path) -> None:
    path = tmp_path / "chat.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(FIRST.read_text(encoding="utf-8"))
        connection.execute("UPDATE users SET real_name = ?, country = ? WHERE id = 1", BLANKS)
        connection.execute("UPDATE users SET real_name = ? WHERE id = 2", ("Jose\u0301\u202e",))
        connection.execute("UPDATE conversations SET name = '\u3164' WHERE id = 2")
        for number, (name, kind) in enumerate([*MENDED, *KEPT]):
            row = (f"f_x{number}", name, kind)
            connection.execute(
                "INSERT INTO files SELECT ?, conversation_id, owner_id, ?, size, ?, sha256 "
                "FROM files WHERE id = 'f_1'",
                row,
            )
        connection.commit()
    Database.open(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT real_name, country FROM users ORDER BY id").fetchall()
        assert found == [("Bob", "-"), ("José", "")]
        groups = connection.execute("SELECT name FROM conversations ORDER BY id").fetchall()
        assert groups == [(None,), ("(no name)",)]
        files = connection.execute(
            "SELECT name, type FROM files WHERE id LIKE 'f_x%' ORDER BY id"
        ).fetchall()
    assert files == [*MENDED.values(), *KEPT]


def test_realms_of_before_are_no_strangers_but_for_those_that_waited(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'chat.db'}")
    with engine.begin() as tx:
        migrate(tx, "0006")
        for number, state in enumerate(("active", "pending", "blocked", "removed")):
            tx.exec_driver_sql(
                "INSERT INTO realms (name, key, public_key, own_name, tls, state, created,"
                " received, received_log, refusals, confirmed)"
                " VALUES (?, ?, ?, ?, 0, ?, 0, 0, '', '{}', 0)",
                (state, state, bytes([number]) * 32, state, state),
            )
        migrate(tx)
        found = {realm.name: realm.vouched for realm in realms.all_realms(tx)}
    engine.dispose()
    assert found == {"active": True, "pending": False, "blocked": True, "removed": True}


def test_the_first_schema_is_kept_as_it_was() -> None:
    """The expected schema must not change together with the migrations."""
    assert "INSERT INTO \"alembic_version\" VALUES('0001');" in FIRST.read_text(encoding="utf-8")


async def test_an_upload_that_an_older_version_began_goes_on(tmp_path: Path) -> None:
    """From schema 0003, which allowed one upload per user, recipient and content."""
    whole = b"0123456789"
    engine = create_engine(f"sqlite:///{tmp_path / 'chat.db'}")
    with engine.begin() as tx:
        migrate(tx, KNOWN[0])
        migrate(tx, "0003")
        for name in ("alice", "bob"):
            tx.exec_driver_sql(
                "INSERT INTO users (name, key, real_name, country, password, admin, created) "
                "VALUES (?, ?, '', '', '', 0, 1)",
                (name, name),
            )
        for key in ("epoch", "log"):
            tx.exec_driver_sql("INSERT OR IGNORE INTO meta VALUES (?, 'x')", (key,))
        tx.exec_driver_sql(
            "INSERT INTO uploads VALUES ('u_1', 1, 'bob', 'a.bin', 10, ?, 'k', ?)",
            (hashlib.sha256(whole).hexdigest(), time.time_ns() // 1_000_000),
        )
    engine.dispose()
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "u_1").write_bytes(whole[:4])
    async with World(tmp_path) as world:
        alice, _ = await world.log_in("alice", "bob")
        opened = await begin(alice, whole, idempotency_key="k")
        assert (opened["upload"], opened["offset"]) == ("u_1", 4)
        other = await begin(alice, whole, name="b.bin", idempotency_key="l")
        sent = [await push_rest(alice, o, whole) for o in (opened, other)]
        assert [s["file"]["name"] for s in sent] == ["a.bin", "b.bin"]


async def test_a_session_of_an_older_version_goes_on(tmp_path: Path) -> None:
    """From schema 0006, which did not store the address where a token was used."""
    now = time.time_ns() // 1_000_000
    engine = create_engine(f"sqlite:///{tmp_path / 'chat.db'}")
    with engine.begin() as tx:
        migrate(tx, KNOWN[0])
        migrate(tx, "0006")
        tx.exec_driver_sql(
            "INSERT INTO users (name, key, real_name, country, password, admin, created) "
            "VALUES ('bob', 'bob', '', '', '', 0, 1)"
        )
        for key in ("epoch", "log"):
            tx.exec_driver_sql("INSERT OR IGNORE INTO meta VALUES (?, 'x')", (key,))
        tx.exec_driver_sql(
            "INSERT INTO tokens VALUES (?, 1, 1, ?)", (hashlib.sha256(b"kept").digest(), now)
        )
    engine.dispose()
    async with World(tmp_path) as world:
        person = world.connect("192.0.2.7")
        assert (await person.ask("resume", token="kept"))["user"] == "bob"
        ask = users.signing_in, "bob", "192.0.2.7"
        assert (await world.realm.database.read(*ask))[1]


async def test_a_realm_of_before_invitations_gets_them(tmp_path: Path) -> None:
    """From schema 0009, where registration depends on the start option alone."""
    engine = create_engine(f"sqlite:///{tmp_path / 'chat.db'}")
    with engine.begin() as tx:
        migrate(tx, KNOWN[0])
        migrate(tx, "0009")
        tx.exec_driver_sql(
            "INSERT INTO users (name, key, real_name, country, password, admin, created) "
            "VALUES ('bob', 'bob', '', '', '', 0, 1)"
        )
        for key in ("epoch", "log"):
            tx.exec_driver_sql("INSERT OR IGNORE INTO meta VALUES (?, 'x')", (key,))
        assert not inspect(tx).has_table("invitation_codes")
    engine.dispose()
    async with World(tmp_path, registration="invite") as world:
        assert world.realm.registration.mode == "invite"
        expires = time.time_ns() // 1_000_000 + 60_000
        made = await world.realm.journal.write(
            lambda tx, now: registering.add(tx, "ABC", b"h" * 32, 1, now, expires)
        )
        assert made and await world.realm.database.read(users.find, "bob") is not None
