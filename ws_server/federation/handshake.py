"""Who is at the other end: the handshake of a link, and the signature on each of its frames.

Both sides sign one transcript: the version, both keys, both nonces, both names, the key that the
dialler expects and the port at which it can be dialled. Each signature and each frame's also names
the role of who signs, so nothing can be reflected, replayed on another link, left out or altered;
after the first contact nobody can stand between two realms, because each has the other's key.

Pure: no sockets. docs/federation.md says the same for who writes another implementation.
"""

from __future__ import annotations

import binascii
import hashlib
import os
import struct
from dataclasses import dataclass, field
from enum import Enum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

VERSION = 1
NONCE_BYTES = 32
SIGNATURE_TEXT = 88
"""Characters of a signature in base64, which every frame begins with."""
_HELLO = b"simple-chatting link 1 hello"
_FRAME = b"simple-chatting link 1 frame"


class NotProven(Exception):
    """The other side did not prove to be who it should be, or a frame is not its own."""


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
            NotProven: it is not signed with the key it names, or that is not the one expected.
        """
        hello = self.listener if role is Role.LISTENER else self.dialler
        if self.expected is not None and self.expected != self.listener.key:
            raise NotProven("another key than the one known")
        try:
            key = Ed25519PublicKey.from_public_bytes(hello.key)
            key.verify(signature, _HELLO + role.value + self.digest())
        except (ValueError, InvalidSignature):
            raise NotProven("the handshake is not signed with the key it names") from None


class Seal:
    """Signs the frames of one side of a link and checks those of the other, in their order."""

    def __init__(self, transcript: Transcript, own: Ed25519PrivateKey, role: Role) -> None:
        digest = transcript.digest()
        theirs = transcript.listener if role is Role.DIALLER else transcript.dialler
        self._own = own
        self._their = Ed25519PublicKey.from_public_bytes(theirs.key)
        self._out = _FRAME + role.value + digest
        self._in = _FRAME + role.other.value + digest
        self._sent = 0
        self._taken = 0

    def close(self, body: bytes) -> bytes:
        """Return the frame that carries `body`: a signature in base64, then the body."""
        signature = self._own.sign(self._out + struct.pack("!Q", self._sent) + body)
        self._sent += 1
        return binascii.b2a_base64(signature, newline=False) + body

    def open(self, frame: bytes) -> bytes:
        """Return the body of the next frame.

        Raises:
            NotProven: it is not the next one of the other side, unaltered.
        """
        body = frame[SIGNATURE_TEXT:]
        try:
            signature = binascii.a2b_base64(frame[:SIGNATURE_TEXT], strict_mode=True)
            self._their.verify(signature, self._in + struct.pack("!Q", self._taken) + body)
        except (ValueError, InvalidSignature):
            raise NotProven("a frame is not signed by the other side") from None
        self._taken += 1
        return body
