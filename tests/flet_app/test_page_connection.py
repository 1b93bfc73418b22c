"""Rule of drawing: a page may go at any moment, and drawing to it then is no error."""

from __future__ import annotations

import asyncio
from typing import Any

import flet as ft
import msgpack
from flet_web.fastapi import app_manager
from starlette.websockets import WebSocket

from flet_app.page_connection import PageConnection
from tests.flet_app.browser import REGISTER


async def test_a_page_that_goes_while_it_is_drawn_was_logged_as_an_error() -> None:
    """Flet said that 'NoneType' has no 'put_nowait', in whatever drew just then."""
    drawn, gone = asyncio.Event(), asyncio.Event()
    going = asyncio.Event()

    async def draw_on(page: ft.Page) -> None:
        async def draw() -> None:
            # In every pass of the loop, so that one falls between the WebSocket's end and Flet's.
            number = 0
            while not gone.is_set():
                page.controls = [ft.Text(str(number := number + 1))]
                page.update()
                drawn.set()
                await asyncio.sleep(0)

        nonlocal drawing
        drawing = asyncio.create_task(draw())

    drawing: asyncio.Task[None] | None = None
    body = {"session_id": "", "page_name": "", "page": {"route": "/"}}
    frames = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "bytes": b"\0" + msgpack.packb([REGISTER, body])},
    ]

    async def receive() -> dict[str, Any]:
        if frames:
            return frames.pop(0)
        await going.wait()
        return {"type": "websocket.disconnect", "code": 1001}

    async def send(message: Any) -> None:
        pass

    scope = {
        **{"type": "websocket", "path": "/ws", "query_string": b"", "headers": []},
        **{"server": ("localhost", 80), "client": None, "scheme": "ws"},
    }
    flet = PageConnection(
        loop=asyncio.get_running_loop(),
        executor=app_manager.executor,
        main=draw_on,
        before_main=None,
        session_timeout_seconds=0,
    )
    serving = asyncio.create_task(flet.handle(WebSocket(scope, receive, send)))
    await asyncio.wait_for(drawn.wait(), 20)
    going.set()
    await asyncio.wait_for(serving, 20)
    gone.set()
    assert drawing is not None
    await asyncio.wait_for(drawing, 20)
