"""The composition root: the only file that chooses adapters and puts the realm together."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import math
import os
import shutil
import signal
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import Connection, update

from shared.settings import split
from shared.sockets import TRIES
from ws_server import __version__, descriptors, key, web_app
from ws_server.admin.control import ControlSocket
from ws_server.federation.contents import Contents
from ws_server.federation.peer import Peer
from ws_server.federation.peers import Peers
from ws_server.gate import Gate
from ws_server.limits import Limits
from ws_server.metrics import Metrics
from ws_server.net.browsers import Browsers
from ws_server.net.budgets import Budgets
from ws_server.net.file_lane import Pieces
from ws_server.net.listener import Listener
from ws_server.passwords import Passwords
from ws_server.realm import Realm, Serving
from ws_server.settings import Settings
from ws_server.store import fetches, files
from ws_server.store.blobs import Blobs
from ws_server.store.database import Database
from ws_server.store.journal import Journal
from ws_server.store.schema import meta
from ws_server.web_app import WebApp
from ws_server.welcome import address, welcome

log = logging.getLogger(__name__)

ELSEWHERE = "database-elsewhere"
"""A file in the data folder of a realm whose database is named by --database, so that nobody begins
a new one in the folder by leaving that out."""
HOUSEKEEPING = 3600.0
"""Seconds between two sweeps of what was abandoned."""


class Refused(Exception):
    """The server cannot start; the text tells the operator what to do."""


def lock_folder(data: Path) -> IO[str]:
    """Create the data folder and keep other servers off it.

    Raises:
        Refused: another server uses it, or it cannot be written.
    """
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = open(data / "lock", "w")
    except OSError as error:
        raise Refused(f"--data {data}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Refused(
            f"Another server uses {data.resolve()}. Stop it, or give another folder with --data"
        ) from None
    return lock


def holds_realm(data: Path) -> bool:
    """Tell whether a realm was ever opened on this folder."""
    return (data / "blobs").is_dir()


def expect_realm(data: Path) -> None:
    """Refuse a folder on which no realm was ever opened.

    Raises:
        Refused: that is so.
    """
    if not holds_realm(data):
        raise Refused(f"{data.resolve()} holds no realm; name its data folder with --data")


def database_url(settings: Settings) -> str:
    """Return the URL of the database.

    Raises:
        Refused: the realm was last opened with another one, which is not named now.
    """
    if not settings.database and (settings.data / ELSEWHERE).exists():
        raise Refused(
            f"The database of {settings.data.resolve()} is not in that folder. Name it as before, "
            "with --database or CHAT_DATABASE"
        )
    return settings.database or f"sqlite:///{settings.data / 'chat.db'}"


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Return the certificate to serve with, if one is set.

    Raises:
        Refused: it cannot be read, or the key does not fit.
    """
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        why = error.strerror or "no certificate"
        raise Refused(
            f"--tls-cert {settings.tls_cert} with --tls-key {settings.tls_key}: {why}. "
            "Both must be PEM files, and the key must fit the certificate"
        ) from error
    return context


@dataclass(frozen=True, slots=True)
class Server:
    """A realm with its port."""

    realm: Realm
    gate: Gate
    listener: Listener
    port: int
    web_port: int | None
    """Where browsers find the web app; None if it is not served."""


