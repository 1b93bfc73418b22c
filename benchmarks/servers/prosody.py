"""Prosody from Debian: without an archive, and with mod_mam in SQLite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import ClassVar

from benchmarks.processes import Cores
from benchmarks.servers.sqlite_archive import SqliteArchive
from benchmarks.xmpp import DOMAIN, ROOMS, XmppServer

BODY = re.compile(r"<body>([^<]*)</body>")
BACKLOG = 1024

CONFIGURATION = """\
run_as_root = true
daemonize = false
pidfile = "{folder}/prosody.pid"
data_path = "{folder}/data"
log = {{ {{ levels = {{ min = "warn" }}, to = "file", filename = "{folder}/prosody.log" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{}}
c2s_direct_tls_ports = {{}}
s2s_ports = {{}}
https_ports = {{}}
http_ports = {{ {port} }}
http_interfaces = {{ "127.0.0.1" }}
http_default_host = "{domain}"
network_settings = {{ tcp_backlog = {backlog} }}
modules_enabled = {{ "roster", "saslauth", "disco", "smacks", "register_ibr", "websocket"{mam} }}
modules_disabled = {{ "s2s", "offline" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_websocket_secure = true
allow_registration = true
authentication = "internal_plain"
default_archive_policy = true
archive_expires_after = "never"
muc_log_expires_after = "never"
storage_archive_item_limit = 10000000
storage = {storage}
{sql}
VirtualHost "{domain}"
Component "{rooms}" "muc"
  modules_enabled = {{ {muc_mam} }}
  restrict_room_creation = false
  muc_room_locking = false
  muc_room_default_persistent = true
  muc_room_default_presence_broadcast = {{
    visitor = false, participant = false, moderator = false
  }}
  muc_log_by_default = true
  muc_log_all_rooms = true
"""


class Prosody(XmppServer):
    name: ClassVar[str] = "prosody"
    stores: ClassVar[str] = "nothing"
    synced: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("prosody",)
    shown: ClassVar[tuple[str, ...]] = ("prosody", "lua5.4")
    path = "/xmpp-websocket"

    archive_settings: ClassVar[dict[str, str]] = {"mam": "", "muc_mam": "", "storage": '"internal"'}

    def sql(self) -> str:
        """Return the settings of the database; empty without an archive."""
        return ""

    async def prepare(self) -> None:
        (self.folder / "data").mkdir(exist_ok=True)
        (self.folder / "prosody.cfg.lua").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                port=self.port,
                backlog=BACKLOG,
                domain=DOMAIN,
                rooms=ROOMS,
                sql=self.sql(),
                **self.archive_settings,
            )
        )

    def command(self) -> Sequence[str]:
        return ["prosody", "-F", "--config", str(self.folder / "prosody.cfg.lua")]

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.folder)}


class ProsodySqlite(Prosody):
    name = "prosody-sqlite"
    stores = (
        "each message twice, in SQLite (WAL, synchronous=FULL); a commit for each before the push"
    )
    synced = True
    copies = 2
    packages = ("prosody", "lua-dbi-sqlite3")
    shown = ("prosody", "lua5.4", "lua-dbi-sqlite3")
    archive_settings = {
        "mam": ', "mam"',
        "muc_mam": '"muc_mam"',
        "storage": '{ archive = "sql", muc_log = "sql" }',
    }

    def __init__(self, cores: Cores) -> None:
        super().__init__(cores)
        self.archive = SqliteArchive(self.folder)

    def sql(self) -> str:
        return f'sql = {{ driver = "SQLite3", database = "{self.archive.path}" }}'

    async def prepare(self) -> None:
        await super().prepare()
        self.archive.make()

    async def stored(self) -> Iterable[str]:
        stanzas = "\n".join(self.archive.query("SELECT value FROM prosodyarchive"))
        return BODY.findall(stanzas)
