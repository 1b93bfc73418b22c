"""The writer's copies of whole groups, so that changing one member does not load thousands.

A copy is used only if its version is the one that the transaction sees; the version rises with
every change of members. Copies made inside a transaction become permanent when it commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection

from shared.bounded import BoundedDict

if TYPE_CHECKING:
    from ws_server.store.conversations import Conversation

MAX_REMEMBERED = 16
"""Groups remembered, the most recently changed ones."""


class GroupMemory:
    """The most recently changed groups, with all members; used by the writer's thread alone."""

    def __init__(self) -> None:
        self._kept: BoundedDict[int, Conversation] = BoundedDict(MAX_REMEMBERED)
        self._new: dict[int, Conversation] = {}

    def begin(self) -> None:
        """Discard this transaction's copies, at its start or after a rollback to a savepoint."""
        self._new.clear()

    def commit(self) -> None:
        """Keep the copies of this transaction, which has been committed."""
        for id, group in self._new.items():
            self._kept[id] = group
        self._new.clear()

    def get(self, id: int, version: int) -> Conversation | None:
        """Return a group with all its members at this version; None if there is no such copy."""
        for known in (self._new.get(id), self._kept.get(id)):
            if known is not None and known.version == version:
                return known
        return None

    def keep(self, group: Conversation) -> None:
        """Store a copy of a group with all its members, as this transaction sees it."""
        self._new[group.id] = group


def group_memory(tx: Connection) -> GroupMemory:
    """Return the group memory of the database that this transaction writes to."""
    return cast(GroupMemory, tx.get_execution_options()["groups"])
