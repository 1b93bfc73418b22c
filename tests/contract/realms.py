"""The contract of other realms."""

from __future__ import annotations

from shared.protocol.commands.realms import AddRealm, ListRealm, ShowOutbox
from tests.contract.row import Row

ROWS = [
    Row(
        usage="addrealm <name> <address> <port> [fingerprint]",
        fields="realm fingerprint link",
        arguments={"name": "beta", "address": "127.0.0.1", "port": 9},
        spellings=[
            (
                AddRealm("beta", "wss://chat.example", 8765),
                [
                    "addrealm beta wss://chat.example 8765",
                    '{"command":"addrealm","name":"beta","address":"wss://chat.example",'
                    '"port":8765}',
                ],
            ),
            (
                AddRealm("beta", "::1", 8765, "ab12"),
                ["addrealm beta ::1 8765 ab12", "addrealm beta ::1 8765 fingerprint=ab12"],
            ),
        ],
    ),
    Row(
        usage="listrealm",
        fields="realms",
        spellings=[(ListRealm(), ["listrealm", '{"command":"listrealm"}'])],
    ),
    Row(
        usage="outbox",
        fields="queued",
        optional="more",
        spellings=[(ShowOutbox(), ["outbox", '{"command":"outbox"}'])],
    ),
]
