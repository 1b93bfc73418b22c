"""The composition root: the only file that chooses adapters and puts the realm together."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from shared.background_tasks import BackgroundTasks
from shared.faults import explained, shown
from shared.settings import split, tls_context
from shared.sockets import PORT_TRIES, not_listening
from ws_server import file_descriptors, threads, web_app
from ws_server import handlers as handlers  # registers the handlers of all commands
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
from ws_server.federation.contents.awaited_contents import ContentTransfers
from ws_server.federation.handshake import dialling
from ws_server.federation.handshake.handshake_client import Dialler
from ws_server.federation.links.linker import Linker
from ws_server.federation.links.services import LinkServices, Terms
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.first_admin import FirstAdmin
from ws_server.gate import Gate
from ws_server.housekeeping import keep_house, sweep
from ws_server.identity import Identity
from ws_server.key import posts_secret
from ws_server.limits import RateLimits
from ws_server.metrics import Metrics
from ws_server.net.budgets import Budgets
from ws_server.net.file_lane import Pieces
from ws_server.net.hub import Hub
from ws_server.net.listener import Listener
from ws_server.net.origin_policy import Browsers
from ws_server.password_guesses import Guesses
from ws_server.passwords import Passwords
from ws_server.publications import Publisher
from ws_server.readiness import Readiness
from ws_server.realm import Realm, Serving
from ws_server.realm_metrics import measure
from ws_server.registration import Registration
from ws_server.settings import Settings
from ws_server.startup import open_store, realm_name
from ws_server.store import recipients
from ws_server.store.accounts import registering, users
from ws_server.store.cache import Cache
from ws_server.store.contents.blobs import Blobs
from ws_server.store.database import Database
from ws_server.store.engines.sqlite_file import file_of
from ws_server.store.federation import own_name
from ws_server.store.journal import Journal
from ws_server.web_app import WebApp
from ws_server.welcome import address, welcome

log = logging.getLogger(__name__)

DAY = 24 * 3600 * 1000
"""One day in milliseconds."""


@dataclass(frozen=True, slots=True)
class Server:
    """A realm and its port."""

    realm: Realm
    gate: Gate
    listener: Listener
    port: int
    web_port: int | None
    """The port of the web app; None if it is not served."""


async def open_realm(settings: Settings, stack: AsyncExitStack, *, serves: bool = False) -> Realm:
    """Open the realm without a port; `stack` closes it in reverse order.

    Args:
        serves: The realm will be served under its name, which is then fixed in its data.

    Raises:
        Refused: a setting does not work; nothing is left running, and a new realm leaves no file.
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
    journal = Journal(database, cache, posts_secret(realm_key))
    stack.push_async_callback(journal.close)
    passwords = Passwords()
    stack.callback(passwords.close)
    identity = Identity(name, realm_key)
    terms = Terms(settings.max_file * 2**20, settings.max_realm_files * 2**20, not settings.trial)
    limits = RateLimits(settings.rate_limits == "on")
    linker = make_linker(settings, identity, terms, limits, blobs, database, cache, journal)
    realm = Realm(
        linker=linker,
        registration=Registration(
            await database.read(registering.mode_in_effect, settings.registration),
            settings.registration if serves else None,
        ),
        database=database,
        cache=cache,
        journal=journal,
        blobs=blobs,
        passwords=passwords,
        limits=limits,
        max_user_files=settings.max_user_files * 2**20,
        session_age=settings.session_days * DAY,
        guesses=Guesses(settings.rate_limits == "on"),
        first_admin=FirstAdmin(settings.trial),
    )
    stack.callback(realm.audit.summarise)
    await realm.peers.load()
    if serves:
        await journal.write(lambda tx, now: own_name.store_name(tx, name))
        await journal.write(lambda tx, now: registering.reconcile_mode(tx, settings.registration))
        if not await database.read(users.has_admin):
            realm.first_admin.wanted()
    await journal.write(lambda tx, now: recipients.get_ready(tx))
    await sweep(realm, age=0)
    return realm


