"""Messages in the form of a realm, for tests of the app."""

from __future__ import annotations

from flet_app.state import AppState
from shared.client import MessageArrived
from shared.protocol.commands.groups import GroupChat
from shared.protocol.commands.messages import FileInfo, Message
from shared.protocol.commands.private import PrivateChat

NOON = 1_790_000_000_000
"""Unix milliseconds of message 0; message 7 came 7 seconds later."""


def message(
    seq: int,
    sender: str = "bob",
    text: str = "",
    *,
    conversation: str = "bob",
    state: str | None = None,
    file: FileInfo | None = None,
) -> Message:
    """A message to ana, unless it has a state: then it is her own."""
    return Message(
        *(f"m{seq}", conversation, seq, "ana" if state else sender, NOON + seq * 1000),
        *(text or f"text {seq}", file, state),
    )


def arrived(seq: int, sender: str = "bob", **more: object) -> MessageArrived:
    """The same as an event."""
    m = message(seq, sender, **more)  # type: ignore[arg-type]
    return MessageArrived(m.id, m.conversation, m.seq, m.sender, m.time, m.text, m.file, m.state)


def chat(name: str = "bob", last: int = 0, read: int = 0, unread: int = 0) -> PrivateChat:
    """A row of listpc."""
    newest = message(last, conversation=name) if last else None
    return PrivateChat(name, last, read, unread, 0, 0, newest)


def group(address: str, name: str, last: int = 0, read: int = 0, unread: int = 0) -> GroupChat:
    """A row of listgroup."""
    newest = message(last, conversation=address) if last else None
    return GroupChat(address, name, "member", 2, last, read, unread, newest)


def known(state: AppState) -> dict[str, int]:
    """The app's `last_seq` of each conversation when it fetches the lists."""
    return {key: c.last_seq for key, c in state.conversations.items()}
