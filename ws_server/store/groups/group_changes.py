"""The changes that one transaction made to a group, hosted here or elsewhere."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ws_server.store.conversations import Conversation

JOINED, LEFT, REMOVED, INVITED = "joined", "left", "removed", "invited"
HISTORY = "history"
"""The owner chose what new members may read."""


@dataclass(frozen=True, slots=True)
class PersonChange:
    """A change for one person, and the users to notify."""

    name: str
    change: str = ""
    """JOINED, LEFT, REMOVED, INVITED or HISTORY; empty if nothing changed for them."""
    told: Collection[int] = ()
    """The user ids to notify: the members before and after, or the person alone."""
    realm_id: int | None = None
    """The person's realm; None if it is this one, or if another realm hosts the group."""
    by: int | None = None
    """The inviter, if this realm hosts the group."""
    joining: bool = False
    """With HISTORY: new members read only messages sent after they join."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """The changes that one transaction made to a group."""

    group: Conversation
    """The group after the change."""
    people: Sequence[PersonChange]
    """In the order of publication. Exactly one entry for a group hosted here."""
    members_changed: bool = False
    """Whether members came, left or changed roles; `group` then has all its members."""

    @property
    def person(self) -> PersonChange:
        """The person whom a change of a group hosted here concerns."""
        return self.people[0]


def joined(group: Conversation, user_id: int, *, by: int | None = None) -> GroupChange:
    """Return the change for a user who joined a group hosted here.

    Args:
        group: The group with all its members.
        by: The inviter's user id.
    """
    member = group.members[user_id]
    person = PersonChange(member.name, JOINED, group.members, member.realm_id, by)
    return GroupChange(group, [person], members_changed=True)


def unchanged(group: Conversation, name: str) -> GroupChange:
    """Return an empty change for a person."""
    return GroupChange(group, [PersonChange(name)])


def private_change(group: Conversation, user_id: int, name: str, change: str) -> GroupChange:
    """Return a change that only the person is notified of, such as an invitation."""
    return GroupChange(group, [PersonChange(name, change, (user_id,))])
