"""Runs the command line: serve a realm, or administer one.

Loading modules is most of the start. Settings are therefore checked before the modules are loaded,
and garbage collection is off meanwhile: the objects of modules live as long as the process.
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
    """Run the command line.

    Returns:
        The exit code: 0 after an orderly stop, 1 after a refusal, 130 after Ctrl+C.
    """
    gc.disable()
    for stream in (sys.stdout, sys.stderr):  # names and paths may not be encodable in the terminal
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
    """Run an admin command and return the exit code."""
    from ws_server import app
    from ws_server.admin import cli
    from ws_server.key import KeyRefused
    from ws_server.store.engines.adapter import DatabaseRefused

    collect()
    logs.configure("warning")
    app.set_umask()
    Settings.warn()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the command may have work to undo
    try:
        return cli.main(arguments)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except (SettingsRefused, app.Refused, DatabaseRefused, KeyRefused) as refusal:
        print(refusal, file=sys.stderr)
        return 1


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT, and return the exit code."""
    from ws_server import app
    from ws_server.allocator import keep_freed_memory
    from ws_server.key import KeyRefused
    from ws_server.store.engines.adapter import DatabaseRefused
    from ws_server.threads import new_event_loop

    collect()
    keep_freed_memory()
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
    """Collect garbage from now on; exempt the permanent objects of modules."""
    gc.freeze()
    gc.enable()
