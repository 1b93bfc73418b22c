"""The operator's commands about registration and invitations."""

from __future__ import annotations

import time

from sqlalchemy import Connection

from shared.protocol.kinds import Number
from shared.protocol.values import BadValue
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, in_realm
from ws_server.audit import Act, Result
from ws_server.codes import hash_code, letters, new_code
from ws_server.realm import Realm
from ws_server.store.accounts import registering
from ws_server.store.accounts.registering import MAX_CODES, MODES, InvitationCode

DAY = 24 * 3600 * 1000
"""One day in milliseconds."""
MAX_USES, MAX_DAYS = 10_000, 366
DEFAULT_DAYS = 7
ID_LETTERS = 6
WHAT = {
    "open": "Everybody may register",
    "invite": "People register with an invitation; invitation create makes one",
    "closed": "Nobody may register; user add makes accounts",
}


@in_realm(
    "registration",
    Argument(
        "mode",
        "open: everybody; invite: people with an invitation; closed: nobody",
        required=False,
    ),
)
async def registration(realm: Realm, given: Given, say: Say) -> None:
    """Set who may register; without MODE, show it."""
    held = realm.registration
    if (mode := given.get("mode")) is not None:
        if mode not in MODES:
            raise AdminRefused(f"Registration can be {', '.join(MODES[:-1])} or {MODES[-1]}")
        await realm.journal.write(lambda tx, now: registering.store_mode(tx, mode, held.start))
        held.mode = mode
    say(f"{WHAT[held.mode]} ({held.told})")
    if mode is not None:
        say("This applies until it is set again, or the server starts with another --registration")


@in_realm(
    "invitation create",
    Argument("--uses", "number of accounts it permits (default: 1)", required=False),
    Argument("--days", f"days for which it is valid (default: {DEFAULT_DAYS})", required=False),
)
async def create(realm: Realm, given: Given, say: Say) -> None:
    """Create an invitation and print its code, which is shown only this once."""
    uses = _number(given, "uses", 1, MAX_USES)
    days = _number(given, "days", DEFAULT_DAYS, MAX_DAYS)
    code, id = new_code(), letters(ID_LETTERS)

    def add(tx: Connection, now: int) -> bool:
        registering.forget_expired(tx, now)
        return registering.add(tx, id, hash_code(code), uses, now, now + days * DAY)

    if not await realm.journal.write(add):
        raise AdminRefused(
            f"There are {MAX_CODES:,} invitations that can be used; remove some, or make one with "
            "more --uses"
        )
    realm.audit.note(Act.INVITATION, Result.DONE, detail=id)
    say(f"Invitation: {code}")
    say(f"It is valid for {_accounts(uses)} and {days} day{'s' * (days != 1)}; its id is {id}")
    if not realm.registration.by_invitation:
        say(f"No invitation is needed now, as registration is {realm.registration.mode}")


def _number(given: Given, name: str, default: int, most: int) -> int:
    """Return an argument as a whole number.

    Raises:
        AdminRefused: it is not a whole number, or out of bounds.
    """
    if name not in given:
        return default
    try:
        number: int = Number(1, most).from_word(given[name])
    except BadValue as why:
        raise AdminRefused(f"--{name} {why}") from None
    return number


def _accounts(count: int) -> str:
    return f"{count:,} account{'s' * (count != 1)}"


@in_realm("invitation list")
async def list_(realm: Realm, given: Given, say: Say) -> None:
    """List all invitations: id, remaining uses and expiry."""
    now = time.time_ns() // 1_000_000
    found = await realm.database.read(registering.all_invitations)
    for invitation in found:
        say(_line(invitation, now))
    if not found:
        say("There are no invitations; invitation create makes one")


def _line(invitation: InvitationCode, now: int) -> str:
    left = f"{invitation.uses_left:,} of {_accounts(invitation.uses)} left"
    until = "expired" if invitation.expires <= now else f"valid until {_day(invitation.expires)}"
    if invitation.uses_left == 0:
        until = "used up"
    return f"{invitation.id}: {left}, made {_day(invitation.created)}, {until}"


def _day(moment: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(moment // 1000))


@in_realm("invitation remove", Argument("id", "its id, shown by invitation list"))
async def remove(realm: Realm, given: Given, say: Say) -> None:
    """Revoke an invitation; accounts made with it stay."""
    id = given["id"].upper()
    if not await realm.journal.write(lambda tx, now: registering.remove(tx, id)):
        raise AdminRefused("There is no such invitation; invitation list names them")
    say(f"Invitation {id} is revoked")
