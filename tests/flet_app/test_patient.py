"""Clients that hold connections without reading are disconnected; others are not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flet_app import http_timeouts
from flet_app.http_timeouts import HttpConnections

CONTENT = bytes(24 << 20)
"""More than the buffers of both systems take."""
FEW = 8
LIMIT = 20.0
"""Seconds to wait for what must come."""


async def answer(request: Request) -> Response:
    return Response(CONTENT)


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """A server that takes few connections of one address."""
    monkeypatch.setattr(http_timeouts, "MAX_CONNECTIONS_PER_ADDRESS", FEW)
    listening = socket.create_server(("127.0.0.1", 0))
    app = Starlette(routes=[Route("/", answer)])
    server = uvicorn.Server(
        uvicorn.Config(
            app, http=cast(Any, HttpConnections().protocol), lifespan="off", log_level="error"
        )
    )
    serving = asyncio.create_task(server.serve([listening]))
    yield listening.getsockname()[1]
    server.should_exit = server.force_exit = True
    await serving


async def asked(port: int, address: str = "127.0.0.1") -> socket.socket:
    """Ask for the content, and read nothing of it."""
    loop = asyncio.get_running_loop()
    one = socket.socket()
    one.setblocking(False)
    one.bind((address, 0))
    await loop.sock_connect(one, ("127.0.0.1", port))
    await loop.sock_sendall(one, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    return one


async def read(one: socket.socket, pause: float = 0) -> int:
    """Read to the end of the content or of the connection; return how many bytes came."""
    loop = asyncio.get_running_loop()
    got = 0
    async with asyncio.timeout(LIMIT):
        try:
            while got < len(CONTENT) and (piece := await loop.sock_recv(one, 1 << 18)):
                got += len(piece)
                await asyncio.sleep(pause)
        except ConnectionError:
            pass
    one.close()
    return got


@pytest.mark.slow
async def test_who_takes_nothing_of_an_answer_is_cut_off_and_who_is_slow_is_not(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_timeouts, "STALL_SECONDS", 0.5)
    stalled, slow = await asked(port), await asked(port)
    slowly = asyncio.create_task(read(slow, pause=0.02))
    await asyncio.sleep(1.5)
    assert await read(stalled) < len(CONTENT)
    assert await slowly >= len(CONTENT)


async def test_connections_of_one_address_are_limited_and_others_come_in(port: int) -> None:
    many = [await asked(port, "127.0.0.5") for _ in range(FEW)]
    assert await read(await asked(port, "127.0.0.5")) == 0
    assert await read(await asked(port, "127.0.0.6")) >= len(CONTENT)
    for one in many:
        one.close()
    await asyncio.sleep(0.2)
    assert await read(await asked(port, "127.0.0.5")) >= len(CONTENT)