async def open_realm(settings: Settings, stack: AsyncExitStack) -> Realm:
    """Open the realm without a port; `stack` closes it again, in reverse order.

    Raises:
        Refused: a setting does not work; nothing is left running.
        DatabaseRefused: the database cannot be used.
        KeyRefused: the realm's key cannot be used.
    """
    stack.callback(lock_folder(settings.data).close)
    try:
        blobs = Blobs(settings.data)
    except OSError as error:
        raise Refused(f"--data {settings.data}: {error.strerror}") from error
    stack.callback(blobs.close)
    realm_key = await asyncio.to_thread(key.read_or_make, settings.data)
    database = await asyncio.to_thread(Database.open, database_url(settings))
    stack.callback(database.close)
    if settings.database:
        (settings.data / ELSEWHERE).touch(mode=0o600)
    journal = Journal(database)
    stack.push_async_callback(journal.close)
    passwords = Passwords()
    stack.callback(passwords.close)
    realm = Realm(
        name=settings.realm,
        key=realm_key,
        registration_open=settings.registration == "open",
        database=database,
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
    await sweep(realm, age=0)
    return realm


async def open_server(settings: Settings, stack: AsyncExitStack) -> Server:
    """Start everything; `stack` stops it again, in reverse order.

    Raises:
        Refused, DatabaseRefused, KeyRefused: it cannot start; nothing is left running.
    """
    tls = tls_context(settings)
    realm = await open_realm(settings, stack)
    gate = Gate(realm)
    stack.push_async_callback(gate.close)
    metrics = Metrics()
    pages = Browsers([*split(settings.hosts), settings.host], split(settings.origins), ports=())
    budgets = Budgets(realm.limits.on, descriptors.room_for_connections())
    realm.hub.most_sessions = budgets.sessions_of_account
    listener = Listener(
        gate,
        ready=lambda: is_ready(realm),
        metrics=metrics.text,
        browsers=pages,
        budgets=budgets,
        trusted_proxies=settings.networks,
    )
    browsers = WebApp(settings)
    # Told to stop first, and waited for last, it ends while connections are closed.
    stack.push_async_callback(browsers.close)
    stack.push_async_callback(listener.close)
    measure(metrics, settings, realm, gate, listener)
    try:
        port = listener.open(settings.listen_on, settings.port, tls)
    except OSError as error:
        hint = "; another --port may be free" if error.errno == errno.EADDRINUSE else ""
        raise Refused(
            f"Cannot listen on --host {settings.host} --port {settings.port}: "
            f"{error.strerror or error}{hint}"
        ) from error
    realm.serving = Serving(settings.host, port, tls is not None, time.time())
    stack.push_async_callback(realm.links.close)
    realm.links.open(port, tls is not None)
    control = ControlSocket(realm, settings.data)
    stack.push_async_callback(control.close)
    try:
        await control.open()
    except OSError as error:
        raise Refused(f"--data {settings.data} takes no socket: {error.strerror}") from error
    housekeeping = asyncio.create_task(keep_house(realm))
    stack.callback(housekeeping.cancel)
    web_port = await open_web_app(settings, browsers, listener, port, stack)
    if web_port is not None:
        pages.ports.add(web_port)
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
        listener.open_socket(path)
        stack.callback(path.unlink, missing_ok=True)
        web_port = browsers.open(address(settings, "ws", port))
    except OSError as error:
        raise Refused(
            f"Cannot listen on --host {settings.host} --web-port {settings.web_port}, nor on the "
            f"{TRIES} ports after it: {error.strerror or error}. Give another --web-port, or off"
        ) from error
    stack.callback(browsers.stop)
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


async def sweep(realm: Realm, age: float) -> None:
    """Forget abandoned uploads, and contents that no message ever came to carry."""

    def forget(tx: Connection, now: int) -> set[str]:
        files.forget_abandoned(tx, now)
        return files.open_uploads(tx) | fetches.open_parts(tx)

    parts = await realm.journal.write(forget)
    realm.stray_bytes.clear()

    def remove(tx: Connection) -> int:
        return realm.blobs.sweep(parts, lambda hashes: files.unreferenced(tx, hashes), age)

    removed = await realm.database.read(remove)
    if removed:
        log.info("removed contents without a message", extra={"count": removed})


async def keep_house(realm: Realm) -> None:
    """Sweep from time to time."""
    while True:
        await asyncio.sleep(HOUSEKEEPING)
        try:
            await sweep(realm, age=HOUSEKEEPING)
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
    budgets = listener.budgets
    metrics.gauge("strangers", "not signed in", lambda: budgets.everybody.strangers)
    metrics.counter_by("bound", "bounds", "times a bound was met", lambda: budgets.refused)
    metrics.counter_by("by", "closed", "WebSockets that ended", lambda: listener.closed)
    metrics.gauge("file_bytes", "contents of files", lambda: realm.blobs.bytes)
    metrics.gauge("database_bytes", "the database", lambda: size_of(database_url(settings)))
    metrics.gauge("disk_free_bytes", "room left for data", lambda: free_space(settings.data))
    measure_realms(metrics, realm.links)


def size_of(url: str) -> int:
    """Return the bytes of a database and its write-ahead log; 0 if it is in no file."""
    size = 0
    if path := url.partition("sqlite:///")[2]:
        for file in (path, f"{path}-wal"):
            with suppress(OSError):
                size += os.stat(file).st_size
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
    descriptors.raise_limit()
    async with AsyncExitStack() as stack:
        server = await open_server(settings, stack)
        log.info(
            "serving",
            extra={
                "realm": settings.realm,
                "port": server.port,
                "web_port": server.web_port,
                "data": str(settings.data.resolve()),
            },
        )
        welcome(settings, server.port, server.web_port)
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


def set_umask() -> None:
    """Let nobody else read what the server writes."""
    os.umask(0o077)
