"""The registration mode: open to all (`open`), by invitation (`invite`), or `closed`.

The newest decision applies. `./chat admin registration` applies at once and over restarts, until it
is used again or the server is started with another `--registration`. The code of the first admin,
which only the operator has, is valid in every mode.
"""

from __future__ import annotations

from shared.protocol.errors import ChatError, ErrorCode


class Registration:
    """The present registration mode.

    Args:
        start: The value of `--registration`; None outside a server.
    """

    def __init__(self, mode: str, start: str | None) -> None:
        self.mode = mode
        self.start = start

    @property
    def by_invitation(self) -> bool:
        return self.mode == "invite"

    @property
    def told(self) -> str:
        """The mode in words, for operators."""
        return told(self.mode, self.start)

    @property
    def why(self) -> str:
        """The end of `told`; empty if `--registration` set the mode."""
        return self.told.removeprefix(self.mode)

    def check(self, *, is_invited: bool) -> None:
        """Refuse an attempt that the mode does not allow, before any lookup.

        Args:
            is_invited: The request carries an invitation, valid or not.

        Raises:
            ChatError: FORBIDDEN.
        """
        if self.mode == "closed":
            raise closed()
        if self.by_invitation and not is_invited:
            raise ChatError(
                ErrorCode.FORBIDDEN,
                "Registration is by invitation on this realm; ask its admin for a code, and give "
                "it with: invitation <code>",
            )


def told(mode: str, start: str | None) -> str:
    """Return the mode in words, and its reason if it differs from `--registration`."""
    if start in (None, mode):
        return mode
    return f"{mode} (by admin registration; --registration says {start})"


def closed() -> ChatError:
    """Return the refusal of every registration in mode `closed`."""
    return ChatError(
        ErrorCode.FORBIDDEN, "Registration is closed on this realm; ask its admin for an account"
    )
