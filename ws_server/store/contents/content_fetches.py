"""Contents of other realms that are still to come here, and those of ours that they may have.

A file from another realm is a row at once, with its message; `fetches` has a row more until the
content is here. What is here already is fetched all the same unless that realm is known to have it:
it sent it before, or was sent it. So nobody gets at a content by naming its hash.
"""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace

from sqlalchemy import (
    Connection,
    Select,
    and_,
    case,
    delete,
    false,
    func,
    insert,
    inspect,
    not_,
    or_,
    select,
    update,
)
from sqlalchemy.sql.expression import ColumnElement

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.contents.files import StoredFile, insert_file
from ws_server.store.groups import group_history
from ws_server.store.schema import conversations, fetches, files, members, realms, users

MAX_ATTEMPTS = 3
"""Wrong contents that may come before a fetch is given up."""
_PENDING = fetches.c.attempts < MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Fetch:
    """A content that is to come from another realm."""

    realm_id: int
    sha256: str
    sender_id: int
    size: int

    @property
    def part(self) -> str:
        """The name of what is here of it, beside those of uploads."""
        return part_name(self.realm_id, self.sha256)


def part_name(realm_id: int, sha256: str) -> str:
    """Return the name of a part; each realm has its own, so that none can spoil another's."""
    return f"{sha256}.{realm_id}"


def keep(
    tx: Connection,
    file: StoredFile,
    conversation_id: int,
    owner_id: int,
    realm_id: int,
    quota: int,
    now: int,
) -> bool:
    """Keep a file that a message from another realm is about to carry.

    Args:
        quota: Bytes that all files from that realm may have together.

    Returns:
        True if the content is still to come.

    Raises:
        ChatError: TOO_LARGE, the quota is used up; BAD_ARGUMENTS, the content has another size.
    """
    if _bytes_of(tx, realm_id) + file.size > quota:
        raise ChatError(
            ErrorCode.TOO_LARGE, f"All files from one realm may have {quota:,} bytes together"
        )
    size, away = _known(tx, realm_id, file.sha256)
    if size not in (None, file.size):
        raise ChatError(ErrorCode.BAD_ARGUMENTS, f"This content has {size:,} bytes")
    insert_file(tx, file, conversation_id, owner_id, realm_id)
    if size is None:
        _add(tx, file, owner_id, realm_id, now, attempts=0)
    elif away:
        this = and_(fetches.c.realm_id == realm_id, fetches.c.sha256 == file.sha256)
        tx.execute(update(fetches).where(this, not_(_PENDING)).values(attempts=0, since=now))
    return away


def _bytes_of(tx: Connection, realm_id: int) -> int:
    """Return how much all files from a realm take, or will, but for those that are given up."""
    size = func.coalesce(func.sum(files.c.size), 0)
    all_of_it = tx.scalar(select(size).where(files.c.realm_id == realm_id))
    given_up = tx.scalar(
        select(size)
        .join(fetches, _of(fetches.c.sha256, fetches.c.realm_id))
        .where(fetches.c.realm_id == realm_id, not_(_PENDING))
    )
    return int(all_of_it or 0) - int(given_up or 0)


def _add(
    tx: Connection, file: StoredFile, owner_id: int, realm_id: int, now: int, attempts: int
) -> None:
    tx.execute(
        insert(fetches).values(
            realm_id=realm_id,
            sha256=file.sha256,
            sender_id=owner_id,
            size=file.size,
            since=now,
            attempts=attempts,
        )
    )


@dataclass(frozen=True, slots=True)
class FileBounds:
    """What this realm takes of another one's files, in bytes."""

    file: int
    """Of one."""
    together: int
    """Of all."""


def keep_replica(
    tx: Connection,
    file: StoredFile,
    conversation_id: int,
    owner_id: int,
    host_id: int,
    room: FileBounds,
    now: int,
) -> tuple[StoredFile, bool]:
    """Keep a file of a group that another realm hosts, which has given its message a place already.

    What there is no room for is shown, and given up before it is fetched; what is told with a wrong
    size is shown with the right one.

    Returns:
        The file as it is shown, and whether its content is still to come.
    """
    if file.size <= room.file:
        with suppress(ChatError):
            awaited = keep(tx, file, conversation_id, owner_id, host_id, room.together, now)
            return file, awaited
    size, away = _known(tx, host_id, file.sha256)
    shown = file if size is None else replace(file, size=size)
    insert_file(tx, shown, conversation_id, owner_id, host_id)
    if size is None:
        _add(tx, file, owner_id, host_id, now, attempts=MAX_ATTEMPTS)
    return shown, away


def _known(tx: Connection, realm_id: int, sha256: str) -> tuple[int | None, bool]:
    """Return the size of a content that a realm is known to have, and whether it is not here."""
    fetch = select(fetches.c.size).where(fetches.c.realm_id == realm_id, fetches.c.sha256 == sha256)
    size = tx.scalar(fetch)
    if size is not None:
        return size, True
    sent = select(files.c.size).where(files.c.sha256 == sha256, files.c.realm_id == realm_id)
    size = tx.scalar(sent.limit(1))
    if size is None:
        found = offered(tx, realm_id, sha256)
        size = found.size if found is not None and found.here else None
    return size, size is None


