"""The schema's revision, and migrations to the newest one.

An empty database is created from `schema.metadata` at once. Only an older one runs the migrations,
so that Alembic is loaded only when needed. A test compares the results of both ways.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, select

from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.schema import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
KNOWN = tuple(sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9]*.py")))
"""The revisions in `migrations/versions`, the newest last; file names begin with them."""
NEWEST = KNOWN[-1]

# Alembic's own table, which it creates in a database that it migrates.
_version = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)


def current(tx: Connection) -> str | None:
    """Return the revision of the schema; None if there is none."""
    if not inspect(tx).has_table(_version.name):
        return None
    found: str | None = tx.scalar(select(_version.c.version_num))
    return found


def migrate(tx: Connection, revision: str = NEWEST) -> None:
    """Migrate the schema to a later revision, or create it.

    Raises:
        DatabaseRefused: the schema is of a newer version.
    """
    found = current(tx)
    check_known(found)
    if found == revision:
        return
    if found is None and revision == NEWEST:
        metadata.create_all(tx, checkfirst=False)
        _version.create(tx)
        tx.execute(insert(_version).values(version_num=revision))
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = tx
    command.upgrade(config, revision)


def check_known(revision: str | None) -> None:
    """Refuse a schema that is unknown to this version.

    Raises:
        DatabaseRefused: it is of a newer version.
    """
    if revision is not None and revision not in KNOWN:
        raise DatabaseRefused(
            f"The database was made by a newer version of Simple Chatting (schema {revision}). "
            "Use that version, or give another --data folder"
        )
