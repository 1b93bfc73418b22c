"""What of a group's history its members may read: all of it, or what was written since they joined.

The group's owner chooses which of both holds for whoever joins from then on. A member keeps what
they got by it: `members.hidden_seq` is the last message that is not for them. Messages of a group
that another realm hosts are fetched only if somebody of this realm may read them, so the replica
may begin behind a seq, `conversations.missing_seq`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select, update

from ws_server.store.schema import conversations, files, members, messages, users

_c, _m = conversations.c, members.c


def choose(tx: Connection, group_id: int, *, joining: bool) -> None:
    """Keep what holds for new members of a group.

    Args:
        joining: They read what is written from then on; else everything.
    """
    tx.execute(update(conversations).where(_c.id == group_id).values(history_from_joining=joining))


def is_from_joining(tx: Connection, group_id: int) -> bool:
    """Tell whether new members of a group read only what is written from then on."""
    return bool(tx.scalar(select(_c.history_from_joining).where(_c.id == group_id)))


def hidden(conversation_id: int, reader: int) -> ColumnElement[int]:
    """Return, as SQL, the last message of a conversation that is not for a reader; 0 if all are."""
    mine = select(_m.hidden_seq).where(_m.conversation_id == conversation_id, _m.user_id == reader)
    return func.coalesce(mine.scalar_subquery(), 0)


def file_is_visible() -> ColumnElement[bool]:
    """Return, as SQL over `files` and `members`, whether a member may read a file."""
    shown = select(messages.c.row).where(
        messages.c.file_id == files.c.id, messages.c.seq > _m.hidden_seq
    )
    return or_(_m.hidden_seq == 0, files.c.owner_id == _m.user_id, shown.exists())


def floor(tx: Connection, group_id: int, realm_id: int | None) -> int | None:
    """Return the last message of a group that nobody of a realm may read.

    Args:
        realm_id: None for this realm.

    Returns:
        None if nobody of the realm is in the group.
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
    """Let a replica begin where somebody of this realm may read it, if it is not as far yet.

    Its members' markers are never before what they may read.
    """
    begins = floor(tx, group_id, None)
    if begins:
        later = and_(_c.id == group_id, _c.last_seq < begins)
        tx.execute(update(conversations).where(later).values(last_seq=begins, missing_seq=begins))
    # Nobody has received less than they have read.
    behind = and_(_m.conversation_id == group_id, _m.read_seq < _m.hidden_seq)
    marks = {
        mark: case((mark < _m.hidden_seq, _m.hidden_seq), else_=mark)
        for mark in (_m.joined_seq, _m.read_seq, _m.received_seq)
    }
    tx.execute(update(members).where(behind).values(marks))


def missing(tx: Connection, host_id: int, number: int) -> tuple[int, int, int] | None:
    """Return what is missing of a replica that somebody of this realm may read.

    Returns:
        The group's id, the seq behind which it is missing, and the one up to which; None if
        nothing is.
    """
    found = tx.execute(_missing(host_id).where(_c.number == number)).first()
    if found is None:
        return None
    begins = floor(tx, found.id, None)
    return None if begins is None else (found.id, begins, found.missing_seq)


def incomplete(tx: Connection, host_id: int) -> list[int]:
    """Return the numbers of a host's groups of which something is missing."""
    return [row.number for row in tx.execute(_missing(host_id))]


def _missing(host_id: int) -> Select[Any]:
    here = _floor(None).where(_m.conversation_id == _c.id).correlate(conversations)
    return select(_c.id, _c.number, _c.missing_seq).where(
        _c.realm_id == host_id, _c.missing_seq > here.scalar_subquery()
    )


def is_complete(tx: Connection, group_id: int, begins: int, until: int) -> None:
    """Note that nothing is missing behind a seq any more, unless the group has changed meanwhile.

    Args:
        until: The seq up to which it was missing.
    """
    this = and_(_c.id == group_id, _c.missing_seq == until)
    tx.execute(update(conversations).where(this).values(missing_seq=begins))
