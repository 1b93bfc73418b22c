"""The running server as the operator, and `admin doctor`, see it."""

from __future__ import annotations

import time

from ws_server import __version__
from ws_server.admin.commands import Given, Say, in_realm
from ws_server.realm import Realm


@in_realm("status", running=True)
async def status(realm: Realm, given: Given, say: Say) -> None:
    """Show the running server: its realm, address, uptime and sessions."""
    serving = realm.serving
    assert serving is not None
    say(f"realm: {realm.name}")
    say(f"version: {__version__}")
    say(f"host: {serving.host}")
    say(f"port: {serving.port}")
    say(f"tls: {'on' if serving.tls else 'off'}")
    say(f"rate limits: {'on' if realm.limits.on else 'off'}")
    say(f"up: {time.monotonic() - serving.since:.0f} s")
    say(f"users: {realm.hub.users}")
    say(f"sessions: {realm.hub.sessions}")
