"""The web app: one process that serves the page, its WebSockets and the files of its sessions."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from flet_web.fastapi import app_manager
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.utils import ClientDisconnected

from flet_app.frames import MAX_FRAME
from flet_app.pages import Pages, RealmWay, Start
from flet_app.patient import Patient
from flet_app.settings import Settings
from flet_app.site import Site
from flet_app.tickets import Tickets
from flet_app.visitors import Visitor, new_cookie, visitor_of
from shared import certificates
from shared.settings import SettingsRefused

log = logging.getLogger(__name__)

WIDOWED = 900.0
"""Seconds that pages live on after the server that started this process was killed."""
WRONG_PORT = 4510
"""Closes the WebSocket of a program that takes this port for the realm's: it need not try again."""
STOP_LIMIT = 2
"""Seconds that requests under way have when the process is told to stop."""


class Door:
    """What every request passes: who it is, what it may, and what its answer says to a browser."""

    def __init__(self, pages: Pages, routes: ASGIApp, policy: str, settings: Settings):
        self._pages = pages
        self._routes = routes
        self._policy = policy
        self._trusted = settings.networks
        self._realm = settings.server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] == "websocket":
                await self._socket(scope, receive, send)
            elif scope["type"] == "http":
                await self._request(scope, receive, send)
        except asyncio.CancelledError:
            pass  # the process ends, and uvicorn would call this an error of ours

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        visitor = visitor_of(scope, self._trusted)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._guard(MutableHeaders(scope=message), visitor)
            await send(message)

        await self._routes(scope, receive, answer)

    def _guard(self, headers: MutableHeaders, visitor: Visitor) -> None:
        headers.setdefault("Content-Security-Policy", self._policy)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "no-referrer"
        # With these two the engine may use several threads.
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Embedder-Policy"] = "require-corp"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        if not visitor.browser and headers.get("content-type", "").startswith("text/html"):
            headers.append("Set-Cookie", new_cookie(visitor.secure))

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        visitor = visitor_of(scope, self._trusted)
        refusal: PlainTextResponse | None = None
        if "origin" not in headers and not visitor.browser:
            await self._guide(receive, send)
            return
        if scope["path"] != "/ws":
            refusal = PlainTextResponse("There is nothing here.\n", 404)
        elif urlsplit(headers.get("origin", "")).netloc != headers.get("host"):
            # Or a page of somebody else could use this one with the cookie of whoever opens it.
            refusal = PlainTextResponse(
                "The Origin of the request is not its Host. A proxy must pass the Host on.\n", 403
            )
        elif not visitor.browser:
            refusal = PlainTextResponse("Allow cookies for this page, and load it anew.\n", 403)
        elif self._pages.refuses(visitor):
            refusal = PlainTextResponse(
                "Too many pages are open. Close some, or come back in five minutes.\n",
                503,
                headers={"Retry-After": "300"},
            )
        if refusal is not None:
            await refusal(scope, receive, send)
            # Or uvicorn, which has sent it, would log that there was no answer.
            raise ClientDisconnected
        await self._pages.serve(visitor, scope, receive, send)

    async def _guide(self, receive: Receive, send: Send) -> None:
        """Tell a person at wscat, or a program, where the realm is: clients show no refusal."""
        await receive()
        await send({"type": "websocket.accept"})
        where = f"This is the web app's port; the realm is at {self._realm}"
        await send({"type": "websocket.send", "text": f"ERROR bad_command {where}"})
        await send({"type": "websocket.close", "code": WRONG_PORT, "reason": "the wrong port"})


def policy(scripts: Sequence[str]) -> str:
    """Return the Content-Security-Policy: nothing comes from elsewhere, and nothing goes there."""
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


def application(pages: Pages, tickets: Tickets, settings: Settings, folder: Path) -> Door:
    """Return the ASGI app.

    Args:
        folder: Of this process alone, for files on their way; the caller removes it.
    """
    site = Site(folder)

    async def health(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    routes = Starlette(
        routes=[
            Route("/healthz", health),
            Route("/files/{ticket}", tickets.serve, methods=["GET", "PUT"]),
            Mount("/", site),
        ]
    )
    return Door(pages, routes, policy(site.inline_scripts), settings)


class Server(uvicorn.Server):
    """uvicorn's server, whose signals are ours: it ends with 0 when it was asked to."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def serve(start: Start, settings: Settings, sockets: list[socket.socket]) -> None:
    """Serve until SIGTERM or SIGINT, or until whoever gave the sockets is gone; then stop.

    It stops within 3 s, open pages or not. But when the server that gave the sockets was killed,
    those who have a page open keep it until they leave it, for WIDOWED seconds at most.
    """
    with tempfile.TemporaryDirectory(prefix="simple-chatting-") as folder:
        # A server that starts meanwhile empties what nobody holds.
        held = hold(Path(folder))
        tempfile.tempdir = folder
        await app_manager.start()  # type: ignore[no-untyped-call]
        tickets = Tickets()
        way = RealmWay(settings.server, settings.socket)
        pages = Pages(start, way, tickets, settings.max_pages, settings.max_address_pages)
        Patient.trusted = settings.networks
        server = Server(
            uvicorn.Config(
                application(pages, tickets, settings, Path(folder)),
                http=Patient,
                ws="websockets-sansio",
                ws_max_size=MAX_FRAME,
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=20,
                timeout_graceful_shutdown=STOP_LIMIT,
                limit_concurrency=4 * settings.max_pages + 100,
                ssl_certfile=settings.tls_cert,
                ssl_keyfile=settings.tls_key,
            )
        )
        loop = asyncio.get_running_loop()
        seeing_out: set[asyncio.Task[None]] = set()

        def stop() -> None:
            server.should_exit = True

        def widowed() -> None:
            loop.remove_reader(sys.stdin.fileno())
            seeing_out.add(asyncio.create_task(see_out(server, pages, sockets)))

        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, stop)
        if settings.sockets:
            loop.add_reader(sys.stdin.fileno(), widowed)
        try:
            await server.serve(sockets)
        finally:
            await app_manager.shutdown()  # type: ignore[no-untyped-call]
            tempfile.tempdir = None
            os.close(held)


async def see_out(server: Server, pages: Pages, sockets: list[socket.socket]) -> None:
    """Leave the port to the next server, and the pages to the people who write in them."""
    for accepting in server.servers:
        accepting.close()
    for listening in sockets:
        listening.close()
    log.warning("the server is gone", extra={"pages": pages.open})
    ends = time.monotonic() + WIDOWED
    while pages.open and time.monotonic() < ends:  # noqa: ASYNC110 - asked once a second
        await asyncio.sleep(1)
    server.should_exit = True


def hold(folder: Path) -> int:
    """Lock a folder until the file descriptor that is returned is closed."""
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def check_certificate(settings: Settings) -> None:
    """Look whether the certificate can be used, before anybody comes.

    Raises:
        SettingsRefused: it cannot.
    """
    if settings.tls_cert is None:
        return
    assert settings.tls_key is not None
    try:
        certificates.tls_context(settings.tls_cert, settings.tls_key)
    except certificates.BadCertificate as error:
        raise SettingsRefused(str(error)) from error
