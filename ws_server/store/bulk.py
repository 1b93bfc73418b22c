"""The statements of the hot path: they take many rows at once, each database in its own way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

from sqlalchemy import Connection

from ws_server.store.adapter import Bulk, Move
from ws_server.store.schema import messages, outbox

MESSAGE = (
    messages.c.conversation_id,
    messages.c.seq,
    messages.c.id,
    messages.c.sender_id,
    messages.c.time,
    messages.c.text,
    messages.c.file_id,
    messages.c.idempotency_key,
    messages.c.origin_seq,
    messages.c.bot,
)
"""The columns of a new message."""
OUTBOX = (
    outbox.c.realm_id,
    outbox.c.number,
    outbox.c.kind,
    outbox.c.conversation_id,
    outbox.c.seq,
    outbox.c.body,
    outbox.c.since,
)
"""The columns of what begins to wait for another realm."""
KEYED = (
    messages.c.sender_id,
    messages.c.idempotency_key,
    messages.c.conversation_id,
    messages.c.id,
    messages.c.seq,
    messages.c.time,
    messages.c.file_id,
)
"""What a repeated message needs of the first."""


def find_keys(tx: Connection, keys: Sequence[tuple[int, str]]) -> Iterable[Sequence[Any]]:
    """Return the columns `KEYED` of the messages written under these (sender, key)."""
    return _bulk(tx).find_keys(tx, keys) if keys else ()


def used_keys(tx: Connection, keys: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Return those of these (sender, key) under which a message was written."""
    return {(sender, key) for sender, key, *_ in find_keys(tx, keys)}


def insert_messages(tx: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert messages given as the columns of `MESSAGE`."""
    if rows:
        _bulk(tx).insert(tx, MESSAGE, rows)


def insert_outbox(tx: Connection, rows: Sequence[tuple[object, ...]]) -> None:
    """Insert what waits for other realms, given as the columns of `OUTBOX`."""
    if rows:
        _bulk(tx).insert(tx, OUTBOX, rows)


def move_conversations(tx: Connection, moved: Sequence[Move]) -> bool:
    """Move conversations to their new last seq, time and activity.

    Returns:
        False if any of them no longer has the version and last_seq given.
    """
    return not moved or _bulk(tx).move_conversations(tx, moved) == len(moved)


def _bulk(tx: Connection) -> Bulk:
    return cast(Bulk, tx.get_execution_options()["bulk"])
