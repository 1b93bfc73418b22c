"""Finding messages by their idempotency keys, many at once.

A join with the keys asked for seeks each of them in the index. `(sender_id, key) IN (...)` would
read the whole index, as SQLite 3.40 plans it, and so cost more with every message there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import cast

from sqlalchemy import BigInteger, Connection, Dialect, String, and_, column, select, values

from ws_server.store.schema import messages

SIZES = (1, 4, 16, 64, 256)
"""Keys a statement; each size is compiled once, which costs more than running it."""


Found = tuple[int, str, int, str, int, int, str | None]
"""Sender, key, conversation, id, seq, time, and the id of the file."""


def find(tx: Connection, keys: Sequence[tuple[int, str]]) -> Iterator[Found]:
    """Yield what was written under keys, given with their senders."""
    for at in range(0, len(keys), SIZES[-1]):
        some = keys[at : at + SIZES[-1]]
        size = next(size for size in SIZES if size >= len(some))
        padding = [(0, "")] * (size - len(some))  # nobody's
        parameters = tuple(value for pair in (*some, *padding) for value in pair)
        for row in tx.exec_driver_sql(_statement(tx.dialect, size), parameters):
            yield cast(Found, row)


def used(tx: Connection, keys: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those pairs of a sender and a key under which a message was written."""
    return {(sender, key) for sender, key, *_ in find(tx, keys)}


@lru_cache
def _statement(dialect: Dialect, count: int) -> str:
    m = messages.c
    asked = (
        values(column("sender", BigInteger), column("key", String))
        .data([(0, "")] * count)
        .cte("asked")
    )
    statement = (
        select(m.sender_id, m.idempotency_key, m.conversation_id, m.id, m.seq, m.time, m.file_id)
        .select_from(asked)
        .join(messages, and_(m.sender_id == asked.c.sender, m.idempotency_key == asked.c.key))
        # The index holds only keys that are not null, and the planner must see that it may be used.
        .where(m.idempotency_key.is_not(None))
    )
    compiled = statement.compile(dialect=dialect)
    # The pairs' values are the only parameters, so their order is that of the pairs.
    assert len(compiled.params) == 2 * count
    return str(compiled)
