"""What somebody shows before they register: the first admin's code, or an invitation.

Wrong ones are guesses of their address, as wrong passwords are, and are counted before anything is
looked up. Why an invitation is of no use nobody is told.
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
    """Refuse a code for the first admin that is not the right one.

    Raises:
        ChatError: BAD_CREDENTIALS, RATE_LIMITED; FORBIDDEN, none is asked for.
    """
    realm.guesses.check(address)
    if not realm.first_admin.fits(given):
        realm.guesses.wrong(address)
        realm.audit.note(Act.CODE, Result.REFUSED, address=address)
        raise ChatError(
            ErrorCode.BAD_CREDENTIALS,
            "The code is wrong; the newest start of the server printed the one that holds",
        )


async def check_invitation(realm: Realm, address: str, hashed: bytes) -> None:
    """Refuse an invitation that nobody can use.

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
    """Use up an invitation where one is asked for, in the transaction of the account.

    Args:
        invited: The hash of the code that was shown.

    Returns:
        The id of the invitation that was used.

    Raises:
        ChatError: FORBIDDEN, who may register was changed meanwhile; BAD_CREDENTIALS, somebody
            else was faster with the last use.
    """
    realm.registration.check(is_invited=invited is not None)
    if not realm.registration.by_invitation or invited is None:
        return None
    used = registering.use(tx, invited, now)
    if used is None:
        raise wrong_invitation()
    return used


def wrong_invitation() -> ChatError:
    """Return one refusal for all that can be wrong with an invitation."""
    return ChatError(
        ErrorCode.BAD_CREDENTIALS,
        "The invitation is wrong, used up or expired; ask an admin of this realm for another one",
    )
