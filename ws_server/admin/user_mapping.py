"""The mapping of old names to accounts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.protocol.values import NAME, BadValue, fold
from ws_server.admin.old_data import OldUser, pairs


class People:
    """The accounts of the realm and of the folder, by their names in the old system."""

    def __init__(self, accounts: Mapping[str, tuple[int, str]]) -> None:
        """Begin with the realm's accounts: id and name by folded name."""
        self._accounts = accounts
        self._old: dict[str, str] = {}
        self._twins: set[str] = set()
        self.new: dict[str, OldUser] = {}
        """Users without an account here, by folded name."""

    def add(self, found: Iterable[OldUser]) -> list[tuple[OldUser, str]]:
        """Add the users of the folder.

        Returns:
            Each user whose name differs from another's in case only, and that other name. Names
            here ignore case, so they are skipped: one user's messages must not become another's.
        """
        # An account of the realm has precedence; otherwise the first user gets the name.
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
        """Return the folded name of the account that an old name means; None if unknown."""
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in self._twins:
            return None
        folded = fold(name)
        return folded if folded in self.new or folded in self._accounts else None

    def id(self, folded: str) -> int | None:
        """Return the id of an account that the realm has already; None for a new one."""
        found = self._accounts.get(folded)
        return found[0] if found else None

    def of_chat(self, stem: str, history: Iterable[object]) -> tuple[str, str]:
        """Return the two users of a private chat, from its file name and its senders.

        Raises:
            BadValue: no pair fits, or several do.
        """
        found: dict[tuple[str, str], None] = {}
        for one, other in pairs(stem):
            a, b = self.find(one), self.find(other)
            if a is not None and b is not None:
                found[min(a, b), max(a, b)] = None
        if not found:
            raise BadValue(
                "its name is not that of two accounts joined by _; add the missing one to users"
            )
        senders = {self.find(entry.get("sender")) for entry in history if isinstance(entry, dict)}
        fitting = [pair for pair in found if senders - {None} <= set(pair)]
        if len(fitting) == 1:
            return fitting[0]
        if len(found) == 1:
            return next(iter(found))
        either = ", or of ".join(f"{a} and {b}" for a, b in found)
        raise BadValue(
            f"may be the chat of {either}, and its senders do not decide; "
            'add an entry {"sender": NAME} for each of the two'
        )
