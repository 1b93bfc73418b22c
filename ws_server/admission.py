"""Checks before a registration: the first admin's code, or an invitation.

A wrong code counts as a guess of its address, as a wrong password does, and is counted before any
lookup. The refusal does not reveal why an invitation is invalid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.audit import Act, Result
from ws_server.store.accounts import registering
from ws_server.store.timeline import wall_ms

if TYPE_CHECKING:
    from ws_server.realm import Realm


def check_code(realm: Realm, address: str, given: str) -> None:
    """Refuse a wrong code for the first admin.

    Raises:
        ChatError: BAD_CREDENTIALS; RATE_LIMITED; FORBIDDEN, no code is expected.
    """
    realm.guesses.check(address)
    if not realm.first_admin.fits(given):
        realm.guesses.wrong(address)
        realm.audit.note(Act.CODE, Result.REFUSED, address=address)
        raise ChatError(
            ErrorCode.BAD_CREDENTIALS,
            "The code is wrong; the newest start of the server printed the valid one",
        )


async def check_invitation(realm: Realm, address: str, hashed: bytes) -> None:
    """Refuse an invitation that is invalid or used up.

    Raises:
        ChatError: BAD_CREDENTIALS, RATE_LIMITED or UNAVAILABLE.
    """
    realm.guesses.begin_code(address)
    try:
        is_good = await realm.database.read(registering.is_usable, hashed, wall_ms())
    except ChatError:
        realm.guesses.code_fits(address)
        raise
    if not is_good:
        realm.audit.note(Act.INVITATION, Result.REFUSED, address=address)
        raise wrong_invitation()
    realm.guesses.code_fits(address)


def admit(realm: Realm, tx: Connection, invited: bytes | None, now: int) -> str | None:
    """Use up an invitation, if one is required, in the transaction that adds the account.

    Args:
        invited: The hash of the code presented; None if there was none.

    Returns:
        The id of the invitation used; None if none was required.

    Raises:
        ChatError: FORBIDDEN, the registration mode was changed meanwhile; BAD_CREDENTIALS, another
            registration used the invitation up first.
    """
    realm.registration.check(is_invited=invited is not None)
    if not realm.registration.by_invitation or invited is None:
        return None
    used = registering.use(tx, invited, now)
    if used is None:
        raise wrong_invitation()
    return used


def wrong_invitation() -> ChatError:
    """Return the one refusal for every invalid invitation."""
    return ChatError(
        ErrorCode.BAD_CREDENTIALS,
        "The invitation is wrong, used up or expired; ask an admin of this realm for another one",
    )
