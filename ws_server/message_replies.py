"""The replies to commands that send a message, whichever command it was."""

from __future__ import annotations

from typing import Any

from shared.protocol.commands.files import Chunk, ChunkTaken
from shared.protocol.commands.messages import Sent
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from ws_server.store.blocks import refused
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
            offset, address, draft.seq or None, draft.id, draft.time, draft.state, duplicate, file
        )
    return Sent(address, draft.seq or None, draft.id, draft.time, draft.state, duplicate, file)


def refused_there(draft: Draft, code: str) -> ChatError:
    """Return the refusal of a message by the recipient's realm."""
    conversation = draft.conversation
    assert conversation is not None
    to = conversation.address(draft.sender)
    if code == ErrorCode.UNKNOWN_USER:
        return ChatError(ErrorCode.UNKNOWN_USER, f"Nobody is called {to} there")
    if code == ErrorCode.FORBIDDEN and conversation.number is None:
        return refused(to)
    if code == ErrorCode.UNKNOWN_GROUP:
        return ChatError(ErrorCode.UNKNOWN_GROUP, f"You are not in {to} any more")
    if code == ErrorCode.TOO_LARGE:
        return ChatError(
            ErrorCode.TOO_LARGE,
            f"The realm of {to} has no room for this file: it limits one, and all from this realm",
        )
    return ChatError(ErrorCode.REALM_REFUSED, f"The realm of {to} refused the message: {code}")
