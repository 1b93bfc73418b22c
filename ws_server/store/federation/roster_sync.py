"""Groups hosted here with members of other realms: their rosters and history for those realms."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, select

from ws_server.store import conversations
from ws_server.store.conversations import Conversation
from ws_server.store.federation import outbox
from ws_server.store.federation.outbox_rows import content, speaker
from ws_server.store.groups import group_history
from ws_server.store.message_content import COLUMNS, FILE_COLUMNS, from_row
from ws_server.store.message_pages import PAGE_BYTES
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import files, members, messages, realms, users

MAX_LISTED = 1_000
"""Groups in one reply."""


def roster(
    tx: Connection, group: Conversation, change: str = "", by: int | None = None
) -> dict[str, Any]:
    """Return a group's roster, as sent to other realms.

    Args:
        change: Why it is sent; see `rosters.Roster`.
        by: The inviter of the member who joined.
    """
    rows = tx.execute(
        select(
            *(users.c.name, realms.c.name, realms.c.public_key),
            *(members.c.owner, members.c.joined_seq, members.c.hidden_seq),
        )
        .select_from(
            members.join(users, users.c.id == members.c.user_id).outerjoin(
                realms, realms.c.id == users.c.realm_id
            )
        )
        .where(members.c.conversation_id == group.id)
        .order_by(members.c.place)
    )
    optional: dict[str, Any] = {} if by is None else {"by": _speaker(tx, by)}
    if group_history.is_from_joining(tx, group.id):
        optional["history"] = "joining"
    return {
        **optional,
        "group": group.number,
        "name": group.name,
        "version": group.version,
        "last_seq": group.last_seq,
        "members": [
            {
                **speaker(name, realm, key),
                "owner": owner,
                "joined": joined,
                **({"hidden": hidden} if hidden else {}),
            }
            for name, realm, key, owner, joined, hidden in rows
        ],
        "change": change,
    }


def _speaker(tx: Connection, user_id: int) -> dict[str, Any]:
    """Return a person's fields, as sent to other realms."""
    query = (
        select(users.c.name, realms.c.name, realms.c.public_key)
        .select_from(users.outerjoin(realms, realms.c.id == users.c.realm_id))
        .where(users.c.id == user_id)
    )
    return speaker(*tx.execute(query).one())


def tell(
    tx: Connection,
    group: Conversation,
    change: str,
    now: int,
    also: Collection[int | None] = (),
    by: int | None = None,
) -> frozenset[int]:
    """Enqueue a group's roster for the realms of its members; return the realms that will get it.

    Args:
        group: The group after the change, with all its members.
        also: The realms of members who have just left.
        by: The inviter of the member who joined.
    """
    concerned = group.realms | {realm_id for realm_id in also if realm_id is not None}
    if not concerned:
        return frozenset()
    body = roster(tx, group, change, by)
    return frozenset(
        realm_id
        for realm_id in concerned
        if outbox.enqueue(tx, realm_id, outbox.CHANGE, group.id, body, now)
    )


def groups(tx: Connection, realm_id: int, after: int) -> list[dict[str, Any]]:
    """Return the positions of groups with members of a realm, at most MAX_LISTED, by number.

    Args:
        after: The last number of the previous page, exclusive.
    """
    c, m = conversation_table.c, members.c
    inside = select(m.conversation_id).join(users, users.c.id == m.user_id)
    rows = tx.execute(
        select(c.number, c.version, c.last_seq)
        .where(c.realm_id.is_(None), c.number > after)
        .where(c.id.in_(inside.where(users.c.realm_id == realm_id)))
        .order_by(c.number)
        .limit(MAX_LISTED)
    )
    return [{"group": n, "version": version, "last_seq": last} for n, version, last in rows]


def of_realm(tx: Connection, realm_id: int, number: int) -> dict[str, Any] | None:
    """Return a group's roster for a realm with members in it; None if the realm has none."""
    group = _group(tx, realm_id, number)
    return None if group is None else roster(tx, group)


def _group(tx: Connection, realm_id: int, number: int) -> Conversation | None:
    c = conversation_table.c
    group_id = tx.scalar(select(c.id).where(c.number == number, c.realm_id.is_(None)))
    group = None if group_id is None else conversations.load(tx, id=group_id)
    return group if group is not None and realm_id in group.realms else None


def history(
    tx: Connection, realm_id: int, number: int, after: int, limit: int
) -> list[dict[str, Any]] | None:
    """Return messages after a seq, for a realm with members in the group; None if it has none.

    Messages hidden from all members of that realm are left out. A page ends at `limit` messages or
    about PAGE_BYTES.
    """
    group = _group(tx, realm_id, number)
    if group is None:
        return None
    begins = group_history.floor(tx, group.id, realm_id) or 0
    m = messages.c
    rows = tx.execute(
        select(
            *(m.id, m.seq, m.time, *COLUMNS, *FILE_COLUMNS),
            *(users.c.name, realms.c.name.label("realm"), realms.c.public_key),
        )
        .select_from(
            messages.join(users, users.c.id == m.sender_id)
            .outerjoin(realms, realms.c.id == users.c.realm_id)
            .outerjoin(files, files.c.id == m.file_id)
        )
        .where(m.conversation_id == group.id, m.seq > max(after, begins))
        .order_by(m.seq)
        .limit(limit)
    )
    page: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        size += 6 * len(row.text) + 300
        if size > PAGE_BYTES and page:
            break
        sender = speaker(row.name, row.realm, row.public_key)
        fields = content(row.id, row.seq, row.time, from_row(row))
        page.append({"group": number, "from": sender, **fields})
    return page
