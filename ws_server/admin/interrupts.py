"""Ctrl+C and SIGTERM during a command: obeyed at once, or between two steps of writing files.

While files are written, an exception at any moment would hit libraries in the middle of their own
bookkeeping: a zip that is half made complains when it is removed, and an exception in a finalizer
is lost.
"""

from __future__ import annotations

import signal

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The signals of this process."""

    def __init__(self) -> None:
        self._noted = self._obeyed = False

    def obey_at_once(self) -> None:
        """Raise KeyboardInterrupt wherever a signal finds the program, as Ctrl+C does."""
        for name in SIGNALS:
            signal.signal(name, self._obey)

    def obey_between_steps(self) -> None:
        """Only note signals from now on; `check` obeys them."""
        for name in SIGNALS:
            signal.signal(name, self._note)

    def check(self) -> None:
        """Obey a signal that was noted; called between two steps.

        Raises:
            KeyboardInterrupt: there was one. Later ones are passed over, while the work is undone.
        """
        if self._noted and not self._obeyed:
            self._obey()

    def _obey(self, *_: object) -> None:
        self._obeyed = True
        raise KeyboardInterrupt

    def _note(self, *_: object) -> None:
        if self._noted:
            self.check()  # somebody insists: the step may be waiting for something
        self._noted = True


interrupts = Interrupts()
