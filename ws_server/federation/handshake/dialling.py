"""Reconnection: dial a realm while its link is down, with backoff and without a limit."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from functools import partial

from ws_server.federation.handshake.dial_policy import Unreachable
from ws_server.federation.handshake.dialled_connection import Dialled
from ws_server.federation.handshake.handshake_client import Endpoint
from ws_server.federation.handshake.transcript import NotProven, OtherKey
from ws_server.federation.links.link import Link
from ws_server.federation.links.linker import Linker
from ws_server.federation.peer import Peer
from ws_server.key import fingerprint
from ws_server.store.federation.realms import ACTIVE

log = logging.getLogger(__name__)

FIRST_DELAY, DELAY, LATER_DELAY = 0.5, 5.0, 60.0
"""Seconds between attempts: at first, at most in the first OUTAGE seconds, at most afterwards."""
NOT_APPROVED = "its admin has not approved this realm yet"
OUTAGE = 600.0


def begin(linker: Linker, port: int, tls: bool) -> None:
    """Start to dial all realms whose address is known.

    Args:
        port: Where this realm listens; sent to the others in the handshake.
        tls: Whether this realm listens with TLS.
    """
    linker.dialler.listens(port, tls)
    linker.peers.open(partial(keep, linker))


async def keep(linker: Linker, peer: Peer, first: tuple[Dialled, Link] | None = None) -> None:
    """Dial a realm whenever its link is down; runs until it is cancelled.

    Args:
        first: A link that is already up, and the connection to read it from.
    """
    since, delay = time.monotonic(), FIRST_DELAY
    while True:
        if peer.link is not None and first is None:
            await peer.down.wait()
            since, delay = time.monotonic(), FIRST_DELAY
        try:
            if first is not None:
                await _read(*first)
                opened, first = True, None
            else:
                opened = await _live(linker, peer)
        except (Unreachable, NotProven) as error:
            opened = False
            _note(peer, error)
        except Exception:
            log.exception("dialling a realm failed; it is retried")
            opened = False
        if opened:
            since, delay = time.monotonic(), FIRST_DELAY
            # A link may end at once; without a pause, this would be a busy loop.
            await asyncio.sleep(FIRST_DELAY * random.uniform(0.2, 1.0))
            continue
        most = DELAY if time.monotonic() - since < OUTAGE else LATER_DELAY
        delay = min(most, delay * 2)
        wait = delay * random.uniform(0.7, 1.3)
        if peer.link is None:
            peer.attempts += 1
            peer.next_try = int((time.time() + wait) * 1000)
        peer.wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await peer.wake.wait()


async def _live(linker: Linker, peer: Peer) -> bool:
    """Dial and read until the link ends; return whether the peer opened it.

    Raises:
        Unreachable: no connection, or the peer has not approved this realm.
        NotProven: the peer did not authenticate.
    """
    known = peer.known
    assert known.address is not None and known.port is not None
    endpoint = Endpoint(known.address, known.port, known.tls)
    async with linker.dialler.dials:
        peer.count.attempts += 1
        proven = await linker.dialler.dial(endpoint, expected=known.public_key)
    if proven.state != ACTIVE:
        linker.peers.start(proven.wire.closed())
        raise Unreachable(NOT_APPROVED)
    link = linker.dialled(peer, proven)
    return link is not None and await _read(proven.wire, link)


async def _read(wire: Dialled, link: Link) -> bool:
    """Read a link until it ends; return whether the peer opened it."""
    try:
        while True:
            link.receive(await wire.read())
    except Unreachable:
        return link.opened
    finally:
        link.lost()
        await wire.closed()


def _note(peer: Peer, error: Exception) -> None:
    """Record and log why there is no link; a changed key at the address is a warning."""
    peer.trouble = str(error)
    other = error.key if isinstance(error, OtherKey) else None
    if other is not None and other != peer.other_key:
        log.warning(
            "another key answers at a realm's address; it is not linked",
            extra={
                "realm": peer.known.name,
                "known": fingerprint(peer.known.public_key),
                "found": fingerprint(other),
            },
        )
    else:
        log.debug("no link", extra={"realm": peer.known.name, "why": str(error)})
    # A later failure of another kind does not clear the changed key.
    peer.other_key = other or peer.other_key
