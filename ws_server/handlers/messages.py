"""What every sent message leads to, whichever command sent it."""

from __future__ import annotations

from typing import Any

from shared.protocol.commands.files import Chunk, ChunkTaken
from shared.protocol.commands.messages import MessageArrived, Sent
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
            offset, address, draft.seq, draft.id, draft.time, "stored", duplicate, file
        )
    return Sent(address, draft.seq, draft.id, draft.time, "stored", duplicate, file)


def announce(realm: Realm, draft: Draft, session: Session) -> None:
    """Push a durable message to its recipients and to the sender's other sessions."""
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
        realm.cache.put_private(sender, draft.target.user, conversation)
    name = conversation.members[sender].name
    file = draft.file.info() if draft.file else None
    event = MessageArrived(
        draft.id, there, draft.seq, name, draft.time, draft.text, file, None, group_name
    )
    realm.hub.publish(event, recipients)
    others = realm.hub.of(sender)
    if len(others) > 1 or session not in others:
        own = MessageArrived(
            draft.id, here, draft.seq, name, draft.time, draft.text, file, "stored", group_name
        )
        realm.hub.publish(own, (sender,), session)
    if draft.file is not None:
        push_file(realm, draft.file, realm.hub.reached(conversation.members, session))
