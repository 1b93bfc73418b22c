"""Whose account an old name means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.protocol.values import NAME, BadValue, fold
from ws_server.admin.old_data import OldUser, pairs


class People:
    """The accounts of the realm and of the folder, by the names the old system had for them."""

    def __init__(self, accounts: Mapping[str, tuple[int, str]]) -> None:
        """Begin with the realm's accounts: id and name by folded name."""
        self._accounts = accounts
        self._old: dict[str, str] = {}
        self._twins: set[str] = set()
        self.new: dict[str, OldUser] = {}
        """Those without an account here, by folded name."""

    def add(self, found: Iterable[OldUser]) -> list[tuple[OldUser, str]]:
        """Add the people of the folder.

        Returns:
            Those whose names differ from another one's in case only, which is no difference here,
            with that other name. They get nothing: one person's messages must not become
            another's.
        """
        # Who has the account already keeps it; otherwise the first one gets it.
        by_claim = sorted(found, key=lambda user: self._shown(fold(user.name)) != user.name)
        refused = []
        for user in by_claim:
            folded = fold(user.name)
            if (first := self._old.setdefault(folded, user.name)) != user.name:
                self._twins.add(user.name)
                refused.append((user, first))
            elif folded not in self._accounts:
                self.new[folded] = user
        return refused

    def _shown(self, folded: str) -> str:
        _, name = self._accounts.get(folded, (0, ""))
        return name

    def find(self, name: object) -> str | None:
        """Return the folded name of the account that an old name means; None if there is none."""
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in self._twins:
            return None
        folded = fold(name)
        return folded if folded in self.new or folded in self._accounts else None

    def id(self, folded: str) -> int | None:
        """Return the id of an account the realm has already."""
        found = self._accounts.get(folded)
        return found[0] if found else None

    def of_chat(self, stem: str, history: Iterable[object]) -> tuple[str, str]:
        """Return the two people whose private chat a file is, by its name and its senders.

        Raises:
            BadValue: it may be nobody's, or that of several pairs.
        """
        found: dict[tuple[str, str], None] = {}
        for one, other in pairs(stem):
            a, b = self.find(one), self.find(other)
            if a is not None and b is not None:
                found[min(a, b), max(a, b)] = None
        if not found:
            raise BadValue(
                "its name is not that of two accounts joined by _; add who is missing to users"
            )
        senders = {self.find(entry.get("sender")) for entry in history if isinstance(entry, dict)}
        fitting = [pair for pair in found if senders - {None} <= set(pair)]
        if len(fitting) == 1:
            return fitting[0]
        if len(found) == 1:
            return next(iter(found))
        either = ", or of ".join(f"{a} and {b}" for a, b in found)
        raise BadValue(
            f"may be the chat of {either}, and its senders do not tell; "
            'add an entry {"sender": NAME} for each of the two'
        )