def make_linker(
    settings: Settings,
    identity: Identity,
    terms: Terms,
    limits: RateLimits,
    blobs: Blobs,
    database: Database,
    cache: Cache,
    journal: Journal,
) -> Linker:
    """Construct the publisher of changes and the linker to other realms."""
    hub, pieces, tasks = Hub(), Pieces(blobs), BackgroundTasks()
    contents = ContentTransfers(database, journal, blobs, pieces, tasks)
    peers = PeerRegistry(
        *(identity, database, journal, cache, hub, tasks),
        policy=settings.realms,
        trial=settings.trial,
        public=settings.public,
        private=settings.private,
    )
    publisher = Publisher(journal, cache, hub, pieces, contents, peers)
    services = LinkServices(
        *(identity, secrets.token_hex(8), terms, limits),
        *(database, journal, publisher),
    )
    return Linker(services, Dialler(identity, tasks, settings.public))


async def open_server(settings: Settings, stack: AsyncExitStack) -> Server:
    """Start everything; `stack` stops it in reverse order.

    Raises:
        SettingsRefused, Refused, DatabaseRefused, KeyRefused: the server cannot start; nothing is
            left running.
    """
    tls = tls_context(settings)
    realm = await open_realm(settings, stack, serves=True)
    gate = Gate(realm)
    stack.push_async_callback(gate.close)
    metrics = Metrics()
    pages = Browsers([*split(settings.hosts), settings.host], split(settings.origins), ports=())
    budgets = Budgets(realm.limits.on, file_descriptors.room_for_connections())
    realm.hub.most_sessions = budgets.sessions_of_account
    listener = Listener(
        gate,
        ready=Readiness(realm, written_in(settings)).why_not,
        metrics=metrics.text,
        browsers=pages,
        budgets=budgets,
        trusted_proxies=settings.networks,
        scrapers=settings.scrapers,
    )
    browsers = WebApp(settings)
    # Signalled first and awaited last, so that it ends while connections are closed.
    stack.push_async_callback(browsers.close)
    stack.push_async_callback(listener.close)
    measure(metrics, settings, realm, gate, listener)
    try:
        port = listener.open(settings.listen_on, settings.port, tls)
    except OSError as error:
        raise Refused(
            f"Cannot listen on --host {shown(settings.host)} --port {settings.port}: "
            f"{not_listening(error)}"
        ) from error
    realm.serving = Serving(settings.host, port, tls is not None, time.monotonic())
    stack.push_async_callback(realm.peers.close)
    dialling.begin(realm.linker, port, tls is not None)
    control = ControlSocket(realm, settings.data)
    stack.push_async_callback(control.close)
    try:
        await control.open()
    except OSError as error:
        raise Refused(
            f"--data does not allow a socket: {explained(error, settings.data)}"
        ) from error
    housekeeping = asyncio.create_task(keep_house(realm))
    stack.callback(housekeeping.cancel)
    web_port = await open_web_app(settings, browsers, listener, port, stack)
    if web_port is not None:
        pages.ports.add(web_port)
    return Server(realm, gate, listener, port, web_port)


async def open_web_app(
    settings: Settings, browsers: WebApp, listener: Listener, port: int, stack: AsyncExitStack
) -> int | None:
    """Serve the web app and return its port; None if it is off or not installed.

    Raises:
        Refused: the web app cannot be served.
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
            f"Cannot listen on --host {shown(settings.host)} --web-port {settings.web_port}, nor "
            f"on the {PORT_TRIES} ports after it: {not_listening(error)}. --web-port off serves no "
            "web app"
        ) from error
    stack.callback(browsers.stop)
    listener.web_port = web_port
    return web_port


def written_in(settings: Settings) -> list[Path]:
    """Return the folders that the realm writes to."""
    folders = [settings.data]
    file = file_of(database_url(settings))
    if file is not None and file.parent.resolve() != settings.data.resolve():
        folders.append(file.parent)
    return folders


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then stop within 5 seconds.

    Raises:
        SettingsRefused, Refused, DatabaseRefused, KeyRefused: the server cannot start.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    file_descriptors.raise_limit()
    threads.switch_often()
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
        realm = server.realm
        ports = server.port, server.web_port
        welcome(
            realm.name,
            settings,
            *ports,
            is_new=is_new,
            code=realm.first_admin.code,
            registration=realm.registration,
        )
        await stop.wait()
        log.info("stopping")
    log.info("stopped")


def set_umask() -> None:
    """Create the server's files readable by its own account only."""
    os.umask(0o077)
