"""`python -m ws_server`: serve a realm; with `admin` before the rest, look after one."""

from __future__ import annotations

import asyncio
import logging
import sys

from shared import logs
from shared.settings import SettingsRefused
from ws_server import app
from ws_server.admin import cli
from ws_server.key import KeyRefused
from ws_server.settings import Settings, load
from ws_server.store.adapter import DatabaseRefused
from ws_server.threads import new_event_loop


def main() -> int:
    """Return the exit code: 0 after an orderly stop, 1 if it was refused."""
    try:
        if sys.argv[1:2] == ["admin"]:
            logs.configure("warning")
            app.set_umask()
            return cli.main(sys.argv[2:])
        settings = load(sys.argv[1:])
        logs.configure(settings.log_level)
        app.set_umask()
        for name in Settings.unknown_variables():
            logging.getLogger(__name__).warning("%s is no setting", name)
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(app.run(settings))
    except (SettingsRefused, app.Refused, DatabaseRefused, KeyRefused) as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
