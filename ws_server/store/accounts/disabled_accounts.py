"""Disabled accounts: their users cannot sign in, so nothing may be sent to them."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from shared.protocol.values import ConversationAddress, GroupAddress
from ws_server.store import conversations
from ws_server.store.accounts import blocks, users
from ws_server.store.conversations import Conversation
from ws_server.store.schema import conversations as conversation_table
from ws_server.store.schema import members


def set_disabled(tx: Connection, user_id: int, disabled: bool) -> None:
    """Disable or enable an account.

    Its private chats get a new version, so that cached copies become stale.
    """
    users.set_disabled(tx, user_id, disabled)
    c = conversation_table.c
    theirs = select(members.c.conversation_id).where(members.c.user_id == user_id)
    tx.execute(
        update(conversation_table)
        .where(c.number.is_(None), c.id.in_(theirs))
        .values(version=c.version + 1)
    )


def check_sender(conversation: Conversation, sender: int, target: ConversationAddress) -> None:
    """Refuse a message to a group without the sender, or to a person who cannot receive it.

    Raises:
        ChatError: UNKNOWN_GROUP; FORBIDDEN, the recipient's account is disabled, or one of the two
            blocks the other.
    """
    if sender not in conversation.members:
        raise conversations.unknown_group(target)
    if conversation.number is None:
        for user_id, member in conversation.members.items():
            if member.disabled and user_id != sender:
                raise users.is_disabled(member.name)
        if conversation.blockers and not conversation.blockers <= {sender}:
            raise blocks.refused(conversation.address(sender))


def check_target(tx: Connection, user_id: int, target: ConversationAddress) -> None:
    """Refuse a file that could not be sent, before anything is stored for it.

    Raises:
        ChatError: UNKNOWN_USER; UNKNOWN_GROUP, also if the user is not in the group; FORBIDDEN, the
            recipient's account is disabled, or they block the user.
    """
    if isinstance(target, GroupAddress):
        conversations.group(tx, user_id, target, (user_id,))
        return
    other = users.known(tx, target)
    if other is not None and other.disabled and other.id != user_id:
        raise users.is_disabled(other.name)
    if other is not None and blocks.blocks(tx, other.id, user_id):
        raise blocks.refused(other.name)
