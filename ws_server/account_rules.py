"""Rules for the names and passwords that an account may choose.

`shared.protocol.kinds` has the grammar of both; the rules here are this server's and are written
nowhere else. docs/security.md explains them.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from pathlib import Path

from shared.protocol import precis
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import fold

COMMON = Path(__file__).with_name("common_passwords.txt")
"""The most common passwords, one in each line; the comment at the beginning names the source."""

RESERVED = frozenset(
    # Role mailboxes, which people trust (RFC 2142).
    "abuse hostmaster info noc postmaster security support webmaster "
    # Operators of the realm, and its parts.
    "admin administrator mod moderator operator root staff sysadmin superuser "
    "server system daemon nobody "
    # Groups of people, as in a mention.
    "all channel everybody everyone here "
    # Placeholders that programs show for a missing name.
    "anonymous none null undefined".split()
)
"""Names that users may not register, besides the realm's own. An admin may assign them."""

_LOOK_ALIKES = {"0": "0o", "1": "1il", "5": "5s", "3": "3e", "4": "4a"}
"""Digits that resemble letters."""


def check_name(name: str, realm: str) -> None:
    """Refuse a name that could be mistaken for another person's or a reserved one.

    Args:
        realm: This realm's own name.

    Raises:
        ChatError: FORBIDDEN.
    """
    reserved = RESERVED | {_bare(realm)}
    if any(spelling in reserved for spelling in _readings(_bare(name))):
        raise ChatError(ErrorCode.FORBIDDEN, f"{name} is reserved; choose another name")


def check_password(password: str, *own: str) -> None:
    """Refuse one of the most common passwords, and one made of the owner's own names.

    Args:
        own: Names of the account, the person and the realm.

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
    """Return the name without the characters that are easily overlooked."""
    return fold(name).translate({ord(sign): None for sign in "._-"})


def _readings(name: str) -> list[str]:
    """Return the words that a name can be read as; a name with many digits has none."""
    if sum(letter in _LOOK_ALIKES for letter in name) > 4:
        return [name]
    return ["".join(letters) for letters in product(*(_LOOK_ALIKES.get(x, x) for x in name))]


def _compared(text: str) -> str:
    return precis.password(text).casefold()


def _is_made_of(password: str, name: str) -> bool:
    """Return whether a password is a name, forwards or backwards, once or repeated."""
    if not name or len(password) % len(name):
        return False
    times = len(password) // len(name)
    return password in (name * times, name[::-1] * times)


@cache
def _common() -> frozenset[str]:
    lines = COMMON.read_text(encoding="ascii").splitlines()
    return frozenset(line for line in lines if not line.startswith("#"))
