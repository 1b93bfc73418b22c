"""The registration mode set by an admin, and invitation codes, stored as hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from ws_server.store.schema import invitation_codes, meta

MODES = ("open", "invite", "closed")
MAX_CODES = 1_000
"""Invitations that may be usable at the same time."""

_KEY = "registration"
_i = invitation_codes.c
_COLUMNS = (_i.id, _i.uses, _i.uses_left, _i.created, _i.expires)


@dataclass(frozen=True, slots=True)
class StoredMode:
    """The mode last set by an admin, and the option `--registration` at that time."""

    mode: str
    start: str
    """Empty if no server was running, so that the option is unknown."""


def stored_mode(tx: Connection) -> StoredMode | None:
    """Return the stored mode; None if no admin set one, or set the same as the option."""
    found = tx.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    mode, _, start = str(found).partition(" ")
    return StoredMode(mode, start) if mode in MODES else None


def mode_in_effect(tx: Connection, start: str) -> str:
    """Return the mode in effect under the option `start`: the more recent of the two decisions."""
    found = stored_mode(tx)
    return found.mode if found is not None and found.start in ("", start) else start


def reconcile_mode(tx: Connection, start: str) -> str:
    """Return the mode of a server that starts with `--registration start`, and persist it.

    An option that differs from the stored one was changed later, so it replaces the admin's mode.
    """
    mode = mode_in_effect(tx, start)
    store_mode(tx, mode, start)
    return mode


def store_mode(tx: Connection, mode: str, start: str | None) -> None:
    """Store the mode that an admin sets.

    Args:
        start: The option of the running server; None if none is running, in which case the option
            of the next start counts.
    """
    tx.execute(delete(meta).where(meta.c.key == _KEY))
    if mode != start:
        tx.execute(insert(meta).values(key=_KEY, value=f"{mode} {start or ''}".rstrip()))


@dataclass(frozen=True, slots=True)
class InvitationCode:
    """An invitation without its code; times are Unix milliseconds."""

    id: str
    uses: int
    uses_left: int
    created: int
    expires: int


def add(tx: Connection, id: str, hashed: bytes, uses: int, now: int, expires: int) -> bool:
    """Store an invitation; return False at MAX_CODES usable ones, or if its id exists."""
    usable = select(func.count()).select_from(invitation_codes).where(_is_usable(now))
    if (tx.scalar(usable) or 0) >= MAX_CODES:
        return False
    if tx.scalar(select(_i.id).where(_i.id == id)) is not None:
        return False
    row = {"id": id, "hash": hashed, "uses": uses, "uses_left": uses}
    tx.execute(insert(invitation_codes).values(**row, created=now, expires=expires))
    return True


def is_usable(tx: Connection, hashed: bytes, now: int) -> bool:
    """Return whether a code permits registration; unknown codes run the same query."""
    this = select(_i.id).where(_i.hash == hashed, _is_usable(now))
    return tx.scalar(this) is not None


def use(tx: Connection, hashed: bytes, now: int) -> str | None:
    """Count one use of a code, in the transaction that adds the account.

    Returns:
        The invitation's id; None if it is unknown, used up or expired.
    """
    used: str | None = tx.scalar(
        update(invitation_codes)
        .where(_i.hash == hashed, _is_usable(now))
        .values(uses_left=_i.uses_left - 1)
        .returning(_i.id)
    )
    return used


def all_invitations(tx: Connection) -> Sequence[InvitationCode]:
    """Return all invitations, the oldest first; used up ones are listed until they expire."""
    found = select(*_COLUMNS).order_by(_i.created, _i.id)
    return [InvitationCode(*row) for row in tx.execute(found)]


def remove(tx: Connection, id: str) -> bool:
    """Delete an invitation; return whether it existed."""
    return tx.execute(delete(invitation_codes).where(_i.id == id)).rowcount > 0


def forget_expired(tx: Connection, now: int) -> None:
    """Delete expired invitations."""
    tx.execute(delete(invitation_codes).where(_i.expires <= now))


def _is_usable(now: int) -> ColumnElement[bool]:
    return and_(_i.uses_left > 0, _i.expires > now)
