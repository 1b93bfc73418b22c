"""The client's own notices among the events: the state of the connection and session."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Online:
    """Signed in as `user`, for the first time or again; missed messages follow.

    Only messages are caught up: markers, memberships and deliveries may have changed.
    """

    user: str


@dataclass(frozen=True, slots=True)
class Offline:
    """The connection broke or failed; the next attempt is in `retry_in` seconds."""

    reason: str
    retry_in: float


@dataclass(frozen=True, slots=True)
class SignedOut:
    """The server ended the session, or refuses this client; sign in with `auth`.

    The client does not reconnect by itself. A service should end here, so that its operator
    notices.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class HistoryChanged:
    """The history was replaced (a restored backup, another user): drop cached messages.

    `client.positions` start again at the present; read earlier messages with `history`.
    """

    epoch: str


Notice = Online | Offline | SignedOut | HistoryChanged
