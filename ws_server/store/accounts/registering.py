"""Who may register: what an admin said last, and the codes of invitations, as their hashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update

from ws_server.store.schema import invitation_codes, meta

MODES = ("open", "invite", "closed")
MAX_CODES = 1_000
"""Invitations that can be used at a time."""

_KEY = "registration"
_i = invitation_codes.c
_COLUMNS = (_i.id, _i.uses, _i.uses_left, _i.created, _i.expires)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an admin said last, while `--registration` was `start`."""

    mode: str
    start: str
    """Empty if no server ran, so that nobody knows."""


def kept(tx: Connection) -> Kept | None:
    """Return what an admin said last; None if nobody did, or nothing else than the option says."""
    found = tx.scalar(select(meta.c.value).where(meta.c.key == _KEY))
    mode, _, start = str(found).partition(" ")
    return Kept(mode, start) if mode in MODES else None


def holds(tx: Connection, start: str) -> str:
    """Return who may register where `--registration` is `start`: the newest of both decisions."""
    found = kept(tx)
    return found.mode if found is not None and found.start in ("", start) else start


def settle(tx: Connection, start: str) -> str:
    """Return who may register in a server that starts with `--registration start`.

    An option that was changed since an admin said something is the newer decision, for good.
    """
    mode = holds(tx, start)
    keep(tx, mode, start)
    return mode


def keep(tx: Connection, mode: str, start: str | None) -> None:
    """Keep what an admin says.

    Args:
        start: The option of the server that runs; None if none runs, so that it is the one of
            the next start.
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
    """Keep an invitation; False if there are MAX_CODES, or another one has its id."""
    usable = select(func.count()).select_from(invitation_codes).where(_is_usable(now))
    if (tx.scalar(usable) or 0) >= MAX_CODES:
        return False
    if tx.scalar(select(_i.id).where(_i.id == id)) is not None:
        return False
    row = {"id": id, "hash": hashed, "uses": uses, "uses_left": uses}
    tx.execute(insert(invitation_codes).values(**row, created=now, expires=expires))
    return True


def is_usable(tx: Connection, hashed: bytes, now: int) -> bool:
    """Tell whether somebody may register with a code; it asks the same of codes nobody has."""
    this = select(_i.id).where(_i.hash == hashed, _is_usable(now))
    return tx.scalar(this) is not None


def use(tx: Connection, hashed: bytes, now: int) -> str | None:
    """Count one use of a code in the transaction of its account.

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


def everything(tx: Connection) -> Sequence[InvitationCode]:
    """Return all invitations, the oldest first; those that are used up until they expire."""
    found = select(*_COLUMNS).order_by(_i.created, _i.id)
    return [InvitationCode(*row) for row in tx.execute(found)]


def remove(tx: Connection, id: str) -> bool:
    """Forget an invitation; tell whether it was there."""
    return tx.execute(delete(invitation_codes).where(_i.id == id)).rowcount > 0


def forget_expired(tx: Connection, now: int) -> None:
    """Forget invitations that nobody can use any more."""
    tx.execute(delete(invitation_codes).where(_i.expires <= now))


def _is_usable(now: int) -> ColumnElement[bool]:
    return and_(_i.uses_left > 0, _i.expires > now)
