"""Budgets of wrong passwords and codes, for each address and each account.

Each pair of address and account has a budget of its own. So has each address over all accounts, and
each account over all addresses: guesses are limited even from many addresses or at many accounts.
The last two do not bind an account where it has a session already. Its user can sign in again
there, however many others guess at the account or from neighbouring addresses.

Addresses are those of connections. IPv6 counts by its /64; the surrounding /48 has twice that
budget.
"""

from __future__ import annotations

from shared.addresses import network
from shared.token_buckets import Buckets, rate_limited
from ws_server.limits import NetworkBuckets


class Guesses:
    """Counts wrong passwords and codes. If `on` is false, every attempt is allowed."""

    def __init__(self, on: bool) -> None:
        self.on = on
        self._pairs = Buckets(rate=1 / 10, burst=5)
        self._addresses = NetworkBuckets(rate=1 / 4, burst=50)
        self._accounts = Buckets(rate=1 / 60, burst=50)
        self._accounts_at_home = Buckets(rate=1 / 5, burst=100)

    def begin(self, address: str, account: str, at_home: bool) -> None:
        """Count an attempt before the check; end it with `forgive` or `wrong`.

        Args:
            account: The folded name, whether or not the account exists.
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
        """Refund an attempt with a right password, or one that could not be checked."""
        if self.on:
            self._pairs.give_back((network(address), account))
            self._of_account(at_home).give_back(account)

    def wrong(self, address: str, at_home: bool = False) -> None:
        """Charge a wrong guess to its address.

        Many people behind one address sign in at once, so only wrong guesses count there. Guesses
        that are still being checked count too, and prolong the wait of the address.
        """
        if self.on and not at_home:
            self._addresses.spend(address)

    def begin_code(self, address: str) -> None:
        """Count an attempt at a code before the lookup; `code_fits` refunds it.

        Raises:
            ChatError: RATE_LIMITED.
        """
        self.check(address)
        self.wrong(address)

    def code_fits(self, address: str) -> None:
        """Refund an attempt with a right code, or one that could not be looked up."""
        if self.on:
            self._addresses.give_back(address)

    def check(self, address: str) -> None:
        """Refuse an address that has used up its budget of wrong guesses.

        Raises:
            ChatError: RATE_LIMITED.
        """
        if self.on and (wait := self._addresses.wait(address)):
            raise rate_limited(wait, "Too many wrong passwords or codes from your address")

    def _of_account(self, at_home: bool) -> Buckets:
        return self._accounts_at_home if at_home else self._accounts
