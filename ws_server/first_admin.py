"""The first admin of a realm that has none yet.

In a trial, the first account becomes admin. Elsewhere a stranger could register first, so the first
admin needs the one-time code that the start of the server prints, or the operator makes one with
`admin user add` and `admin user grant-admin`. Only the operator has the code, so its bearer may
register in every registration mode. The code is only in memory, never in the log; each start makes
a new one.
"""

from __future__ import annotations

import hmac

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.codes import new_code, plain
from ws_server.store.accounts import users


class FirstAdmin:
    """Decides which account becomes the first admin.

    Args:
        trial: The server is tried out on one machine; see `Settings.trial`.
    """

    def __init__(self, trial: bool) -> None:
        self.trial = trial
        self.code: str | None = None
        """The code that makes its bearer the admin; None if none is expected."""

    def wanted(self) -> None:
        """Make the code, as the realm has no admin; a trial needs none."""
        if not self.trial:
            self.code = new_code()

    def fits(self, code: str) -> bool:
        """Return whether this is the code; case, dashes and blanks do not matter.

        Raises:
            ChatError: FORBIDDEN, no code is expected.
        """
        if self.code is None:
            raise ChatError(
                ErrorCode.FORBIDDEN,
                "No code is needed: the first account is the admin"
                if self.trial
                else "No code is needed any more: this realm has an admin",
            )
        return hmac.compare_digest(plain(code), plain(self.code))

    def may_be(self, tx: Connection, has_code: bool) -> bool:
        """Return whether the account added in this transaction becomes the admin.

        Args:
            has_code: The registration presented the right code.

        Raises:
            ChatError: FORBIDDEN, another account used the code first.
        """
        if not has_code:
            return self.trial and users.is_empty(tx)
        if users.has_admin(tx):
            raise ChatError(
                ErrorCode.FORBIDDEN, "This realm has an admin already; register without the code"
            )
        return True

    def used(self) -> None:
        """Invalidate the code, as the realm has an admin now."""
        self.code = None
