"""Password hashing in a few threads, off the event loop and in fair turns.

argon2id with 19 MiB, 2 passes and 1 lane is OWASP's minimum (Password Storage Cheat Sheet).
Addresses are served in turn, so many attempts from one address delay only that address.
"""

from __future__ import annotations

import asyncio
import ctypes
import secrets
from contextlib import suppress
from weakref import WeakValueDictionary

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import ARGON2_VERSION

from shared.protocol import base64, precis
from shared.protocol.errors import ChatError
from ws_server.threads import FairThreadPool, lower_priority

THREADS = 2
MAX_WAITING_HASHES = 1_024
MAX_WAITING_HASHES_PER_ADDRESS = 256


class Passwords:
    """Hashes and verifies passwords, one at a time for each address."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        _return_large_blocks()
        self._threads = FairThreadPool(
            "password",
            THREADS,
            each_at_once=THREADS,
            most=MAX_WAITING_HASHES,
            most_each=MAX_WAITING_HASHES_PER_ADDRESS,
            initializer=lower_priority,
        )
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        # Verified for unknown names, so that the response time does not reveal whether a name
        # exists.
        self._nobody = _nobodys_hash(self._hasher)

    @property
    def waiting(self) -> int:
        """How many passwords wait to be hashed."""
        return self._threads.waiting

    def turn(self, address: str, account: str) -> asyncio.Lock:
        """Return the lock under which an address tries passwords of one account."""
        return self._turns.setdefault((address, account), asyncio.Lock())

    async def hash(self, password: str, address: str) -> str:
        """Return the argon2id hash to store, of the password prepared by `precis.password`.

        Raises:
            ChatError: UNAVAILABLE, too many passwords are waiting.
        """
        prepared = precis.password(password)
        return await self._threads.run(address, lambda: self._hasher.hash(prepared))

    async def verify(self, stored: str | None, password: str, address: str) -> bool:
        """Return whether a password matches a stored hash; None never matches, in the same time.

        Old hashes are of passwords as typed, before preparation was added. A password that the
        preparation changes is therefore tried both ways, whatever is stored. A wrong one takes
        twice as long for every account, and for unknown names.

        Raises:
            ChatError: UNAVAILABLE, too many passwords are waiting.
        """
        prepared = precis.password(password)
        spellings = [prepared, password] if prepared != password else [prepared]
        return await self._threads.run(
            address, lambda: any(self._fits(stored, spelling) for spelling in spellings)
        )

    async def renewed(self, stored: str, password: str, address: str) -> str | None:
        """Return a new hash to replace one that the password matches only as typed.

        None if that is not needed, or too many passwords are waiting: the next sign-in retries.
        """
        prepared = precis.password(password)
        if prepared == password:
            return None

        def renew() -> str | None:
            return None if self._fits(stored, prepared) else self._hasher.hash(prepared)

        try:
            return await self._threads.run(address, renew)
        except ChatError:
            return None

    def _fits(self, stored: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobody, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    def close(self) -> None:
        """Stop the threads."""
        self._threads.close()


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """Return a hash of the same cost that no password matches; a real one would take 40 ms."""
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (
        base64.written(secrets.token_bytes(size)).rstrip("=")
        for size in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"


def _return_large_blocks() -> None:
    """Make the C library return the 19 MiB of each hash to the system at once.

    By default glibc raises its threshold after the first free of such a block and retains later
    ones (man 3 mallopt, M_MMAP_THRESHOLD): 19 MiB for each thread.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(-3, 1 << 20)
