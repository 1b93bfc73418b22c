"""The handshake of two realms before a link is up; people do not use these commands.

Afterwards the connection carries signed frames in a format of its own; see docs/federation.md.
"""

from __future__ import annotations

import re

from shared.protocol.kinds import LOCAL_NAME, Base64, Number, Pattern
from shared.protocol.records import Reply, record, result
from shared.protocol.spec import Access, Request, arg, command
from shared.protocol.values import in_words

KEY = Base64(size=32)
SIGNATURE = Base64(size=64)
SCHEME = Pattern(re.compile("wss?"), "ws or wss")


@record
class LinkOffered(Reply):
    """The listener's name, key and proof."""

    version: int = result("of the link, 1")
    name: str = result("what the listener calls itself")
    key: str = result("its Ed25519 public key, base64")
    nonce: str = result("32 random bytes, base64")
    signature: str = result("over the transcript, base64")

    def sentence(self) -> str:
        return f"This is {in_words(self.name)}"


@record
class LinkOpened(Reply):
    """The dialler has proven its key; unless `pending`, frames of the link follow."""

    state: str = result("active, or pending until an admin approves")

    def sentence(self) -> str:
        return f"The link is {self.state}"


@command("link", access=Access.REALM)
class OpenLink(Request[LinkOffered]):
    """Name the realm that dials."""

    version: int = arg("of the link, 1", Number(1), json_only=True)
    name: str = arg("what the dialler calls itself", LOCAL_NAME, json_only=True)
    key: bytes = arg("its Ed25519 public key", KEY, json_only=True)
    nonce: bytes = arg("32 random bytes", KEY, json_only=True)
    port: int = arg("where it listens, 0 if nowhere", Number(0, 65535), json_only=True)
    scheme: str = arg("how it listens, ws or wss", SCHEME, json_only=True)
    expects: bytes | None = arg("the listener's key, if known", KEY, json_only=True, default=None)


@command("linkproof", access=Access.REALM)
class ProveLink(Request[LinkOpened]):
    """Prove that the dialler holds the key that `link` named."""

    signature: bytes = arg("over the transcript", SIGNATURE, json_only=True)
