"""The contract of commands about the connection itself."""

from __future__ import annotations

from shared.protocol.commands.meta import Help, Ping, SetFormat
from shared.protocol.spec import Access
from tests.contract.row import Row

ROWS = [
    Row(
        usage="format <dialect>",
        access=Access.ANYONE,
        arguments={"dialect": "json"},
        spellings=[(SetFormat("json"), ["format json", '{"command":"format","dialect":"json"}'])],
    ),
    Row(
        usage="help [topic]",
        access=Access.ANYONE,
        fields="commands",
        spellings=[
            (Help(), ["help", "help  ", '{"command":"help"}']),
            (
                Help("send"),
                ["help send", "help topic=send", '{"command":"help","topic":"send"}'],
            ),
        ],
    ),
    Row(
        usage="ping",
        access=Access.ANYONE,
        fields="time",
        spellings=[(Ping(), ["ping", "  PING\t\r\n", ' \n{"command":"ping"}'])],
    ),
]
