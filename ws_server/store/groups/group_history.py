"""The part of a group's history that a member may read: all of it, or messages since they joined.

The group's owner chooses which of the two applies to new members. The choice at joining stays
with the member: `members.hidden_seq` is the last message hidden from them. Of a group that another
realm hosts, only messages visible to a local member are fetched, so a replica may begin after a
seq, `conversations.missing_seq`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select, update

from ws_server.store.schema import conversations, files, members, messages, users

_c, _m = conversations.c, members.c


def choose(tx: Connection, group_id: int, *, joining: bool) -> None:
    """Set what new members of a group may read.

    Args:
        joining: True for messages sent after they join, False for the whole history.
    """
    tx.execute(update(conversations).where(_c.id == group_id).values(history_from_joining=joining))


def is_from_joining(tx: Connection, group_id: int) -> bool:
    """Return whether new members of a group read only messages sent after they join."""
    return bool(tx.scalar(select(_c.history_from_joining).where(_c.id == group_id)))


def hidden(conversation_id: int, reader: int) -> ColumnElement[int]:
    """Return, as SQL, the last message of a conversation that is hidden from a reader, or 0."""
    mine = select(_m.hidden_seq).where(_m.conversation_id == conversation_id, _m.user_id == reader)
    return func.coalesce(mine.scalar_subquery(), 0)


def file_is_visible() -> ColumnElement[bool]:
    """Return, as SQL over `files` and `members`, whether a file is visible to a member."""
    shown = select(messages.c.row).where(
        messages.c.file_id == files.c.id, messages.c.seq > _m.hidden_seq
    )
    return or_(_m.hidden_seq == 0, files.c.owner_id == _m.user_id, shown.exists())


def floor(tx: Connection, group_id: int, realm_id: int | None) -> int | None:
    """Return the last message of a group that is hidden from all members of a realm.

    Args:
        realm_id: None for this realm.

    Returns:
        A seq, 0 if nothing is hidden; None if the realm has no members in the group.
    """
    found: int | None = tx.scalar(_floor(realm_id).where(_m.conversation_id == group_id))
    return found


def _floor(realm_id: int | None) -> Select[Any]:
    return (
        select(func.min(_m.hidden_seq))
        .join(users, users.c.id == _m.user_id)
        .where(users.c.realm_id.is_(None) if realm_id is None else users.c.realm_id == realm_id)
    )


def begin_replica(tx: Connection, group_id: int) -> None:
    """Move the start of a replica up to the first message visible to a local member.

    The markers of its members are raised to what is hidden from them.
    """
    begins = floor(tx, group_id, None)
    if begins:
        later = and_(_c.id == group_id, _c.last_seq < begins)
        tx.execute(update(conversations).where(later).values(last_seq=begins, missing_seq=begins))
    # received_seq is never below read_seq, so this finds all members behind.
    behind = and_(_m.conversation_id == group_id, _m.read_seq < _m.hidden_seq)
    marks = {
        mark: case((mark < _m.hidden_seq, _m.hidden_seq), else_=mark)
        for mark in (_m.joined_seq, _m.read_seq, _m.received_seq)
    }
    tx.execute(update(members).where(behind).values(marks))


def missing(tx: Connection, host_id: int, number: int) -> tuple[int, int, int] | None:
    """Return the messages missing from a replica that a local member may read.

    Returns:
        The group's id, and the range of seqs: exclusive start, inclusive end. None if nothing is
        missing.
    """
    found = tx.execute(_missing(host_id).where(_c.number == number)).first()
    if found is None:
        return None
    begins = floor(tx, found.id, None)
    return None if begins is None else (found.id, begins, found.missing_seq)


def incomplete(tx: Connection, host_id: int) -> list[int]:
    """Return the numbers of a host's groups with missing messages."""
    return [row.number for row in tx.execute(_missing(host_id))]


def _missing(host_id: int) -> Select[Any]:
    here = _floor(None).where(_m.conversation_id == _c.id).correlate(conversations)
    return select(_c.id, _c.number, _c.missing_seq).where(
        _c.realm_id == host_id, _c.missing_seq > here.scalar_subquery()
    )


def is_complete(tx: Connection, group_id: int, begins: int, until: int) -> None:
    """Record that no messages are missing after a seq, unless the group has changed meanwhile.

    Args:
        begins: Messages up to this seq stay missing.
        until: The end of the gap that was filled, as returned by `missing`.
    """
    this = and_(_c.id == group_id, _c.missing_seq == until)
    tx.execute(update(conversations).where(this).values(missing_seq=begins))
