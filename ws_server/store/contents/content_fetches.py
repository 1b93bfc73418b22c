"""File contents to be fetched from other realms, and contents that those may fetch here.

A file from another realm gets its row in `files` with its message, and a row in `fetches` until the
content is stored. A content that is already stored is fetched from the realm all the same, unless
that realm is known to have it because it sent the content before or was sent it. So no realm gains
access to a content by naming its hash.
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
"""Contents with a wrong hash or size after which a fetch is abandoned."""
_PENDING = fetches.c.attempts < MAX_ATTEMPTS


@dataclass(frozen=True, slots=True)
class Fetch:
    """A content to be fetched from another realm."""

    realm_id: int
    sha256: str
    sender_id: int
    size: int

    @property
    def part(self) -> str:
        """The file name of the partial content, in the folder of uploads."""
        return part_name(self.realm_id, self.sha256)


def part_name(realm_id: int, sha256: str) -> str:
    """Return the file name of a partial content; each realm has its own, so none can corrupt it."""
    return f"{sha256}.{realm_id}"


def add_file(
    tx: Connection,
    file: StoredFile,
    conversation_id: int,
    owner_id: int,
    realm_id: int,
    quota: int,
    now: int,
) -> bool:
    """Store the row of a file whose message from another realm is about to be stored.

    Args:
        quota: Bytes that all files from that realm may have together.
        now: Unix milliseconds.

    Returns:
        True if the content is still to be fetched.

    Raises:
        ChatError: TOO_LARGE, the quota is used up; BAD_ARGUMENTS, the content has another size.
    """
    if _bytes_of(tx, realm_id) + file.size > quota:
        raise ChatError(
            ErrorCode.TOO_LARGE, f"The limit for all files from one realm is {quota:,} bytes"
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
    """Return the bytes of all files from a realm, fetched or pending, without abandoned ones."""
    total_size = func.coalesce(func.sum(files.c.size), 0)
    total = tx.scalar(select(total_size).where(files.c.realm_id == realm_id))
    abandoned = tx.scalar(
        select(total_size)
        .join(fetches, _of(fetches.c.sha256, fetches.c.realm_id))
        .where(fetches.c.realm_id == realm_id, not_(_PENDING))
    )
    return int(total or 0) - int(abandoned or 0)


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
    """Bounds on the files accepted from another realm, in bytes."""

    file: int
    """The size of one file."""
    together: int
    """The size of all files together."""


def keep_replica(
    tx: Connection,
    file: StoredFile,
    conversation_id: int,
    owner_id: int,
    host_id: int,
    bounds: FileBounds,
    now: int,
) -> tuple[StoredFile, bool]:
    """Store the row of a file in a replica, where the host has already assigned its message's seq.

    A file above the bounds is shown, and its fetch is abandoned from the start. A file announced
    with a wrong size is shown with the right one.

    Returns:
        The file as shown, and whether its content is still to be fetched.
    """
    if file.size <= bounds.file:
        with suppress(ChatError):
            awaited = add_file(tx, file, conversation_id, owner_id, host_id, bounds.together, now)
            return file, awaited
    size, away = _known(tx, host_id, file.sha256)
    shown = file if size is None else replace(file, size=size)
    insert_file(tx, shown, conversation_id, owner_id, host_id)
    if size is None:
        _add(tx, file, owner_id, host_id, now, attempts=MAX_ATTEMPTS)
    return shown, away


def _known(tx: Connection, realm_id: int, sha256: str) -> tuple[int | None, bool]:
    """Return the size of a content known from a realm, and whether the content is absent here."""
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
    """A content that another realm may fetch."""

    size: int
    here: bool
    """Whether the content is stored here, rather than awaited from its realm."""


def offered(tx: Connection, realm_id: int, sha256: str) -> Offered | None:
    """Return a content that was sent to a realm with a message; None if there is none.

    The content belongs to this realm, or to a group hosted here. Its conversation is hosted by the
    other realm, or has members of that realm to whom the file is visible.
    """
    c = conversations.c
    theirs = (
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
        .where(or_(c.realm_id == realm_id, theirs.exists()))
        .order_by(here.desc())
        .limit(1)
    ).first()
    return None if row is None else Offered(row[0], bool(row[1]))


def _of(sha256: ColumnElement[str], realm_id: ColumnElement[int]) -> ColumnElement[bool]:
    return and_(files.c.sha256 == sha256, files.c.realm_id == realm_id)


def _wanted() -> ColumnElement[bool]:
    """Return, as SQL, whether a conversation with the content has a local member."""
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
        limit: Most fetches to return.
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
    """Delete the fetch of a content that is now stored."""
    tx.execute(delete(fetches).where(fetches.c.realm_id == realm_id, fetches.c.sha256 == sha256))


def failed(tx: Connection, realm_id: int, sha256: str, attempts: int) -> bool:
    """Count failed attempts; return whether the fetch is now abandoned."""
    this = and_(fetches.c.realm_id == realm_id, fetches.c.sha256 == sha256)
    tx.execute(update(fetches).where(this).values(attempts=fetches.c.attempts + attempts))
    return tx.scalar(select(fetches.c.sha256).where(this, _PENDING)) is None


@dataclass(frozen=True, slots=True)
class ContentSource:
    """The realm from which a content is awaited."""

    realm: str
    """The realm's name here."""
    given_up: bool


def source_of(tx: Connection, file_id: str) -> ContentSource | None:
    """Return the realm from which a file's content is awaited; None if the content is stored."""
    row = tx.execute(
        select(realms.c.name, fetches.c.attempts)
        .select_from(
            files.join(fetches, _of(fetches.c.sha256, fetches.c.realm_id)).join(
                realms, realms.c.id == fetches.c.realm_id
            )
        )
        .where(files.c.id == file_id)
    ).first()
    return None if row is None else ContentSource(row.name, row.attempts >= MAX_ATTEMPTS)


def open_parts(tx: Connection) -> set[str]:
    """Return the file names of pending partial contents of conversations with local members."""
    rows = tx.execute(select(fetches.c.realm_id, fetches.c.sha256).where(_PENDING, _wanted()))
    return {part_name(realm_id, sha256) for realm_id, sha256 in rows}


def absent(tx: Connection) -> Select[str]:
    """Return the query for the ids of files whose content is not stored.

    It also runs on an older schema without `fetches`, and then finds none.
    """
    if not inspect(tx).has_table(fetches.name):
        return select(files.c.id).where(false())
    return select(files.c.id).join(fetches, _of(fetches.c.sha256, fetches.c.realm_id))


def stored(tx: Connection) -> Select[str, int]:
    """Return the query for hash and size of all stored contents, each once, by hash."""
    here = files.c.id.not_in(absent(tx))
    return select(files.c.sha256, files.c.size).where(here).distinct().order_by(files.c.sha256)
