"""The people, groups, realms and files that this client has seen, for completion and printed
lines."""

from __future__ import annotations

from typing import Any

from shared.bounded import BoundedDict
from shared.protocol.commands.groups import (
    GroupChanged,
    GroupChats,
    GroupCreated,
    GroupMembers,
    GroupPerson,
)
from shared.protocol.commands.history import Synced
from shared.protocol.commands.messages import Message, MessageArrived, Page, Sent
from shared.protocol.commands.private import PrivateChats
from shared.protocol.commands.realms import RealmAdded, RealmLink, Realms
from shared.protocol.values import fold

MAX_NAMES = 2_000
"""Names kept of each kind; the latest stay."""


class RecentNames:
    """Names in the order of their last mention, ignoring case."""

    def __init__(self) -> None:
        self._names: BoundedDict[str, tuple[str, str]] = BoundedDict(MAX_NAMES)

    def add(self, name: str, about: str = "") -> None:
        """Note a name, and what there is to say about it."""
        self._names[fold(name)] = (name, about)

    def about(self, name: str) -> str:
        """Return the description of a name; empty if unknown."""
        return self._names.get(fold(name), ("", ""))[1]

    def latest_first(self) -> list[tuple[str, str]]:
        return list(reversed(self._names.values()))


class KnownNames:
    """All known names."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Drop everything: another user has signed in."""
        self.people = RecentNames()
        # Addresses such as `#12`, with the groups' names.
        self.groups = RecentNames()
        self.realms = RecentNames()
        # Ids such as `f_...`, with the files' names.
        self.files = RecentNames()

    def learn(self, said: Any) -> None:
        """Collect the names in a reply or an event."""
        match said:
            case Message():
                self._message(said)
            case Page() | Synced():
                for message in said.messages:
                    self._message(message)
            case Sent():
                self._conversation(said.conversation)
            case PrivateChats():
                for chat in reversed(said.conversations):
                    self._conversation(chat.conversation)
            case Realms():
                for realm in said.realms:
                    self.realms.add(realm.realm, f"link {realm.link}")
            case RealmAdded() | RealmLink():
                self.realms.add(said.realm, f"link {said.link}")
            case _:
                self._learn_of_groups(said)

    def _learn_of_groups(self, said: Any) -> None:
        match said:
            case GroupChats():
                for group in reversed(said.groups):
                    self.groups.add(group.group, group.name)
            case GroupCreated():
                self.groups.add(said.group, said.name)
            case GroupChanged():
                self.groups.add(said.group, said.name)
                self.people.add(said.user)
            case GroupMembers():
                for member in said.members:
                    self.people.add(member.user)
            case GroupPerson():
                self.people.add(said.user)

    def name_group(self, message: MessageArrived) -> None:
        """Add the group's name to a message of a group; JSON events do not carry it."""
        if message.conversation.startswith("#"):
            message.group_name = self.groups.about(message.conversation)

    def _message(self, message: Message) -> None:
        self._conversation(message.conversation)
        self.people.add(message.sender)
        if message.file is not None:
            self.files.add(message.file.id, message.file.name)

    def _conversation(self, conversation: str) -> None:
        if conversation.startswith("#"):
            self.groups.add(conversation, self.groups.about(conversation))
        else:
            self.people.add(conversation)
