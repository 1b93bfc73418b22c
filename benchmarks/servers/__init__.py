"""All servers of the comparison, the reference first."""

from __future__ import annotations

from benchmarks.servers.ejabberd import Ejabberd, EjabberdPostgresql, EjabberdSqlite
from benchmarks.servers.prosody import Prosody, ProsodySqlite
from benchmarks.servers.relay import Relay
from benchmarks.servers.server import Server
from benchmarks.servers.simple_chatting import SimpleChatting, SimpleChattingPostgresql

SERVERS: dict[str, type[Server]] = {
    server.name: server
    for server in (
        Relay,
        SimpleChatting,
        SimpleChattingPostgresql,
        Ejabberd,
        EjabberdPostgresql,
        EjabberdSqlite,
        Prosody,
        ProsodySqlite,
    )
}
REFERENCE = Relay.name
OURS = (SimpleChatting.name, SimpleChattingPostgresql.name)
