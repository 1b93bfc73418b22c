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
    metrics.info("this realm and its server", {"realm": realm.name, "version": __version__})
    metrics.gauge("connections", "open WebSocket connections", lambda: listener.websockets)
    metrics.gauge("users", "users with at least one session", lambda: realm.hub.users)
    metrics.counter("commands", "frames received from clients", lambda: gate.commands)
    metrics.counter_by("code", "errors", "commands that were refused", lambda: gate.refused)
    metrics.counter("events", "events handed to sessions", lambda: realm.hub.events)
    metrics.counter("commits", "transactions on disk", lambda: realm.journal.commits)
    metrics.counter("entries", "changes in those transactions", lambda: realm.journal.entries)
    metrics.gauge("journal_waiting", "changes not yet begun", lambda: realm.journal.waiting)
    metrics.counter("failed_commits", "transactions lost", lambda: realm.journal.failed_commits)
    metrics.histogram("commit_seconds", "from begin to disk", realm.journal.commit_seconds)
    metrics.histogram("push_seconds", "from disk to the sockets", realm.journal.push_seconds)
    metrics.gauge("reads_waiting", "questions without a reader", lambda: realm.database.waiting)
    metrics.gauge("passwords_waiting", "passwords to be hashed", lambda: realm.passwords.waiting)
    budgets = listener.budgets
    metrics.gauge("strangers", "not signed in", lambda: budgets.total.strangers)
    metrics.counter_by("bound", "bounds", "times a bound was met", lambda: budgets.refused)
    metrics.counter_by("by", "closed", "WebSockets that ended", lambda: listener.closed)
    metrics.gauge("file_bytes", "contents of files", lambda: realm.blobs.bytes)
    room = realm.blobs.room
    metrics.gauge("files_taken_bytes", "contents, those under way too", lambda: realm.blobs.taken)
    metrics.counter("files_without_room", "files refused for want of room", lambda: room.refused)
    metrics.gauge("disk_reserve_bytes", "what files leave free", lambda: reserve_of(room))
    metrics.gauge("database_bytes", "the database", lambda: size_of(database_url(settings)))
    metrics.gauge("disk_free_bytes", "room left for data", lambda: free_space(settings.data))
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
    gauge("link_up", "whether messages can flow, 0 or 1", each(lambda p: p.up))
    gauge("queued", "messages waiting for the realm", each(lambda p: p.queued))
    counter("sent", "messages that it has confirmed", each(lambda p: p.count.sent))
    counter("received", "messages of it that are on disk here", each(lambda p: p.count.received))
    counter("refused", "messages that it refused for ever", each(lambda p: p.count.refused))
    counter("attempts", "times that it was dialled", each(lambda p: p.count.attempts))
