"""The contract of private chats."""

from __future__ import annotations

from shared.protocol.commands.private import Inbox, ListPc, Send
from shared.protocol.values import Address
from tests.contract.row import BOB, BOB_THERE, PAGE, SENT, Row

ROWS = [
    Row(
        usage="send <to> <text...>",
        realm_usage="sendpcrealm <realm> <to> <text...>",
        fields=SENT,
        optional="duplicate file",
        arguments={"to": "bob", "text": "hi"},
        spellings=[
            (
                Send(BOB, "hi there"),
                ["send bob hi there", '{"command":"send","to":"bob","text":"hi there"}'],
            ),
            (
                Send(BOB_THERE, "hi"),
                [
                    "send bob@beta hi",
                    "sendpcrealm beta bob hi",
                    "SendPCRealm beta bob@beta hi",
                    '{"command":"send","to":"bob@beta","text":"hi"}',
                    '{"command":"sendpcrealm","realm":"beta","to":"bob","text":"hi"}',
                ],
            ),
            (
                Send(Address("bob", "gamma"), "hi"),
                [
                    "send bob@gamma hi",
                    "sendpcrealm beta bob@gamma hi",
                    '{"command":"sendpcrealm","realm":"beta","to":"bob@gamma","text":"hi"}',
                ],
            ),
        ],
    ),
    Row(
        usage="inbox <user> [before] [limit]",
        realm_usage="inboxrealm <realm> <user> [before] [limit]",
        fields=PAGE,
        arguments={"user": "bob"},
        spellings=[
            (
                Inbox(BOB_THERE, before=120, limit=20),
                [
                    "inbox bob@beta 120 20",
                    "inbox bob@beta before=120 limit=20",
                    "inbox bob@beta limit=20 before=120",
                    "inboxrealm beta bob 120 20",
                    "inboxrealm beta bob limit=20 before=120",
                    '{"command":"inbox","user":"bob@beta","before":120,"limit":20}',
                    '{"command":"inboxrealm","realm":"beta","user":"bob","before":120,"limit":20}',
                ],
            ),
            (
                Inbox(BOB, limit=50),
                [
                    "inbox bob",
                    "inbox bob limit=50",
                    '{"command":"inbox","user":"bob","before":null}',
                ],
            ),
        ],
    ),
    Row(
        usage="listpc [realm] [after]",
        realm_usage="listpcrealm <realm> [after]",
        fields="conversations",
        optional="more",
        spellings=[
            (ListPc(), ["listpc", '{"command":"listpc"}']),
            (
                ListPc("beta"),
                [
                    "listpcrealm beta",
                    "listpc beta",
                    "listpc realm=beta",
                    '{"command":"listpcrealm","realm":"beta"}',
                    '{"command":"listpc","realm":"beta"}',
                ],
            ),
            (
                ListPc("beta", BOB_THERE),
                [
                    "listpcrealm beta bob",
                    "listpcrealm beta after=bob",
                    "listpc after=bob@beta realm=beta",
                    '{"command":"listpcrealm","realm":"beta","after":"bob"}',
                    '{"command":"listpc","realm":"beta","after":"bob@beta"}',
                ],
            ),
            (ListPc(after=BOB), ["listpc after=bob", '{"command":"listpc","after":"bob"}']),
        ],
    ),
]
