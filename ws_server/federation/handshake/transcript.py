"""Authentication of a link: the handshake, and the signature on each frame.

Both sides sign one transcript: both keys, both nonces, both names, the key that the dialler
expects, and the port at which the dialler listens. Every signature also covers the version and the
signer's role; a frame's signature covers its number, too. So no frame can be reflected, replayed on
another link, dropped or altered unnoticed. After the first contact a man in the middle is
impossible, because each realm has stored the other's key.

Pure: no sockets. docs/federation.md specifies this protocol for other implementations.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass, field
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from shared.protocol import base64

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 32
SIGNATURE_TEXT = 88
"""Characters of a signature in base64, the beginning of every frame."""
_HELLO = b"simple-chatting link 1 hello"
_FRAME = b"simple-chatting link 1 frame"


_FIELD = 2**255 - 19
_WEAK = frozenset(
    (
        *(0, 1, _FIELD - 1),
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    )
)
"""The y of all points of order 1, 2, 4 and 8: with such a key, everybody can forge signatures."""


class NotProven(Exception):
    """The peer failed to authenticate, or a frame has no valid signature."""


class OtherKey(NotProven):
    """The peer has proven a key other than the expected one."""

    def __init__(self, key: bytes) -> None:
        super().__init__("the key is not the known one")
        self.key = key


def check_key(key: bytes) -> Ed25519PublicKey:
    """Parse a public key and reject a weak one (RFC 8032, section 5.1.3).

    Bytes that encode no point are accepted here; no signature verifies with them.

    Raises:
        NotProven: the key has another size, is not the canonical encoding of its point, or is a
            point of small order.
    """
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if len(key) != KEY_BYTES or y >= _FIELD or y in _WEAK:
        raise NotProven("the key is not a valid Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(key)


class Role(Enum):
    """The side of a connection: the dialler opened it."""

    DIALLER = b"dialler"
    LISTENER = b"listener"

    @property
    def other(self) -> Role:
        return Role.LISTENER if self is Role.DIALLER else Role.DIALLER


@dataclass(frozen=True, slots=True)
class Hello:
    """The identity that one side claims in the handshake."""

    realm: str
    key: bytes
    """The public key, 32 bytes."""
    nonce: bytes = field(default_factory=lambda: os.urandom(NONCE_BYTES))


@dataclass(frozen=True, slots=True)
class Transcript:
    """All data of the handshake that both sides sign."""

    dialler: Hello
    listener: Hello
    expected: bytes | None
    """The listener's key that the dialler has stored; None at the first contact."""
    port: int
    """Where the dialler listens; 0 if it does not."""
    tls: bool
    """Whether the dialler listens with TLS."""

    def digest(self) -> bytes:
        """Return the SHA-256 of all fields, each after its length."""
        fields = (
            *(self.dialler.realm.encode(), self.dialler.key, self.dialler.nonce),
            *(self.listener.realm.encode(), self.listener.key, self.listener.nonce),
            *(self.expected or b"", struct.pack("!H?", self.port, self.tls)),
        )
        return hashlib.sha256(b"".join(struct.pack("!I", len(f)) + f for f in fields)).digest()

    def sign(self, own: Ed25519PrivateKey, role: Role) -> bytes:
        """Return the signature with which one side proves possession of its key."""
        return own.sign(_HELLO + role.value + self.digest())

    def check(self, signature: bytes, role: Role) -> None:
        """Verify the peer's signature.

        Args:
            role: The peer's role.

        Raises:
            NotProven: the signature does not match the peer's key, or both sides have one key.
            OtherKey: the signature is valid, but the listener's key is not the expected one.
        """
        hello = self.listener if role is Role.LISTENER else self.dialler
        if self.listener.key == self.dialler.key:
            raise NotProven("this is the realm itself")
        try:
            check_key(hello.key).verify(signature, _HELLO + role.value + self.digest())
        except InvalidSignature:
            raise NotProven("the handshake is not signed with the key it names") from None
        if self.expected is not None and self.expected != self.listener.key:
            raise OtherKey(self.listener.key)


class Seal:
    """Signs the outgoing frames of a link and verifies the incoming ones, in their order."""

    def __init__(self, transcript: Transcript, own: Ed25519PrivateKey, role: Role) -> None:
        digest = transcript.digest()
        theirs = transcript.listener if role is Role.DIALLER else transcript.dialler
        self._own = own
        self._their = check_key(theirs.key)
        self._out = _FRAME + role.value + digest
        self._in = _FRAME + role.other.value + digest
        self._sent = 0
        self._taken = 0

    def close(self, body: bytes) -> bytes:
        """Return the frame that carries `body`: a signature in base64, then the body."""
        signature = self._own.sign(self._out + struct.pack("!Q", self._sent) + body)
        self._sent += 1
        return base64.written(signature).encode() + body

    def open(self, frame: bytes) -> bytes:
        """Return the body of the next frame.

        Raises:
            NotProven: the frame is not the peer's next one, or was altered.
        """
        body = frame[SIGNATURE_TEXT:]
        try:
            signature = base64.read_strict(frame[:SIGNATURE_TEXT])
            if base64.written(signature).encode() != frame[:SIGNATURE_TEXT]:
                raise ValueError("the signature is not canonical base64")
            self._their.verify(signature, self._in + struct.pack("!Q", self._taken) + body)
        except (ValueError, InvalidSignature):
            raise NotProven("a frame is not signed by the other side") from None
        self._taken += 1
        return body
