"""What is wrong with a certificate or its key is said, with the setting and what to do."""

from __future__ import annotations

import logging
import ssl
import subprocess
from pathlib import Path

import pytest

from shared.certificates import BadCertificate, tls_context

pytestmark = pytest.mark.system


def openssl(folder: Path, line: str) -> None:
    subprocess.run(["openssl", *line.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a signer, a server's certificate, and what people mistake for them."""
    folder = tmp_path_factory.mktemp("pki")
    for line in (
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=signer -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout key.pem -out csr.pem",
        "x509 -req -in csr.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out cert.pem",
        "pkey -in key.pem -aes256 -passout pass:x -out locked.pem",
        "rsa -traditional -aes256 -passout pass:x -in key.pem -out locked-old.pem",
        "x509 -in cert.pem -outform der -out cert.der",
        "pkey -in key.pem -pubout -out public.pem",
    ):
        openssl(folder, line)
    names = ("cert.pem", "ca.pem", "key.pem")
    cert, ca, key = (folder.joinpath(name).read_bytes() for name in names)
    folder.joinpath("chain.pem").write_bytes(cert + ca)
    folder.joinpath("backwards.pem").write_bytes(ca + cert)
    folder.joinpath("shuffled.pem").write_bytes(cert + cert + ca)
    folder.joinpath("all.pem").write_bytes(key + cert + ca)
    folder.joinpath("windows.pem").write_bytes(cert.replace(b"\n", b"\r\n"))
    folder.joinpath("mark.pem").write_bytes(b"\xef\xbb\xbf" + cert)
    folder.joinpath("torn.pem").write_bytes(cert[:200] + cert[300:])
    folder.joinpath("torn-key.pem").write_bytes(key[:200] + key[300:])
    openssh = b"-----%s OPENSSH PRIVATE KEY-----\n"
    folder.joinpath("id_ed25519").write_bytes(openssh % b"BEGIN" + b"b3Bl\n" + openssh % b"END")
    folder.joinpath("empty").touch()
    return folder


@pytest.mark.parametrize(
    ("cert", "key"),
    [
        *(("cert.pem", "key.pem"), ("chain.pem", "key.pem"), ("all.pem", "all.pem")),
        ("windows.pem", "key.pem"),
    ],
)
def test_a_certificate_and_its_key_are_taken(pki: Path, cert: str, key: str) -> None:
    assert isinstance(tls_context(pki / cert, pki / key), ssl.SSLContext)


@pytest.mark.parametrize(
    ("cert", "key", "why"),
    [
        ("cert.pem", "locked.pem", "--tls-key {0}/locked.pem is encrypted"),
        ("cert.pem", "locked.pem", "openssl pkey -in {0}/locked.pem -out plain.pem"),
        ("cert.pem", "locked-old.pem", "--tls-key {0}/locked-old.pem is encrypted"),
        ("key.pem", "cert.pem", "they are swapped"),
        ("key.pem", "key.pem", "--tls-cert {0}/key.pem holds a key, where a certificate must be"),
        ("csr.pem", "key.pem", "holds a request for a certificate"),
        ("cert.pem", "cert.pem", "--tls-key {0}/cert.pem holds no private key"),
        ("cert.pem", "public.pem", "--tls-key {0}/public.pem holds a public key"),
        ("cert.pem", "ca.key", "the key is that of another certificate"),
        (
            "backwards.pem",
            "key.pem",
            "in the wrong order: the server's own certificate, number 2 of 2",
        ),
        ("cert.der", "key.pem", "--tls-cert {0}/cert.der is DER or PKCS#12"),
        ("mark.pem", "key.pem", "--tls-cert {0}/mark.pem begins with a byte order mark"),
        ("torn.pem", "key.pem", "--tls-cert {0}/torn.pem is damaged"),
        ("cert.pem", "torn-key.pem", "--tls-key {0}/torn-key.pem is damaged"),
        ("cert.pem", "id_ed25519", "--tls-key {0}/id_ed25519 is a key of OpenSSH"),
        ("empty", "key.pem", "--tls-cert {0}/empty holds no certificate"),
        (".", "key.pem", "--tls-cert {0}: Is a directory"),
        ("cert.pem", "none", "--tls-key {0}/none: No such file or directory"),
        ("cert.pem", "ca.pem/x", "Not a directory"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(pki: Path, cert: str, key: str, why: str) -> None:
    with pytest.raises(BadCertificate) as refused:
        tls_context(pki / cert, pki / key)
    assert why.format(pki) in str(refused.value)


@pytest.mark.parametrize(
    ("dates", "why"),
    [
        (("20200101000000Z", "20210101000000Z"), "expired at 2021-01-01 00:00 UTC; renew it"),
        (("20990101000000Z", "20990201000000Z"), "is valid from 2099-01-01 00:00 UTC on"),
    ],
)
def test_a_certificate_out_of_its_time_is_served_and_warned_of(
    pki: Path, tmp_path: Path, dates: tuple[str, str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    cert = tmp_path / "cert.pem"
    _sign(pki, cert, *dates)
    with caplog.at_level(logging.WARNING):
        tls_context(cert, pki / "key.pem")
    assert why in caplog.text and str(cert) in caplog.text


def test_a_chain_in_the_wrong_order_is_warned_of(
    pki: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        tls_context(pki / "chain.pem", pki / "key.pem")
        assert caplog.text == ""
        tls_context(pki / "shuffled.pem", pki / "key.pem")
    assert "is in the wrong order: each certificate must follow the one it signs" in caplog.text


def _sign(pki: Path, cert: Path, begin: str, end: str) -> None:
    """Sign the server's key for another time."""
    from datetime import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
    from cryptography.x509.oid import NameOID

    key = load_pem_private_key(pki.joinpath("key.pem").read_bytes(), None)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    form = "%Y%m%d%H%M%SZ"
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())  # type: ignore[arg-type]
        .serial_number(1)
        .not_valid_before(datetime.strptime(begin, form))
        .not_valid_after(datetime.strptime(end, form))
        .sign(key, hashes.SHA256())  # type: ignore[arg-type]
    )
    cert.write_bytes(built.public_bytes(Encoding.PEM))
