"""`admin status`: the running server, for the operator and `admin doctor`."""

from __future__ import annotations

import time

from ws_server import __version__
from ws_server.admin.commands import Given, Say, in_realm
from ws_server.realm import Realm

MIB = 2**20


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
    say(f"registration: {realm.registration.told}")
    say(f"realms: {realm.peers.policy}")
    say(f"public: {'on' if realm.peers.public else 'off'}")
    say(f"trial: {'on' if realm.peers.trial else 'off'}")
    say(f"up: {time.monotonic() - serving.since:.0f} s")
    say(f"users: {realm.hub.users}")
    say(f"sessions: {realm.hub.sessions}")
    blobs = realm.blobs
    quota = "" if blobs.room.quota is None else f" of {blobs.room.quota / MIB:,.0f} MiB"
    say(f"files: {blobs.taken / MIB:,.1f} MiB{quota}")
    left, reserve = await blobs.run(lambda: (blobs.room_left(), blobs.room.reserve))
    taken = f"{left / MIB:,.0f} MiB free" if left > 0 else "refused, as no space is left"
    say(f"new files: {taken}; {reserve / MIB:,.0f} MiB of the disk are reserved for texts")
