"""Hashing passwords in a few threads, so that it neither stalls the loop nor starves anybody.

argon2id with 19 MiB, 2 passes and 1 lane is OWASP's floor (Password Storage Cheat Sheet). Addresses
take turns, so somebody who tries many passwords from one address waits for himself only.
"""

from __future__ import annotations

import asyncio
import ctypes
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.threads import lower_priority

THREADS = 2
MAX_WAITING = 1_024
MAX_WAITING_PER_ADDRESS = 256
_Job = tuple[Callable[[], object], "asyncio.Future[object]"]


def too_many() -> ChatError:
    """Return the refusal for a password that cannot be looked at now."""
    return ChatError(ErrorCode.UNAVAILABLE, "Too many are signing in; try again soon")


class Passwords:
    """The queue in front of the hashing threads."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        _return_large_blocks()
        self._threads = ThreadPoolExecutor(THREADS, "password", initializer=lower_priority)
        self._waiting: OrderedDict[str, deque[_Job]] = OrderedDict()
        self._count = 0
        self._running = 0
        # Checked for unknown names, so that the time of the answer does not tell them apart.
        self._nobody = self._hasher.hash(secrets.token_hex())

    async def hash(self, password: str, address: str) -> str:
        """Return the argon2id hash to store.

        Raises:
            ChatError: UNAVAILABLE, too many are waiting.
        """
        return str(await self._run(lambda: self._hasher.hash(password), address))

    async def verify(self, stored: str | None, password: str, address: str) -> bool:
        """Tell whether a password fits a stored hash; None is nobody's hash, which fits nothing.

        Raises:
            ChatError: UNAVAILABLE, too many are waiting.
        """
        return bool(await self._run(lambda: self._fits(stored, password), address))

    def _fits(self, stored: str | None, password: str) -> bool:
        try:
            return self._hasher.verify(stored or self._nobody, password) and stored is not None
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, job: Callable[[], object], address: str) -> object:
        queued = len(self._waiting.get(address, ()))
        if queued >= MAX_WAITING_PER_ADDRESS or not self._has_room(queued):
            raise too_many()
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, deque()).append((job, future))
        self._count += 1
        self._start()
        return await future

    def _has_room(self, queued: int) -> bool:
        """Make room, if need be, at the cost of the address that has most waiting."""
        if self._count < MAX_WAITING:
            return True
        longest = max(self._waiting.values(), key=len)
        if len(longest) <= queued + 1:
            return False
        _, future = longest.pop()
        self._count -= 1
        if not future.done():
            future.set_exception(too_many())
        return True

    def _start(self) -> None:
        while self._running < THREADS and self._waiting:
            address, queue = self._waiting.popitem(last=False)
            job, future = queue.popleft()
            if queue:
                self._waiting[address] = queue
            self._count -= 1
            self._running += 1
            running = asyncio.get_running_loop().run_in_executor(self._threads, job)
            running.add_done_callback(partial(self._finish, future))

    def _finish(self, waiter: asyncio.Future[object], done: asyncio.Future[object]) -> None:
        self._running -= 1
        if not waiter.done():
            if (error := done.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(done.result())
        self._start()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(cancel_futures=True)


def _return_large_blocks() -> None:
    """Let the C library give each hash's 19 MiB back at once.

    After the first free of such a block glibc would keep later ones (man 3 mallopt,
    M_MMAP_THRESHOLD), and the process would stay 19 MiB larger for every thread.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(-3, 1 << 20)
