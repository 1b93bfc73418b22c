"""What the command line asks for: serve a realm, or look after one.

Most of a start is loading modules, so a wrong setting is refused before they are loaded, and the
garbage collector rests meanwhile: what modules hold lives as long as the process.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from shared import logs
from shared.settings import SettingsRefused
from ws_server.settings import Settings, load


def run() -> int:
    """Do what the command line asks for.

    Returns:
        The exit code: 0 after an orderly stop, 1 if it was refused, 130 after Ctrl+C.
    """
    gc.disable()
    for stream in (sys.stdout, sys.stderr):  # names and paths may be beyond the terminal
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:2] == ["admin"]:
        return look_after(sys.argv[2:])
    try:
        settings = load(sys.argv[1:])
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return serve(settings)


def look_after(arguments: Sequence[str]) -> int:
    """Do what an operator asked for, and return the exit code."""
    from ws_server import app
    from ws_server.admin import cli
    from ws_server.key import KeyRefused
    from ws_server.store.engines.adapter import DatabaseRefused

    collect()
    logs.configure("warning")
    app.set_umask()
    Settings.warn()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for there is something to undo
    try:
        return cli.main(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (SettingsRefused, app.Refused, DatabaseRefused, KeyRefused) as refusal:
        print(refusal, file=sys.stderr)
        return 1


def serve(settings: Settings) -> int:
    """Serve until told to stop, and return the exit code."""
    from ws_server import app
    from ws_server.key import KeyRefused
    from ws_server.store.engines.adapter import DatabaseRefused
    from ws_server.threads import new_event_loop

    collect()
    logs.configure(settings.log_level)
    app.set_umask()
    Settings.warn()
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(app.run(settings))
    except (SettingsRefused, app.Refused, DatabaseRefused, KeyRefused) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


def collect() -> None:
    """Collect garbage from now on, but do not look again at what is there for good."""
    gc.freeze()
    gc.enable()
