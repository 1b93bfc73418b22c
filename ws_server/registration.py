"""Who may register: everybody (`open`), people with an invitation (`invite`), nobody (`closed`).

The newest decision holds: `./chat admin registration` at once and over restarts, until it is given
again or the server is started with another `--registration`. The code of the first admin, which
only the operator has, is good whatever holds.
"""

from __future__ import annotations

from shared.protocol.errors import ChatError, ErrorCode


class Registration:
    """Who may register now.

    Args:
        start: What `--registration` says; None if this is no server.
    """

    def __init__(self, mode: str, start: str | None) -> None:
        self.mode = mode
        self.start = start

    @property
    def by_invitation(self) -> bool:
        return self.mode == "invite"

    @property
    def told(self) -> str:
        """Who may register, for operators."""
        return told(self.mode, self.start)

    @property
    def why(self) -> str:
        """The end of `told`, empty if it is as `--registration` says."""
        return self.told.removeprefix(self.mode)

    def check(self, *, is_invited: bool) -> None:
        """Refuse somebody who may not try to register, before anything is looked up.

        Args:
            is_invited: They have shown an invitation, good or not.

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
    """Return who may register, and why if `--registration` says something else."""
    if start in (None, mode):
        return mode
    return f"{mode} (by admin registration; --registration says {start})"


def closed() -> ChatError:
    """Return the refusal where nobody may register."""
    return ChatError(
        ErrorCode.FORBIDDEN, "Registration is closed on this realm; ask its admin for an account"
    )
