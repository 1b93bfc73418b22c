"""What the app knows: the person signed in, the conversations, the connection to the realm.

Pure: events and replies change it, and `changed` is called with the part to redraw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flet_app.conversation import (
    INVITED,
    MAX_KEPT_CLOSED_MESSAGES,
    MAX_KEPT_MESSAGES,
    STORED,
    AppConversation,
    BubbleEntry,
)
from flet_app.conversation_list import ConversationList
from shared.client import (
    Delivery,
    GroupChanged,
    HistoryChanged,
    MessageArrived,
    Offline,
    Online,
    RealmLink,
    Receipt,
    SignedOut,
)
from shared.client.notices import Notice
from shared.protocol.commands.accounts import Limits
from shared.protocol.commands.files import ChunkTaken
from shared.protocol.commands.groups import JOINING, GroupChat
from shared.protocol.commands.messages import Sent
from shared.protocol.commands.private import PrivateChat
from shared.protocol.commands.realms import Realm
from shared.protocol.records import Event
from shared.protocol.values import fold


class StatePart(StrEnum):
    """A part of the state that the screen shows."""

    SESSION = "session"
    """The person signed in."""
    LINK = "link"
    """Whether there is a connection."""
    LIST = "list"
    """The conversations, their last lines and counts."""
    OPEN = "open"
    """The open conversation: which one, its name and people."""
    MESSAGES = "messages"
    """The messages of the open conversation."""
    REALMS = "realms"


@dataclass(slots=True)
class AppState:
    """The state of one person in one window.

    Args:
        changed: Called with the part after each change; must be cheap.
        people_changed: Called when somebody joined or left a group.
    """

    changed: Callable[[StatePart], None]
    people_changed: Callable[[AppConversation, GroupChanged], None] = lambda c, change: None
    user: str = ""
    was: str = ""
    """The person signed in last."""
    realm: str = ""
    limits: Limits | None = None
    ended: str = ""
    """Why the last session ended, if the realm ended it."""
    online: bool = False
    offline_why: str = ""
    conversations: ConversationList = field(default_factory=ConversationList)
    open: AppConversation | None = None
    realms: list[Realm] = field(default_factory=list)
    listed: bool = False
    """The lists have been fetched."""
    received: dict[str, int] = field(default_factory=dict)
    """Received markers to send, by private chat."""
    stale: bool = False
    """The lists have to be fetched again: events did not carry all changes."""

    # The session

    def signed_in(self, user: str, realm: str, limits: Limits | None) -> None:
        """Start afresh as this person."""
        self.clear()
        self.user, self.realm, self.limits = user, realm, limits
        self.online, self.ended = True, ""
        self.changed(StatePart.SESSION)

    def signed_out(self, why: str = "") -> None:
        """Drop everything of the person."""
        self.clear()
        self.was, self.user = self.user or self.was, ""
        self.ended = why
        self.changed(StatePart.SESSION)

    def clear(self) -> None:
        """Drop conversations and realms."""
        self.conversations.clear()
        self.received.clear()
        self.realms = []
        self.open = None
        self.listed = self.stale = False

    # Conversations

    def conversation(self, address: str) -> AppConversation:
        """Return a conversation; a new one is added to the list."""
        if fold(address) not in self.conversations:
            self.changed(StatePart.LIST)
        return self.conversations.of(address)

    def lists(
        self,
        chats: Sequence[PrivateChat],
        groups: Sequence[GroupChat],
        known: Mapping[str, int],
        now: int,
    ) -> None:
        """Apply the lists of all conversations; missing groups have been left.

        Args:
            known: The `last_seq` of each conversation at the time of the request. A group that is
            newer or has changed since may be missing from the lists, and stays.
            now: Unix milliseconds.
        """
        left = self.conversations.apply(chats, groups, known, now)
        for chat in chats:
            if chat.unread:
                # Messages sent while the person was away have arrived now.
                c = self.conversation(chat.conversation)
                self.received[c.address] = c.last_seq
        self.listed = True
        if self.open in left:
            self.opened(None)
        self.changed(StatePart.LIST)
        self.changed(StatePart.OPEN)
        self.changed(StatePart.MESSAGES)

    def opened(self, c: AppConversation | None) -> None:
        """Set the open conversation, or none."""
        if self.open is not None and self.open is not c:
            self.open.unread_from = 0
        self.open = c
        if c is not None:
            c.unread_from = c.read_seq + 1 if c.unread else 0
        self.changed(StatePart.OPEN)
        self.changed(StatePart.MESSAGES)
        self.changed(StatePart.LIST)

    def read(self, c: AppConversation, seq: int) -> None:
        """The person has read up to here."""
        c.read_to(seq)
        self.stale |= c.stale
        self.changed(StatePart.LIST)

    def put(self, c: AppConversation, entry: BubbleEntry) -> None:
        """Add an own entry to a conversation."""
        c.put(entry)
        if not entry.note:
            c.last, c.unread_from = entry, 0
            self.conversations.to_top(c)
            self.changed(StatePart.LIST)
        self._show(c)

    def note(self, c: AppConversation, lines: Iterable[str], now: int) -> None:
        """Add a note by the app to a conversation."""
        c.note(lines, now)
        self._show(c)

    def sent(self, c: AppConversation, entry: BubbleEntry, reply: Sent | ChunkTaken) -> None:
        """The realm has accepted an own message."""
        entry.id, entry.state = reply.message_id or "", reply.state or STORED
        entry.time, entry.file, entry.done = reply.time or entry.time, reply.file, None
        c.settle(entry, reply.seq)
        if reply.seq is not None and reply.seq >= c.last_seq:
            c.last, c.last_seq = entry, reply.seq
            self.conversations.to_top(c)
        self.changed(StatePart.LIST)
        self._show(c)

    def refused(self, c: AppConversation, entry: BubbleEntry, why: str) -> None:
        """The realm has refused an own message."""
        c.refuse(entry, why)
        self._show(c)

    def withdrawn(self, c: AppConversation, entry: BubbleEntry) -> None:
        """An own message was cancelled."""
        if entry in c.entries:
            c.entries.remove(entry)
        if c.last is entry:
            c.last = next((e for e in reversed(c.entries) if not e.note), None)
        self.changed(StatePart.LIST)
        self._show(c)

    def left(self, address: str) -> None:
        """The person is no longer in a group."""
        if (c := self.conversations.get(fold(address))) is not None:
            self._lose(c)

    # Events

    def take(self, event: Event | Notice) -> None:
        """Apply an event of the realm or a notice of the client."""
        match event:
            case MessageArrived():
                self._message(event)
            case Receipt():
                self._receipt(event)
            case Delivery():
                self._delivery(event)
            case GroupChanged():
                self._group(event)
            case RealmLink():
                self._realm_link(event)
            case Online():
                self.online, self.offline_why, self.stale = True, "", True
                self.changed(StatePart.LINK)
            case Offline():
                self.online, self.offline_why = False, event.reason
                self.changed(StatePart.LINK)
            case SignedOut():
                self.signed_out(event.reason)
            case HistoryChanged():
                self._history_changed()

    def _realm_link(self, told: RealmLink) -> None:
        for realm in self.realms:
            if realm.realm == told.realm:
                realm.link = told.link
        self.changed(StatePart.REALMS)
        self.changed(StatePart.OPEN)

    def _history_changed(self) -> None:
        self.received.clear()
        for c in self.conversations.values():
            c.forget()
        self.stale = True
        self.changed(StatePart.LIST)
        self.changed(StatePart.MESSAGES)

    def _message(self, message: MessageArrived) -> None:
        c = self.conversation(message.conversation)
        is_new = c.arrived(message)
        most = MAX_KEPT_MESSAGES if c is self.open else MAX_KEPT_CLOSED_MESSAGES
        if len(c.entries) > 2 * most:
            c.trim(most)
        if is_new:
            self.conversations.to_top(c)
        if is_new and message.state is None and not c.is_group:
            self.received[c.address] = message.seq
        if c.is_group and not c.name:
            self.stale = True
        self.changed(StatePart.LIST)
        self._show(c)

    def _receipt(self, receipt: Receipt) -> None:
        c = self.conversation(receipt.conversation)
        if fold(receipt.user) == fold(self.user) and fold(c.address) != fold(self.user):
            self.read(c, receipt.read_seq)
            return
        c.other_received = max(c.other_received, receipt.received_seq)
        c.other_read = max(c.other_read, receipt.read_seq)
        self._show(c)

    def _delivery(self, told: Delivery) -> None:
        c = self.conversation(told.conversation)
        entry = c.find(told.message_id)
        if entry is None:
            self.stale = True
            return
        if entry.seq is None and told.seq is not None:
            c.settle(entry, told.seq)
            c.last_seq = max(c.last_seq, told.seq)
        entry.state, entry.why = told.state, told.code or ""
        self.changed(StatePart.LIST)
        self._show(c)

    def _group(self, change: GroupChanged) -> None:
        is_me = fold(change.user) == fold(self.user)
        c = self.conversation(change.group)
        self.people_changed(c, change)
        match change.change:
            case "history":
                c.joining = change.history == JOINING
            case "left" | "removed" if is_me:
                self.left(change.group)
                return
            case "joined" if is_me:
                c.role = "member"
            case "invited" if is_me:
                c.role = INVITED
        c.name = change.name
        # Only the list has the number of members and the person's role.
        self.stale = True
        self.changed(StatePart.LIST)
        if c is self.open:
            self.changed(StatePart.OPEN)

    def _lose(self, c: AppConversation) -> None:
        self.conversations.pop(fold(c.address), None)
        if c is self.open:
            self.opened(None)
        self.changed(StatePart.LIST)

    def _show(self, c: AppConversation) -> None:
        if c is self.open:
            self.changed(StatePart.MESSAGES)

    def link_of(self, c: AppConversation) -> str:
        """Return up or down for a conversation with another realm; empty if unknown."""
        realm = fold(c.realm)
        return next((r.link for r in self.realms if fold(r.realm) == realm), "") if realm else ""
