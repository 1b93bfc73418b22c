"""Stored names are cleaned like new ones, and media types are derived from file names."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

from shared.protocol.media_types import media_type
from shared.protocol.precis import tamed_name

revision = "0006"
down_revision = "0005"

AT_ONCE = 5_000
"""Rows in memory at a time."""


def upgrade() -> None:
    tx = op.get_bind()
    users = sa.table("users", *map(sa.column, ("id", "name", "real_name", "country")))
    for row in _rows(tx, users):
        # Both are empty for users of other realms, and stay so.
        real_name = row.real_name and tamed_name(row.real_name, row.name)[:128]
        country = row.country and tamed_name(row.country, "-")[:128]
        _mend(tx, users, row, real_name=real_name, country=country)
    conversations = sa.table("conversations", *map(sa.column, ("id", "name")))
    for row in _rows(tx, conversations, conversations.c.name.is_not(None)):
        _mend(tx, conversations, row, name=tamed_name(row.name, "(no name)")[:128])
    files = sa.table("files", *map(sa.column, ("id", "name", "type")))
    for row in _rows(tx, files):
        name = tamed_name(row.name, "file")
        name = name if len(name.encode()) <= 255 else row.name
        _mend(tx, files, row, name=name, type=media_type(name))


def _rows(
    tx: sa.Connection, table: sa.TableClause, which: sa.ColumnElement[bool] | None = None
) -> Iterator[Any]:
    """Yield the rows of a table in the order of their ids, AT_ONCE at a time."""
    query = sa.select(*table.c).order_by(table.c.id).limit(AT_ONCE)
    query = query if which is None else query.where(which)
    rows = tx.execute(query).all()
    while rows:
        yield from rows
        rows = tx.execute(query.where(table.c.id > rows[-1].id)).all()


def _mend(tx: sa.Connection, table: sa.TableClause, row: Any, **values: str) -> None:
    changed = {name: value for name, value in values.items() if value != getattr(row, name)}
    if changed:
        tx.execute(sa.update(table).where(table.c.id == row.id).values(**changed))
