"""Who is at the other end: the handshake of a link, and the signature on each of its frames.

Both sides sign one transcript: the version, both keys, both nonces, both names, the key that the
dialler expects and the port at which it can be dialled. Each signature and each frame's also names
the role of who signs, so nothing can be reflected, replayed on another link, left out or altered;
after the first contact nobody can stand between two realms, because each has the other's key.

Pure: no sockets. docs/federation.md says the same for who writes another implementation.
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
"""Characters of a signature in base64, which every frame begins with."""
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
"""The y of all points of order 1, 2, 4 and 8: under such a key, anybody can sign anything."""


class NotProven(Exception):
    """The other side did not prove to be who it should be, or a frame is not its own."""


class OtherKey(NotProven):
    """The other side has proven a key, but not the one it should have."""

    def __init__(self, key: bytes) -> None:
        super().__init__("another key than the one known")
        self.key = key


def check_key(key: bytes) -> Ed25519PublicKey:
    """Return a public key that only its owner can sign with (RFC 8032, section 5.1.3).

    Raises:
        NotProven: it has another size, is written in a form that is not the one its point has, or
            is a point of small order. What is no point at all never verifies a signature.
    """
    y = int.from_bytes(key, "little") & (2**255 - 1)
    if len(key) != KEY_BYTES or y >= _FIELD or y in _WEAK:
        raise NotProven("the key is no Ed25519 key")
    return Ed25519PublicKey.from_public_bytes(key)


class Role(Enum):
    """Who opened the connection."""

    DIALLER = b"dialler"
    LISTENER = b"listener"

    @property
    def other(self) -> Role:
        return Role.LISTENER if self is Role.DIALLER else Role.DIALLER


@dataclass(frozen=True, slots=True)
class Hello:
    """What one side says of itself."""

    realm: str
    key: bytes
    """The public key, 32 bytes."""
    nonce: bytes = field(default_factory=lambda: os.urandom(NONCE_BYTES))


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that was said before the signatures."""

    dialler: Hello
    listener: Hello
    expected: bytes | None
    """The listener's key as the dialler knows it; None at the first contact."""
    port: int
    """Where the dialler listens, 0 if nowhere."""
    tls: bool
    """Whether it listens with TLS."""

    def digest(self) -> bytes:
        """Return the sha256 of all fields, each behind its length."""
        fields = (
            *(self.dialler.realm.encode(), self.dialler.key, self.dialler.nonce),
            *(self.listener.realm.encode(), self.listener.key, self.listener.nonce),
            *(self.expected or b"", struct.pack("!H?", self.port, self.tls)),
        )
        return hashlib.sha256(b"".join(struct.pack("!I", len(f)) + f for f in fields)).digest()

    def sign(self, own: Ed25519PrivateKey, role: Role) -> bytes:
        """Return the signature with which a side proves that it holds its key."""
        return own.sign(_HELLO + role.value + self.digest())

    def check(self, signature: bytes, role: Role) -> None:
        """Check the other side's proof, `role` being the one it has.

        Raises:
            NotProven: it is not signed with the key it names, or both have the same key.
            OtherKey: it is, but the listener's is not the one the dialler expects.
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
    """Signs the frames of one side of a link and checks those of the other, in their order."""

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
            NotProven: it is not the next one of the other side, unaltered.
        """
        body = frame[SIGNATURE_TEXT:]
        try:
            signature = base64.read_strict(frame[:SIGNATURE_TEXT])
            if base64.written(signature).encode() != frame[:SIGNATURE_TEXT]:
                raise ValueError("the last letter has bits that mean nothing")
            self._their.verify(signature, self._in + struct.pack("!Q", self._taken) + body)
        except (ValueError, InvalidSignature):
            raise NotProven("a frame is not signed by the other side") from None
        self._taken += 1
        return body
