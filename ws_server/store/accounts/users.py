"""Accounts of this realm, and the users of other realms known here."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)

from shared.addresses import network
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, fold
from ws_server.store.federation import realms as known_realms
from ws_server.store.schema import realms, tokens, users

MAX_KEYS = 500
"""Names looked up in one statement."""


@dataclass(frozen=True, slots=True)
class User:
    """One user; `password` is an argon2id hash, empty for users of other realms."""

    id: int
    name: str
    real_name: str
    country: str
    password: str
    admin: bool
    disabled: bool = False
    realm_id: int | None = None


def address_of() -> ColumnElement[str]:
    """Return, as SQL over `users` joined with `realms`, a user's address in this realm.

    It has no parameters, because a `Statement` allows none besides its input rows.
    """
    here = users.c.realm_id.is_(None)
    here = users.c.realm_id.is_(None)
    # Users of a third realm are stored under the host's name for them, such as `carol@gamma`.
    by_host = users.c.name.like(literal_column("'%@%'"))
    remote = users.c.name.concat(literal_column("'@'")).concat(realms.c.name)
    return case((or_(here, by_host), users.c.name), else_=remote)


WITH_REALMS = users.outerjoin(realms, realms.c.id == users.c.realm_id)
COLUMNS = (
    users.c.id,
    address_of().label("name"),
    users.c.real_name,
    users.c.country,
    users.c.password,
    users.c.admin,
    users.c.disabled,
    users.c.realm_id,
)
_USER = select(*COLUMNS).select_from(WITH_REALMS)


def _user(row: Sequence[Any] | None) -> User | None:
    return User(*row) if row else None


def find(tx: Connection, name: str) -> User | None:
    """Return the local account of this name, compared case-insensitively; None if there is none."""
    here = and_(users.c.realm_id.is_(None), users.c.key == fold(name))
    return _user(tx.execute(_USER.where(here)).first())


def known(tx: Connection, address: Address) -> User | None:
    """Return the user at an address; None for a user of another realm not mentioned before.

    Raises:
        ChatError: UNKNOWN_USER, no local account has that name; UNKNOWN_REALM.
    """
    return find_at(tx, address) if address.realm else existing(tx, address.user)


def find_at(tx: Connection, address: Address) -> User | None:
    """Return the user at an address; None if they are not known here.

    Raises:
        ChatError: UNKNOWN_REALM.
    """
    if not address.realm:
        return find(tx, address.user)
    return find_of(tx, known_realms.existing(tx, address.realm).id, address.user)


def note_at(tx: Connection, address: Address, now: int) -> User | None:
    """Return the user at an address, adding a user of another realm if needed.

    Returns:
        None for a local address without an account.

    Raises:
        ChatError: UNKNOWN_REALM.
    """
    if not address.realm:
        return find(tx, address.user)
    return of_realm(tx, known_realms.existing(tx, address.realm).id, address.user, now)


def find_of(tx: Connection, realm_id: int, name: str) -> User | None:
    """Return a user of another realm; None if they have not been mentioned before."""
    named = and_(users.c.realm_id == realm_id, users.c.key == fold(name))
    return _user(tx.execute(_USER.where(named)).first())


def of_realm(tx: Connection, realm_id: int, name: str, now: int) -> User:
    """Return a user of another realm, adding them if needed."""
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


def name_of(tx: Connection, user_id: int) -> str:
    """Return a user's name in their own realm."""
    return str(tx.scalar(select(users.c.name).where(users.c.id == user_id)))


def address(tx: Connection, user_id: int) -> str:
    """Return a user's address in this realm."""
    query = select(address_of()).select_from(WITH_REALMS).where(users.c.id == user_id)
    return str(tx.scalar(query))


