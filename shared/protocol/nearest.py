"""Unknown commands, and the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import TABLE
from shared.protocol.values import NAME

MEANT = {
    "exit": "logout",
    "groups": "listgroup",
    "login": "auth",
    "message": "send",
    "msg": "send",
    "quit": "logout",
    "rooms": "listgroup",
    "signin": "auth",
    "signup": "register",
    "users": "listpc",
}
"""Commands of other systems, and the corresponding command here."""


def nearest_command(name: str, more: Iterable[str] = ()) -> str | None:
    """Return the command of the table or `more` that `name` was probably meant as; None if none."""
    word = name[:64].lower()
    if word in MEANT:
        return MEANT[word]
    near = difflib.get_close_matches(word, [*TABLE, *more], 3, 0.4)

    def likeness(known: str) -> float:
        # The first letter is rarely mistyped.
        return difflib.SequenceMatcher(None, known, word).ratio() + 0.1 * (known[0] == word[0])

    return max(near, key=likeness, default=None)


def unknown_command(name: str, more: Iterable[str] = ()) -> ChatError:
    """Return the `bad_command` error with the nearest command of the table or `more`."""
    near = nearest_command(name, more)
    hint = f"; did you mean {near}?" if near else "."
    shown = name if NAME.fullmatch(name) else "This"
    return ChatError(
        ErrorCode.BAD_COMMAND, f"{shown} is not a command{hint} Type help for the list"
    )
