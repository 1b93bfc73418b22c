"""The identity of this realm towards others: its name and its key."""

from __future__ import annotations

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shared.protocol.values import fold


@dataclass(slots=True)
class Identity:
    """The name and the key of one realm."""

    name: str
    key: Ed25519PrivateKey
    public_key: bytes = field(init=False)
    local_name: str = field(init=False)
    """The folded name, for comparison with the realm part of addresses."""

    def __post_init__(self) -> None:
        self.public_key = self.key.public_key().public_bytes_raw()
        self.local_name = fold(self.name)
