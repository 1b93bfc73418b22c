"""Accounts and sessions."""

from __future__ import annotations

from collections.abc import Mapping

from shared.protocol.countries import could_hold_a_password, is_plain
from shared.protocol.kinds import (
    ADMIN_CODE,
    IDENTIFIER,
    INVITATION_CODE,
    LOCAL_NAME,
    NEW_PASSWORD,
    PASSWORD,
    TOKEN,
    Text,
)
from shared.protocol.records import Record, Reply, record, result
from shared.protocol.spec import Access, Request, arg, command
from shared.protocol.values import MAX_REAL_NAME, fold, in_words
from shared.protocol.words import CURLED, SINGLE

QUOTES = ('"', *CURLED, *SINGLE)
MAX_CHECKED_CHARACTERS = 1_024
"""Characters of an argument that are checked for misplaced quotes and passwords."""
UNCLEAR = (
    "it is not clear which word is the password. Put what has several words into double quotes, as "
    'in: register rob "Robert Downey" "<password>" "United Kingdom"'
)


@record
class Limits(Record):
    """The limits of this server; in bytes unless stated otherwise."""

    frame: int = result("one frame, both ways")
    text: int = result("UTF-8 of a text message")
    whole_file: int = result("content of a sendfile in one frame")
    file: int = result("content of an uploaded file")
    user_files: int = result("all files of one user together")
    page: int = result("most messages a page")


@record
class Registered(Reply):
    """The account was created; registering does not sign in."""

    user: str = result("the name as registered")

    def sentence(self) -> str:
        # Only the name is shown: the other fields may hold a misplaced password.
        return f"Welcome {self.user}. Sign in with: auth {self.user} <password>"


@record
class CodeWanted(Reply):
    """Whether this realm is waiting for its first admin."""

    wanted: bool = result("whether an account registered with the right code would be the admin")
    accepted: bool = result("whether this connection has shown the right one")

    def sentence(self) -> str:
        if self.accepted:
            return "The account that you register now will be the admin of this realm"
        if self.wanted:
            return "This realm has no admin yet; its operator has the code that makes you one"
        return "This realm asks for no code"


@record
class RegistrationRules(Reply):
    """Who may register in this realm."""

    registration: str = result("open, invite (with an invitation) or closed")
    accepted: bool = result("whether this connection has shown a good invitation")

    def sentence(self) -> str:
        if self.accepted:
            return "The invitation is good; register now"
        if self.registration == "invite":
            return "Registration is by invitation; ask an admin of this realm for a code"
        if self.registration == "closed":
            return "Registration is closed; ask an admin of this realm for an account"
        return "Everybody may register; no invitation is asked for"


@record
class SignedIn(Reply):
    """This connection now acts for the user."""

    user: str = result("the name as registered")
    realm: str = result("this realm's own name")
    token: str = result("for resume; keep it secret")
    unread: dict[str, int] = result(
        "unread messages by conversation, only counts above 0, of the 5,000 newest; lists have all"
    )
    epoch: str = result("changes when the history was restored from a backup; see sync")
    protocol: int = result("version of this contract, 1")
    limits: Limits = result("what this server takes")

    def sentence(self) -> str:
        count = sum(self.unread.values())
        return f"Signed in as {self.user} on {self.realm}; {count or 'nothing'} unread"

    def lines(self) -> list[str]:
        unread = [f"{conversation}: {count} unread" for conversation, count in self.unread.items()]
        return [*unread, f"token {self.token} (to resume; keep it secret)"]


@record
class LoggedOut(Reply):
    """The session and its token have ended."""

    def sentence(self) -> str:
        return "Signed out"


@record
class PasswordChanged(Reply):
    """The new password is valid; the user's other sessions have ended."""

    def sentence(self) -> str:
        return "The password is changed; your other sessions have ended"


@record
class Me(Reply):
    """The user that this connection acts for."""

    user: str = result("the name as registered")
    realm: str = result("this realm's own name")
    real_name: str = result("as given at registration")
    country: str = result("as given at registration")
    admin: bool = result("may administer this realm")

    def sentence(self) -> str:
        real_name, country = in_words(self.real_name), in_words(self.country)
        return f"{self.user} on {self.realm}: {real_name}, {country}{', admin' * self.admin}"


@command("code", access=Access.ANYONE, repeatable=True)
class Code(Request[CodeWanted]):
    """Show the code for the first admin before `register`; without it, ask if one is wanted."""

    code: str | None = arg("the one-time code that the start printed", ADMIN_CODE, default=None)


@command("invitation", access=Access.ANYONE, repeatable=True)
class Invitation(Request[RegistrationRules]):
    """Show an invitation before `register`; without a code, ask who may register."""

    code: str | None = arg("the code that an admin gave", INVITATION_CODE, default=None)


@command("register", access=Access.ANYONE)
class Register(Request[Registered]):
    """Create an account. In a trial on one machine the first one is the realm's admin."""

    user: str = arg("the name, 1 to 32 of A-Z a-z 0-9 . _ -, but not me", LOCAL_NAME)
    real_name: str = arg(
        "the person's name, in double quotes if it has several words",
        Text(MAX_REAL_NAME, one_line=True),
    )
    password: str = arg("6 to 128 characters, in double quotes if it has blanks", NEW_PASSWORD)
    country: str = arg(
        "the person's country", Text(MAX_REAL_NAME, one_line=True), rest=True, quotable=True
    )
    code: str | None = arg(
        "the code that makes it the first admin; see code", ADMIN_CODE, json_only=True, default=None
    )
    invitation: str | None = arg(
        "the code of an invitation, where one is asked for; see invitation",
        INVITATION_CODE,
        json_only=True,
        default=None,
    )

    def wrong(self) -> str | None:
        # In lines such as `[me > bob] hi`, `me` means the reader.
        return "nobody can be called me" if fold(self.user) == "me" else None

    @staticmethod
    def doubt(bare: Mapping[str, str]) -> str | None:
        # In `rob Robert Downey hunter22 USA` the account would get an unintended password.
        # A line that is too long is refused anyway, so its words need no check.
        password, country = (
            bare.get(name, "")[:MAX_CHECKED_CHARACTERS] for name in ("password", "country")
        )
        words = f"{password} {country}".split()
        opened = any(word.startswith(QUOTES) for word in [bare.get("real_name", ""), *words])
        if (opened and any(word.endswith(QUOTES) for word in words)) or (
            is_plain(password) and could_hold_a_password(country)
        ):
            return UNCLEAR
        return None


@command("auth", access=Access.ANYONE, repeatable=True)
class Auth(Request[SignedIn]):
    """Sign in with a password."""

    user: str = arg("the name", IDENTIFIER)
    password: str = arg("the password", PASSWORD)


@command("resume", access=Access.ANYONE, repeatable=True)
class Resume(Request[SignedIn]):
    """Sign in with the token of an earlier session."""

    token: str = arg("what auth answered", TOKEN)


@command("logout", repeatable=True)
class Logout(Request[LoggedOut]):
    """Sign out and end the token; other connections that use it are closed."""


@command("passwd")
class Passwd(Request[PasswordChanged]):
    """Change your password and end your other sessions."""

    old_password: str = arg("the password until now", PASSWORD)
    new_password: str = arg("6 to 128 characters", NEW_PASSWORD)


@command("whoami", repeatable=True)
class Whoami(Request[Me]):
    """Show who is signed in."""