def ids_of_realm(
    tx: Connection, realm_id: int | None, names: Collection[str], now: int
) -> dict[str, int]:
    """Return the ids of a realm's users by folded name, in few statements.

    Args:
        realm_id: Another realm, whose missing users are added; None for this one, where names
            without an account are left out.
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


def known_of_realm(tx: Connection, realm_id: int | None, names: Collection[str]) -> dict[str, int]:
    """Return the ids of a realm's users by folded name, leaving out names unknown here.

    Args:
        realm_id: Another realm; None for this one.
    """
    return _ids(tx, realm_id, [fold(name) for name in names])


def count_of_realm(tx: Connection, realm_id: int) -> int:
    """Return the number of users of another realm known here."""
    return tx.scalar(select(func.count()).where(users.c.realm_id == realm_id)) or 0


def _ids(tx: Connection, realm_id: int | None, keys: Sequence[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for start in range(0, len(keys), MAX_KEYS):
        these = and_(users.c.realm_id == realm_id, users.c.key.in_(keys[start : start + MAX_KEYS]))
        rows = tx.execute(select(users.c.key, users.c.id).where(these))
        found |= {key: id for key, id in rows}  # noqa: C416 - rows are no pairs to mypy
    return found


def all_accounts(tx: Connection) -> list[User]:
    """Return all accounts of this realm by name."""
    here = _USER.where(users.c.realm_id.is_(None)).order_by(users.c.key)
    return [User(*row) for row in tx.execute(here)]


def existing(tx: Connection, name: str) -> User:
    """Return the local account of this name.

    Raises:
        ChatError: UNKNOWN_USER.
    """
    user = find(tx, name)
    if user is None:
        raise unknown_user(name)
    return user


def active(tx: Connection, name: str) -> User:
    """Return the local account of this name, if it can receive messages and invitations.

    Raises:
        ChatError: UNKNOWN_USER; FORBIDDEN, it is disabled.
    """
    user = existing(tx, name)
    if user.disabled:
        raise is_disabled(user.name)
    return user


def unknown_user(name: str) -> ChatError:
    """Return the refusal for a name without an account."""
    hint = f"; a group is written #{name}" if name.isdecimal() else ""
    return ChatError(ErrorCode.UNKNOWN_USER, f"Nobody here is called {name}{hint}")


def is_disabled(name: str) -> ChatError:
    """Return the refusal for reaching a disabled account."""
    return ChatError(
        ErrorCode.FORBIDDEN,
        f"The account of {name} is disabled; nothing reaches it until an admin enables it",
    )


def signing_in(tx: Connection, name: str, address: str) -> tuple[User | None, bool]:
    """Return the account of a name, and whether it has a session in the network of an address.

    Names without an account run the same queries, so that the response time does not reveal them.
    """
    user = find(tx, name)
    of_user = tokens.c.user_id == (user.id if user else 0)
    used = tx.scalars(select(tokens.c.address).where(of_user, tokens.c.address.is_not(None)))
    here = network(address)
    return user, any(network(other) == here for other in used)


def has_admin(tx: Connection) -> bool:
    """Return whether this realm has an admin."""
    admins = select(users.c.id).where(users.c.realm_id.is_(None), users.c.admin)
    return tx.execute(admins.limit(1)).first() is not None


def is_empty(tx: Connection) -> bool:
    """Return whether this realm has no accounts yet."""
    return tx.execute(select(users.c.id).where(users.c.realm_id.is_(None)).limit(1)).first() is None


def create(
    tx: Connection,
    name: str,
    real_name: str,
    country: str,
    password: str,
    now: int,
    *,
    admin: bool = False,
) -> User:
    """Add an account.

    Args:
        password: argon2id hash.
        now: Unix milliseconds.
        admin: Whether the user may administer the realm.

    Raises:
        ChatError: USER_EXISTS.
    """
    if find(tx, name) is not None:
        raise taken(name)
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


def taken(name: str) -> ChatError:
    """Return the refusal for a name that has an account."""
    return ChatError(ErrorCode.USER_EXISTS, f"{name} is taken; choose another name")


def set_password(tx: Connection, user_id: int, password: str) -> None:
    """Replace an account's argon2id hash."""
    tx.execute(update(users).where(users.c.id == user_id).values(password=password))


def set_admin(tx: Connection, user_id: int, admin: bool) -> None:
    """Grant or revoke admin rights."""
    tx.execute(update(users).where(users.c.id == user_id).values(admin=admin))


def set_disabled(tx: Connection, user_id: int, disabled: bool) -> None:
    """Disable or enable signing in to an account."""
    tx.execute(update(users).where(users.c.id == user_id).values(disabled=disabled))
