"""Makes links of connections on which both realms have proven who they are, whoever dialled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from ws_server.federation.handshake.handshake_client import HANDSHAKE, Dialler, Proven
from ws_server.federation.handshake.transcript import Role, Seal, Transcript
from ws_server.federation.links.cloned_realms import DOUBLE, part
from ws_server.federation.links.link import Link
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer import SHUT, Peer
from ws_server.net.session import Outlet
from ws_server.store.federation.realms import ACTIVE

log = logging.getLogger(__name__)


class Linker:
    """Gives peers their links."""

    def __init__(self, services: LinkServices, dialler: Dialler) -> None:
        self.services = services
        self.dialler = dialler
        self.peers = services.peers

    def accepted(
        self, realm_id: int, outlet: Outlet, transcript: Transcript, begun: float
    ) -> Link | None:
        """Take a link that the other realm dialled, or close it and return None."""
        peer = self.peers.by_id(realm_id)
        if peer.known.state != ACTIVE or peer.known.public_key != transcript.dialler.key:
            outlet.close_with(SHUT, "this realm may not link here any more")
            return None
        seal = Seal(transcript, self.services.identity.key, Role.LISTENER)
        link = self._adopt(peer, outlet, seal, dialled_by_us=False, begun=begun)
        if link is None:
            outlet.close_with(DOUBLE, "another link to this realm is kept")
        return link

    def dialled(self, peer: Peer, proven: Proven) -> Link | None:
        """Make a connection that this realm dialled its link, or close it and return None."""
        link = None
        if proven.transcript.listener.key == peer.known.public_key and peer.known.state == ACTIVE:
            seal = Seal(proven.transcript, self.services.identity.key, Role.DIALLER)
            link = self._adopt(peer, proven.wire, seal, dialled_by_us=True, begun=proven.begun)
        if link is None:
            self.peers.start(proven.wire.closed())
        return link

    def _adopt(
        self, peer: Peer, outlet: Outlet, seal: Seal, *, dialled_by_us: bool, begun: float
    ) -> Link | None:
        """Take a proven connection as the link; None if the one that is up is kept instead.

        Of two that were dialled at once, that is the one whose dialler has the lower key, so both
        sides choose the same. Any other new one replaces the present one: who dials has no link,
        so the present one is cut, and this side has not noticed yet.

        Args:
            begun: When the dialler began, or its first frame came, by the loop's clock.
        """
        present = peer.link
        now = asyncio.get_running_loop().time()
        if present is not None and peer.dialled_by_us != dialled_by_us:
            ours_is_lower = self.services.identity.public_key < peer.known.public_key
            if begun - peer.linked_at < HANDSHAKE and ours_is_lower != dialled_by_us:
                return None
        link = Link(self.services, peer, outlet, seal)
        peer.linked(link, dialled_by_us, now)
        if present is not None:
            self.peers.start(self._note_copies(peer, part(present, link)))
        link.begin()
        return link

    async def _note_copies(self, peer: Peer, parted: Coroutine[Any, Any, bool]) -> None:
        if await parted and peer.copies.note():
            log.error("two servers have the key of one realm", extra={"realm": peer.known.name})
