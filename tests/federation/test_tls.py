"""Rules of links over TLS: the certificate must be valid for the requested name."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

from tests.federation.conftest import Enter
from tests.federation.people import realm
from tests.realserver import RealServer


def certificate(folder: Path) -> tuple[Path, Path]:
    """Create a certificate for `localhost`, without IP addresses."""
    cert, key = folder / "cert.pem", folder / "key.pem"
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


async def test_a_realm_with_a_valid_certificate_is_dialled_by_its_name_over_tls(
    tmp_path: Path, enter: Enter
) -> None:
    cert, key = certificate(tmp_path)
    for name in ("alpha", "beta"):
        (tmp_path / name).mkdir()
    beta = RealServer(
        tmp_path / "beta", "--realm", "beta", "--tls-cert", str(cert), "--tls-key", str(key)
    )
    alpha = RealServer(tmp_path / "alpha", environment={"SSL_CERT_FILE": str(cert)})
    try:
        await asyncio.gather(asyncio.to_thread(alpha.start), asyncio.to_thread(beta.start))
        emil = await enter(alpha, "emil")
        for address in ("wss://127.0.0.1", "localhost"):  # another name; no TLS
            refused = await emil.say("addrealm", name="beta", address=address, port=beta.port)
            assert refused["code"] == "realm_unreachable"
        added = await emil.ask("addrealm", name="beta", address="WSS://LocalHost.", port=beta.port)
        assert added["link"] == "up"
        assert (await realm(emil, "beta"))["address"] == "wss://localhost"
        assert "Traceback" not in alpha.log + beta.log
        # Without the authority, the same certificate is invalid.
        await emil.close()
        alpha.stop()
        alpha.environment = {}
        alpha.start()
        emil = await enter(alpha, "emil", register=False)
        refused = await emil.say(
            "addrealm", name="other", address="wss://localhost", port=beta.port
        )
        assert refused["code"] == "realm_unreachable"
    finally:
        alpha.kill()
        beta.kill()
