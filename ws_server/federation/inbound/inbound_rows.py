"""Drafts of the messages that rows of another realm carry."""

from __future__ import annotations

from shared.protocol.values import Address, ConversationAddress, GroupAddress
from ws_server.federation.frames.rows import MessageRow, PostRow
from ws_server.store.drafts import Draft, Source, Storage


def draft(row: MessageRow | PostRow, sender: int, realm_id: int, quota: int) -> Draft:
    """Return the draft of a private message, or of a message to a group hosted here.

    Args:
        sender: The id of the message's sender.
        realm_id: The id of the realm that sent the row.
        quota: Bytes that all files of that realm may have together.
    """
    target: ConversationAddress
    if isinstance(row, MessageRow):
        target, source = Address(row.to), Source(realm_id, row.id, row.seq)
    else:
        target, source = GroupAddress(row.group), Source(realm_id, row.id)
    # The idempotency key drops a row sent twice, after a disconnect or a restored backup.
    return Draft(sender, target, row.content, source.id, Storage(quota), source)
