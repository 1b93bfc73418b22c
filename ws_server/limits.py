"""Rate limits of each user, address and realm."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.addresses import neighbourhood, network, site
from shared.protocol.errors import ChatError
from shared.token_buckets import Buckets, rate_limited

if TYPE_CHECKING:
    from ws_server.store.federation.realms import KnownRealm

LONGEST_TURN = 2.0
"""Seconds that a change of a group may wait for its turn; above, it is refused."""
REFUSED_UNIT = 16 * 1024
"""Bytes of a refused frame that count as one more command."""


WRITTEN, WRITTEN_AT_ONCE = 16 * 2**10, 4 * 2**20
"""Bytes of one user's commands, files excluded: a second, and at once."""


class NetworkBuckets:
    """A bucket for each network, and one of twice the size for the network around it.

    Callers pass the address of a connection; see `shared.addresses`.
    """

    def __init__(
        self, rate: float, burst: float, around: Callable[[str], str | None] = site
    ) -> None:
        """Make empty buckets.

        Args:
            around: Maps a network to the one around it; None if that is not counted.
        """
        self._networks = Buckets(rate, burst)
        self._around = around
        self._wider = Buckets(2 * rate, 2 * burst)

    def wait(self, address: str) -> float:
        """Return the seconds until a token is available; 0 if one is now."""
        around = self._around(address)
        of_all = 0.0 if around is None else self._wider.wait(around)
        return max(self._networks.wait(network(address)), of_all)

    def take(self, address: str) -> None:
        """Consume a token.

        Raises:
            ChatError: RATE_LIMITED.
        """
        if wait := self.wait(address):
            raise rate_limited(wait)
        self.spend(address)

    def spend(self, address: str) -> None:
        """Consume a token even if none is available."""
        self._networks.spend(network(address))
        if (around := self._around(address)) is not None:
            self._wider.spend(around)

    def give_back(self, address: str) -> None:
        """Undo a `spend`."""
        self._networks.give_back(network(address))
        if (around := self._around(address)) is not None:
            self._wider.give_back(around)


@dataclass(frozen=True, slots=True)
class RealmBuckets:
    """The budget of each realm of one class."""

    work: Buckets
    """Rows a second; other work counts as rows."""
    questions: Buckets
    misses: Buckets
    """Requests for names that do not exist; the bound keeps names from being enumerated."""


