"""Rules of the listener: health, metrics, proxies, TLS, and responses to plain HTTP."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from shared.settings import SettingsRefused
from tests.net.listening import UPGRADE, port, raw, url
from tests.rawclient import RawClient
from tests.world import World
from ws_server import app
from ws_server.net import listener as listener_module
from ws_server.settings import Settings

NAMES = ["chat_connections", "chat_users", "chat_commands", "chat_errors", "chat_events"]
NAMES += ["chat_commits", "chat_entries", "chat_journal_waiting"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with World(tmp_path) as world:
        yield world


@pytest.mark.parametrize(
    ("path", "body"),
    [("/healthz", "ok\n"), ("/readyz", "ready\n"), ("/healthz?probe=1", "ok\n")],
)
async def test_health_is_answered_on_the_same_port(world: World, path: str, body: str) -> None:
    assert (await raw(world, f"GET {path} HTTP/1.1"))[::2] == (200, body)


async def test_ready_means_that_the_store_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await raw(world, "GET /readyz HTTP/1.1"))[0] == 200

    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(world.realm.journal, "_write", fails)
        assert (await raw(world, "GET /readyz HTTP/1.1"))[0] == 503
        assert (await raw(world, "GET /healthz HTTP/1.1"))[0] == 200
    assert (await raw(world, "GET /readyz HTTP/1.1"))[0] == 200


async def test_metrics_are_prometheus_text_and_count(world: World) -> None:
    client = await RawClient.signed_in(url(world), "alice")
    await client.say("send", to="nobody", text="hi")
    status, headers, body = await raw(world, "GET /metrics HTTP/1.1")
    assert (status, headers["content-type"].partition(";")[0]) == (200, "text/plain")
    found = {family.name: family for family in text_string_to_metric_families(body)}
    assert found.keys() >= set(NAMES)
    values = {name: sum(sample.value for sample in found[name].samples) for name in NAMES}
    assert all(found[name].documentation for name in NAMES)
    assert (values["chat_connections"] >= 1, values["chat_users"]) == (True, 1)
    assert (values["chat_commands"], values["chat_errors"]) == (3, 1)
    await client.close()


@pytest.mark.parametrize(
    "path",
    ["//x/metrics", "///metrics", "http://x/metrics", "/metrics/", "/metrics#", "/%6detrics"],
)
async def test_no_other_path_that_a_proxy_would_pass_shows_the_metrics(
    world: World, path: str
) -> None:
    status, _, body = await raw(world, f"GET {path} HTTP/1.1")
    assert status != 200 and "chat_" not in body


async def test_metrics_name_no_library_and_no_interpreter(world: World) -> None:
    body = (await raw(world, "GET /metrics HTTP/1.1"))[2].lower()
    assert "python" not in body and "websockets/" not in body


async def test_a_browser_that_comes_without_a_websocket_is_told_what_to_do(world: World) -> None:
    status, headers, body = await raw(world, "GET / HTTP/1.1")
    assert status == 426
    assert body == "This is a chat server. Connect with a WebSocket client, such as wscat.\n"
    assert int(headers["content-length"]) == len(body)


@pytest.mark.parametrize(
    "request_line",
    [UPGRADE, "GET / HTTP/1.1", "GET /healthz HTTP/1.1", "POST / HTTP/1.1", "nonsense"],
)
async def test_no_header_names_the_software_or_its_version(world: World, request_line: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port(world))
    writer.write(f"{request_line}\r\nHost: localhost\r\n\r\n".encode())
    async with asyncio.timeout(10):
        head = (await reader.read(4096)).decode().partition("\r\n\r\n")[0].lower()
    writer.close()
    assert "server:" not in head
    assert "python" not in head and "websockets/" not in head


@pytest.mark.parametrize("path", ["/", "/chat?x=1", "/healthz", "/a/b/c"])
async def test_any_path_serves_a_websocket_without_compression(world: World, path: str) -> None:
    async with connect(url(world, path), proxy=None) as socket:
        assert socket.protocol.extensions == []
        await socket.send("ping")
        assert await socket.recv() == "OK Pong"


async def address_of(world: World, *forwarded: str) -> str:
    """Return the client address for limits of a connection with these X-Forwarded-For headers."""
    headers = [("X-Forwarded-For", value) for value in forwarded]
    async with connect(url(world), proxy=None, additional_headers=headers) as socket:
        await socket.send("ping")
        await socket.recv()
        assert world._server is not None
        (connection,) = world._server.listener.connections
        assert connection.session is not None
        return connection.session.client.address


async def test_a_stranger_cannot_choose_their_address(tmp_path: Path) -> None:
    async with World(tmp_path / "1") as world:
        assert await address_of(world, "203.0.113.7") == "127.0.0.1"
    async with World(tmp_path / "2", trusted_proxies="10.0.0.0/8") as world:
        assert await address_of(world, "203.0.113.7") == "127.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ([], "127.0.0.1"),
        (["203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        (["6.6.6.6", "203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        (["2001:db8::7"], "2001:db8::7"),
        (["2001:db8::7, ::ffff:10.1.2.3"], "2001:db8::7"),
        (["6.6.6.6, 203.0.113.7:4711"], "203.0.113.7"),
        (["[2001:db8::7]:4711, [::ffff:10.1.2.3]:80"], "2001:db8::7"),
        (["203.0.113.7, not an address"], "127.0.0.1"),
        (["10.1.2.3, 127.0.0.1"], "127.0.0.1"),
        ([""], "127.0.0.1"),
    ],
)
async def test_behind_trusted_proxies_the_last_hop_that_is_none_counts(
    tmp_path: Path, forwarded: Sequence[str], expected: str
) -> None:
    async with World(tmp_path, trusted_proxies="127.0.0.1, 10.0.0.0/8") as world:
        assert await address_of(world, *forwarded) == expected


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


@pytest.mark.system
async def test_tls_serves_wss_and_https(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    trust = ssl.create_default_context(cafile=str(cert))
    async with World(tmp_path, tls_cert=cert, tls_key=key) as world:
        address = f"wss://localhost:{port(world)}/"
        async with connect(address, proxy=None, ssl=trust, host="127.0.0.1") as socket:
            await socket.send("ping")
            assert await socket.recv() == "OK Pong"
        reader, writer = await asyncio.open_connection("127.0.0.1", port(world), ssl=trust)
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"\r\nStrict-Transport-Security: max-age=31536000\r\n" in answer
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port(world))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with suppress(ConnectionError):
            assert not (await reader.read()).startswith(b"HTTP")
        writer.close()


@pytest.mark.system
async def test_a_certificate_that_cannot_be_read_is_refused(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    cert, key = certificate
    for wrong in ({"tls_cert": tmp_path / "no.pem", "tls_key": key}, {"tls_cert": key}):
        options: dict[str, Any] = {"tls_cert": cert, "tls_key": key, **wrong}
        with pytest.raises(SettingsRefused, match="--tls-cert"):
            async with AsyncExitStack() as stack:
                await app.open_server(Settings(data=tmp_path, **options), stack)


@pytest.mark.slow
async def test_who_does_not_sign_in_in_time_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "SIGN_IN_TIMEOUT", 0.5)
    member = await RawClient.signed_in(url(world), "alice")
    stranger = await RawClient.open(url(world))
    with pytest.raises(ConnectionClosed) as closed:
        await stranger.frame()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 4500
    await member.ask("ping")
    await member.close()


async def test_a_connection_that_is_gone_is_forgotten(world: World) -> None:
    for _ in range(20):
        async with connect(url(world), proxy=None) as socket:
            await socket.send("ping")
            await socket.recv()
    assert world._server is not None
    assert len(world._server.listener._strangers) < 5  # the last connections may still be closing


async def test_a_port_that_is_taken_is_refused(world: World, tmp_path: Path) -> None:
    with pytest.raises(app.Refused, match="or give another port"):
        async with AsyncExitStack() as stack:
            taken = Settings(data=tmp_path / "other", host="127.0.0.1", port=port(world))
            await app.open_server(taken, stack)


@pytest.mark.parametrize(
    ("headers", "settings", "shown"),
    [
        ("", {}, True),
        ("X-Forwarded-For: 127.0.0.1\r\n", {}, False),  # a proxy or tunnel that nobody named
        ("X-Forwarded-For: 203.0.113.7\r\n", {"trusted_proxies": "127.0.0.1"}, False),
        ("X-Forwarded-For: 127.0.0.1, 203.0.113.7\r\n", {"trusted_proxies": "127.0.0.1"}, False),
        (
            "X-Forwarded-For: 203.0.113.7\r\n",
            {"trusted_proxies": "127.0.0.1", "metrics_from": "203.0.113.0/24"},
            True,
        ),
        ("", {"metrics_from": "203.0.113.0/24"}, False),
    ],
)
async def test_strangers_read_no_metrics_and_no_reason_why_it_is_not_ready(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    headers: str,
    settings: dict[str, str],
    shown: bool,
) -> None:
    """Both answered anybody, with the version, the load and the fault of the store."""
    async with World(tmp_path, **settings) as world:
        status, _, body = await raw(world, f"GET /metrics HTTP/1.1\r\n{headers}".rstrip())
        assert (status == 200, "chat_commands_total" in body) == (shown, shown)
        assert shown or status == 403

        def fails(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(world.realm.journal, "_write", fails)
        status, _, body = await raw(world, f"GET /readyz HTTP/1.1\r\n{headers}".rstrip())
        assert (status, body != "not ready\n") == (503, shown)
