"""Expiry of unused sessions: a token unused for a long time may have been copied since."""

from __future__ import annotations

from sqlalchemy import Connection

from ws_server.audit import Act, Result
from ws_server.realm import Realm
from ws_server.store.accounts import tokens


async def end_unused(realm: Realm) -> None:
    """End sessions unused for longer than the settings allow; an open connection is a use."""
    in_use = realm.hub.tokens

    def end(tx: Connection, now: int) -> int:
        tokens.keep_tokens(tx, in_use, now)
        return tokens.end_unused(tx, now - realm.session_age)

    if ended := await realm.journal.write(end):
        realm.audit.note(Act.SESSIONS_ENDED, Result.DONE, detail=f"{ended} unused for too long")
