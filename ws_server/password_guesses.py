"""Wrong passwords and codes: how many an address may try, and how many an account takes.

A pair of address and account has a budget of its own. So has an address over all accounts, and an
account over all addresses: neither many accounts nor many addresses make guesses cheap. These two
do not bind a pair that belongs together. Where somebody has a session, they can sign in again,
however many others guess at their account or from beside them.

Addresses are those of connections; IPv6 counts by its /64, and the /48 around it has twice the
budget of one.
"""

from __future__ import annotations

from shared.addresses import network
from shared.token_buckets import Buckets, rate_limited
from ws_server.limits import NetworkBuckets


class Guesses:
    """Counts wrong passwords. `on` is false with `--rate-limits off`; then all is allowed."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._pairs = Buckets(rate=1 / 10, burst=5)
        self._addresses = NetworkBuckets(rate=1 / 4, burst=50)
        self._accounts = Buckets(rate=1 / 60, burst=50)
        self._accounts_at_home = Buckets(rate=1 / 5, burst=100)

    def begin(self, address: str, account: str, at_home: bool) -> None:
        """Count a try before it is checked; end it with `forgive` or `wrong`.

        Args:
            account: The folded name, whether or not somebody has it.
            at_home: The account has a session in this network.

        Raises:
            ChatError: RATE_LIMITED.
        """
        if not self.on:
            return
        pair, of_account = (network(address), account), self._of_account(at_home)
        if wait := self._pairs.wait(pair):
            raise rate_limited(wait, "Too many wrong passwords for this account from your address")
        if not at_home:
            self.check(address)
        if wait := of_account.wait(account):
            raise rate_limited(
                wait, "Too many wrong passwords for this account; sign in where it has a session"
            )
        self._pairs.spend(pair)
        of_account.spend(account)

    def forgive(self, address: str, account: str, at_home: bool) -> None:
        """A right password, or one that could not be checked, costs nothing."""
        if self.on:
            self._pairs.give_back((network(address), account))
            self._of_account(at_home).give_back(account)

    def wrong(self, address: str, at_home: bool = False) -> None:
        """Charge a wrong guess to its address.

        Many people behind one address sign in at once, so only wrong ones count there. The guesses
        under way meanwhile are charged too, and keep the address waiting for longer.
        """
        if self.on and not at_home:
            self._addresses.spend(address)

    def begin_code(self, address: str) -> None:
        """Count a try of a code before it is looked up; `code_fits` gives it back.

        Raises:
            ChatError: RATE_LIMITED.
        """
        self.check(address)
        self.wrong(address)

    def code_fits(self, address: str) -> None:
        """A right code, or one that could not be looked up, costs nothing."""
        if self.on:
            self._addresses.give_back(address)

    def check(self, address: str) -> None:
        """Let an address guess, unless it guessed wrong too often.

        Raises:
            ChatError: RATE_LIMITED.
        """
        if self.on and (wait := self._addresses.wait(address)):
            raise rate_limited(wait, "Too many wrong passwords or codes from your address")

    def _of_account(self, at_home: bool) -> Buckets:
        return self._accounts_at_home if at_home else self._accounts
