"""Hashing passwords in a few threads, so that it neither stalls the loop nor starves anybody.

argon2id with 19 MiB, 2 passes and 1 lane is OWASP's floor (Password Storage Cheat Sheet). Addresses
take turns, so somebody who tries many passwords from one address waits for himself only.
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
    """Hashes and checks, one of an address after the other."""

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
        # Checked for unknown names, so that the time of the answer does not tell them apart.
        self._nobody = _nobodys_hash(self._hasher)

    @property
    def waiting(self) -> int:
        """How many passwords wait to be hashed."""
        return self._threads.waiting

    def turn(self, address: str, account: str) -> asyncio.Lock:
        """Return the lock under which an address tries passwords of an account."""
        return self._turns.setdefault((address, account), asyncio.Lock())

    async def hash(self, password: str, address: str) -> str:
        """Return the argon2id hash to store, of the password as `precis.password` prepares it.

        Raises:
            ChatError: UNAVAILABLE, too many are waiting.
        """
        prepared = precis.password(password)
        return await self._threads.run(address, lambda: self._hasher.hash(prepared))

    async def verify(self, stored: str | None, password: str, address: str) -> bool:
        """Tell whether a password fits a stored hash; None is nobody's hash, which fits nothing.

        Hashes of before the preparation are of passwords as they were typed. So a password that
        the preparation changes is tried both ways, whatever is stored: a wrong one takes twice as
        long for everybody's account, and for nobody's.

        Raises:
            ChatError: UNAVAILABLE, too many are waiting.
        """
        prepared = precis.password(password)
        spellings = [prepared, password] if prepared != password else [prepared]
        return await self._threads.run(
            address, lambda: any(self._fits(stored, spelling) for spelling in spellings)
        )

    async def renewed(self, stored: str, password: str, address: str) -> str | None:
        """Return the hash to store instead of one that a password fits only as it was typed.

        None if there is no need, or too many are waiting: then the next sign-in does it.
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
        """End the threads."""
        self._threads.close()


def _nobodys_hash(hasher: PasswordHasher) -> str:
    """Return a hash of the same cost that is of no password: to make a real one takes 40 ms."""
    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = (
        base64.written(secrets.token_bytes(size)).rstrip("=")
        for size in (hasher.salt_len, hasher.hash_len)
    )
    return f"$argon2id$v={ARGON2_VERSION}${cost}${salt}${digest}"


def _return_large_blocks() -> None:
    """Let the C library give each hash's 19 MiB back at once.

    After the first free of such a block glibc would keep later ones (man 3 mallopt,
    M_MMAP_THRESHOLD), and the process would stay 19 MiB larger for every thread.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(-3, 1 << 20)
