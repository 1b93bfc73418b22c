"""Conversations in memory. A copy may be stale, so every commit that uses one checks it."""

from __future__ import annotations

from shared.protocol.values import Address, ConversationAddress, GroupAddress, fold
from ws_server.store.conversations import Conversation

MAX_PRIVATE = 50_000
"""Private chats, about 30 MB."""
MAX_GROUP_MEMBERS = 500_000
"""Members of all cached groups together, about 100 MB."""


class Cache:
    """The conversations written to recently; the oldest entry is evicted first."""

    def __init__(self) -> None:
        # The two members of a chat use different addresses, which both lead to one copy by user id.
        self._people: dict[str, int] = {}
        self._chats: dict[tuple[int, int], Conversation] = {}
        self._groups: dict[str, Conversation] = {}
        self._group_members = 0

    def get(self, sender: int, target: ConversationAddress) -> Conversation | None:
        """Return the conversation that `sender` addresses; None if it is not cached for them."""
        if type(target) is Address:
            other = self._people.get(fold(str(target)))
            if other is None:
                return None
            return self._chats.get((sender, other) if sender < other else (other, sender))
        assert isinstance(target, GroupAddress)
        group = self._groups.get(fold(str(target)))
        return group if group is not None and sender in group.members else None

    def put(self, conversation: Conversation) -> None:
        """Store a conversation; a private chat is found by the addresses of both members."""
        if conversation.number is None:
            self._put_private(conversation)
        else:
            self.put_group(conversation)

    def _put_private(self, chat: Conversation) -> None:
        people = min(chat.members), max(chat.members)
        if chat.blockers or any(member.disabled for member in chat.members.values()):
            # A refusal must not rest on a cached copy, because no commit would check it.
            self._chats.pop(people, None)
            return
        self._chats[people] = chat
        for id, member in chat.members.items():
            self._people[fold(member.name)] = id
        if len(self._chats) > MAX_PRIVATE:
            del self._chats[next(iter(self._chats))]
        while len(self._people) > 2 * MAX_PRIVATE:
            del self._people[next(iter(self._people))]

    def drop_group(self, address: str) -> None:
        """Remove a group, so that `put_group` accepts an older version of it."""
        if dropped := self._groups.pop(fold(address), None):
            self._group_members -= len(dropped.members)

    def drop_realm(self, realm: str) -> None:
        """Remove the groups that another realm hosts, and the addresses of its users."""
        for address in [a for a in self._groups if a.endswith(f"@{fold(realm)}")]:
            self.drop_group(address)
        for address in [a for a in self._people if a.endswith(f"@{fold(realm)}")]:
            del self._people[address]

    def put_group(self, group: Conversation) -> None:
        """Store a group, unless a newer copy is stored."""
        address = fold(group.address(0))
        known = self._groups.get(address)
        if known is not None:
            if known.version > group.version:
                return
            self._group_members -= len(known.members)
        self._groups[address] = group
        self._group_members += len(group.members)
        while self._group_members > MAX_GROUP_MEMBERS and len(self._groups) > 1:
            oldest = self._groups.pop(next(iter(self._groups)))
            self._group_members -= len(oldest.members)
