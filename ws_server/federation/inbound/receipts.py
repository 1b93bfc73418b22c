"""Receipts from another realm: up to which message its users have received and read.

Each realm assigns its own seqs in a private chat. A receipt carries the seq of the sender's realm;
the reader's realm stores that seq with each message.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy import Connection

from shared.protocol.values import Address
from ws_server.federation.frames.rows import ReceiptRow
from ws_server.net.session import Account
from ws_server.outcome import Outcome
from ws_server.publications import Publisher, publish_entry, receipts
from ws_server.store import conversations, markers
from ws_server.store.drafts import Chain
from ws_server.store.entries import Mutation


def entry(publisher: Publisher, reader: int, row: ReceiptRow, chain: Chain) -> Mutation:
    """Return the journal entry of a receipt.

    Args:
        reader: The id of the other realm's user who received or read the messages.
        row: The receipt.
        chain: Fails the entry if an earlier row of the link could not be written.
    """
    to = Address(row.to)

    def move(tx: Connection, now: int) -> Outcome:
        chain.check()
        chat = conversations.find(tx, reader, to)
        if chat is None or chat.blockers:
            return Outcome()
        marks = markers.mark(tx, reader, chat, read=row.read, received=row.received)
        account = Account(reader, chat.members[reader].name, b"")
        return Outcome(publications=receipts(account, chat, marks))

    write = Mutation(move, chain)
    write.done = partial(publish_entry, publisher)
    return write
