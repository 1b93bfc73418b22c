"""People of this realm whom another realm's group has as new members: in, waiting, or turned away.

The host alone gives roles and places, but nobody here gets into a group by its word: not if they
block the inviter, and not at once if they have never written to them. What the host says of the
inviter counts only for its own people; those of this realm are known from what they asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from ws_server.store.accounts import blocks, users
from ws_server.store.federation.realms import KnownRealm
from ws_server.store.groups import invitations
from ws_server.store.groups.invitations import Invitation

Expected = tuple[int, int | None]
"""A person here and a group's number; None for the group that they are just creating."""


@dataclass(slots=True)
class Admission:
    """What decides about new members, and what was decided."""

    waits: bool = False
    """Invitations by strangers have to be accepted."""
    expected: Container[Expected] = ()
    """Those about whom this realm has asked the host itself, for a person of its own."""
    may_wait: Callable[[], bool] = lambda: True
    """Whether the host may let one more invitation wait now; asked once for each."""
    inside: set[int] = field(default_factory=set)
    """Those who are now in the group, by user id."""
    invited: dict[int, Invitation] = field(default_factory=dict)
    """Those who have to accept first, or have declined."""
    turned_away: list[str] = field(default_factory=list)
    """The names of those whom the host should let go."""

    def decide(
        self,
        tx: Connection,
        host: KnownRealm,
        number: int,
        new: Mapping[int, Invitation],
        known: Mapping[int, Invitation],
        inviter: tuple[int, bool] | None,
    ) -> None:
        """Decide about the people of this realm who are new in a group.

        Args:
            new: What they are in it, by user id.
            known: The invitations that are here already, also those that were declined.
            inviter: Who invited them, as the host says, and whether that is a person of its own.
        """
        for user_id, what in new.items():
            asked = (user_id, number) in self.expected
            if asked or (what.owner and (user_id, None) in self.expected):
                self.inside.add(user_id)
            elif user_id in known:
                self.invited[user_id] = what
            elif inviter is not None and blocks.blocks(tx, user_id, inviter[0]):
                self.turned_away.append(users.name_of(tx, user_id))
                if invitations.has_room(tx, user_id, host.id) and self.may_wait():
                    # Noted, as the host may tell again that they are in it, and not by whom.
                    self.invited[user_id] = replace(what, declined=True)
            elif not self.waits or (
                inviter is not None
                and inviter[1]
                and invitations.has_written(tx, user_id, inviter[0])
            ):
                self.inside.add(user_id)
            elif invitations.has_room(tx, user_id, host.id) and self.may_wait():
                self.invited[user_id] = what
            else:
                self.turned_away.append(users.name_of(tx, user_id))


def inviter(
    tx: Connection, host: KnownRealm, name: str, realm_id: int | None
) -> tuple[int, bool] | None:
    """Return who a host says has invited somebody, if they are known here.

    Args:
        realm_id: The person's realm; None for this one.
    """
    found = users.find(tx, name) if realm_id is None else users.find_of(tx, realm_id, name)
    return None if found is None else (found.id, realm_id == host.id)
