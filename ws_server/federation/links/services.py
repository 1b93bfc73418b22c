"""The services that all links share."""

from __future__ import annotations

from dataclasses import dataclass

from ws_server.federation.contents.awaited_contents import ContentTransfers
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.identity import Identity
from ws_server.limits import RateLimits
from ws_server.publications import Publisher
from ws_server.store.database import Database
from ws_server.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Terms:
    """Limits of what this realm accepts from other realms."""

    max_file: int
    """Bytes of one file."""
    max_realm_files: int
    """Bytes that all files of one realm may have together."""
    invitations_wait: bool
    """Whether invitations by users of other realms are pending until the invited user accepts."""


@dataclass(frozen=True, slots=True)
class LinkServices:
    """The services that process rows, questions and file contents of other realms."""

    identity: Identity
    instance: str
    """The random name of this start of the server."""
    terms: Terms
    limits: RateLimits
    database: Database
    journal: Journal
    publisher: Publisher

    @property
    def peers(self) -> PeerRegistry:
        return self.publisher.peers

    @property
    def contents(self) -> ContentTransfers:
        return self.publisher.contents
