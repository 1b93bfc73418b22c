"""Loading a TLS certificate and its key, with a clear sentence for each mistake."""

from __future__ import annotations

import codecs
import logging
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from shared.faults import explained

log = logging.getLogger(__name__)

_CERTIFICATE = (b"BEGIN CERTIFICATE-----", b"BEGIN X509 CERTIFICATE-----")
_KEY = b"PRIVATE KEY-----"
_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
BOTH = "Both must be PEM files, and the key must fit the certificate"


class BadCertificate(Exception):
    """The certificate or key cannot be used; the text names the setting and the remedy."""


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return the TLS context for a certificate chain (`--tls-cert`) and its key (`--tls-key`).

    An expired certificate is served with a warning in the log: clients decide whether to trust it.

    Raises:
        BadCertificate: the files cannot be read, or do not belong together.
    """
    certificates, private = _content("--tls-cert", cert), _content("--tls-key", key)
    _check_kinds(certificates, private, cert, key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        # Without this password, OpenSSL would ask for one at the terminal.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ssl.SSLError, ValueError) as error:
        raise BadCertificate(_why(certificates, private, cert, key, error)) from error
    for doubt in _doubts(certificates):
        log.warning("--tls-cert %s %s", cert, doubt)
    return context


def _content(flag: str, path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadCertificate(f"{flag} {explained(error, path)}. {BOTH}") from error
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF8)):
        raise BadCertificate(
            f"{flag} {path} begins with a byte order mark, as some editors write it; "
            "save it as plain ASCII"
        )
    if content[:1] == b"\x30":  # a SEQUENCE of ASN.1
        raise BadCertificate(
            f"{flag} {path} is DER or PKCS#12, no PEM. Convert it with: openssl pkcs12 -nodes -in "
            f"FILE -out all.pem (.pfx, .p12), or: openssl {_converter(flag)} -inform der -in FILE "
            "-out FILE.pem (.der, .cer)"
        )
    return content


def _converter(flag: str) -> str:
    return "x509" if flag == "--tls-cert" else "pkey"


def _check_kinds(certificates: bytes, private: bytes, cert: Path, key: Path) -> None:
    """Refuse files with the wrong kind of content.

    Raises:
        BadCertificate: a file has the wrong kind of content.
    """
    if any(mark in private for mark in _ENCRYPTED):
        raise BadCertificate(
            f"--tls-key {key} is encrypted, and nobody is asked for its passphrase. Decrypt it "
            f"with: openssl pkey -in {key} -out plain.pem && chmod 600 plain.pem, and name that one"
        )
    if b"BEGIN OPENSSH PRIVATE KEY-----" in private:
        raise BadCertificate(
            f"--tls-key {key} is a key of OpenSSH, for signing in and not for TLS. Name the one "
            "that the certificate was made with"
        )
    has_certificate = any(mark in certificates for mark in _CERTIFICATE)
    has_key = _KEY in private
    if not has_certificate and not has_key and _KEY in certificates:
        raise BadCertificate(
            f"--tls-cert {cert} holds a key, and --tls-key {key} none: they are swapped"
        )
    if not has_certificate:
        what = "a request for a certificate" if b"CERTIFICATE REQUEST" in certificates else ""
        what = what or ("a key" if _KEY in certificates else "no certificate")
        raise BadCertificate(f"--tls-cert {cert} holds {what}, where a certificate must be. {BOTH}")
    if not has_key:
        what = "a public key" if b"PUBLIC KEY-----" in private else "no private key"
        raise BadCertificate(f"--tls-key {key} holds {what}, where a private key must be. {BOTH}")


def _why(certificates: bytes, private: bytes, cert: Path, key: Path, error: Exception) -> str:
    """Return the reason why OpenSSL refuses the two files."""
    both = f"--tls-cert {cert} with --tls-key {key}"
    try:
        chain = x509.load_pem_x509_certificates(certificates)
    except ValueError:
        return f"--tls-cert {cert} is damaged, as a certificate in it cannot be read. {BOTH}"
    try:
        own = _spelt(load_pem_private_key(private, None).public_key())
    except (ValueError, TypeError):
        return f"--tls-key {key} is damaged, as the key in it cannot be read. {BOTH}"
    fitting = [number for number, one in enumerate(chain, 1) if _spelt(one.public_key()) == own]
    if not fitting:
        return f"{both}: the key is that of another certificate. {BOTH}"
    if fitting[0] != 1:
        return (
            f"--tls-cert {cert} is in the wrong order: the server's own certificate, number "
            f"{fitting[0]} of {len(chain)}, must be the first, and those that sign it follow"
        )
    return f"{both}: {getattr(error, 'reason', None) or error}. {BOTH}"


def _spelt(public: object) -> bytes:
    """Return a public key as bytes, for comparison."""
    form, encoding = serialization.PublicFormat, serialization.Encoding
    return public.public_bytes(encoding.DER, form.SubjectPublicKeyInfo)  # type: ignore[attr-defined, no-any-return]


def _doubts(certificates: bytes) -> list[str]:
    """Return reasons visible in the chain why clients may not trust it."""
    with suppress(ValueError):
        chain = x509.load_pem_x509_certificates(certificates)
        first, now = chain[0], datetime.now(UTC)
        doubts = []
        if first.not_valid_after_utc < now:
            doubts.append(f"expired at {first.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it")
        if first.not_valid_before_utc > now:
            doubts.append(
                f"is valid from {first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on; "
                "look at this machine's clock"
            )
        pairs = zip(chain, chain[1:], strict=False)
        if any(one.issuer != signer.subject for one, signer in pairs):
            doubts.append("is in the wrong order: each certificate must follow the one it signs")
        return doubts
    return []
