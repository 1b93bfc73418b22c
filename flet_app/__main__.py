"""`python -m flet_app`: the chat in a window; with `--web` for browsers."""

from __future__ import annotations

import asyncio
import os
import socket
import sys

from flet_app.settings import AppSettings, load
from shared import logs
from shared.settings import SettingsRefused, hosts, tls_context
from shared.sockets import PORT_TRIES, listen, not_listening


def main() -> int:
    """Return the exit code: 0 after an orderly end, 1 if the app cannot start."""
    try:
        settings = load(sys.argv[1:])
        logs.configure("warning")
        AppSettings.warn()
        os.umask(0o077)
        if settings.web:
            serve(settings)
        else:
            from flet_app.desktop import open_window

            open_window(settings)
    except SettingsRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    return 0


def serve(settings: AppSettings) -> None:
    """Serve browsers until a signal stops the process.

    Raises:
        SettingsRefused: the address cannot be listened on, or the certificate cannot be used.
    """
    # Imported here: a window needs none of it, and it pulls in half of the libraries.
    from flet_app import web
    from flet_app.main import start

    sockets = open_sockets(settings)
    tls_context(settings)  # refused before anybody comes
    if not settings.sockets:
        port = sockets[0].getsockname()[1]
        scheme = "https" if settings.tls_cert else "http"
        host = "localhost" if settings.host in ("localhost", "0.0.0.0", "::") else settings.host
        shown = f"[{host}]" if ":" in host else host
        print(f"Open {scheme}://{shown}:{port} in a browser. Ctrl+C stops it.", flush=True)
    asyncio.run(web.serve(start, settings, sockets))


def open_sockets(settings: AppSettings) -> list[socket.socket]:
    """Return the sockets to listen on.

    Raises:
        SettingsRefused: there are none.
    """
    try:
        if settings.sockets:
            return [socket.socket(fileno=int(number)) for number in settings.sockets.split(",")]
        return listen(hosts(settings.host), settings.port)
    except OSError as error:
        raise SettingsRefused(
            f"Cannot listen on --host {settings.host} --port {settings.port}, nor on "
            f"the {PORT_TRIES} ports after it: {not_listening(error)}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
