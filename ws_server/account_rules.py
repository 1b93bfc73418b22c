"""Which names and passwords may be chosen: the one place that says so, for everybody who asks.

The grammar of both is the protocol's (`shared.protocol.kinds`); these rules are this server's.
docs/security.md explains them.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

from shared.protocol import precis
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold

COMMON = Path(__file__).with_name("common_passwords.txt")
"""The most common passwords, one a line; the comment at its beginning names the source."""

RESERVED = frozenset(
    # Mailboxes of roles, which people trust (RFC 2142).
    "abuse hostmaster info noc postmaster security support webmaster "
    # Who runs the realm, and its parts.
    "admin administrator mod moderator operator root staff sysadmin superuser "
    "server system daemon nobody "
    # Groups of people, as in a mention.
    "all channel everybody everyone here "
    # What programs show where there is no name.
    "anonymous none null undefined".split()
)
"""Names that nobody may register; the realm's own name is another. An admin may give them away."""

_LOOK_ALIKES = {"0": "0o", "1": "1il", "5": "5s", "3": "3e", "4": "4a"}
"""Digits that are read as letters."""


def check_name(name: str, realm: str) -> None:
    """Refuse a name that others would take for somebody else's.

    Args:
        realm: This realm's own name.

    Raises:
        ChatError: FORBIDDEN.
    """
    reserved = RESERVED | {_bare(realm)}
    if any(spelling in reserved for spelling in _readings(_bare(name))):
        raise ChatError(ErrorCode.FORBIDDEN, f"{name} is reserved; choose another name")


def check_password(password: str, *own: str) -> None:
    """Refuse a password that is among the first that anybody would try.

    Args:
        own: What is known of its owner: the names of the account, the person and the realm.

    Raises:
        ChatError: BAD_ARGUMENTS.
    """
    prepared = _compared(password)
    if prepared in _common():
        why = "is one of the most common ones"
    elif any(_is_made_of(prepared, _compared(name)) for name in own):
        why = "is only a name"
    else:
        return
    raise ChatError(
        ErrorCode.BAD_ARGUMENTS,
        f"This password {why}, which others try first; choose another one, such as a few words",
    )


def _bare(name: str) -> str:
    """Return a name without what hardly shows in it."""
    return fold(name).translate({ord(sign): None for sign in "._-"})


def _readings(name: str) -> list[str]:
    """Return how a name may be read; one with many digits is no word."""
    if sum(letter in _LOOK_ALIKES for letter in name) > 4:
        return [name]
    return ["".join(letters) for letters in product(*(_LOOK_ALIKES.get(x, x) for x in name))]


def _compared(text: str) -> str:
    return precis.password(text).casefold()


def _is_made_of(password: str, name: str) -> bool:
    """Whether a password is a name, forwards or backwards, once or several times."""
    if not name or len(password) % len(name):
        return False
    times = len(password) // len(name)
    return password in (name * times, name[::-1] * times)


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
