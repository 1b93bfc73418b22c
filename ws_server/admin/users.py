"""The operator's commands about accounts."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from shared.protocol.commands.accounts import Register
from shared.protocol.kinds import NEW_PASSWORD
from shared.protocol.values import BadValue, in_words
from ws_server import account_rules
from ws_server.admin.commands import AdminRefused, Argument, Given, Say, in_realm
from ws_server.realm import Realm
from ws_server.store.accounts import disabled_accounts, tokens, users
from ws_server.store.accounts.users import User

NAME = Argument("name", "the account's name")


@in_realm("user list")
async def list_(realm: Realm, given: Given, say: Say) -> None:
    """List all accounts; shows which are admins or disabled."""
    for user in await realm.database.read(users.all_accounts):
        marks = ", admin" * user.admin + ", disabled" * user.disabled
        say(f"{user.name}: {in_words(user.real_name)}, {in_words(user.country)}{marks}")


@in_realm(
    "user add",
    NAME,
    Argument("--real-name", "the person's name"),
    Argument("--country", "the person's country"),
    secret="password",
    begins=True,
)
async def add(realm: Realm, given: Given, say: Say) -> None:
    """Add an account; asks for its password, or reads it from standard input."""
    request = registration(given)
    account_rules.check_password(request.password, request.user, request.real_name, realm.name)
    password = await realm.passwords.hash(request.password, "admin")

    def create(tx: Connection, now: int) -> User:
        about = request.real_name, request.country
        admin = not users.has_admin(tx)
        return users.create(tx, request.user, *about, password, now, admin=admin)

    user: User = await realm.journal.write(create)
    if user.admin:
        realm.first_admin.used()
    say(f"Added {user.name}{', who is the admin of this realm' * user.admin}")


def registration(given: Given) -> Register:
    """Return a registration under the rules of `register`; reserved names are allowed.

    Raises:
        AdminRefused: an argument breaks a rule.
    """
    values = {}
    for argument in Register.spec.words:
        name = "name" if argument.name == "user" else argument.name
        try:
            values[argument.name] = argument.kind.from_word(given[name])
        except BadValue as why:
            raise AdminRefused(f"{name.replace('_', ' ')}: {why}") from None
    request = Register(**values)
    if (wrong := request.wrong()) is not None:
        raise AdminRefused(wrong)
    return request


async def _change(
    realm: Realm,
    given: Given,
    change: Callable[[Connection, User], None],
    *,
    ends_sessions: bool = False,
) -> User:
    """Change an account and return it.

    Raises:
        ChatError: UNKNOWN_USER, UNAVAILABLE.
    """

    def run(tx: Connection, now: int) -> User:
        user = users.existing(tx, given["name"])
        change(tx, user)
        if ends_sessions:
            tokens.end_tokens(tx, user.id)
        return user

    user: User = await realm.journal.write(run)
    if ends_sessions:
        realm.hub.end_sessions(user.id)
    return user


@in_realm("user password", NAME, secret="password")
async def set_password(realm: Realm, given: Given, say: Say) -> None:
    """Set a new password, asked for or read from standard input; ends the account's sessions."""
    try:
        password = NEW_PASSWORD.from_word(given["password"])
    except BadValue as why:
        raise AdminRefused(f"password: {why}") from None
    account_rules.check_password(password, given["name"], realm.name)
    hashed = await realm.passwords.hash(password, "admin")

    user = await _change(
        realm, given, lambda tx, user: users.set_password(tx, user.id, hashed), ends_sessions=True
    )
    say(f"{user.name} has the new password; all sessions of the account have ended")


@in_realm("user disable", NAME)
async def disable(realm: Realm, given: Given, say: Say) -> None:
    """Disable an account: ends its sessions, refuses sign-in and messages to it, keeps its data."""
    user = await _change(
        realm,
        given,
        lambda tx, user: disabled_accounts.set_disabled(tx, user.id, True),
        ends_sessions=True,
    )
    say(f"{user.name} is disabled; user enable {user.name} undoes it")


@in_realm("user enable", NAME)
async def enable(realm: Realm, given: Given, say: Say) -> None:
    """Let a disabled account sign in again."""
    user = await _change(
        realm, given, lambda tx, user: disabled_accounts.set_disabled(tx, user.id, False)
    )
    say(f"{user.name} can sign in")


@in_realm(
    "user grant-admin", NAME, Argument("--revoke", "make the account no longer an admin", flag=True)
)
async def grant_admin(realm: Realm, given: Given, say: Say) -> None:
    """Make an account an admin of this realm; with --revoke, no longer."""
    admin = "revoke" not in given
    user = await _change(realm, given, lambda tx, user: users.set_admin(tx, user.id, admin))
    if admin:
        realm.first_admin.used()
    say(f"{user.name} is {'now' if admin else 'no longer'} an admin of this realm")
