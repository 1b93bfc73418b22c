"""How far somebody of another realm has read: both realms number a chat for themselves.

A receipt names the sender's own seq of his last message that was received or read, which the
reader's realm keeps with each message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from shared.protocol.kinds import LOCAL_NAME, SEQ
from shared.protocol.values import Address
from ws_server.context import Outcome
from ws_server.net.session import Account
from ws_server.publications import receipts
from ws_server.realm import Realm
from ws_server.store import conversations, markers
from ws_server.store.journal import Write
from ws_server.store.messages import Chain


def taken(realm: Realm, reader: int, row: Mapping[str, Any], chain: Chain) -> Write:
    """Return the change that a receipt makes here.

    Args:
        reader: The id of the person of the other realm who received or read.

    Raises:
        BadValue: it is malformed.
    """
    to = Address(LOCAL_NAME.from_json(row.get("to")))
    received = SEQ.from_json(row.get("received"))
    read = SEQ.from_json(row.get("read"))

    def move(tx: Connection, now: int) -> Outcome | None:
        chain.check()
        chat = conversations.find(tx, reader, to)
        if chat is None:
            return None
        marks = markers.mark(tx, reader, chat, read=read, received=received)
        account = Account(reader, chat.members[reader].name, b"")
        return Outcome(None, receipts(account, chat, marks))

    def moved(entry: Write) -> None:
        outcome: Outcome | None = entry.result
        if entry.error is None and outcome is not None:
            for publication in outcome.publications:
                realm.hub.publish(publication.event, publication.users)

    write = Write(move, chain)
    write.done = moved
    return write
