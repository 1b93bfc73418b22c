"""Who becomes the first admin of a realm, when nobody is one yet.

In a trial it is the first account. Elsewhere strangers may be first, so it takes the one-time code
that the start of the server prints, or an operator: `admin user add`, `admin user grant-admin`.
The operator alone has the code, so it registers its bearer whoever else may register.
The code is in memory only, and never in the log; each start makes another one.
"""

from __future__ import annotations

import hmac

from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.codes import new_code, plain
from ws_server.store.accounts import users


class FirstAdmin:
    """Who may be it.

    Args:
        trial: The server is tried out on one machine; see `Settings.trial`.
    """

    def __init__(self, trial: bool) -> None:
        self.trial = trial
        self.code: str | None = None
        """What makes its bearer the admin; None if there is no need of one."""

    def wanted(self) -> None:
        """There is no admin: make the code, unless it is a trial."""
        if not self.trial:
            self.code = new_code()

    def fits(self, code: str) -> bool:
        """Tell whether this is the code; case, dashes and blanks do not matter.

        Raises:
            ChatError: FORBIDDEN, none is asked for.
        """
        if self.code is None:
            raise ChatError(
                ErrorCode.FORBIDDEN,
                "No code is asked for: the first account is the admin"
                if self.trial
                else "No code is asked for any more: this realm has an admin",
            )
        return hmac.compare_digest(plain(code), plain(self.code))

    def may_be(self, tx: Connection, has_code: bool) -> bool:
        """Tell whether the account that is added in this transaction becomes the admin.

        Args:
            has_code: The right code was shown for it.

        Raises:
            ChatError: FORBIDDEN, somebody else was faster with it.
        """
        if not has_code:
            return self.trial and users.is_empty(tx)
        if users.has_admin(tx):
            raise ChatError(
                ErrorCode.FORBIDDEN, "This realm has an admin already; register without the code"
            )
        return True

    def used(self) -> None:
        """There is an admin now, so the code is worth nothing."""
        self.code = None
