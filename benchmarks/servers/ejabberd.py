"""ejabberd from Debian: without an archive, and with mod_mam in PostgreSQL or SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.processes import Cores
from benchmarks.servers.postgresql import ACCOUNT, Cluster
from benchmarks.servers.sqlite_archive import SqliteArchive
from benchmarks.xmpp import DOMAIN, ROOMS, XmppServer

SCHEMA = Path("/usr/share/ejabberd/sql/pg.sql")
TEXTS = "SELECT txt FROM archive"
BACKLOG = 1024
"""Connections that may wait to be accepted; ejabberd's default is 5."""

CONFIGURATION = """\
hosts: [{domain}]
loglevel: error
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    backlog: {backlog}
    request_handlers:
      /ws: ejabberd_http_ws
acl:
  loopback: {{ip: [127.0.0.0/8]}}
access_rules:
  local: {{allow: all}}
  loopback: {{allow: loopback}}
shaper: {{}}
shaper_rules:
  max_user_sessions: 10
  c2s_shaper: none
s2s_access: none
auth_method: internal
auth_password_format: plain
disable_sasl_mechanisms: [X-OAUTH2]
registration_timeout: infinity
acme: {{auto: false}}
{sql}
modules:
  mod_disco: {{}}
  mod_roster: {{}}
  mod_stream_mgmt: {{}}
  mod_register: {{ip_access: loopback, access: local}}
{archive}
  mod_muc:
    host: {rooms}
    access_create: all
    max_users: 10000
    min_message_interval: 0
    min_presence_interval: 0
    default_room_options:
      persistent: true
      mam: {room_archive}
      presence_broadcast: []
      max_users: 10000
"""
ARCHIVE = """\
  mod_mam:
    db_type: sql
    default: always
    assume_mam_usage: true
"""


class Ejabberd(XmppServer):
    name: ClassVar[str] = "ejabberd"
    stores: ClassVar[str] = "nothing"
    synced: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("ejabberd",)
    shown: ClassVar[tuple[str, ...]] = ("ejabberd", "erlang-base")
    path = "/ws"

    def sql(self) -> str:
        """Return the settings of the database; empty without an archive."""
        return ""

    async def prepare(self) -> None:
        (self.folder / "mnesia").mkdir(exist_ok=True)
        archived = bool(self.copies)
        (self.folder / "ejabberd.yml").write_text(
            CONFIGURATION.format(
                domain=DOMAIN,
                rooms=ROOMS,
                port=self.port,
                backlog=BACKLOG,
                sql=self.sql(),
                archive=ARCHIVE if archived else "",
                room_archive="true" if archived else "false",
            )
        )

    def command(self) -> Sequence[str]:
        # The command line of Debian's ejabberdctl, without clustering: only our port is open.
        emulator = ("erl", "+K", "true", "+P", "250000", "-noinput")
        return [*emulator, "-mnesia", "dir", f'"{self.folder}/mnesia"', "-s", "ejabberd"]

    def environment(self) -> dict[str, str]:
        libraries = sorted(Path("/usr/lib").glob("*/ejabberd-*"))[-1].parent
        return {
            "ERL_LIBS": str(libraries),
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_CRASH_DUMP_BYTES": "0",
            "HOME": str(self.folder),
        }


class Archived(Ejabberd):
    copies = 2

    async def register(self, count: int) -> None:
        """Register, then query: ejabberd opens its database at the first query, then archives."""
        await super().register(count)
        client = await self.sign_in(0)
        await client.ask_archive()
        await client.connection.close()


class EjabberdPostgresql(Archived):
    name = "ejabberd-postgresql"
    stores = (
        "each message twice (sender's and recipient's archive), in PostgreSQL (all defaults: fsync "
        "and synchronous_commit); a commit for each before the push, on 10 connections"
    )
    synced = True
    packages = ("ejabberd", "erlang-p1-pgsql", "postgresql")
    shown = ("ejabberd", "erlang-base", "erlang-p1-pgsql")

    @classmethod
    def version(cls) -> str:
        return f"{super().version()}, {Cluster.version()}"

    def __init__(self, cores: Cores) -> None:
        super().__init__(cores)
        self.cluster = Cluster(self, "ejabberd")

    def sql(self) -> str:
        return (
            f'sql_type: pgsql\nsql_server: "127.0.0.1"\nsql_port: {self.cluster.port}\n'
            f'sql_database: ejabberd\nsql_username: {ACCOUNT}\nsql_password: ""'
        )

    async def prepare(self) -> None:
        await super().prepare()
        await self.cluster.start(SCHEMA)

    async def stored(self) -> Iterable[str]:
        return self.cluster.query(TEXTS)


class EjabberdSqlite(Archived):
    name = "ejabberd-sqlite"
    stores = (
        "each message twice, in SQLite (WAL, synchronous=FULL); a commit for each before the push"
    )
    synced = True
    packages = ("ejabberd", "erlang-p1-sqlite3")
    shown = ("ejabberd", "erlang-base", "erlang-p1-sqlite3")

    def __init__(self, cores: Cores) -> None:
        super().__init__(cores)
        self.archive = SqliteArchive(self.folder)

    def sql(self) -> str:
        return f'sql_type: sqlite\nsql_database: "{self.archive.path}"'

    async def prepare(self) -> None:
        await super().prepare()
        self.archive.make()

    async def stored(self) -> Iterable[str]:
        return self.archive.query(TEXTS)
