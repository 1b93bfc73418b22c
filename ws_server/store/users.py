"""Accounts and the tokens of their sessions."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    LargeBinary,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, fold
from ws_server.store import realms as known_realms
from ws_server.store.compiled import Compiled
from ws_server.store.schema import realms, tokens, users

TOKENS_KEPT = 100
"""Tokens a user; a new sign-in ends the one that was not used for the longest time."""
MAX_KEYS = 500
"""Names looked up in one statement."""


@dataclass(frozen=True, slots=True)
class User:
    """One account; `password` is an argon2id hash."""

    id: int
    name: str
    real_name: str
    country: str
    password: str
    admin: bool
    disabled: bool = False
    realm_id: int | None = None


def address_of() -> ColumnElement[str]:
    """Return, as SQL over `users` joined with `realms`, how a person is written here.

    It has no parameters, as statements about many rows have none but those.
    """
    here = users.c.realm_id.is_(None)
    by_host = users.c.name.like(
        literal_column("'%@%'")
    )  # of a third realm, as the group's host says
    there = users.c.name.concat(literal_column("'@'")).concat(realms.c.name)
    return case((or_(here, by_host), users.c.name), else_=there)


WITH_REALMS = users.outerjoin(realms, realms.c.id == users.c.realm_id)
_COLUMNS = (
    users.c.id,
    address_of().label("name"),
    users.c.real_name,
    users.c.country,
    users.c.password,
    users.c.admin,
    users.c.disabled,
    users.c.realm_id,
)
_USER = select(*_COLUMNS).select_from(WITH_REALMS)
_IS_TOKEN = tokens.c.hash == bindparam("token", type_=LargeBinary)
_BY_TOKEN = Compiled(
    select(*_COLUMNS)
    .select_from(WITH_REALMS.join(tokens, tokens.c.user_id == users.c.id))
    .where(_IS_TOKEN)
)


def _used(user_id: Any, now: Any) -> ColumnElement[int]:
    """Return, as SQL, when a token is used: after all of the user's, were the clock ever ahead.

    Otherwise those used while it was would outlive the ones in use.
    """
    of_user = tokens.alias()
    last = select(func.max(of_user.c.used)).where(of_user.c.user_id == user_id).scalar_subquery()
    return case((last >= now, last + 1), else_=now)


_TOKEN_USED = Compiled(
    update(tokens)
    .where(_IS_TOKEN)
    .values(used=_used(bindparam("user_id", type_=BigInteger), bindparam("now", type_=BigInteger)))
)


def _user(row: Sequence[Any] | None) -> User | None:
    return User(*row) if row else None


def find(tx: Connection, name: str) -> User | None:
    """Return the account here of this name, whatever its case; None if there is none."""
    here = and_(users.c.realm_id.is_(None), users.c.key == fold(name))
    return _user(tx.execute(_USER.where(here)).first())


def known(tx: Connection, address: Address) -> User | None:
    """Return whom an address means; None for somebody of another realm not mentioned yet.

    Raises:
        ChatError: UNKNOWN_USER, nobody here has that name; UNKNOWN_REALM.
    """
    return find_at(tx, address) if address.realm else existing(tx, address.user)


def find_at(tx: Connection, address: Address) -> User | None:
    """Return whom an address means; None if that is nobody who is known here.

    Raises:
        ChatError: UNKNOWN_REALM.
    """
    if not address.realm:
        return find(tx, address.user)
    return find_of(tx, known_realms.existing(tx, address.realm).id, address.user)


def find_of(tx: Connection, realm_id: int, name: str) -> User | None:
    """Return a person of another realm; None if they have not been mentioned yet."""
    there = and_(users.c.realm_id == realm_id, users.c.key == fold(name))
    return _user(tx.execute(_USER.where(there)).first())


def of_realm(tx: Connection, realm_id: int, name: str, now: int) -> User:
    """Return a person of another realm, noted if need be."""
    found = find_of(tx, realm_id, name)
    if found is None:
        tx.execute(
            insert(users).values(
                realm_id=realm_id,
                name=name,
                key=fold(name),
                real_name="",
                country="",
                password="",
                admin=False,
                created=now,
            )
        )
        found = find_of(tx, realm_id, name)
        assert found is not None
    return found


def ids_of_realm(
    tx: Connection, realm_id: int | None, names: Collection[str], now: int
) -> dict[str, int]:
    """Return the ids of people of a realm by their folded names, in few statements.

    Args:
        realm_id: Another realm, whose people are noted if need be; None for this one, whose
            accounts are as they are.
    """
    wanted = {fold(name): name for name in names}
    found = _ids(tx, realm_id, list(wanted))
    missing = [key for key in wanted if key not in found]
    if realm_id is None or not missing:
        return found
    blank = {"real_name": "", "country": "", "password": "", "admin": False, "created": now}
    tx.execute(
        insert(users),
        [{"realm_id": realm_id, "name": wanted[key], "key": key, **blank} for key in missing],
    )
    return found | _ids(tx, realm_id, missing)


def _ids(tx: Connection, realm_id: int | None, keys: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for at in range(0, len(keys), MAX_KEYS):
        these = and_(users.c.realm_id == realm_id, users.c.key.in_(keys[at : at + MAX_KEYS]))
        rows = tx.execute(select(users.c.key, users.c.id).where(these))
        found |= {key: id for key, id in rows}  # noqa: C416 - rows are no pairs to mypy
    return found


def everybody(tx: Connection) -> list[User]:
    """Return all accounts of this realm by name."""
    here = _USER.where(users.c.realm_id.is_(None)).order_by(users.c.key)
    return [User(*row) for row in tx.execute(here)]


def existing(tx: Connection, name: str) -> User:
    """Return the account of this name.

    Raises:
        ChatError: UNKNOWN_USER.
    """
    user = find(tx, name)
    if user is None:
        raise unknown_user(name)
    return user


def active(tx: Connection, name: str) -> User:
    """Return the account of this name, if it may be sent to and invited.

    Raises:
        ChatError: UNKNOWN_USER; FORBIDDEN, it is disabled.
    """
    user = existing(tx, name)
    if user.disabled:
        raise is_disabled(user.name)
    return user


def unknown_user(name: str) -> ChatError:
    """Return the refusal for a name nobody has."""
    hint = f"; a group is written #{name}" if name.isdecimal() else ""
    return ChatError(ErrorCode.UNKNOWN_USER, f"Nobody here is called {name}{hint}")


def is_disabled(name: str) -> ChatError:
    """Return the refusal of what would reach an account that is disabled."""
    return ChatError(
        ErrorCode.FORBIDDEN,
        f"The account of {name} is disabled; nothing reaches it until an admin enables it",
    )


def create(
    tx: Connection, name: str, real_name: str, country: str, password: str, now: int
) -> User:
    """Add an account; the first one is the realm's admin.

    Args:
        password: argon2id hash.
        now: Unix milliseconds.

    Raises:
        ChatError: USER_EXISTS.
    """
    if find(tx, name) is not None:
        raise ChatError(ErrorCode.USER_EXISTS, f"{name} is taken; choose another name")
    here = select(func.count()).select_from(users).where(users.c.realm_id.is_(None))
    admin = tx.scalar(here) == 0
    made = tx.execute(
        insert(users).values(
            name=name,
            key=fold(name),
            real_name=real_name,
            country=country,
            password=password,
            admin=admin,
            created=now,
        )
    )
    assert made.inserted_primary_key is not None
    return User(made.inserted_primary_key[0], name, real_name, country, password, admin)


def set_password(tx: Connection, user_id: int, password: str) -> None:
    """Keep another argon2id hash."""
    tx.execute(update(users).where(users.c.id == user_id).values(password=password))


def set_admin(tx: Connection, user_id: int, admin: bool) -> None:
    """Let an account administer the realm, or no longer."""
    tx.execute(update(users).where(users.c.id == user_id).values(admin=admin))


def set_disabled(tx: Connection, user_id: int, disabled: bool) -> None:
    """Keep an account from signing in, or let it."""
    tx.execute(update(users).where(users.c.id == user_id).values(disabled=disabled))


def hash_token(token: str) -> bytes:
    """Return what is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).digest()


