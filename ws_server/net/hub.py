"""The registry of connected users. Handlers publish events to users, never to connections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Dialect
from shared.protocol.records import Event
from ws_server.net.session import Account, Session


class Hub:
    """The sessions of every signed-in user."""

    def __init__(self) -> None:
        self._sessions: dict[int, list[Session]] = {}
        self.most_sessions: int | None = None
        """Most sessions of one user at a time; None if unbounded."""
        self._leaving: set[Session] = set()
        """Sessions whose peers have gone, but whose commands are still executed."""
        self.events = 0
        """Events pushed to sessions since the start."""

    def sign_in(self, session: Session, account: Account) -> None:
        """Sign a session in as a user; its events are held until the reply to the sign-in is sent.

        If the user has too many sessions, the oldest one is closed with 4504.
        """
        self.sign_out(session)
        session.account = account
        if session.leaving:
            self._leaving.add(session)
            session.outlet.admit(known=True)
        elif not session.has_ended:
            session.hold()
            session.outlet.admit(known=True)
            sessions = self._sessions.setdefault(account.id, [])
            sessions.append(session)
            if self.most_sessions is not None and len(sessions) > self.most_sessions:
                sessions[0].outlet.close_with(4504, "too many sessions; this was the oldest")

    def sign_out(self, session: Session) -> None:
        """Sign a session out."""
        if session.account is not None:
            self._forget(session, session.account)
            self._leaving.discard(session)
            session.account = None
            session.outlet.admit(known=False)

    def part(self, session: Session) -> None:
        """Stop pushing events to a session; its pending commands still run for its user."""
        if session.account is not None:
            self._forget(session, session.account)
            self._leaving.add(session)

    def _forget(self, session: Session, account: Account) -> None:
        sessions = self._sessions.get(account.id, [])
        if session in sessions:
            sessions.remove(session)
        if not sessions:
            self._sessions.pop(account.id, None)
        session.held = None
        session.drop_partial_answers()

    def end_sessions(
        self, user_id: int, which: Callable[[Account], bool] = lambda account: True
    ) -> None:
        """Close the sessions of a user that `which` selects with 4501: their token is invalid."""
        for session in [*self.of(user_id), *self._leaving]:
            account = session.account
            if account is not None and account.id == user_id and which(account):
                session.outlet.close_with(4501, "session ended")

    def of(self, user_id: int) -> Collection[Session]:
        """Return a user's sessions."""
        return self._sessions.get(user_id, ())

    def reached(self, users: Iterable[int], but: Session | None = None) -> list[Session]:
        """Return the sessions of these users, except `but`."""
        everybody = self._sessions
        found: list[Session] = []
        for user_id in users:
            if user_id in everybody:
                found += everybody[user_id]
        if but is not None and but in found:
            found.remove(but)
        return found

    def publish(self, event: Event, users: Iterable[int], but: Session | None = None) -> None:
        """Push an event to all sessions of these users, except `but`."""
        self.push(event, self.reached(users, but))

    def push(self, event: Event, sessions: Iterable[Session]) -> None:
        """Push an event to these sessions, serialised once per dialect."""
        as_json: bytes | None = None
        as_text: bytes | None = None
        for session in sessions:
            if session.options.dialect is Dialect.JSON:
                if as_json is None:
                    as_json = json_dialect.format_event(event)
                session.push(as_json)
            else:
                if as_text is None:
                    as_text = text_dialect.format_event(event).encode()
                session.push(as_text)
            self.events += 1

    @property
    def tokens(self) -> list[bytes]:
        """The hashes of the tokens of all signed-in sessions."""
        found = {
            session.account.token
            for sessions in self._sessions.values()
            for session in sessions
            if session.account is not None
        }
        return list(found)

    @property
    def users(self) -> int:
        """The number of users with a session."""
        return len(self._sessions)

    @property
    def sessions(self) -> int:
        """The number of signed-in sessions."""
        return sum(map(len, self._sessions.values()))
