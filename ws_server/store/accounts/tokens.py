"""Session tokens, of which only the hashes are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    String,
    and_,
    case,
    column,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from ws_server.store.accounts.users import COLUMNS, MAX_KEYS, User
from ws_server.store.engines.adapter import Statement
from ws_server.store.schema import realms, tokens, users
from ws_server.store.steps import WHO, Steps, ask

TOKENS_KEPT = 100
"""Tokens of one user; a further sign-in deletes the least recently used one."""
MAX_ADDRESS = 64
"""Characters stored of an address; IP addresses have fewer."""

_TOKEN = column("token", LargeBinary)
_BY_TOKEN = Statement(
    (WHO, _TOKEN, column("since", BigInteger)),
    lambda given: select(given.c.who, *COLUMNS).select_from(
        given.join(tokens, and_(tokens.c.hash == given.c.token, tokens.c.used >= given.c.since))
        .join(users, users.c.id == tokens.c.user_id)
        .outerjoin(realms, realms.c.id == users.c.realm_id)
    ),
)


def _used(user_id: Any, now: Any) -> ColumnElement[int]:
    """Return, as SQL, the time of use for a token: now, or later than all others of the user.

    If the clock was ahead once, tokens used then would otherwise outlive the ones in use.
    """
    of_user = tokens.alias()
    last = (
        select(func.max(of_user.c.used))
        .where(of_user.c.user_id == user_id)
        .correlate_except(of_user)
        .scalar_subquery()
    )
    return case((last >= now, last + literal_column("1")), else_=now)


_TOKEN_USED = Statement(
    (
        *(WHO, _TOKEN, column("user_id", BigInteger), column("now", BigInteger)),
        column("address", String),
    ),
    lambda given: (
        update(tokens)
        .values(used=_used(given.c.user_id, given.c.now), address=given.c.address)
        .where(tokens.c.hash == given.c.token)
    ),
)


def hash_token(token: str) -> bytes:
    """Return the stored hash of a token; its 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def add_token(
    tx: Connection, user_id: int, token: bytes, now: int, address: str | None = None
) -> None:
    """Store the hash of a new token; delete the least recently used ones above TOKENS_KEPT.

    Args:
        token: The hash.
        address: The client's address.
    """
    used = _used(user_id, now)
    address = address and address[:MAX_ADDRESS]
    row = {"hash": token, "user_id": user_id, "created": now, "used": used, "address": address}
    tx.execute(insert(tokens).values(row))
    kept = (
        select(tokens.c.hash)
        .where(tokens.c.user_id == user_id)
        .order_by(tokens.c.used.desc(), tokens.c.created.desc())
        .limit(TOKENS_KEPT)
    )
    tx.execute(delete(tokens).where(tokens.c.user_id == user_id, tokens.c.hash.not_in(kept)))


def use_token(token: bytes, now: int, since: int, address: str) -> Steps[User | None]:
    """Return the user of a token and record its use; None if the token is invalid or expired.

    Args:
        token: The hash.
        since: Unix milliseconds; a token not used since then has expired.
        address: The client's address.
    """
    found = yield from ask(_BY_TOKEN, [(token, since)])
    if not found:
        return None
    user = User(*found[0][1:])
    yield from ask(_TOKEN_USED, [(token, user.id, now, address[:MAX_ADDRESS])])
    return user


def keep_tokens(tx: Connection, hashes: Sequence[bytes], now: int) -> None:
    """Record the use of tokens whose connections are open."""
    for start in range(0, len(hashes), MAX_KEYS):
        these = tokens.c.hash.in_(hashes[start : start + MAX_KEYS])
        tx.execute(update(tokens).where(these, tokens.c.used < now).values(used=now))


def end_unused(tx: Connection, since: int) -> int:
    """Delete the tokens not used since a time, Unix milliseconds, and return their number."""
    return tx.execute(delete(tokens).where(tokens.c.used < since)).rowcount


def end_token(tx: Connection, token: bytes) -> None:
    """Delete a token."""
    tx.execute(delete(tokens).where(tokens.c.hash == token))


def end_tokens(tx: Connection, user_id: int) -> None:
    """Delete all tokens of a user."""
    tx.execute(delete(tokens).where(tokens.c.user_id == user_id))


def end_other_tokens(tx: Connection, user_id: int, kept: bytes) -> None:
    """Delete all tokens of a user except one."""
    tx.execute(delete(tokens).where(tokens.c.user_id == user_id, tokens.c.hash != kept))
