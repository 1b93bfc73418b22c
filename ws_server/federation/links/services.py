"""What the links to other realms work with, once for all of them."""

from __future__ import annotations

from dataclasses import dataclass

from ws_server.federation.contents.awaited_contents import Contents
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.identity import Identity
from ws_server.limits import Limits
from ws_server.publications import Publisher
from ws_server.store.database import Database
from ws_server.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Terms:
    """What this realm takes from others."""

    max_file: int
    """Bytes of one file."""
    max_realm_files: int
    """Bytes that all files of one realm may have together."""
    invitations_wait: bool
    """Whether those by strangers of other realms do, until somebody accepts them."""


@dataclass(frozen=True, slots=True)
class LinkServices:
    """What rows, questions and contents of other realms are stored and answered with."""

    identity: Identity
    instance: str
    """Names this start of the server."""
    terms: Terms
    limits: Limits
    database: Database
    journal: Journal
    publisher: Publisher

    @property
    def peers(self) -> PeerRegistry:
        return self.publisher.peers

    @property
    def contents(self) -> Contents:
        return self.publisher.contents
