"""The metrics of a realm and its server; docs/observability.md explains them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sqlalchemy.engine import URL

from ws_server import __version__
from ws_server.data_folder import database_url
from ws_server.federation.peer import Peer
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.gate import Gate
from ws_server.metrics import Metrics
from ws_server.net.listener import Listener
from ws_server.realm import Realm
from ws_server.settings import Settings
from ws_server.store.contents.file_space import Room
from ws_server.store.engines.sqlite_file import file_of


def measure(
    metrics: Metrics, settings: Settings, realm: Realm, gate: Gate, listener: Listener
) -> None:
    """Register the metrics of a realm and its server."""
    metrics.info(
        "this realm's name and its server's version", {"realm": realm.name, "version": __version__}
    )
    metrics.gauge("connections", "open WebSocket connections", lambda: listener.websockets)
    metrics.gauge("users", "users with at least one session", lambda: realm.hub.users)
    metrics.counter(
        "commands", "frames received from clients, refused ones included", lambda: gate.commands
    )
    metrics.counter_by("code", "errors", "commands refused, by error code", lambda: gate.refused)
    metrics.counter("events", "events pushed to sessions", lambda: realm.hub.events)
    metrics.counter("commits", "transactions committed", lambda: realm.journal.commits)
    metrics.counter("entries", "changes in committed transactions", lambda: realm.journal.entries)
    metrics.gauge(
        "journal_waiting", "changes that wait for their transaction", lambda: realm.journal.waiting
    )
    metrics.counter(
        "failed_commits", "transactions that failed", lambda: realm.journal.failed_commits
    )
    metrics.histogram(
        "commit_seconds",
        "seconds from a transaction's begin to its sync",
        realm.journal.commit_seconds,
    )
    metrics.histogram(
        "push_seconds", "seconds from a sync to the replies and events", realm.journal.push_seconds
    )
    metrics.gauge("reads_waiting", "queries that wait for a thread", lambda: realm.database.waiting)
    metrics.gauge(
        "passwords_waiting", "passwords that wait to be hashed", lambda: realm.passwords.waiting
    )
    budgets = listener.budgets
    metrics.gauge(
        "strangers", "connections that have not signed in", lambda: budgets.total.strangers
    )
    metrics.counter_by(
        "bound", "bounds", "refusals, by the bound exceeded", lambda: budgets.refused
    )
    metrics.counter_by("by", "closed", "WebSockets closed, by close code", lambda: listener.closed)
    metrics.gauge("file_bytes", "bytes of stored contents of files", lambda: realm.blobs.bytes)
    room = realm.blobs.room
    metrics.gauge(
        "files_taken_bytes", "bytes of contents, uploads included", lambda: realm.blobs.taken
    )
    metrics.counter("files_without_room", "files refused for lack of space", lambda: room.refused)
    metrics.gauge(
        "disk_reserve_bytes", "bytes of the disk that files leave free", lambda: reserve_of(room)
    )
    metrics.gauge(
        "database_bytes",
        "bytes of the database and its log",
        lambda: size_of(database_url(settings)),
    )
    metrics.gauge(
        "disk_free_bytes", "bytes free on the data folder's disk", lambda: free_space(settings.data)
    )
    measure_realms(metrics, realm.peers)


def size_of(url: URL) -> int:
    """Return the bytes of a database and its write-ahead log; 0 if the database is not a file."""
    size = 0
    if (path := file_of(url)) is not None:
        for file in (path, path.with_name(f"{path.name}-wal")):
            with suppress(OSError):
                size += file.stat().st_size
    return size


def free_space(folder: Path) -> float:
    """Return the free bytes of the disk; NaN if the folder is missing."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.nan


def reserve_of(room: Room) -> float:
    """Return the bytes reserved for texts, which files leave free; NaN if the disk is missing."""
    try:
        return room.reserve
    except OSError:
        return math.nan


def measure_realms(metrics: Metrics, peers: PeerRegistry) -> None:
    """Register the metrics of each other realm."""

    def each(read: Callable[[Peer], float]) -> Callable[[], dict[str, float]]:
        return lambda: {peer.known.name: read(peer) for peer in peers.listed()}

    gauge, counter = metrics.gauge_of_realms, metrics.counter_of_realms
    gauge("link_up", "whether messages can flow: 0 or 1", each(lambda p: p.up))
    gauge("queued", "messages queued for the realm", each(lambda p: p.queued))
    counter("sent", "messages that the realm confirmed", each(lambda p: p.count.sent))
    counter(
        "received", "messages received from the realm and stored", each(lambda p: p.count.received)
    )
    counter("refused", "messages that the realm refused for good", each(lambda p: p.count.refused))
    counter("attempts", "times that the realm was dialled", each(lambda p: p.count.attempts))
