"""The contract of histories, markers and catching up."""

from __future__ import annotations

from shared.protocol.commands.history import History, Read, Received, Sync
from shared.protocol.values import Address
from tests.contract.row import BOB, PAGE, TEAM, TEAM_THERE, Row

ROWS = [
    Row(
        usage="history <conversation> [before] [after] [limit]",
        fields=PAGE,
        arguments={"conversation": "bob"},
        spellings=[
            (
                History(TEAM, after=5, limit=20),
                [
                    "history #12 after=5 limit=20",
                    "history #12 limit=20 after=5",
                    '{"command":"history","conversation":"#12","after":5,"limit":20}',
                ],
            ),
            (
                History(Address("12"), before=120),
                ["history 12 120", '{"command":"history","conversation":"12","before":120}'],
            ),
        ],
    ),
    Row(
        usage="read <conversation> <seq>",
        fields="conversation read_seq",
        arguments={"conversation": "bob", "seq": 1},
        spellings=[
            (Read(BOB, 7), ["read bob 7", '{"command":"read","conversation":"bob","seq":7}']),
        ],
    ),
    Row(
        usage="received <conversation> <seq>",
        fields="conversation received_seq",
        arguments={"conversation": "bob", "seq": 1},
        spellings=[
            (
                Received(TEAM_THERE, 0),
                [
                    "received #12@beta 0",
                    '{"command":"received","conversation":"#12@beta","seq":0}',
                ],
            ),
        ],
    ),
    Row(
        usage='sync (JSON only): {"command":"sync","have":<have>}',
        fields="conversations messages more epoch recovered",
        optional="more_conversations",
        arguments={"have": {}},
        spellings=[
            (
                Sync({BOB: 3, TEAM: 0}, epoch="e"),
                ['{"command":"sync","have":{"bob":3,"#12":0},"epoch":"e"}'],
            ),
        ],
    ),
]
