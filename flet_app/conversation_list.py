"""All conversations of one person, in the order of their list.

Pure. The realm's lists give the order; what happens moves a conversation to the top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flet_app.conversation import AppConversation
from flet_app.order import in_order
from shared.folding import fold_text
from shared.protocol.commands.groups import JOINING, GroupChat
from shared.protocol.commands.private import PrivateChat
from shared.protocol.values import fold


class ConversationList(dict[str, AppConversation]):
    """By address in lower case; the one with the latest activity is last."""

    def of(self, address: str) -> AppConversation:
        """Return a conversation; a new one is added."""
        key = fold(address)
        found = self.get(key)
        if found is None:
            found = self[key] = AppConversation(address)
        return found

    def matching(self, wanted: str = "") -> list[AppConversation]:
        """Return the conversations to show: by activity, or by how well they match the filter."""
        listed = list(reversed(self.values()))
        if not (wanted := fold_text(wanted).strip()):
            return listed
        nearness = [(near, c) for c in listed if (near := c.nearness(wanted)) is not None]
        return [c for _, c in sorted(nearness, key=lambda found: found[0])]

    @property
    def unread(self) -> int:
        """The number of unread messages."""
        return sum(c.unread for c in self.values())

    def to_top(self, c: AppConversation) -> None:
        """Make a conversation the first one of the list, if it still is in it."""
        key = fold(c.address)
        if self.pop(key, None) is not None:
            self[key] = c

    def apply(
        self,
        chats: Sequence[PrivateChat],
        groups: Sequence[GroupChat],
        known: Mapping[str, int],
        now: int,
    ) -> list[AppConversation]:
        """Apply the lists of all conversations.

        Args:
            known: See `AppState.lists`.
            now: Unix milliseconds.

        Returns:
            The groups that have been left; they are removed.
        """
        before = list(reversed(self.values()))
        newer = set()
        for chat in chats:
            c = self.of(chat.conversation)
            if c.is_ahead(chat.last_seq):
                newer.add(c)
            c.address = chat.conversation
            c.standing(chat.last_seq, chat.read_seq, chat.unread, chat.last)
            c.other_received = max(c.other_received, chat.other_received_seq)
            c.other_read = max(c.other_read, chat.other_read_seq)
        for group in groups:
            c = self.of(group.group)
            if c.is_ahead(group.last_seq):
                newer.add(c)
            c.name, c.role, c.members = group.name, group.role, group.members
            c.joining = group.history == JOINING
            c.standing(group.last_seq, group.read_seq, group.unread, group.last)
        present = {fold(group.group) for group in groups}
        left = [
            c
            for key, c in self.items()
            if c.is_group and key not in present and known.get(key) == c.last_seq
        ]
        for c in left:
            del self[fold(c.address)]
        listed = [self.of(address) for address in in_order(chats, groups, now)]
        self._arrange(before, [c for c in listed if c not in newer])
        return left

    def _arrange(self, before: list[AppConversation], listed: list[AppConversation]) -> None:
        """Sort the list as the realm does; conversations it does not list keep their position.

        Args:
            before: All conversations before this.
            listed: The conversations that the realm lists.
        """
        ordered, kept = list(listed), set(listed)
        for place, c in enumerate(before):
            if c not in kept and fold(c.address) in self:
                ordered.insert(place, c)
        self.clear()
        self.update((fold(c.address), c) for c in reversed(ordered))
