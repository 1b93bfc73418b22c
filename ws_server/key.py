"""The realm's long-term key: Ed25519, in a file of its own, generated at the first start."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.faults import explained, shown

FILE = "realm.key"
"""The key's file in the data folder: PKCS #8 in PEM, readable by the server's account only."""
FINGERPRINT_BYTES = 20
"""160 bits: a second key with the same fingerprint is infeasible, and people can compare it."""


class KeyRefused(Exception):
    """The key cannot be used; the text names the remedy for the operator."""


def fingerprint(public_key: bytes) -> str:
    """Return the fingerprint for people: 160 bits of the key's SHA-256, in 8 groups of base32."""
    digest = hashlib.sha256(public_key).digest()[:FINGERPRINT_BYTES]
    letters = base64.b32encode(digest).decode()
    return "-".join(letters[at : at + 4] for at in range(0, len(letters), 4))


def read(data: Path) -> Ed25519PrivateKey | None:
    """Return the key in a data folder; None if there is none yet.

    Raises:
        KeyRefused: the file is unreadable or holds no Ed25519 key.
    """
    path = data / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyRefused(explained(error, path)) from error
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyRefused(
            f"{shown(path)} holds no Ed25519 key. Put back the one of a backup of this realm"
        )
    return key


def read_or_make(data: Path) -> Ed25519PrivateKey:
    """Return the key in a data folder; generate and sync one if there is none.

    Raises:
        KeyRefused: the file cannot be read or written.
    """
    key = read(data)
    if key is None:
        key = Ed25519PrivateKey.generate()
        write(data, encoded(key))
    return key


def encoded(key: Ed25519PrivateKey) -> bytes:
    """Return the content of the key file."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def write(data: Path, content: bytes) -> None:
    """Write the key file; a crash leaves the whole file or none.

    Raises:
        KeyRefused: the disk refused.
    """
    path, part = data / FILE, data / f"{FILE}.new"
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(data, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise KeyRefused(explained(error, path)) from error


def posts_secret(key: Ed25519PrivateKey) -> bytes:
    """Return the secret that marks the ids of this realm's posts to groups elsewhere.

    It derives from the key, so a restored realm recognises the posts made before.
    """
    return hmac.digest(key.private_bytes_raw(), b"simple-chatting posts 1", "sha256")
