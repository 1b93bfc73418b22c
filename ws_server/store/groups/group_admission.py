"""Admission of local users whom another realm's group lists as new members.

The host alone assigns roles and places, but its roster alone does not admit a local user. A user
who blocks the inviter is turned away. A user who has never written to the inviter gets a pending
invitation. The host's statement about the inviter counts only if that is one of its own users;
requests made by local users are recorded here.
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
"""A local user and a group's number; None for the group that they are just creating."""


@dataclass(slots=True)
class Admission:
    """The rules for admitting new members, and the decisions made."""

    waits: bool = False
    """Whether invitations from strangers must be accepted."""
    expected: Container[Expected] = ()
    """The admissions that this realm itself requested from the host, for a local user."""
    may_wait: Callable[[], bool] = lambda: True
    """Return whether the host may add one more pending invitation now; called once for each."""
    inside: set[int] = field(default_factory=set)
    """Admitted users, by id."""
    invited: dict[int, Invitation] = field(default_factory=dict)
    """Users who must accept first, or who have declined."""
    turned_away: list[str] = field(default_factory=list)
    """The names of users whom the host is asked to remove."""

    def decide(
        self,
        tx: Connection,
        host: KnownRealm,
        number: int,
        new: Mapping[int, Invitation],
        known: Mapping[int, Invitation],
        inviter: tuple[int, bool] | None,
    ) -> None:
        """Decide about the local users who are new in a group.

        Args:
            new: Their roles and positions, by user id.
            known: The stored invitations, including declined ones.
            inviter: The inviter according to the host, and whether they are one of its own users.
        """
        for user_id, invitation in new.items():
            asked = (user_id, number) in self.expected
            if asked or (invitation.owner and (user_id, None) in self.expected):
                self.inside.add(user_id)
            elif user_id in known:
                self.invited[user_id] = invitation
            elif inviter is not None and blocks.blocks(tx, user_id, inviter[0]):
                self.turned_away.append(users.name_of(tx, user_id))
                if invitations.has_room(tx, user_id, host.id) and self.may_wait():
                    # Stored, because the host may announce them again without an inviter.
                    self.invited[user_id] = replace(invitation, declined=True)
            elif not self.waits or (
                inviter is not None
                and inviter[1]
                and invitations.has_written(tx, user_id, inviter[0])
            ):
                self.inside.add(user_id)
            elif invitations.has_room(tx, user_id, host.id) and self.may_wait():
                self.invited[user_id] = invitation
            else:
                self.turned_away.append(users.name_of(tx, user_id))


def inviter(
    tx: Connection, host: KnownRealm, name: str, realm_id: int | None
) -> tuple[int, bool] | None:
    """Return the inviter named by a host, if known here, and whether they are the host's user.

    Args:
        realm_id: The inviter's realm; None for this one.
    """
    found = users.find(tx, name) if realm_id is None else users.find_of(tx, realm_id, name)
    return None if found is None else (found.id, realm_id == host.id)
