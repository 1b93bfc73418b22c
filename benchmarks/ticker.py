"""A precise periodic timer: the timers of event loops are too coarse for latencies."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from types import TracebackType

CLOCK_MONOTONIC = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Ticker:
    """Calls `on_tick` every `interval` seconds while entered (timerfd_create(2))."""

    def __init__(self, interval: float, on_tick: Callable[[], None]) -> None:
        self._interval = interval
        self._on_tick = on_tick

    def __enter__(self) -> None:
        self._timer = _libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK)
        seconds, nanoseconds = divmod(round(self._interval * 1e9), 10**9)
        times = (ctypes.c_long * 4)(seconds, nanoseconds, seconds, nanoseconds)
        _libc.timerfd_settime(self._timer, 0, times, None)
        asyncio.get_running_loop().add_reader(self._timer, self._tick)

    def _tick(self) -> None:
        os.read(self._timer, 8)
        self._on_tick()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._timer)
        os.close(self._timer)
