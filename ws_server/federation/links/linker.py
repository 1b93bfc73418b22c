"""Creation of links from authenticated connections, dialled by either side."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
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
    """Attaches links to peers."""

    def __init__(self, services: LinkServices, dialler: Dialler) -> None:
        self.services = services
        self.dialler = dialler
        self.peers = services.peers

    def accepted(
        self,
        realm_id: int,
        outlet: Outlet,
        transcript: Transcript,
        begun: float,
        context: Context,
    ) -> Link | None:
        """Return the link over a connection that the peer dialled; None if it was closed.

        Args:
            context: The context of the link's work: the peer's network is charged for it.
        """
        peer = self.peers.get(realm_id)
        if (
            peer is None
            or peer.known.state != ACTIVE
            or peer.known.public_key != transcript.dialler.key
        ):
            outlet.close_with(SHUT, "this realm may no longer link here")
            return None
        seal = Seal(transcript, self.services.identity.key, Role.LISTENER)
        link = self._adopt(peer, outlet, seal, context, dialled_by_us=False, begun=begun)
        if link is None:
            outlet.close_with(DOUBLE, "duplicate link to this realm")
        return link

    def dialled(self, peer: Peer, proven: Proven) -> Link | None:
        """Return the link over a connection that this realm dialled; None if it was closed.

        Nobody is charged for its work, also if a person's command has dialled.
        """
        link = None
        if proven.transcript.listener.key == peer.known.public_key and peer.known.state == ACTIVE:
            seal = Seal(proven.transcript, self.services.identity.key, Role.DIALLER)
            link = self._adopt(
                *(peer, proven.wire, seal, Context()), dialled_by_us=True, begun=proven.begun
            )
        if link is None:
            self.peers.start(proven.wire.closed())
        return link

    def _adopt(
        self,
        peer: Peer,
        outlet: Outlet,
        seal: Seal,
        context: Context,
        *,
        dialled_by_us: bool,
        begun: float,
    ) -> Link | None:
        """Make a connection the peer's link; return None if the present link wins.

        If both sides dialled at the same time, the link of the dialler with the lower key wins, so
        both sides choose the same one. In all other cases the new link replaces the present one: a
        peer dials only when it has no link, so the present one is stale.

        Args:
            begun: When dialling began or the dialler's first frame arrived, by the loop's clock.
        """
        present = peer.link
        now = asyncio.get_running_loop().time()
        if present is not None and peer.dialled_by_us != dialled_by_us:
            ours_is_lower = self.services.identity.public_key < peer.known.public_key
            if begun - peer.linked_at < HANDSHAKE and ours_is_lower != dialled_by_us:
                return None
        link = Link(self.services, peer, outlet, seal, context)
        peer.linked(link, dialled_by_us, now)
        if present is not None:
            self.peers.start(self._note_copies(peer, part(present, link)))
        link.begin()
        return link

    async def _note_copies(self, peer: Peer, parted: Coroutine[Any, Any, bool]) -> None:
        if await parted and peer.copies.note():
            log.error("two servers have the key of one realm", extra={"realm": peer.known.name})
