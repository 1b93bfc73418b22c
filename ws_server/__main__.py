"""`python -m ws_server`: serve a realm; with `admin` before the rest, look after one."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Return the exit code; see `ws_server.command_line`."""
    # Most of a start is loading modules. As an exception Ctrl+C would show a traceback of them, or
    # get lost in a callback. There is nothing to stop yet, so the system may end the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ws_server.command_line import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
