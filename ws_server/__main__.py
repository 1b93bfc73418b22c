"""`python -m ws_server` serves a realm; `python -m ws_server admin ...` administers one."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Return the exit code; see `ws_server.command_line`."""
    # Loading modules is most of the start. Without this, Ctrl+C would print a traceback of the
    # imports or get lost in a callback. Nothing is open yet, so the default action may end the
    # process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from ws_server.command_line import run

    return run()


if __name__ == "__main__":
    sys.exit(main())
