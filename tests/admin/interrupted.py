"""An admin command that gets a signal at a moment that is hardly ever met.

`python -m tests.admin.interrupted MOMENT SIGNAL admin ...` sends itself the signal at the first
line of Python that is run at that moment.
"""

from __future__ import annotations

import os
import signal
import sys
import zipfile
from types import FrameType
from typing import Any

from ws_server import __main__ as program
from ws_server.admin import archive, backup


def zip_half_made(frame: FrameType) -> bool:
    if frame.f_code is not zipfile.ZipFile.__init__.__code__:
        return False
    made = frame.f_locals["self"]
    return made.fp is not None and not hasattr(made, "_writing")


def entry_half_made(frame: FrameType) -> bool:
    is_beginning = frame.f_code is zipfile.ZipFile._open_to_write.__code__
    return is_beginning and frame.f_locals["self"]._writing


MOMENTS = {
    "zip half made": zip_half_made,
    "entry half made": entry_half_made,
    "first entry": lambda frame: frame.f_code is archive.ArchiveWriter.add.__code__,
    "first read": lambda frame: frame.f_code is archive.read_entry.__code__,
    "archive whole": lambda frame: frame.f_code is archive.ArchiveWriter.close.__code__,
    "noting": lambda frame: frame.f_code is backup.remember.__code__,
}


def interrupt_at(moment: str, number: int) -> None:
    comes = MOMENTS[moment]

    def look(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line" and comes(frame):
            sys.settrace(None)
            os.kill(os.getpid(), number)
            return None
        return look

    sys.settrace(look)


if __name__ == "__main__":
    moment, name = sys.argv[1:3]
    sys.argv[1:3] = []
    interrupt_at(moment, signal.Signals[name])
    sys.exit(program.main())
