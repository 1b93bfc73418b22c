"""Conversations in memory. A copy may be stale: every commit that uses one checks it."""

from __future__ import annotations

from shared.protocol.values import Address, GroupAddress, fold
from shared.protocol.values import Conversation as ConversationAddress
from ws_server.store.conversations import Conversation

MAX_PRIVATE = 50_000
MAX_GROUP_MEMBERS = 500_000
"""Members of all cached groups together, about 100 MB."""


class Cache:
    """The conversations written to lately; the first to come is the first to go."""

    def __init__(self) -> None:
        # Both people of a private chat name it differently but must share one copy.
        self._private: dict[tuple[int, str], int] = {}
        self._chats: dict[int, Conversation] = {}
        self._groups: dict[str, Conversation] = {}
        self._group_members = 0

    def get(self, sender: int, target: ConversationAddress) -> Conversation | None:
        """Return what `sender` means by `target`, if it is known and he is in it."""
        if type(target) is Address:
            id = self._private.get((sender, fold(str(target))))
            return None if id is None else self._chats.get(id)
        assert isinstance(target, GroupAddress)
        group = self._groups.get(fold(str(target)))
        return group if group is not None and sender in group.members else None

    def put_private(self, sender: int, target: Address, conversation: Conversation) -> None:
        """Keep a private chat under the address its sender used."""
        self._chats[conversation.id] = conversation
        self._private[sender, fold(str(target))] = conversation.id
        if len(self._private) > MAX_PRIVATE:
            self._chats.pop(self._private.pop(next(iter(self._private))), None)

    def drop_group(self, address: str) -> None:
        """Forget a group, of which an older version counts again."""
        if dropped := self._groups.pop(fold(address), None):
            self._group_members -= len(dropped.members)

    def drop_groups_of(self, realm: str) -> None:
        """Forget all groups of a host."""
        for address in [a for a in self._groups if a.endswith(f"@{fold(realm)}")]:
            self.drop_group(address)

    def put_group(self, group: Conversation) -> None:
        """Keep a group, unless a newer copy is known."""
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
