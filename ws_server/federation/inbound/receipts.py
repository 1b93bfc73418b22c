"""Receipts from another realm: up to which message its users have received and read.

Each realm assigns its own seqs in a private chat. A receipt carries the seq of the sender's realm;
the reader's realm stores that seq with each message.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection

from shared.protocol.kinds import LOCAL_NAME, SEQ
from shared.protocol.values import Address
from ws_server.net.session import Account
from ws_server.outcome import Outcome
from ws_server.publications import Publisher, publish_entry, receipts
from ws_server.store import conversations, markers
from ws_server.store.drafts import Chain
from ws_server.store.entries import Mutation


def taken(publisher: Publisher, reader: int, row: Mapping[str, Any], chain: Chain) -> Mutation:
    """Parse a receipt and return its journal entry.

    Args:
        reader: The id of the other realm's user who received or read the messages.
        row: The receipt.
        chain: Fails the entry if an earlier row of the link could not be written.

    Raises:
        BadValue: the row is malformed.
    """
    to = Address(LOCAL_NAME.from_json(row.get("to")))
    received = SEQ.from_json(row.get("received"))
    read = SEQ.from_json(row.get("read"))

    def move(tx: Connection, now: int) -> Outcome:
        chain.check()
        chat = conversations.find(tx, reader, to)
        if chat is None or chat.blockers:
            return Outcome()
        marks = markers.mark(tx, reader, chat, read=read, received=received)
        account = Account(reader, chat.members[reader].name, b"")
        return Outcome(publications=receipts(account, chat, marks))

    write = Mutation(move, chain)
    write.done = partial(publish_entry, publisher)
    return write
