"""The web app: one process that serves the page, its WebSockets and its sessions' files."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import uvicorn
from flet_web.fastapi import app_manager
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from flet_app.browser_host import RealmWay
from flet_app.browser_identity import (
    VISITOR_KEY,
    BrowserIdentity,
    is_from_before,
    new_cookie,
    visitor_of,
)
from flet_app.file_urls import Tickets
from flet_app.http_timeouts import MAX_CONNECTIONS, HttpConnections
from flet_app.kept_pages import KeptPages
from flet_app.page_socket import PageSocket
from flet_app.pages import STALE_CODE, Pages, Start
from flet_app.settings import AppSettings
from flet_app.site import Site
from shared.hosts import REFUSED, HostNames, parts
from shared.settings import split, tls_context

log = logging.getLogger(__name__)

HEALTH = "/healthz"
"""Paths that are answered under any Host."""
HSTS = "max-age=31536000"
"""Browsers that came over https use only https for a year (RFC 6797)."""
ORPHANED_SECONDS = 900.0
"""Seconds that open pages live on after the server that started this process was killed."""
WRONG_PORT_CODE = 4510
"""Close code for a program that mistakes this port for the realm's; it must not retry."""
STOP_SECONDS = 2
"""Seconds that running requests get when the process is told to stop."""


def is_of(host: str, origin: str) -> bool:
    """Tell whether an `Origin` matches a `Host`."""
    page = parts(origin)
    return page is not None and page.scheme in ("http", "https") and page.netloc == host


