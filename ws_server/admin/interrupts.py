"""Ctrl+C and SIGTERM during a command: obeyed at once, or between two steps of writing files.

While files are written, an exception at any moment would hit libraries in the middle of their own
bookkeeping: a zip that is half made complains when it is removed, and an exception in a finalizer
is lost.
"""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_noted = _obeyed = False


def obey_at_once() -> None:
    """Raise KeyboardInterrupt wherever a signal finds the program, as Ctrl+C does."""
    for name in SIGNALS:
        signal.signal(name, _obey)


def obey_between_steps() -> None:
    """Only note signals from now on; `check` obeys them."""
    for name in SIGNALS:
        signal.signal(name, _note)


def check() -> None:
    """Obey a signal that was noted; called between two steps.

    Raises:
        KeyboardInterrupt: there was one. Later ones are passed over, while the work is undone.
    """
    global _obeyed
    if _noted and not _obeyed:
        _obeyed = True
        raise KeyboardInterrupt


def _obey(*_: object) -> None:
    raise KeyboardInterrupt


def _note(*_: object) -> None:
    global _noted
    if _noted:
        check()  # somebody insists: the step may be waiting for something
    _noted = True