def add_token(tx: Connection, user_id: int, token: bytes, now: int) -> None:
    """Keep the hash of a new token and end the least recently used ones above TOKENS_KEPT."""
    used = _used(user_id, now)
    tx.execute(insert(tokens).values(hash=token, user_id=user_id, created=now, used=used))
    kept = (
        select(tokens.c.hash)
        .where(tokens.c.user_id == user_id)
        .order_by(tokens.c.used.desc(), tokens.c.created.desc())
        .limit(TOKENS_KEPT)
    )
    tx.execute(delete(tokens).where(tokens.c.user_id == user_id, tokens.c.hash.not_in(kept)))


def use_token(tx: Connection, token: bytes, now: int) -> User | None:
    """Return whose token this is, and note that it was used; None if it has ended."""
    found = _BY_TOKEN.rows(tx, token=token)
    if not found:
        return None
    user = _user(found[0])
    assert user is not None
    _TOKEN_USED.run(tx, token=token, user_id=user.id, now=now)
    return user


def end_token(tx: Connection, token: bytes) -> None:
    """Forget a token."""
    tx.execute(delete(tokens).where(tokens.c.hash == token))


def end_tokens(tx: Connection, user_id: int) -> None:
    """Forget all tokens of a user."""
    tx.execute(delete(tokens).where(tokens.c.user_id == user_id))


def end_other_tokens(tx: Connection, user_id: int, kept: bytes) -> None:
    """Forget all tokens of a user but one."""
    tx.execute(delete(tokens).where(tokens.c.user_id == user_id, tokens.c.hash != kept))
