"""The composition root: the only file that chooses adapters and puts the realm together."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import resource
import shutil
import signal
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, update
from sqlalchemy.engine import URL

from shared.faults import explained, shown
from shared.settings import split
from shared.sockets import TRIES, not_listening
from ws_server import __version__, web_app
from ws_server.admin.control import ControlSocket
from ws_server.data_folder import (
    ELSEWHERE,
    database_url,
    forget,
    holds_realm,
    lock_folder,
)
from ws_server.data_folder import (
    Refused as Refused,
)
from ws_server.federation.contents import Contents
from ws_server.federation.peer import Peer
from ws_server.federation.peers import Peers
from ws_server.gate import Gate
from ws_server.limits import Limits
from ws_server.metrics import Metrics
from ws_server.net.file_lane import Pieces
from ws_server.net.listener import Listener
from ws_server.opening import open_store, realm_name
from ws_server.passwords import Passwords
from ws_server.realm import Realm, Serving
from ws_server.settings import Settings
from ws_server.store import fetches, files, naming, opening
from ws_server.store.cache import Cache
from ws_server.store.journal import Journal
from ws_server.store.schema import meta
from ws_server.store.sqlite_file import file_of
from ws_server.web_app import WebApp
from ws_server.welcome import address, welcome

log = logging.getLogger(__name__)

HOUSEKEEPING = 3600.0
"""Seconds between two sweeps of what was abandoned."""
JUMP = 60.0
"""Seconds by which the wall clock may be corrected in that time."""


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the certificate to serve with, if one is set.

    Raises:
        Refused: it cannot be read, or the key does not fit.
    """
    if settings.tls_cert is None:
        return None
    assert settings.tls_key is not None
    # Only here, because it takes a while to load.
    from shared import certificates

    try:
        return certificates.tls_context(settings.tls_cert, settings.tls_key)
    except certificates.BadCertificate as error:
        raise Refused(str(error)) from error


@dataclass(frozen=True, slots=True)
class Server:
    """A realm with its port."""

    realm: Realm
    gate: Gate
    listener: Listener
    port: int
    web_port: int | None
    """Where browsers find the web app; None if it is not served."""


async def open_realm(settings: Settings, stack: AsyncExitStack, *, serves: bool = False) -> Realm:
    """Open the realm without a port; `stack` closes it again, in reverse order.

    Args:
        serves: It is going to be served under its name, which it keeps from then on.

    Raises:
        Refused: a setting does not work; nothing is left running, and of a new realm no file.
        DatabaseRefused: the database cannot be used.
        KeyRefused: the realm's key cannot be used.
    """
    stack.callback(lock_folder(settings.data).close)
    is_new = not holds_realm(settings.data)
    try:
        blobs, realm_key, database = await open_store(settings, stack)
        name = await realm_name(settings, database, serves)
        if settings.database:
            (settings.data / ELSEWHERE).touch(mode=0o600)
    except BaseException as error:
        if is_new:
            forget(settings.data)
        if isinstance(error, OSError):
            raise Refused(f"--data {explained(error, settings.data)}") from error
        raise
    cache = Cache()
    journal = Journal(database, cache)
    stack.push_async_callback(journal.close)
    passwords = Passwords()
    stack.callback(passwords.close)
    realm = Realm(
        name=name,
        key=realm_key,
        registration_open=settings.registration == "open",
        database=database,
        cache=cache,
        journal=journal,
        blobs=blobs,
        passwords=passwords,
        limits=Limits(settings.rate_limits == "on"),
        pieces=Pieces(blobs),
        max_file=settings.max_file * 2**20,
        max_user_files=settings.max_user_files * 2**20,
        max_realm_files=settings.max_realm_files * 2**20,
    )
    realm.contents = Contents(realm)
    realm.links = Peers(realm, policy=settings.realms, public=settings.public)
    await realm.links.load()
    if serves:
        await journal.write(lambda tx, now: naming.keep(tx, name))
    await journal.write(lambda tx, now: opening.get_ready(tx))
    await sweep(realm, age=0)
    return realm


async def open_server(settings: Settings, stack: AsyncExitStack) -> Server:
    """Start everything; `stack` stops it again, in reverse order.

    Raises:
        Refused, DatabaseRefused, KeyRefused: it cannot start; nothing is left running.
    """
    tls = tls_context(settings)
    realm = await open_realm(settings, stack, serves=True)
    gate = Gate(realm)
    stack.push_async_callback(gate.close)
    metrics = Metrics()
    listener = Listener(
        gate,
        ready=lambda: is_ready(realm),
        metrics=metrics.text,
        origins=split(settings.origins),
        trusted_proxies=settings.networks,
    )
    browsers = WebApp(settings)
    # Told to stop first, and waited for last, it ends while connections are closed.
    stack.push_async_callback(browsers.close)
    stack.push_async_callback(listener.close)
    measure(metrics, settings, realm, gate, listener)
    try:
        port = await listener.open(settings.hosts, settings.port, tls)
    except OSError as error:
        raise Refused(
            f"Cannot listen on --host {shown(settings.host)} --port {settings.port}: "
            f"{not_listening(error)}"
        ) from error
    realm.serving = Serving(settings.host, port, tls is not None, time.monotonic())
    stack.push_async_callback(realm.links.close)
    realm.links.open(port, tls is not None)
    control = ControlSocket(realm, settings.data)
    stack.push_async_callback(control.close)
    try:
        await control.open()
    except OSError as error:
        raise Refused(f"--data takes no socket: {explained(error, settings.data)}") from error
    housekeeping = asyncio.create_task(keep_house(realm))
    stack.callback(housekeeping.cancel)
    web_port = await open_web_app(settings, browsers, listener, port, stack)
    return Server(realm, gate, listener, port, web_port)


