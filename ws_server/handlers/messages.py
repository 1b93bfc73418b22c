"""What every sent message leads to, whichever command sent it."""

from __future__ import annotations

from typing import Any

from shared.protocol.commands.files import Chunk, ChunkTaken
from shared.protocol.commands.messages import MessageArrived, Sent
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import Reply, Request
from shared.protocol.values import Address
from ws_server.handlers.files import push_file
from ws_server.net.session import Session
from ws_server.realm import Realm
from ws_server.store.messages import Draft


def answer(draft: Draft, request: Request[Any] | None) -> Reply:
    """Return the reply to the command that sent a message which now is durable."""
    conversation = draft.conversation
    assert conversation is not None
    address = conversation.address(draft.sender)
    duplicate = True if draft.duplicate else None
    file = draft.file.info() if draft.file else None
    if isinstance(request, Chunk):
        offset = request.offset + len(request.data)
        return ChunkTaken(
            offset, address, draft.seq, draft.id, draft.time, draft.state, duplicate, file
        )
    return Sent(address, draft.seq, draft.id, draft.time, draft.state, duplicate, file)


def refused_there(draft: Draft, code: str) -> ChatError:
    """Return the refusal of a message by the recipient's realm."""
    conversation = draft.conversation
    assert conversation is not None
    to = conversation.address(draft.sender)
    if code == ErrorCode.UNKNOWN_USER:
        return ChatError(ErrorCode.UNKNOWN_USER, f"Nobody is called {to} there")
    if code == ErrorCode.TOO_LARGE:
        return ChatError(
            ErrorCode.TOO_LARGE,
            f"The realm of {to} has no room for this file: it limits one, and all from this realm",
        )
    return ChatError(ErrorCode.REALM_REFUSED, f"The realm of {to} refused the message: {code}")


def announce(realm: Realm, draft: Draft, session: Session | None) -> None:
    """Push a durable message to its recipients and to the sender's other sessions.

    Args:
        session: The sender's, which is answered instead; None if another realm sent it.
    """
    conversation = draft.conversation
    assert conversation is not None
    sender = draft.sender
    if conversation.number is not None:
        group_name: str | None = conversation.name
        here = there = f"#{conversation.number}"
        recipients = [user_id for user_id in conversation.members if user_id != sender]
        realm.cache.put_group(conversation)
    else:
        group_name = None
        here, there = conversation.address(sender), conversation.members[sender].name
        recipients = [user_id for user_id in conversation.members if user_id != sender]
        assert isinstance(draft.target, Address)
        realm.cache.put_private(sender, draft.target, conversation)
    name = conversation.members[sender].name
    file = draft.file.info() if draft.file else None
    event = MessageArrived(
        draft.id, there, draft.seq, name, draft.time, draft.text, file, None, group_name
    )
    realm.hub.publish(event, recipients)
    others = realm.hub.of(sender)
    if len(others) > 1 or (others and session not in others):
        own = MessageArrived(
            draft.id, here, draft.seq, name, draft.time, draft.text, file, draft.state, group_name
        )
        realm.hub.publish(own, (sender,), session)
    push_file(realm, draft, realm.hub.reached(conversation.members, session))
