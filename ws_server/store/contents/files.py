"""Files of messages, pending uploads, and the users' quotas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, true, update

from shared.protocol.commands.messages import FileInfo
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store.groups import group_history
from ws_server.store.schema import files, members, uploads

MAX_UPLOADS = 100
"""Pending uploads of one user."""
UPLOAD_LIFE = 24 * 3600 * 1000
"""Milliseconds after which an idle upload is deleted."""


@dataclass(slots=True)
class StoredFile(FileInfo):
    """One file with the fields shown on the wire; its content is a blob named by its hash."""

    def on_link(self) -> dict[str, Any]:
        """Return the file's fields for a link; each realm assigns its own file id."""
        return {"name": self.name, "size": self.size, "type": self.type, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A pending upload; `target` is the recipient's folded address."""

    id: str
    user_id: int
    target: str
    name: str
    size: int
    sha256: str
    key: str | None
    bot: bool
    touched: int
    """Unix milliseconds of the last chunk, at most an hour old."""


def add(
    tx: Connection,
    file: StoredFile,
    conversation_id: int,
    owner_id: int,
    upload: str | None,
    quota: int,
) -> None:
    """Store the row of a file whose message is about to be stored, and delete its upload.

    Raises:
        ChatError: TOO_LARGE, the owner's quota is used up; UNKNOWN_FILE, the upload has ended.
    """
    coming = 0
    if upload is not None:
        coming = tx.scalar(select(uploads.c.size).where(uploads.c.id == upload)) or 0
        if not coming:
            raise ChatError(ErrorCode.UNKNOWN_FILE, "This upload has ended; start it again")
    check_quota(tx, owner_id, file.size - coming, quota)
    if upload is not None:
        end_upload(tx, upload)
    insert_file(tx, file, conversation_id, owner_id, None)


def insert_file(
    tx: Connection, file: StoredFile, conversation_id: int, owner_id: int, realm_id: int | None
) -> None:
    """Store the row of a file.

    Args:
        realm_id: The other realm that has its content; None if it was stored here.
    """
    tx.execute(
        insert(files).values(
            id=file.id,
            conversation_id=conversation_id,
            owner_id=owner_id,
            name=file.name,
            size=file.size,
            type=file.type,
            sha256=file.sha256,
            realm_id=realm_id,
        )
    )


def check_quota(tx: Connection, owner_id: int, size: int, quota: int) -> None:
    """Refuse a file that would exceed a user's quota, which includes pending uploads.

    Raises:
        ChatError: TOO_LARGE.
    """
    kept = tx.scalar(
        select(func.coalesce(func.sum(files.c.size), 0)).where(files.c.owner_id == owner_id)
    )
    coming = tx.scalar(
        select(func.coalesce(func.sum(uploads.c.size), 0)).where(uploads.c.user_id == owner_id)
    )
    if (kept or 0) + (coming or 0) + size > quota:
        raise ChatError(ErrorCode.TOO_LARGE, f"The limit for all your files is {quota:,} bytes")


FILE = (files.c.id, files.c.name, files.c.size, files.c.type, files.c.sha256)
"""The columns of a `StoredFile`."""


def get(tx: Connection, file_id: str) -> StoredFile | None:
    """Return a file without checking access; None if there is none."""
    row = tx.execute(select(*FILE).where(files.c.id == file_id)).first()
    return StoredFile(*row) if row else None


def readable(tx: Connection, user_id: int, file_id: str) -> StoredFile:
    """Return a file of a conversation that the user is in and that is visible to them.

    Raises:
        ChatError: UNKNOWN_FILE.
    """
    row = tx.execute(
        select(*FILE)
        .join(members, members.c.conversation_id == files.c.conversation_id)
        .where(files.c.id == file_id, members.c.user_id == user_id)
        .where(group_history.file_is_visible())
    ).first()
    if row is None:
        raise ChatError(ErrorCode.UNKNOWN_FILE, "You have no file with this id")
    return StoredFile(*row)


_UPLOAD = (
    uploads.c.id,
    uploads.c.user_id,
    uploads.c.target,
    uploads.c.name,
    uploads.c.size,
    uploads.c.sha256,
    uploads.c.idempotency_key,
    uploads.c.bot,
    uploads.c.touched,
)


@dataclass(frozen=True, slots=True)
class Opened:
    """An upload that begins or is resumed."""

    upload: OpenUpload
    was: str | None = None
    """The previous id, if the upload is taken over under a new id."""


def open_upload(
    tx: Connection, wanted: OpenUpload, now: int, quota: int, is_sent: Callable[[str], bool]
) -> Opened:
    """Resume an upload of the same user, recipient and content, or begin one.

    First choice is the upload with the same idempotency key or, without keys, the same name. Second
    choice is one that is not being sent: it gets the wanted name, key and id, so that its previous
    sender can no longer continue it.

    Args:
        is_sent: Returns whether the upload with an id is being sent.

    Raises:
        ChatError: TOO_LARGE, the user's quota is exceeded or MAX_UPLOADS are pending.
    """
    rows = tx.execute(
        select(*_UPLOAD)
        .where(
            uploads.c.user_id == wanted.user_id,
            uploads.c.target == wanted.target,
            uploads.c.sha256 == wanted.sha256,
            uploads.c.size == wanted.size,
        )
        .order_by(uploads.c.touched.desc(), uploads.c.id)
    )
    found = [OpenUpload(*row) for row in rows]
    for one in found:
        if one.key == wanted.key and (one.key is not None or one.name == wanted.name):
            touch(tx, one.id, now)
            return Opened(one)
    for one in found:
        if not is_sent(one.id):
            tx.execute(
                update(uploads).where(uploads.c.id == one.id).values(**_row(wanted), touched=now)
            )
            return Opened(wanted, one.id)
    count = tx.scalar(
        select(func.count()).select_from(uploads).where(uploads.c.user_id == wanted.user_id)
    )
    if (count or 0) >= MAX_UPLOADS:
        raise ChatError(
            ErrorCode.TOO_LARGE, f"At most {MAX_UPLOADS} uploads at a time; finish one first"
        )
    check_quota(tx, wanted.user_id, wanted.size, quota)
    tx.execute(insert(uploads).values(**_row(wanted), touched=now))
    return Opened(wanted)


def _row(upload: OpenUpload) -> dict[str, Any]:
    """Return the columns of an upload, except for `touched`."""
    return {
        "id": upload.id,
        "user_id": upload.user_id,
        "target": upload.target,
        "name": upload.name,
        "size": upload.size,
        "sha256": upload.sha256,
        "idempotency_key": upload.key,
        "bot": upload.bot,
    }


def upload(tx: Connection, user_id: int, upload_id: str) -> OpenUpload:
    """Return a user's own upload.

    Raises:
        ChatError: UNKNOWN_FILE.
    """
    found = tx.execute(
        select(*_UPLOAD).where(uploads.c.id == upload_id, uploads.c.user_id == user_id)
    ).first()
    if found is None:
        raise ChatError(
            ErrorCode.UNKNOWN_FILE,
            "You have no upload with this id, or it has ended; start it again with upload",
        )
    return OpenUpload(*found)


def touch(tx: Connection, upload_id: str, now: int) -> None:
    """Record that an upload is active."""
    tx.execute(update(uploads).where(uploads.c.id == upload_id).values(touched=now))


def end_upload(tx: Connection, upload_id: str) -> None:
    """Delete an upload."""
    tx.execute(delete(uploads).where(uploads.c.id == upload_id))


def forget_abandoned(tx: Connection, now: int, jumped: bool) -> None:
    """Delete uploads that have been idle for UPLOAD_LIFE.

    Args:
        jumped: The wall clock has jumped, so ages are unknown; all uploads count as active now.
    """
    unknown = true() if jumped else uploads.c.touched > now
    tx.execute(update(uploads).where(unknown).values(touched=now))
    tx.execute(delete(uploads).where(uploads.c.touched < now - UPLOAD_LIFE))


def open_uploads(tx: Connection) -> set[str]:
    """Return the ids of all pending uploads."""
    return set(tx.scalars(select(uploads.c.id)))


def unreferenced(tx: Connection, hashes: list[str]) -> set[str]:
    """Return those of these hashes that no file has."""
    used: set[str] = set()
    for start in range(0, len(hashes), 500):
        some = hashes[start : start + 500]
        used.update(tx.scalars(select(files.c.sha256).where(files.c.sha256.in_(some))))
    return set(hashes) - used
