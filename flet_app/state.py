"""What the app knows: who is signed in, the conversations, how it stands with the realm.

Pure: events and replies change it, and `changed` is called with what the screen has to show anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from flet_app.conversation import KEPT, KEPT_CLOSED, STORED, Conversation, Entry
from flet_app.order import in_order
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
from shared.folding import fold_text
from shared.protocol.commands.accounts import Limits
from shared.protocol.commands.files import ChunkTaken
from shared.protocol.commands.groups import GroupChat
from shared.protocol.commands.messages import Sent
from shared.protocol.commands.private import PrivateChat
from shared.protocol.commands.realms import Realm
from shared.protocol.spec import Event
from shared.protocol.values import fold


class Part(StrEnum):
    """A part of the state that the screen shows."""

    SESSION = "session"
    """Who is signed in."""
    LINK = "link"
    """Whether there is a connection."""
    LIST = "list"
    """The conversations, their last lines and counts."""
    OPEN = "open"
    """Which conversation is open, its name and people."""
    MESSAGES = "messages"
    """The messages of the open conversation."""
    REALMS = "realms"


@dataclass(slots=True)
class State:
    """All of it, for one person in one window.

    Args:
        changed: Called after each change, with the part; cheap, for it may be called often.
        people_changed: Called when somebody came to a group or went.
    """

    changed: Callable[[Part], None]
    people_changed: Callable[[Conversation, GroupChanged], None] = lambda c, change: None
    user: str = ""
    was: str = ""
    """Who was signed in last."""
    realm: str = ""
    limits: Limits | None = None
    ended: str = ""
    """Why the last session ended, if the realm ended it."""
    online: bool = False
    offline_why: str = ""
    conversations: dict[str, Conversation] = field(default_factory=dict)
    """By their address in lower case; the one in which something happened last is last."""
    open: Conversation | None = None
    realms: list[Realm] = field(default_factory=list)
    listed: bool = False
    """The conversations have been asked for."""
    received: dict[str, int] = field(default_factory=dict)
    """What the realm is to be told: received up to this message, by private chat."""
    stale: bool = False
    """The lists are to be asked for again: more changed than events tell."""

    # The session

    def signed_in(self, user: str, realm: str, limits: Limits | None) -> None:
        """Begin anew as this person."""
        self.clear()
        self.user, self.realm, self.limits = user, realm, limits
        self.online, self.ended = True, ""
        self.changed(Part.SESSION)

    def signed_out(self, why: str = "") -> None:
        """Forget everything of the person."""
        self.clear()
        self.was, self.user = self.user or self.was, ""
        self.ended = why
        self.changed(Part.SESSION)

    def clear(self) -> None:
        """Forget conversations and realms."""
        self.conversations.clear()
        self.received.clear()
        self.realms = []
        self.open = None
        self.listed = self.stale = False

    # Conversations

    def conversation(self, address: str) -> Conversation:
        """Return a conversation, which appears in the list if it is new."""
        key = fold(address)
        found = self.conversations.get(key)
        if found is None:
            found = self.conversations[key] = Conversation(address)
            self.changed(Part.LIST)
        return found

    def listing(self, wanted: str = "") -> list[Conversation]:
        """Return those to show, newest first, or those whose name is nearest to `wanted`."""
        listed = list(reversed(self.conversations.values()))
        if not (wanted := fold_text(wanted).strip()):
            return listed
        nearness = [(near, c) for c in listed if (near := c.nearness(wanted)) is not None]
        return [c for _, c in sorted(nearness, key=lambda found: found[0])]

    @property
    def unread(self) -> int:
        """All unread messages."""
        return sum(c.unread for c in self.conversations.values())

    def lists(
        self,
        chats: Sequence[PrivateChat],
        groups: Sequence[GroupChat],
        known: Mapping[str, int],
        now: int,
    ) -> None:
        """Take the lists of all conversations; groups that are not named are no longer ours.

        Args:
            known: The `last_seq` of each of `conversations` when they were asked for. A group that
                is newer, or in which something happened since, may be missing and is not lost.
            now: Unix milliseconds.
        """
        before = list(reversed(self.conversations.values()))
        present = set()
        newer = set()
        for chat in chats:
            c = self.conversation(chat.conversation)
            if c.is_ahead(chat.last_seq):
                newer.add(c)
            c.address = chat.conversation
            c.standing(chat.last_seq, chat.read_seq, chat.unread, chat.last)
            c.other_received = max(c.other_received, chat.other_received_seq)
            c.other_read = max(c.other_read, chat.other_read_seq)
            if chat.unread:
                # What came while one was away has been received by now.
                self.received[c.address] = c.last_seq
        for group in groups:
            c = self.conversation(group.group)
            if c.is_ahead(group.last_seq):
                newer.add(c)
            c.name, c.role, c.members = group.name, group.role, group.members
            c.standing(group.last_seq, group.read_seq, group.unread, group.last)
            present.add(fold(group.group))
        for key, c in list(self.conversations.items()):
            if c.is_group and key not in present and known.get(key) == c.last_seq:
                self._lose(c)
        listed = [self.conversation(address) for address in in_order(chats, groups, now)]
        self._arrange(before, [c for c in listed if c not in newer])
        self.listed = True
        self.changed(Part.LIST)
        self.changed(Part.OPEN)
        self.changed(Part.MESSAGES)

    def _arrange(self, before: list[Conversation], listed: list[Conversation]) -> None:
        """Let the list have the realm's order; what it does not order stays where it stood.

        Args:
            before: All conversations until now.
            listed: Those that the realm orders.
        """
        ordered, kept = list(listed), set(listed)
        for place, c in enumerate(before):
            if c not in kept and fold(c.address) in self.conversations:
                ordered.insert(place, c)
        self.conversations = {fold(c.address): c for c in reversed(ordered)}

    def _happened(self, c: Conversation) -> None:
        """Let a conversation be the first of the list."""
        key = fold(c.address)
        if self.conversations.pop(key, None) is not None:
            self.conversations[key] = c

    def opened(self, c: Conversation | None) -> None:
        """Show a conversation, or none."""
        if self.open is not None and self.open is not c:
            self.open.unread_from = 0
        self.open = c
        if c is not None:
            c.unread_from = c.read_seq + 1 if c.unread else 0
        self.changed(Part.OPEN)
        self.changed(Part.MESSAGES)
        self.changed(Part.LIST)

    def read(self, c: Conversation, seq: int) -> None:
        """The person has read up to here."""
        c.read_to(seq)
        self.stale |= c.stale
        self.changed(Part.LIST)

    def put(self, c: Conversation, entry: Entry) -> None:
        """Show something of one's own in a conversation."""
        c.put(entry)
        if not entry.note:
            c.last, c.unread_from = entry, 0
            self._happened(c)
            self.changed(Part.LIST)
        self._show(c)

    def note(self, c: Conversation, lines: Iterable[str], now: int) -> None:
        """Say something of the app's own in a conversation."""
        c.note(lines, now)
        self._show(c)

    def sent(self, c: Conversation, entry: Entry, reply: Sent | ChunkTaken) -> None:
        """The realm has an own message."""
        entry.id, entry.state = reply.message_id or "", reply.state or STORED
        entry.time, entry.file, entry.done = reply.time or entry.time, reply.file, None
        c.settle(entry, reply.seq)
        if reply.seq is not None and reply.seq >= c.last_seq:
            c.last, c.last_seq = entry, reply.seq
            self._happened(c)
        self.changed(Part.LIST)
        self._show(c)

    def refused(self, c: Conversation, entry: Entry, why: str) -> None:
        """The realm did not take an own message."""
        c.refuse(entry, why)
        self._show(c)

    def withdrawn(self, c: Conversation, entry: Entry) -> None:
        """An own message is not sent after all."""
        if entry in c.entries:
            c.entries.remove(entry)
        if c.last is entry:
            c.last = next((e for e in reversed(c.entries) if not e.note), None)
        self.changed(Part.LIST)
        self._show(c)

    def left(self, address: str) -> None:
        """One is no longer in a group."""
        if (c := self.conversations.get(fold(address))) is not None:
            self._lose(c)

    # Events

    def take(self, event: Event | Notice) -> None:
        """Apply what the realm, or the client, has said."""
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
                for realm in self.realms:
                    if realm.realm == event.realm:
                        realm.link = event.link
                self.changed(Part.REALMS)
                self.changed(Part.OPEN)
            case Online():
                self.online, self.offline_why, self.stale = True, "", True
                self.changed(Part.LINK)
            case Offline():
                self.online, self.offline_why = False, event.reason
                self.changed(Part.LINK)
            case SignedOut():
                self.signed_out(event.reason)
            case HistoryChanged():
                self.received.clear()
                for c in self.conversations.values():
                    c.forget()
                self.stale = True
                self.changed(Part.LIST)
                self.changed(Part.MESSAGES)

    def _message(self, message: MessageArrived) -> None:
        c = self.conversation(message.conversation)
        is_new = c.arrived(message)
        most = KEPT if c is self.open else KEPT_CLOSED
        if len(c.entries) > 2 * most:
            c.trim(most)
        if is_new:
            self._happened(c)
        if is_new and message.state is None and not c.is_group:
            self.received[c.address] = message.seq
        if c.is_group and not c.name:
            self.stale = True
        self.changed(Part.LIST)
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
        self.changed(Part.LIST)
        self._show(c)

    def _group(self, change: GroupChanged) -> None:
        is_me = fold(change.user) == fold(self.user)
        c = self.conversation(change.group)
        self.people_changed(c, change)
        if is_me and change.change != "joined":
            self.left(change.group)
            return
        c.name = change.name
        # How many members there are, and one's role, only the list tells.
        self.stale = True
        self.changed(Part.LIST)
        if c is self.open:
            self.changed(Part.OPEN)

    def _lose(self, c: Conversation) -> None:
        self.conversations.pop(fold(c.address), None)
        if c is self.open:
            self.opened(None)
        self.changed(Part.LIST)

    def _show(self, c: Conversation) -> None:
        if c is self.open:
            self.changed(Part.MESSAGES)

    def link_of(self, c: Conversation) -> str:
        """Return up or down for a conversation with another realm; empty if that is not known."""
        realm = fold(c.realm)
        return next((r.link for r in self.realms if fold(r.realm) == realm), "") if realm else ""
