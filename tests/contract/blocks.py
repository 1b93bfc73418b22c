"""The contract of blocking people."""

from __future__ import annotations

from shared.protocol.commands.blocks import Block, ListBlocked, Unblock
from tests.contract.row import BOB, BOB_THERE, Row

ROWS = [
    Row(
        usage="block <user>",
        realm_usage="blockrealm <realm> <user>",
        fields="users",
        arguments={"user": "bob"},
        spellings=[
            (Block(BOB), ["block bob", '{"command":"block","user":"bob"}']),
            (
                Block(BOB_THERE),
                [
                    "block bob@beta",
                    "blockrealm beta bob",
                    '{"command":"blockrealm","realm":"beta","user":"bob"}',
                ],
            ),
        ],
    ),
    Row(
        usage="unblock <user>",
        realm_usage="unblockrealm <realm> <user>",
        fields="users",
        arguments={"user": "bob"},
        spellings=[
            (
                Unblock(BOB_THERE),
                [
                    "unblock bob@beta",
                    "unblockrealm beta bob",
                    '{"command":"unblock","user":"bob@beta"}',
                    '{"command":"unblockrealm","realm":"beta","user":"bob"}',
                ],
            ),
        ],
    ),
    Row(
        usage="blocked",
        fields="users",
        spellings=[(ListBlocked(), ["blocked", '{"command":"blocked"}'])],
    ),
]