class RateLimits:
    """All rate limits of section 6 of the contract; with `--rate-limits off` every check passes."""

    MAX_ERRORS, ERROR_WINDOW = 1_000, 60.0
    """More error replies than this within so many seconds close a connection."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._commands = Buckets(rate=50, burst=1_000)
        self._content_bytes = Buckets(rate=16 * 2**20, burst=64 * 2**20)
        self._written = Buckets(rate=WRITTEN, burst=WRITTEN_AT_ONCE)
        self._registrations = NetworkBuckets(rate=30 / 600, burst=30)
        self._taken_names = NetworkBuckets(rate=30 / 600, burst=30)
        self._first_contacts = NetworkBuckets(rate=10 / 3600, burst=10, around=neighbourhood)
        self._added_realms = Buckets(rate=10 / 3600, burst=10)
        self._adding_addresses = NetworkBuckets(rate=10 / 3600, burst=10, around=neighbourhood)
        self._links = Buckets(rate=0.2, burst=20)
        self._realms = RealmBuckets(
            work=Buckets(rate=10_000, burst=50_000),
            questions=Buckets(rate=50, burst=1_000),
            misses=Buckets(rate=1, burst=300),
        )
        self._strange_realms = RealmBuckets(
            work=Buckets(rate=50, burst=10_000),
            questions=Buckets(rate=5, burst=100),
            misses=Buckets(rate=0.1, burst=30),
        )
        self._all_strange_work = Buckets(rate=200, burst=50_000)
        self._strange_people = Buckets(rate=0.1, burst=200)
        self._group_changes = NetworkBuckets(rate=20, burst=20)
        self._invitations = Buckets(rate=0.2, burst=100)
        self._realm_invitations = Buckets(rate=2, burst=1_000)
        self._waiting_invitations = Buckets(rate=0.1, burst=1_000)

    def command(self, who: Hashable, size: int = 0) -> None:
        """Count a command and its bytes for a user, or for an address that has not signed in."""
        if self.on:
            self._commands.take(who)
            try:
                # Texts fill the disk as well.
                self._written.take(who, min(size, WRITTEN_AT_ONCE))
            except ChatError as error:
                error.message = "That is too much text; wait a little, or send it as a file"
                raise

    def refused(self, who: Hashable, size: int) -> None:
        """Count a frame that could not be parsed; a large one counts as several commands."""
        if self.on:
            self._commands.take(who, 1 + size / REFUSED_UNIT)

    def content(self, who: Hashable, size: int, is_chunk: bool) -> None:
        """Count bytes of a file; any piece that is not a chunk counts as a command too."""
        if self.on:
            if not is_chunk:
                self._commands.take(who)
            self._content_bytes.take(who, size)

    def first_contact(self, address: str) -> None:
        """Count an attempt to link by a realm that is not known here."""
        if self.on:
            self._first_contacts.take(address)

    def added_realm(self, user_id: int, address: str) -> None:
        """Count a user's attempt to add a realm."""
        if self.on:
            self._added_realms.take(user_id)
            self._adding_addresses.take(address)

    def link(self, realm: KnownRealm) -> None:
        """Count the start of a link: each costs a few writes and log lines."""
        if self.on:
            self._links.take(realm.id)

    def frame(self, realm: KnownRealm, rows: int) -> float:
        """Count a frame of a link as `rows` rows; return the seconds to stop reading."""
        return self._work(realm, rows)

    def rows(self, realm: KnownRealm, count: int, size: int) -> float:
        """Count rows received over a link; return how many seconds they must wait.

        4 KiB of a realm confirmed by a local user count as one more row; of any other realm, 1 KiB
        counts as one more row, and a row as five.
        """
        if realm.vouched:
            return self._work(realm, count + size / 4096)
        return self._work(realm, 5 * count + size / 1024)

    def _work(self, realm: KnownRealm, amount: float) -> float:
        if not self.on:
            return 0.0
        if realm.vouched:
            return self._realms.work.overdraw(realm.id, amount)
        return max(
            self._strange_realms.work.overdraw(realm.id, amount),
            self._all_strange_work.overdraw(None, amount),
        )

    def question(self, realm: KnownRealm) -> None:
        """Count one request of another realm."""
        if self.on:
            self._of(realm).questions.take(realm.id)

    def name(self, realm: KnownRealm) -> None:
        """Count a name that another realm asks for, before the lookup."""
        if self.on:
            self._of(realm).misses.take(realm.id)

    def name_was_there(self, realm: KnownRealm) -> None:
        """Refund the lookup of a name that exists."""
        if self.on:
            self._of(realm).misses.give_back(realm.id)

    def names_of_nobody(self, realm: KnownRealm, count: int) -> float:
        """Count names that do not exist; return how many seconds the answer must wait."""
        return self._of(realm).misses.overdraw(realm.id, count) if self.on and count else 0.0

    def new_people(self, realm: KnownRealm, count: int) -> float:
        """Count new users of an unconfirmed realm; return how many seconds they must wait."""
        return self._strange_people.overdraw(realm.id, count) if self.on and count else 0.0

    def _of(self, realm: KnownRealm) -> RealmBuckets:
        return self._realms if realm.vouched else self._strange_realms

    def group_change(self, address: str) -> float:
        """Count a membership change of a group; return how many seconds it must wait.

        It is pushed to all members, and delays the messages of others.

        Raises:
            ChatError: RATE_LIMITED, the wait would exceed LONGEST_TURN.
        """
        if not self.on:
            return 0.0
        wait = self._group_changes.wait(address)
        if wait > LONGEST_TURN:
            raise rate_limited(wait)
        self._group_changes.spend(address)
        return wait

    def invitation(self, who: Hashable) -> None:
        """Count an invitation by a user of this realm or another one."""
        if self.on:
            self._invitations.take(who)

    def realm_invitation(self, realm_id: int) -> None:
        """Count an invitation by any user of another realm."""
        if self.on:
            self._realm_invitations.take(realm_id)

    def waiting_invitation(self, realm_id: int) -> None:
        """Count a new pending invitation to a group of another realm."""
        if self.on:
            self._waiting_invitations.take(realm_id)

    def registration(self, address: str) -> None:
        """Count an attempt to register, before any lookup for it.

        Raises:
            ChatError: RATE_LIMITED, too many accounts, or too many attempts at taken names.
        """
        if self.on:
            if wait := max(self._registrations.wait(address), self._taken_names.wait(address)):
                raise rate_limited(wait)
            self._registrations.spend(address)

    def name_was_taken(self, address: str) -> None:
        """Move the count of an attempt that made no account, but revealed that a name is taken."""
        if self.on:
            self._registrations.give_back(address)
            self._taken_names.spend(address)