@dataclass(frozen=True, slots=True)
class Offered:
    """A content that another realm may have."""

    size: int
    here: bool
    """Whether it has come from the realm it is from."""


def offered(tx: Connection, realm_id: int, sha256: str) -> Offered | None:
    """Return a content that was sent to a realm with a message; None if none with this hash was.

    That is one of this realm, or of a group hosted here, in a conversation in which the other realm
    has people for whom it is, or which it hosts.
    """
    c = conversations.c
    there = (
        select(members.c.user_id)
        .join(users, users.c.id == members.c.user_id)
        .where(members.c.conversation_id == c.id, users.c.realm_id == realm_id)
        .where(group_history.file_is_visible())
    )
    here = case((fetches.c.sha256.is_(None), 1), else_=0)
    row = tx.execute(
        select(files.c.size, here)
        .select_from(
            files.join(conversations, c.id == files.c.conversation_id).outerjoin(
                fetches, _of(fetches.c.sha256, fetches.c.realm_id)
            )
        )
        .where(files.c.sha256 == sha256)
        .where(or_(files.c.realm_id.is_(None), and_(c.number.is_not(None), c.realm_id.is_(None))))
        .where(or_(c.realm_id == realm_id, there.exists()))
        .order_by(here.desc())
        .limit(1)
    ).first()
    return None if row is None else Offered(row[0], bool(row[1]))


def _of(sha256: ColumnElement[str], realm_id: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(files.c.sha256 == sha256, files.c.realm_id == realm_id)


def _wanted() -> ColumnElement[bool]:
    """Return, as SQL, whether somebody here is in a conversation with the content."""
    return (
        select(files.c.id)
        .join(members, members.c.conversation_id == files.c.conversation_id)
        .join(users, users.c.id == members.c.user_id)
        .where(_of(fetches.c.sha256, fetches.c.realm_id), users.c.realm_id.is_(None))
        .exists()
    )


def chosen(tx: Connection, realm_id: int, but: Collection[str], limit: int) -> list[Fetch]:
    """Return what to fetch next from a realm: the smallest of each sender, then the next smallest.

    Args:
        but: Hashes to leave out.
    """
    f = fetches.c
    rank = func.row_number().over(partition_by=f.sender_id, order_by=(f.size, f.since, f.sha256))
    ranked = (
        select(f.realm_id, f.sha256, f.sender_id, f.size, rank.label("rank"))
        .where(f.realm_id == realm_id, f.sha256.not_in(but), _PENDING, _wanted())
        .subquery()
    )
    columns = (ranked.c.realm_id, ranked.c.sha256, ranked.c.sender_id, ranked.c.size)
    rows = tx.execute(select(*columns).order_by(ranked.c.rank, ranked.c.size).limit(limit))
    return [Fetch(*row) for row in rows]


def done(tx: Connection, realm_id: int, sha256: str) -> None:
    """Note that a content is here."""
    tx.execute(delete(fetches).where(fetches.c.realm_id == realm_id, fetches.c.sha256 == sha256))


def failed(tx: Connection, realm_id: int, sha256: str, attempts: int) -> bool:
    """Count attempts that came to nothing, and tell whether the content is given up."""
    this = and_(fetches.c.realm_id == realm_id, fetches.c.sha256 == sha256)
    tx.execute(update(fetches).where(this).values(attempts=fetches.c.attempts + attempts))
    return tx.scalar(select(fetches.c.sha256).where(this, _PENDING)) is None


@dataclass(frozen=True, slots=True)
class Away:
    """Where a content is that is not here."""

    realm: str
    """What the other realm is called here."""
    given_up: bool


def away(tx: Connection, file_id: str) -> Away | None:
    """Return where the content of a file is; None if it is here."""
    row = tx.execute(
        select(realms.c.name, fetches.c.attempts)
        .select_from(
            files.join(fetches, _of(fetches.c.sha256, fetches.c.realm_id)).join(
                realms, realms.c.id == fetches.c.realm_id
            )
        )
        .where(files.c.id == file_id)
    ).first()
    return None if row is None else Away(row.name, row.attempts >= MAX_ATTEMPTS)


def open_parts(tx: Connection) -> set[str]:
    """Return the names of the parts of what is still to come and somebody here waits for."""
    rows = tx.execute(select(fetches.c.realm_id, fetches.c.sha256).where(_PENDING, _wanted()))
    return {part_name(realm_id, sha256) for realm_id, sha256 in rows}


def absent(tx: Connection) -> Select[str]:
    """Return the query for the ids of files whose content is not here.

    It can be asked of a database of an older schema too, in which there are none.
    """
    if not inspect(tx).has_table(fetches.name):
        return select(files.c.id).where(false())
    return select(files.c.id).join(fetches, _of(fetches.c.sha256, fetches.c.realm_id))


def stored(tx: Connection) -> Select[str, int]:
    """Return the query for the hashes and sizes of all contents that are here, each once."""
    here = files.c.id.not_in(absent(tx))
    return select(files.c.sha256, files.c.size).where(here).distinct().order_by(files.c.sha256)
