"""Replies to all commands that send a message."""

from __future__ import annotations

from typing import Any

from shared.protocol.commands.files import Chunk, ChunkTaken
from shared.protocol.commands.messages import Sent
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import Request
from ws_server.store.accounts.blocks import refused
from ws_server.store.drafts import StoredMessage


def sent(message: StoredMessage, request: Request[Any], is_duplicate: bool = False) -> Sent:
    """Return the reply to a command whose message is durable now.

    Args:
        is_duplicate: The command repeated an earlier one, which had sent the message.
    """
    return Sent(
        message.address,
        message.seq or None,
        message.id,
        message.time,
        message.state,
        is_duplicate or None,
        message.content.file,
    )


def chunk_taken(message: StoredMessage, request: Chunk, is_duplicate: bool = False) -> ChunkTaken:
    """Return the reply to the last chunk of a file; arguments as for `sent`."""
    done = sent(message, request, is_duplicate)
    return ChunkTaken(
        request.offset + len(request.data),
        done.conversation,
        done.seq,
        done.message_id,
        done.time,
        done.state,
        done.duplicate,
        done.file,
    )


def refused_there(message: StoredMessage, code: str) -> ChatError:
    """Return the refusal of a message that the recipient's realm refused."""
    to, conversation = message.address, message.conversation
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
