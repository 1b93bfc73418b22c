"""What the client itself says among the events: how it stands with the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Online:
    """Signed in as `user`, at first or again; messages that were missed follow.

    What is not a message is not repeated: markers, memberships and deliveries may have changed.
    """

    user: str


@dataclass(frozen=True, slots=True)
class Offline:
    """The connection is gone or could not be made; the next attempt is in `retry_in` seconds."""

    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class SignedOut:
    """The server ended the session, or will not have this client; sign in with `auth`.

    The client does not reconnect by itself. A service should end here and let somebody look.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """The history is another one (a backup was restored, another user): drop what was cached.

    `client.positions` begin anew at the present; read what came before with `history`.
    """

    epoch: str


Notice = Online | Offline | SignedOut | HistoryChanged
