"""Accounts and sessions."""

from __future__ import annotations

import logging
import secrets

from sqlalchemy import Connection

from shared.protocol.commands.accounts import (
    Auth,
    Logout,
    Me,
    Passwd,
    PasswordChanged,
    Register,
    Registered,
    Resume,
    SignedIn,
    SignedOut,
    Whoami,
)
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server.context import Context, Outcome, handles
from ws_server.net.session import Account
from ws_server.store import standings, users
from ws_server.store.database import ASKER
from ws_server.store.journal import Write

log = logging.getLogger(__name__)

PROTOCOL = 1


def wrong_password() -> ChatError:
    """Return one refusal for all that can be wrong, so that names cannot be guessed by it."""
    return ChatError(ErrorCode.BAD_CREDENTIALS, "The user or the password is wrong")


class PasswordReplaced(ChatError):
    """The password was changed while it was being checked."""

    def __init__(self) -> None:
        error = wrong_password()
        super().__init__(error.code, error.message)


@handles(Register)
async def register(ctx: Context, request: Register) -> Write:
    if not ctx.realm.registration_open:
        raise ChatError(ErrorCode.FORBIDDEN, "Registration is closed on this realm")
    address = ctx.session.address
    if await ctx.realm.database.read(users.find, request.user) is not None:
        raise ChatError(ErrorCode.USER_EXISTS, f"{request.user} is taken; choose another name")
    ctx.realm.limits.registration(address)
    password = await ctx.realm.passwords.hash(request.password, address)

    def create(tx: Connection, now: int) -> Outcome:
        user = users.create(tx, request.user, request.real_name, request.country, password, now)
        return Outcome(Registered(user.name))

    return Write(create)


@handles(Auth)
async def auth(ctx: Context, request: Auth) -> SignedIn:
    name, at, realm = request.user.partition("@")
    name = name if at and fold(realm) == ctx.realm.home else request.user
    try:
        return await _sign_in(ctx, name, request.password)
    except PasswordReplaced:
        # Perhaps by the same one, spelt as it is today: two windows sign in at once.
        return await _sign_in(ctx, name, request.password)


async def _sign_in(ctx: Context, name: str, password: str) -> SignedIn:
    user = await ctx.realm.database.read(users.find, name)
    await check_password(ctx, name, user, password)
    assert user is not None
    renewed = await ctx.realm.passwords.renewed(user.password, password, ctx.session.address)
    token = secrets.token_urlsafe(32)
    hashed = users.hash_token(token)

    def keep(tx: Connection, now: int) -> None:
        check_unchanged(tx, user)
        users.add_token(tx, user.id, hashed, now)
        if renewed is not None:
            users.set_password(tx, user.id, renewed)

    await ctx.realm.journal.write(keep)
    return await _signed_in(ctx, user, token)


async def check_password(
    ctx: Context, account: str, user: users.User | None, password: str
) -> None:
    """Check a password, at the pace allowed for this address and account.

    Raises:
        ChatError: BAD_CREDENTIALS, RATE_LIMITED or UNAVAILABLE.
    """
    realm, address = ctx.realm, ctx.session.address
    stored = user.password if user else None
    # One at a time, so that many at once are no more guesses than one after the other.
    async with realm.passwords.turn(address, fold(account)):
        realm.limits.password(address, fold(account))
        try:
            fits = await realm.passwords.verify(stored, password, address)
        except ChatError:
            realm.limits.password_was_no_guess(address, fold(account))
            raise
        if fits:
            realm.limits.password_was_no_guess(address, fold(account))
    if not fits:
        # The name only if it is one: people type passwords into the wrong place.
        known = {"user": user.name} if user else {}
        log.info("wrong password", extra={"address": address, **known})
        raise wrong_password()


def check_unchanged(tx: Connection, user: users.User) -> None:
    """Refuse a password that was changed, or an account disabled, while it was being checked.

    Raises:
        PasswordReplaced, or ChatError: FORBIDDEN.
    """
    now = users.existing(tx, user.name)
    if now.password != user.password:
        raise PasswordReplaced
    if now.disabled:
        raise ChatError(ErrorCode.FORBIDDEN, "This account is disabled; ask the realm's admin")


@handles(Resume)
async def resume(ctx: Context, request: Resume) -> SignedIn:
    hashed = users.hash_token(request.token)

    def use(tx: Connection, now: int) -> users.User | None:
        return users.use_token(tx, hashed, now)

    user = await ctx.realm.journal.write(use)
    if user is None:
        raise ChatError(
            ErrorCode.BAD_CREDENTIALS,
            "This token is unknown or has ended; sign in with auth <user> <password>",
        )
    return await _signed_in(ctx, user, request.token)


async def _signed_in(ctx: Context, user: users.User, token: str) -> SignedIn:
    realm = ctx.realm
    # Many may come back from one address at once; from here on each waits for themselves.
    ASKER.set(user.id)
    # First listen, then count: a message in between is pushed, and none is missed.
    before = ctx.session.account
    realm.hub.sign_in(ctx.session, Account(user.id, user.name, users.hash_token(token)))
    try:
        unread = await realm.database.look_up(standings.unread, user.id)
    except BaseException:
        realm.hub.sign_out(ctx.session)
        if before is not None:
            realm.hub.sign_in(ctx.session, before)
        raise
    return SignedIn(
        user=user.name,
        realm=realm.name,
        token=token,
        unread=unread,
        epoch=realm.database.epoch,
        protocol=PROTOCOL,
        limits=realm.limits_on_the_wire(),
    )


@handles(Logout)
async def logout(ctx: Context, request: Logout) -> SignedOut:
    account = ctx.user

    def end(tx: Connection, now: int) -> None:
        users.end_token(tx, account.token)

    await ctx.realm.journal.write(end)
    ctx.realm.hub.sign_out(ctx.session)
    ctx.realm.hub.end_sessions(account.id, lambda other: other.token == account.token)
    return SignedOut()


@handles(Passwd)
async def passwd(ctx: Context, request: Passwd) -> PasswordChanged:
    account, realm = ctx.user, ctx.realm
    user = await realm.database.read(users.find, account.name)
    assert user is not None
    try:
        await check_password(ctx, account.name, user, request.old_password)
    except ChatError as error:
        if error.code is not ErrorCode.BAD_CREDENTIALS:
            raise
        raise ChatError(ErrorCode.BAD_CREDENTIALS, "The old password is wrong") from None
    password = await realm.passwords.hash(request.new_password, ctx.session.address)

    def change(tx: Connection, now: int) -> None:
        check_unchanged(tx, user)
        users.set_password(tx, user.id, password)
        users.end_other_tokens(tx, user.id, account.token)

    await realm.journal.write(change)
    realm.hub.end_sessions(account.id, lambda other: other.token != account.token)
    return PasswordChanged()


@handles(Whoami)
async def whoami(ctx: Context, request: Whoami) -> Me:
    user = await ctx.realm.database.read(users.existing, ctx.user.name)
    return Me(user.name, ctx.realm.name, user.real_name, user.country, user.admin)
