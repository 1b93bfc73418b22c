"""Whole groups as the writer saw them last, so that no change of one member reads thousands.

A group is found here only at the version that the transaction sees, which rises with every change
of its members. What a transaction leaves here counts once it is on disk; until then for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from sqlalchemy import Connection

from shared.bounded import BoundedDict

if TYPE_CHECKING:
    from ws_server.store.conversations import Conversation

MAX_REMEMBERED = 16
"""Groups, the ones that changed last."""


class GroupMemory:
    """The groups whose members changed last; it belongs to the writer's thread."""

    def __init__(self) -> None:
        self._kept: BoundedDict[int, Conversation] = BoundedDict(MAX_REMEMBERED)
        self._new: dict[int, Conversation] = {}

    def begin(self) -> None:
        """A transaction begins, or was undone up to a savepoint: forget what it left so far."""
        self._new.clear()

    def commit(self) -> None:
        """The transaction is on disk."""
        for id, group in self._new.items():
            self._kept[id] = group
        self._new.clear()

    def get(self, id: int, version: int) -> Conversation | None:
        """Return a group with all its members as it is at a version."""
        for known in (self._new.get(id), self._kept.get(id)):
            if known is not None and known.version == version:
                return known
        return None

    def keep(self, group: Conversation) -> None:
        """Remember a group as it is in this transaction, with all its members."""
        self._new[group.id] = group


def group_memory(tx: Connection) -> GroupMemory:
    """Return the memory of the database that this transaction writes to."""
    return cast(GroupMemory, tx.get_execution_options()["groups"])
