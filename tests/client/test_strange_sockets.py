"""Faulty servers below the level of frames: redirects, frames too large or wrong."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection

from shared.client import (
    NoAnswer,
    Offline,
)
from tests.client.people import Told
from tests.client.scripted import Body, Scripted, nothing_special, quick, signed_in


async def test_redirects_are_not_followed() -> None:
    seen = asyncio.Event()

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.set()
        writer.close()

    other = await asyncio.start_server(elsewhere, "127.0.0.1", 0)
    there = other.sockets[0].getsockname()[1]

    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{there}/\r\nContent-Length: 0"
        writer.write(f"{head}\r\n\r\n".encode())
        writer.close()

    server = await asyncio.start_server(redirect, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with quick(url, token="kept", timeout=0.5) as client:
        told = Told(client)
        await told.until(lambda: len(told.of(Offline)) >= 2)
        assert "HTTP 302" in told.of(Offline)[0].reason
        told.stop()
    server.close()
    other.close()
    assert not seen.is_set()


async def test_a_system_proxy_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:9")
    async with Scripted(nothing_special) as server, quick(server.url) as client:
        await client.auth("ana", "secret")


async def test_a_frame_over_the_bound_ends_the_connection_with_a_reason() -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            await socket.send("x" * (2**20 + 1))
        return body["command"] == "ping"

    async with Scripted(script) as server, quick(server.url, timeout=1) as client:
        told = await signed_in(client)
        with pytest.raises(NoAnswer):
            await client.ping()
        assert "1009" in told.of(Offline)[0].reason
        told.stop()


@pytest.mark.parametrize("bytes_", [b"\xc1\x00", b"\x81\x80abcd", b"\x83\x00"])
async def test_frames_against_the_websocket_protocol_end_the_connection(bytes_: bytes) -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            socket.transport.write(bytes_)
        return body["command"] == "ping"

    async with Scripted(script) as server, quick(server.url, timeout=1) as client:
        told = await signed_in(client)
        with pytest.raises(NoAnswer):
            await client.ping()
        await told.until(lambda: told.of(Offline))
        assert "frames were not right" in told.of(Offline)[0].reason
        told.stop()
