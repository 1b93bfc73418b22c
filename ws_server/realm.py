"""The services of a running realm; `app.py` puts them together.

The gate, the handlers and the operator's commands use a `Realm`. Its services do not import it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.protocol.commands.accounts import Limits
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import Remote, Request
from shared.protocol.values import MAX_FRAME, MAX_PAGE, MAX_TEXT, MAX_WHOLE_FILE, fold
from ws_server.active_uploads import Uploading
from ws_server.audit import Audit
from ws_server.federation.links.linker import Linker
from ws_server.federation.links.services import LinkServices
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.first_admin import FirstAdmin
from ws_server.identity import Identity
from ws_server.limits import RateLimits
from ws_server.net.file_lane import Pieces
from ws_server.net.hub import Hub
from ws_server.password_guesses import Guesses
from ws_server.passwords import Passwords
from ws_server.publications import Publisher
from ws_server.registration import Registration
from ws_server.store.cache import Cache
from ws_server.store.contents.blobs import Blobs
from ws_server.store.database import Database
from ws_server.store.federation.outbox import MAX_WAITING_ROWS
from ws_server.store.federation.realms import check_writable, unknown_realm
from ws_server.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Serving:
    """The ports and addresses of a served realm."""

    host: str
    port: int
    tls: bool
    since: float
    """On the monotonic clock, in seconds; the wall clock may jump."""


@dataclass(slots=True)
class Realm:
    """The services behind the gate."""

    linker: Linker
    """Makes the links to other realms; its parts are fields below, too."""
    registration: Registration
    database: Database
    cache: Cache
    journal: Journal
    blobs: Blobs
    passwords: Passwords
    limits: RateLimits
    max_user_files: int
    session_age: int
    """Milliseconds for which a token may remain unused."""
    guesses: Guesses
    first_admin: FirstAdmin
    audit: Audit = field(default_factory=Audit)
    stray_bytes: dict[int, int] = field(default_factory=dict)
    """Bytes stored since the last sweep for messages that were then refused, by user id."""
    uploading: Uploading = field(default_factory=Uploading)
    serving: Serving | None = None
    """None while the realm has no port."""
    identity: Identity = field(init=False)
    federation: LinkServices = field(init=False)
    """The services that links use."""
    peers: PeerRegistry = field(init=False)
    """The other realms."""
    publisher: Publisher = field(init=False)
    hub: Hub = field(init=False)
    pieces: Pieces = field(init=False)
    local_name: str = field(init=False)
    """The folded name, for comparison with the realm part of addresses."""
    max_file: int = field(init=False)
    """Maximum size of a file in bytes."""
    invitations_wait: bool = field(init=False)
    """Whether invitations by strangers of other realms wait until they are accepted."""

    def __post_init__(self) -> None:
        self.federation = services = self.linker.services
        self.identity, self.peers = services.identity, services.peers
        self.publisher = services.publisher
        self.hub, self.pieces = self.publisher.hub, self.publisher.pieces
        self.local_name = self.identity.local_name
        self.max_file = services.terms.max_file
        self.invitations_wait = services.terms.invitations_wait

    @property
    def name(self) -> str:
        """The realm's own name."""
        return self.identity.name

    def local(self, request: Request[Any]) -> Request[Any]:
        """Return the request with this realm's own name removed from its addresses.

        Raises:
            ChatError: UNKNOWN_REALM, an address names an unknown realm; FORBIDDEN, a realm to which
                nothing may be sent; UNAVAILABLE, a realm for which too many rows wait.
        """
        if not request.named_realms():  # true of nearly every message
            return request
        request = request.without_local_realm(self.local_name)
        remote = request.spec.remote
        renamed: dict[str, str] = {}
        for realm in request.named_realms():
            if fold(realm) != self.local_name:
                peer = self.peers.find(realm)
                if peer is None:
                    raise unknown_realm(realm)
                if fold(peer.known.name) != fold(realm):
                    renamed[fold(realm)] = peer.known.name
                if remote is not Remote.ANY:
                    check_writable(peer.known)
                if remote is Remote.QUEUED and peer.queued >= MAX_WAITING_ROWS:
                    raise ChatError(
                        ErrorCode.UNAVAILABLE,
                        f"Too many messages wait for {peer.known.name}; try again when it is back",
                    )
                if remote is Remote.NONE:
                    raise ChatError(
                        ErrorCode.REALM_UNREACHABLE,
                        f"This version cannot do {request.spec.name} with another realm yet",
                    )
        return request.with_realms(renamed) if renamed else request

    def limits_on_the_wire(self) -> Limits:
        """Return this realm's limits, as sent at sign-in."""
        return Limits(
            frame=MAX_FRAME,
            text=MAX_TEXT,
            whole_file=MAX_WHOLE_FILE,
            file=self.max_file,
            user_files=self.max_user_files,
            page=MAX_PAGE,
        )
