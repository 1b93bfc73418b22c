"""Accounts and sessions."""

from __future__ import annotations

import secrets
from dataclasses import replace

from sqlalchemy import Connection

from shared.protocol.commands.accounts import (
    Auth,
    Code,
    CodeWanted,
    Invitation,
    LoggedOut,
    Logout,
    Me,
    Passwd,
    PasswordChanged,
    Register,
    Registered,
    RegistrationRules,
    Resume,
    SignedIn,
    Whoami,
)
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold
from ws_server import account_rules, admission
from ws_server.audit import Act, Result
from ws_server.codes import hash_code
from ws_server.context import Context, handles
from ws_server.net.session import NOTHING_PRESENTED, Account, Session
from ws_server.registration import closed
from ws_server.store import conversation_summaries
from ws_server.store.accounts import tokens, users
from ws_server.store.database import current_requester
from ws_server.store.entries import Together
from ws_server.store.steps import Steps

PROTOCOL = 1


def wrong_password() -> ChatError:
    """Return the one refusal for every failed sign-in, so that existing names are not revealed."""
    return ChatError(ErrorCode.BAD_CREDENTIALS, "The user or the password is wrong")


class PasswordReplaced(ChatError):
    """The password was changed while it was being checked."""

    def __init__(self) -> None:
        error = wrong_password()
        super().__init__(error.code, error.message)


@handles(Code)
async def code(ctx: Context, request: Code) -> CodeWanted:
    if request.code is not None:
        admission.check_code(ctx.realm, ctx.session.client.address, request.code)
        ctx.session.presented = replace(ctx.session.presented, code=request.code)
    return CodeWanted(
        wanted=ctx.realm.first_admin.code is not None,
        accepted=ctx.session.presented.code is not None,
    )


@handles(Invitation)
async def invitation(ctx: Context, request: Invitation) -> RegistrationRules:
    registration, session = ctx.realm.registration, ctx.session
    if request.code is not None:
        if registration.mode == "closed":
            raise closed()
        hashed = hash_code(request.code)
        await admission.check_invitation(ctx.realm, session.client.address, hashed)
        session.presented = replace(session.presented, invitation=hashed)
    accepted = session.presented.invitation is not None and registration.mode != "closed"
    return RegistrationRules(registration=registration.mode, accepted=accepted)


@handles(Register)
async def register(ctx: Context, request: Register) -> Registered:
    realm, session, address = ctx.realm, ctx.session, ctx.session.client.address
    shown = request.code if request.code is not None else session.presented.code
    invited = session.presented.invitation
    if request.invitation is not None:
        invited = hash_code(request.invitation)
    if shown is None:
        realm.registration.check(is_invited=invited is not None)
    account_rules.check_name(request.user, realm.name)
    account_rules.check_password(request.password, request.user, request.real_name, realm.name)
    try:
        # Counted before any lookup; otherwise names could be probed without limit.
        realm.limits.registration(address)
    except ChatError:
        realm.audit.note(Act.REGISTER, Result.LIMITED, address=address)
        raise
    if shown is not None:
        admission.check_code(realm, address, shown)
    elif realm.registration.by_invitation and invited is not None:
        await admission.check_invitation(realm, address, invited)
    if await realm.database.read(users.find, request.user) is not None:
        realm.limits.name_was_taken(address)
        realm.audit.note(Act.REGISTER, Result.REFUSED, address=address)
        raise users.taken(request.user)
    password = await realm.passwords.hash(request.password, session.client.network)

    def create(tx: Connection, now: int) -> tuple[users.User, str | None]:
        used = None if shown is not None else admission.admit(realm, tx, invited, now)
        admin = realm.first_admin.may_be(tx, shown is not None)
        about = request.real_name, request.country
        return users.create(tx, request.user, *about, password, now, admin=admin), used

    user, used = await realm.journal.write(create)
    if user.admin:
        realm.first_admin.used()
    session.presented = NOTHING_PRESENTED
    detail = ", ".join(["admin"] * user.admin + [f"invitation {used}"] * (used is not None))
    realm.audit.note(Act.REGISTER, Result.DONE, address=address, user=user.name, detail=detail)
    return Registered(user.name)


@handles(Auth)
async def auth(ctx: Context, request: Auth) -> SignedIn:
    name, at, realm = request.user.partition("@")
    name = name if at and fold(realm) == ctx.realm.local_name else request.user
    try:
        return await _sign_in(ctx, name, request.password)
    except PasswordReplaced:
        # Perhaps replaced by the normalised form of the same password: two windows sign in at once.
        return await _sign_in(ctx, name, request.password)


async def _sign_in(ctx: Context, name: str, password: str) -> SignedIn:
    realm, session = ctx.realm, ctx.session
    user, at_home = await realm.database.read(users.signing_in, name, session.client.address)
    at_home = at_home or _is_of(session, user)
    await check_password(ctx, name, user, password, Act.SIGN_IN, at_home)
    assert user is not None
    renewed = await realm.passwords.renewed(user.password, password, session.client.network)
    token = secrets.token_urlsafe(32)
    hashed = tokens.hash_token(token)

    def keep(tx: Connection, now: int) -> None:
        check_unchanged(tx, user)
        tokens.add_token(tx, user.id, hashed, now, session.client.address)
        if renewed is not None:
            users.set_password(tx, user.id, renewed)

    try:
        await realm.journal.write(keep)
    except ChatError as error:
        if error.code is ErrorCode.FORBIDDEN:
            _note(ctx, Act.SIGN_IN, Result.REFUSED, user.name, "disabled")
        raise
    signed_in = await _signed_in(ctx, user, token)
    _note(ctx, Act.SIGN_IN, Result.DONE, user.name)
    return signed_in


