"""How the client connects: delays between attempts, TLS, a token instead of a password."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

import pytest

from shared.client import Backoff, ChatClient, NotSent, Offline, Online
from tests.client.people import Told
from tests.realserver import RealServer


def test_delays_double_up_to_a_bound_and_begin_anew() -> None:
    backoff = Backoff(0.5, 30, chance=lambda: 1.0)
    assert [backoff.next() for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    backoff.reset()
    assert backoff.next() == 0.5
    assert backoff.next(least=7) == 7


def test_delays_are_spread() -> None:
    delays = {Backoff().next() for _ in range(100)}
    assert len(delays) > 90 and all(0 <= delay <= 0.5 for delay in delays)


async def test_a_token_signs_in_without_a_password(server: RealServer) -> None:
    async with ChatClient(server.url) as client:
        await client.register("tok", "T", "secret1", "Peru")
        token = (await client.auth("tok", "secret1")).token
        assert client.token == token
    async with ChatClient(server.url, token=token) as again:
        told = Told(again)
        await told.until(lambda: told.of(Online))
        assert (await again.whoami()).user == again.user == "tok"
        assert (again.realm, again.online) == ("alpha", True)
        assert again.limits is not None and again.limits.frame == 2**20
        await again.logout()
        assert again.token == ""
        told.stop()


async def test_a_call_without_a_connection_says_why_there_is_none(unused_tcp_port: int) -> None:
    async with ChatClient(f"ws://127.0.0.1:{unused_tcp_port}", timeout=0.3) as client:
        with pytest.raises(NotSent, match="there is no connection: .*Connect call failed"):
            await client.ping()


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


async def test_tls_is_checked(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    server = RealServer(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key))
    server.start()
    try:
        url = f"wss://localhost:{server.port}"
        trusted = ssl.create_default_context(cafile=str(cert))
        async with ChatClient(url, tls=trusted) as client:
            await client.register("ana", "A", "secret1", "Peru")
            await client.auth("ana", "secret1")
            await client.send("ana", "secretly")
        async with ChatClient(url, token=client.token, backoff=Backoff(0.01, 0.1)) as wary:
            told = Told(wary)
            await told.until(lambda: told.of(Offline))
            assert "certificate" in told.of(Offline)[0].reason
            told.stop()
    finally:
        server.kill()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_names_and_addresses_are_both_connected_to(server: RealServer, host: str) -> None:
    async with ChatClient(f"ws://{host}:{server.port}/any/path") as client:
        assert (await client.ping()).time > 0