class SecurityMiddleware:
    """What every request passes: who it is, what it may, and what its answer says to a browser."""

    def __init__(self, pages: Pages, routes: ASGIApp, policy: str, settings: AppSettings):
        self._pages = pages
        self._routes = routes
        self._policy = policy
        self._trusted = settings.networks
        self._realm = settings.server
        self._names = HostNames([*split(settings.hosts), settings.host])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] not in ("websocket", "http"):
                return
            visitor = visitor_of(scope, self._trusted)
            scope = {**scope, VISITOR_KEY: visitor}
            if scope["type"] == "websocket":
                await self._socket(visitor, scope, receive, send)
            else:
                await self._request(visitor, scope, receive, send)
        except asyncio.CancelledError:
            pass  # the process is stopping; uvicorn would log this as an application error

    async def _request(
        self, visitor: BrowserIdentity, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._guard(MutableHeaders(scope=message), visitor)
            await send(message)

        routes = self._routes
        if (refusal := self._misled(headers)) is not None and scope["path"] != HEALTH:
            routes = refusal
        elif len(headers.getlist("range")) > 1 or "," in headers.get("range", ""):
            # Thousands of ranges cost more than the whole file, which may be sent instead (RFC
            # 9110, section 14.2).
            scope["headers"] = [
                (name, value) for name, value in scope["headers"] if name != b"range"
            ]
        await routes(scope, receive, answer)

    def _misled(self, headers: Headers) -> PlainTextResponse | None:
        """Return the refusal of a request whose Host is foreign or repeated."""
        if len(headers.getlist("host")) != 1 or len(headers.getlist("origin")) > 1:
            return PlainTextResponse("Host comes once, and Origin once at most.\n", 400)
        if not self._names.allow(headers["host"]):
            return PlainTextResponse(REFUSED, 403)
        return None

    def _guard(self, headers: MutableHeaders, visitor: BrowserIdentity) -> None:
        headers.setdefault("Content-Security-Policy", self._policy)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer"
        # These two headers allow the engine to use several threads.
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if visitor.secure:
            headers["Strict-Transport-Security"] = HSTS
        if not visitor.browser and headers.get("content-type", "").startswith("text/html"):
            headers.append("Set-Cookie", new_cookie(visitor.secure))

    async def _socket(
        self, visitor: BrowserIdentity, scope: Scope, receive: Receive, send: Send
    ) -> None:
        headers = Headers(scope=scope)
        refusal = self._misled(headers)
        if refusal is None and "origin" not in headers and not visitor.browser:
            await self._guide(receive, send)
            return
        if refusal is not None:
            pass
        elif scope["path"] != "/ws":
            refusal = PlainTextResponse("There is nothing here.\n", 404)
        elif not is_of(headers["host"], headers.get("origin", "")):
            # Otherwise a foreign page could use this server with the cookie of its visitor.
            refusal = PlainTextResponse(
                "The Origin of the request is not its Host. A proxy must pass the Host on.\n", 403
            )
        elif is_from_before(HTTPConnection(scope).cookies, visitor):
            await receive()
            await send({"type": "websocket.accept"})
            await send(
                {"type": "websocket.close", "code": STALE_CODE, "reason": "load the page anew"}
            )
            return
        elif not visitor.browser:
            refusal = PlainTextResponse("Allow cookies for this page, and load it anew.\n", 403)
        elif self._pages.kept.refuses(visitor):
            refusal = PlainTextResponse(
                "Too many pages are open. Close some, or come back in five minutes.\n",
                503,
                headers={"Retry-After": "300"},
            )
        if refusal is not None:
            await refusal(scope, receive, send)
            # uvicorn has sent the answer itself, and would log that it is missing.
            raise ClientDisconnected
        await self._pages.serve(visitor, scope, receive, send)

    async def _guide(self, receive: Receive, send: Send) -> None:
        """Tell a person at wscat, or a program, where the realm is: clients do not show HTTP
        refusals."""
        await receive()
        await send({"type": "websocket.accept"})
        where = f"This is the web app's port; the realm is at {self._realm}"
        await send({"type": "websocket.send", "text": f"ERROR bad_command {where}"})
        await send({"type": "websocket.close", "code": WRONG_PORT_CODE, "reason": "the wrong port"})


def policy(scripts: Sequence[str]) -> str:
    """Return the Content-Security-Policy: the page may contact only its own server."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' blob: 'wasm-unsafe-eval' {' '.join(scripts)}",
            "worker-src 'self' blob:",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "media-src 'self' data: blob:",
            "font-src 'self' data:",
            "connect-src 'self' data: blob:",
            "manifest-src 'self'",
            "base-uri 'self'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ]
    )


def application(
    pages: Pages, tickets: Tickets, settings: AppSettings, folder: Path
) -> SecurityMiddleware:
    """Return the ASGI app.

    Args:
        folder: This process's own folder for files in transit; the caller removes it.
    """
    site = Site(folder)

    async def health(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    routes = Starlette(
        routes=[
            Route(HEALTH, health),
            Route("/files/{ticket}", tickets.serve, methods=["GET", "PUT"]),
            Mount("/", site),
        ]
    )
    return SecurityMiddleware(pages, routes, policy(site.inline_scripts), settings)


class WebAppServer(uvicorn.Server):
    """uvicorn's server with our own signal handlers: it exits with 0 when asked to stop."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(start: Start, settings: AppSettings, sockets: list[socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT, or until the program that gave the sockets has ended.

    Stopping takes at most 3 s, even with open pages. But if the program that gave the sockets was
    killed, open pages live on until they are closed, for at most ORPHANED_SECONDS.
    """
    with tempfile.TemporaryDirectory(prefix="simple-chatting-") as folder:
        # A server that starts meanwhile removes folders without a lock.
        held = hold(Path(folder))
        await app_manager.start()  # type: ignore[no-untyped-call]
        tickets = Tickets(Path(folder))
        way = RealmWay(settings.server, settings.socket)
        kept = KeptPages(settings.max_pages, settings.max_address_pages)
        pages = Pages(start, way, tickets, kept)
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = (
            min(MAX_CONNECTIONS, soft // 2) if soft != resource.RLIM_INFINITY else MAX_CONNECTIONS
        )
        connections = HttpConnections(settings.networks, tls_context(settings), most)
        server = WebAppServer(
            uvicorn.Config(
                application(pages, tickets, settings, Path(folder)),
                http=cast(type[asyncio.Protocol], connections.protocol),
                ws=PageSocket,
                ws_per_message_deflate=False,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=20,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        loop = asyncio.get_running_loop()
        seeing_out: set[asyncio.Task[None]] = set()

        def stop() -> None:
            server.should_exit = True

        def widowed() -> None:
            loop.remove_reader(sys.stdin.fileno())
            seeing_out.add(asyncio.create_task(see_out(server, kept, sockets)))

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop)
        if settings.sockets:
            loop.add_reader(sys.stdin.fileno(), widowed)
        try:
            await server.serve(sockets)
        finally:
            await app_manager.shutdown()  # type: ignore[no-untyped-call]
            os.close(held)


async def see_out(server: WebAppServer, kept: KeptPages, sockets: list[socket.socket]) -> None:
    """Release the port for the next server, and keep serving the open pages."""
    for accepting in server.servers:
        accepting.close()
    for listening in sockets:
        listening.close()
    log.warning("the server is gone", extra={"pages": len(kept.sockets)})
    ends = time.monotonic() + ORPHANED_SECONDS
    while kept.sockets and time.monotonic() < ends:  # noqa: ASYNC110 - asked once a second
        await asyncio.sleep(1)
    server.should_exit = True


def hold(folder: Path) -> int:
    """Lock a folder until the returned file descriptor is closed."""
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held
