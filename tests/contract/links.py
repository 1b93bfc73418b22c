"""The contract of the handshake between realms."""

from __future__ import annotations

from shared.protocol.commands.links import OpenLink, ProveLink
from shared.protocol.spec import Access
from tests.contract.row import Row

ROWS = [
    Row(
        usage=(
            'link (JSON only): {"command":"link","version":<version>,"name":<name>,"key":<key>,'
            '"nonce":<nonce>,"port":<port>,"scheme":<scheme>}'
        ),
        access=Access.REALM,
        fields="version name key nonce signature",
        spellings=[
            (
                OpenLink(1, "alpha", b"k" * 32, b"n" * 32, 8765, "ws"),
                [
                    '{"command":"link","version":1,"name":"alpha","port":8765,"scheme":"ws",'
                    f'"key":"{"a2tr" * 10}a2s=","nonce":"{"bm5u" * 10}bm4="}}'
                ],
            ),
        ],
    ),
    Row(
        usage='linkproof (JSON only): {"command":"linkproof","signature":<signature>}',
        access=Access.REALM,
        fields="state",
        spellings=[
            (
                ProveLink(b"s" * 64),
                [f'{{"command":"linkproof","signature":"{"c3Nz" * 21}cw=="}}'],
            ),
        ],
    ),
]
