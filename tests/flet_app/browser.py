"""A browser as the server sees it: requests with cookies, and Flet's frames over the WebSocket."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode

import msgpack
from flet.messaging.protocol import decode_ext_from_msgpack
from websockets.asyncio.client import ClientConnection, connect

LIMIT = 20.0
"""Seconds to wait for anything; generous, as test machines are busy."""
REGISTER, EVENT, INVOKE = 1, 3, 5
NUMBERS = count()


@dataclass
class Answer:
    """The response to a request."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Browser:
    """One browser at `http://localhost:PORT`, from an address of this machine's."""

    port: int
    address: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)
    language: str = "en"
    opened: list[Page] = field(default_factory=list)
    sockets: list[ClientConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    def request(
        self, path: str, method: str = "GET", body: bytes | None = None, **more: str
    ) -> Answer:
        """Ask, as scripts of the page would; cookies that come are kept."""
        headers = {"Cookie": self._cookie(), "Accept-Language": self.language}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", body, headers, method=method
        )
        try:
            with urllib.request.urlopen(asked, timeout=LIMIT) as answer:
                found = Answer(answer.status, dict(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                found = Answer(error.code, dict(error.headers.items()), error.read())
        if cookie := found.headers.get("set-cookie"):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return found

    async def load(self) -> Answer:
        """Fetch the page, and so get the cookie."""
        return await asyncio.to_thread(self.request, "/")

    async def socket(self, *, forwarded_for: str = "", **options: Any) -> ClientConnection:
        """Open the page's WebSocket."""
        options.setdefault("origin", self.url)
        headers = {"Cookie": self._cookie(), "Accept-Language": self.language}
        if forwarded_for:
            headers["X-Forwarded-For"] = forwarded_for
        socket = await connect(
            f"ws://localhost:{self.port}/ws",
            host="127.0.0.1",
            local_addr=(self.address, 0),
            additional_headers=headers,
            proxy=None,
            max_size=None,
            **options,
        )
        self.sockets.append(socket)
        return socket

    async def open(self, session: str = "") -> Page:
        """Open a page, or come back to one that is kept."""
        if "chat_browser" not in self.cookies:
            await self.load()
        page = Page(await self.socket())
        await page.register(session)
        self.opened.append(page)
        return page

    async def close(self) -> None:
        for socket in self.sockets:
            await socket.close()

    def _cookie(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())


class Page:
    """An open page: sends frames as Flet's client does, and records what it is shown."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.session, self.id = "", 0
        self.shown = ""
        """Everything that came, in the words of Python."""

    async def say(self, action: int, body: dict[str, Any]) -> None:
        await self.socket.send(b"\0" + msgpack.packb([action, body]))

    async def register(self, session: str = "") -> None:
        await self.say(REGISTER, {"session_id": session, "page_name": "", "page": {"route": "/"}})
        body = await self._next()
        self.session, self.id = body["session_id"], body["page_patch"]["_i"]

    async def go(self, action: str, **query: object) -> None:
        """Have the page's address changed, as somebody does who types it; the probe takes it."""
        # Flet passes over an address that is the one it was.
        route = f"/{action}?{urlencode({**query, 'again': next(NUMBERS)})}"
        await self.say(EVENT, {"target": self.id, "name": "route_change", "data": {"route": route}})

    async def until(self, text: str) -> str:
        """Wait until a text is shown; returns everything shown."""
        async with asyncio.timeout(LIMIT):
            while text not in self.shown:
                await self._next()
        return self.shown

    async def told(self) -> dict[str, Any]:
        """Return the next JSON object that is shown."""
        async with asyncio.timeout(LIMIT):
            while True:
                for text in _texts(await self._next()):
                    if text.startswith("{"):
                        return dict(json.loads(text))

    async def _next(self) -> Any:
        async with asyncio.timeout(LIMIT):
            frame = await self.socket.recv()
        assert isinstance(frame, bytes) and frame[0] == 0
        action, body = msgpack.unpackb(
            frame[1:], ext_hook=decode_ext_from_msgpack, strict_map_key=False
        )
        self.shown += str(body)
        if action == INVOKE:
            # Whatever it is asked, as what was kept from the last time: there is nothing.
            asked = {name: body[name] for name in ("control_id", "call_id")}
            await self.say(INVOKE, {**asked, "result": None, "error": None})
        return body


def _texts(found: Any) -> list[str]:
    """Return all texts in a frame."""
    if isinstance(found, str):
        return [found]
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, list | tuple):
        return [text for part in found for text in _texts(part)]
    return []
