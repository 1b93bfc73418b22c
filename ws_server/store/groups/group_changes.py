"""What a transaction changed in a group, whether this realm hosts it or another one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ws_server.store.conversations import Conversation

JOINED, LEFT, REMOVED, INVITED = "joined", "left", "removed", "invited"


@dataclass(frozen=True, slots=True)
class PersonChange:
    """What a transaction changed for one person, and who is told."""

    name: str
    change: str = ""
    """JOINED, LEFT, REMOVED or INVITED; empty if nothing was changed for them."""
    told: Collection[int] = ()
    """User ids: of the members before and after, or of the person alone."""
    realm_id: int | None = None
    """The person's realm; None if it is this one, or the group is hosted elsewhere."""
    by: int | None = None
    """Who invited them, if this realm hosts the group."""


@dataclass(frozen=True, slots=True)
class GroupChange:
    """What a transaction changed in a group."""

    group: Conversation
    """As it is now."""
    people: Sequence[PersonChange]
    """In the order in which it is told. Of a group hosted here always one, whom it was about."""
    members_changed: bool = False
    """Whether members came, went or changed roles; `group` has all its members then."""

    @property
    def person(self) -> PersonChange:
        """Whom a change of a group hosted here was about."""
        return self.people[0]


def joined(group: Conversation, user_id: int, *, by: int | None = None) -> GroupChange:
    """Return that somebody has joined a group hosted here.

    Args:
        group: With all its members.
    """
    member = group.members[user_id]
    person = PersonChange(member.name, JOINED, group.members, member.realm_id, by)
    return GroupChange(group, [person], members_changed=True)


def unchanged(group: Conversation, name: str) -> GroupChange:
    """Return that nothing had to be changed for somebody."""
    return GroupChange(group, [PersonChange(name)])


def told_alone(group: Conversation, user_id: int, name: str, change: str) -> GroupChange:
    """Return a change of an invitation, of which only the person is told."""
    return GroupChange(group, [PersonChange(name, change, (user_id,))])