def _is_of(session: Session, user: users.User | None) -> bool:
    account = session.account
    return user is not None and account is not None and account.id == user.id


def _note(ctx: Context, act: Act, outcome: Result, user: str, detail: str = "") -> None:
    ctx.realm.audit.note(act, outcome, address=ctx.session.client.address, user=user, detail=detail)


async def check_password(
    ctx: Context, account: str, user: users.User | None, password: str, act: Act, at_home: bool
) -> None:
    """Check a password, at the pace allowed for this address and account.

    Args:
        account: The name given, whether or not the account exists.
        act: The purpose of the check, for the audit trail.
        at_home: The account has a session in the network of this address.

    Raises:
        ChatError: BAD_CREDENTIALS, RATE_LIMITED or UNAVAILABLE.
    """
    realm, session = ctx.realm, ctx.session
    stored = user.password if user else None
    # Log the name of an existing account only: people type passwords into the wrong field.
    known = user.name if user else ""
    guess = session.client.address, fold(account), at_home
    # One check at a time, so that parallel attempts allow no more guesses than serial ones.
    async with realm.passwords.turn(session.client.network, fold(account)):
        try:
            realm.guesses.begin(*guess)
        except ChatError:
            _note(ctx, act, Result.LIMITED, known)
            raise
        try:
            fits = await realm.passwords.verify(stored, password, session.client.network)
        except ChatError:
            realm.guesses.forgive(*guess)
            raise
        if fits:
            realm.guesses.forgive(*guess)
        else:
            realm.guesses.wrong(session.client.address, at_home)
    if not fits:
        _note(ctx, act, Result.REFUSED, known)
        raise wrong_password()


def check_unchanged(tx: Connection, user: users.User) -> None:
    """Refuse if the password was changed, or the account disabled, during the check.

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
    hashed = tokens.hash_token(request.token)

    realm, address = ctx.realm, ctx.session.client.address

    def use(now: int) -> Steps[users.User | None]:
        return tokens.use_token(hashed, now, now - realm.session_age, address)

    # After a restart all clients resume at once, and others would wait for these writes.
    user = await realm.journal.write(Together(use))
    if user is None:
        _note(ctx, Act.RESUME, Result.REFUSED, "")
        raise ChatError(
            ErrorCode.BAD_CREDENTIALS,
            "This token is unknown or has ended; sign in with auth <user> <password>",
        )
    return await _signed_in(ctx, user, request.token)


async def _signed_in(ctx: Context, user: users.User, token: str) -> SignedIn:
    realm = ctx.realm
    # Many users may resume from one address at once; from here on each has their own turn.
    current_requester.set(user.id)
    # Subscribe first, then count: a message in between is pushed, so none is missed.
    before = ctx.session.account
    realm.hub.sign_in(ctx.session, Account(user.id, user.name, tokens.hash_token(token)))
    try:
        unread = await realm.database.look_up(conversation_summaries.unread, user.id)
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
        epoch=realm.database.history_id,
        protocol=PROTOCOL,
        limits=realm.limits_on_the_wire(),
    )


@handles(Logout)
async def logout(ctx: Context, request: Logout) -> LoggedOut:
    account = ctx.user

    def end(tx: Connection, now: int) -> None:
        tokens.end_token(tx, account.token)

    await ctx.realm.journal.write(end)
    ctx.realm.hub.sign_out(ctx.session)
    ctx.realm.hub.end_sessions(account.id, lambda other: other.token == account.token)
    _note(ctx, Act.SIGN_OUT, Result.DONE, account.name)
    return LoggedOut()


@handles(Passwd)
async def passwd(ctx: Context, request: Passwd) -> PasswordChanged:
    account, realm = ctx.user, ctx.realm
    user = await realm.database.read(users.find, account.name)
    assert user is not None
    account_rules.check_password(request.new_password, user.name, user.real_name, realm.name)
    try:
        await check_password(
            ctx, account.name, user, request.old_password, Act.PASSWORD, at_home=True
        )
    except ChatError as error:
        if error.code is not ErrorCode.BAD_CREDENTIALS:
            raise
        raise ChatError(ErrorCode.BAD_CREDENTIALS, "The old password is wrong") from None
    password = await realm.passwords.hash(request.new_password, ctx.session.client.network)

    def change(tx: Connection, now: int) -> None:
        check_unchanged(tx, user)
        users.set_password(tx, user.id, password)
        tokens.end_other_tokens(tx, user.id, account.token)

    await realm.journal.write(change)
    realm.hub.end_sessions(account.id, lambda other: other.token != account.token)
    _note(ctx, Act.PASSWORD, Result.DONE, account.name)
    return PasswordChanged()


@handles(Whoami)
async def whoami(ctx: Context, request: Whoami) -> Me:
    user = await ctx.realm.database.read(users.existing, ctx.user.name)
    return Me(user.name, ctx.realm.name, user.real_name, user.country, user.admin)