async def open_web_app(
    settings: Settings, browsers: WebApp, listener: Listener, port: int, stack: AsyncExitStack
) -> int | None:
    """Serve the web app, and return its port; None if it is off, or not installed.

    Raises:
        Refused: it cannot be served.
    """
    if settings.web_port is None:
        return None
    if not web_app.is_installed():
        log.warning("flet-web is not installed, so there is no web app")
        return None
    path = settings.data / web_app.FILE
    try:
        await listener.open_socket(path)
        stack.callback(path.unlink, missing_ok=True)
        web_port = browsers.open(address(settings, "ws", port))
    except OSError as error:
        raise Refused(
            f"Cannot listen on --host {shown(settings.host)} --web-port {settings.web_port}, nor "
            f"on the {TRIES} ports after it: {not_listening(error)}. --web-port off serves no "
            "web app"
        ) from error
    stack.callback(browsers.stop)
    listener.web_port = web_port
    return web_port


async def is_ready(realm: Realm) -> bool:
    """Tell whether the store takes writes, by one that goes to disk."""

    def probe(tx: Connection, now: int) -> None:
        tx.execute(update(meta).where(meta.c.key == "epoch").values(key="epoch"))

    try:
        async with asyncio.timeout(5):
            await realm.journal.write(probe)
    except Exception:
        return False
    return True


async def sweep(realm: Realm, age: float, jumped: bool = False) -> None:
    """Forget abandoned uploads, and contents that no message ever came to carry.

    Args:
        age: Seconds for which nobody may have touched contents that are removed.
        jumped: The wall clock has jumped, so that nobody knows how old anything is.
    """

    def forget(tx: Connection, now: int) -> set[str]:
        files.forget_abandoned(tx, now, jumped)
        return files.open_uploads(tx) | fetches.open_parts(tx)

    parts = await realm.journal.write(forget)
    if jumped:
        return  # the next time
    realm.stray_bytes.clear()

    def remove(tx: Connection) -> int:
        return realm.blobs.sweep(parts, lambda hashes: files.unreferenced(tx, hashes), age)

    removed = await realm.database.read(remove)
    if removed:
        log.info("removed contents without a message", extra={"count": removed})


async def keep_house(realm: Realm) -> None:
    """Sweep from time to time."""
    while True:
        wall, steady = time.time(), time.monotonic()
        await asyncio.sleep(HOUSEKEEPING)
        # A machine that slept counts as well: its monotonic clock stood still.
        jump = (time.time() - wall) - (time.monotonic() - steady)
        try:
            await sweep(realm, age=HOUSEKEEPING, jumped=abs(jump) > JUMP)
        except Exception:
            log.exception("housekeeping failed; it is tried again in an hour")


def measure(
    metrics: Metrics, settings: Settings, realm: Realm, gate: Gate, listener: Listener
) -> None:
    """Say what /metrics shows; docs/observability.md explains it."""
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
    metrics.counter_by("by", "closed", "WebSockets that ended", lambda: listener.closed)
    metrics.gauge("file_bytes", "contents of files", lambda: realm.blobs.bytes)
    metrics.gauge("database_bytes", "the database", lambda: size_of(database_url(settings)))
    metrics.gauge("disk_free_bytes", "room left for data", lambda: free_space(settings.data))
    measure_realms(metrics, realm.links)


def size_of(url: URL) -> int:
    """Return the bytes of a database and its write-ahead log; 0 if it is in no file."""
    size = 0
    if (path := file_of(url)) is not None:
        for file in (path, path.with_name(f"{path.name}-wal")):
            with suppress(OSError):
                size += file.stat().st_size
    return size


def free_space(folder: Path) -> float:
    """Return the bytes that may still be written there; NaN if the folder is gone."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return math.nan


def measure_realms(metrics: Metrics, peers: Peers) -> None:
    """Say what /metrics shows of each other realm."""

    def each(read: Callable[[Peer], float]) -> Callable[[], dict[str, float]]:
        return lambda: {peer.known.name: read(peer) for peer in peers.listed()}

    gauge, counter = metrics.gauge_of_realms, metrics.counter_of_realms
    gauge("link_up", "whether messages can flow, 0 or 1", each(lambda p: p.up))
    gauge("queued", "messages waiting for the realm", each(lambda p: p.queued))
    counter("sent", "messages that it has confirmed", each(lambda p: p.count.sent))
    counter("received", "messages of it that are on disk here", each(lambda p: p.count.received))
    counter("refused", "messages that it refused for ever", each(lambda p: p.count.refused))
    counter("attempts", "times that it was dialled", each(lambda p: p.count.attempts))


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop within 5 seconds.

    Raises:
        Refused, DatabaseRefused, KeyRefused: the server cannot start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    raise_file_limit()
    is_new = not holds_realm(settings.data)
    async with AsyncExitStack() as stack:
        server = await open_server(settings, stack)
        log.info(
            "serving",
            extra={
                "realm": server.realm.name,
                "port": server.port,
                "web_port": server.web_port,
                "data": str(settings.data.resolve()),
            },
        )
        welcome(server.realm.name, settings, server.port, server.web_port, is_new=is_new)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


def raise_file_limit() -> None:
    """Allow as many connections as the system does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def set_umask() -> None:
    """Let nobody else read what the server writes."""
    os.umask(0o077)
