"""The checks of `admin doctor`: each examines one subject and names a remedy for each fault."""

from __future__ import annotations

import asyncio
import ctypes
import http.client
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from ws_server.admin import control
from ws_server.admin.commands import AdminRefused
from ws_server.registration import told
from ws_server.settings import Settings, is_loopback
from ws_server.store.accounts import registering
from ws_server.store.admin import inspection
from ws_server.store.engines.adapter import DatabaseRefused
from ws_server.store.engines.sqlite_file import file_of

LEVELS = ("ok", "warn", "fail")
RELEASED = 1_735_689_600
"""1 January 2025, before this version: a correct clock shows a later time."""
SLOW = 1.0
"""Seconds above which an answer counts as slow."""
LOOK = 3.0
"""Seconds for a check of many items; the remaining items are skipped."""
LIMIT_OF_REALMS = 14.0
"""Seconds for the rows to and from all other realms."""


class Finding(NamedTuple):
    """The result of a check; `hint` is the remedy unless the level is `ok`."""

    level: str
    text: str
    hint: str = ""


@dataclass(slots=True)
class Case:
    """The realm under examination."""

    settings: Settings
    database: URL
    deep: bool
    running: dict[str, str] = field(default_factory=dict)
    """The running server's report of itself; empty without a server, or without an answer."""

    @property
    def data(self) -> Path:
        return self.settings.data


Check = Callable[[Case], Awaitable[list[Finding]]]


async def server(case: Case) -> list[Finding]:
    """Check that a server runs and answers."""

    def note(line: str) -> None:
        name, _, value = line.partition(": ")
        case.running[name] = value

    try:
        async with asyncio.timeout(5):
            await control.call(case.data, "status", {}, note)
    except control.NoServer:
        return [Finding("ok", "no server runs on this folder")]
    except TimeoutError:
        return [Finding("fail", "does not answer at its socket", "Check its log; restart it")]
    except AdminRefused as refusal:
        return [Finding("fail", str(refusal))]
    said = case.running
    return [
        Finding(
            "ok",
            f"{said['realm']}, version {said['version']}, up {said['up']}, "
            f"{said['users']} users in {said['sessions']} sessions",
        )
    ]


async def port(case: Case) -> list[Finding]:
    """Check that the server answers at its port or, if none runs, that the port is free."""
    if not case.running:
        hosts, number = case.settings.listen_on, case.settings.port
        taken = [host for host in hosts if not _is_free(host, number)]
        if taken:
            return [
                Finding(
                    "warn",
                    f"{taken[0]} port {number} is in use by another program or not permitted",
                    "Stop the program that uses it, or choose another --port",
                )
            ]
        return [Finding("ok", f"{case.settings.host} port {number} is free")]
    host, number = case.running["host"], int(case.running["port"])
    begun = time.monotonic()
    try:
        answer = await asyncio.to_thread(_ready, host, number, case.running["tls"] == "on")
    except (OSError, http.client.HTTPException) as error:
        hint = "Check the server's log and the firewall; restart the server"
        return [Finding("fail", f"{host} port {number} does not answer: {error}", hint)]
    took = time.monotonic() - begun
    if answer != 200:
        hint = "It accepts no writes now: see disk and database below, and its log"
        return [Finding("fail", f"/readyz at port {number} answers {answer}", hint)]
    text = f"/readyz at port {number} answers in {took * 1000:.0f} ms"
    if took > SLOW:
        return [Finding("warn", text, "Find out what loads the machine or its disk")]
    return [Finding("ok", text)]


def _is_free(host: str, number: int) -> bool:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, number, type=socket.SOCK_STREAM
        )[0]
        with closing(socket.socket(family, kind, protocol)) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
    except OSError:
        # A machine without IPv6 has no ::1; the server then skips it too.
        return host == "::1"
    return True


def _ready(host: str, number: int, tls: bool) -> int:
    """Return the HTTP status of `/readyz`."""
    here = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    if tls:
        # The request goes to this machine, by an address that no certificate contains.
        context = ssl._create_unverified_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            here, number, timeout=8, context=context
        )
    else:
        connection = http.client.HTTPConnection(here, number, timeout=8)
    with closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status


async def settings(case: Case) -> list[Finding]:
    """Check for settings that are dangerous in public."""
    given = case.settings
    host = case.running.get("host", given.host)
    tls = case.running.get("tls", "on" if given.tls_cert else "off")
    limits = case.running.get("rate limits", given.rate_limits)
    found = []
    if limits == "off":
        found.append(
            Finding(
                "warn",
                "rate limits are off, so anybody can guess passwords and flood the server",
                "Start it without --rate-limits off, except for tests",
            )
        )
    if tls == "off" and not is_loopback(host):
        found.append(
            Finding(
                "warn",
                f"{host} is open to other machines without TLS, so passwords can be overheard",
                "Set --tls-cert and --tls-key, or use a reverse proxy that terminates TLS",
            )
        )
    if given.trusted_proxies and given.web_port is not None and not given.is_reached_by_name:
        found.append(
            Finding(
                "warn",
                "browsers use a proxy, but no host name is permitted, so they get 403",
                "Set --hosts NAME, or --origins",
            )
        )
    trial = case.running.get("trial", "on" if given.trial else "off") == "on"
    realms = case.running.get("realms", given.realms or ("trial" if trial else "admin"))
    public = case.running.get("public", "on" if given.public else "off")
    if realms == "open":
        found.append(
            Finding(
                "warn",
                "realms are open, so every user can make the server dial others, and any server "
                "that connects is linked at once",
                "Start it with --realms admin, unless you intend that",
            )
        )
    if public == "off" and is_loopback(host) and not trial and realms != "closed":
        text = "users can add realms at this machine, and so find out which ports are open here"
        found.append(Finding("warn", f"{host} is served to others: {text}", "Set --public"))
    where = f"{host}, {'with' if tls == 'on' else 'without'} TLS"
    how = f"rate limits {limits}, registration {await _registration(case)}"
    how += f", realms {realms}, public {public}"
    return found or [Finding("ok", f"nothing dangerous ({where}, {how})")]


async def _registration(case: Case) -> str:
    """Return the registration mode, of the running server or of the next start."""
    if "registration" in case.running:
        return case.running["registration"]
    start = case.settings.registration
    try:
        mode = await asyncio.to_thread(
            inspection.read, case.database, lambda tx: registering.mode_in_effect(tx, start)
        )
    except DatabaseRefused:
        return start  # the check of the database reports the fault
    return told(mode, start)


async def database(case: Case) -> list[Finding]:
    """Check that the database opens, has this version's schema, and is sound."""
    file = file_of(case.database)

    def look(tx: Connection) -> list[Finding]:
        schema = inspection.schema(tx)
        check = inspection.quick_check(tx, LOOK)
        found = []
        if not schema.is_known:
            hint = "Use the version that wrote it, or restore a backup"
            found.append(
                Finding("fail", f"its schema {schema.found} is unknown to this version", hint)
            )
        elif schema.found != schema.newest:
            text = f"its schema {schema.found} is older than this version's {schema.newest}"
            found.append(Finding("warn", text, "Start the server: it upgrades the schema"))
        if check.fault:
            hint = "Stop the server, keep a copy, and restore the last backup"
            found.append(Finding("fail", f"it is damaged: {check.fault}", hint))
        if file is not None and not inspection.is_wal(file):
            hint = "Start the server: it sets the mode, unless the disk does not allow it (NFS)"
            found.append(Finding("warn", "its journal mode is not wal", hint))
        if file is None:
            return found or [Finding("ok", f"schema {schema.found}, {inspection.product(tx)}")]
        how = "quick check passed" if check.is_whole else f"no fault found in {LOOK:.0f} s"
        return found or [Finding("ok", f"schema {schema.found}, journal mode wal, {how}")]

    try:
        return await asyncio.to_thread(inspection.read, case.database, look)
    except DatabaseRefused as refusal:
        hint = "Run this as the account of the server; if it is damaged, restore a backup"
        return [Finding("fail", str(refusal), hint)]


async def clock(case: Case) -> list[Finding]:
    """Check that the clock is plausible and synchronised."""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    hint = "Set the clock, and synchronise it by NTP (systemd-timesyncd or chrony)"
    if now < RELEASED:
        return [Finding("fail", f"{shown} is before this version was made", hint)]
    try:
        newest = await asyncio.to_thread(inspection.read, case.database, inspection.newest_message)
    except DatabaseRefused:
        newest = None  # the check of the database reports the fault
    if newest is not None and newest / 1000 > now + 60:
        ahead = newest / 1000 - now
        text = f"{shown} is {ahead:.0f} s before the newest message that this clock dated"
        hint = "The clock is behind now, or was ahead then. " + hint
        return [Finding("fail", text, hint)]
    synchronised = _is_synchronised()
    if synchronised is False:
        hint = "Synchronise it by NTP: enable systemd-timesyncd or chrony"
        return [Finding("warn", f"{shown}, but the system clock is not synchronised", hint)]
    how = "synchronised by the system" if synchronised else "plausible"
    return [Finding("ok", f"{shown}, {how}")]


def _is_synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised; None if unknown (man 2 adjtimex)."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != 5  # TIME_ERROR


async def realms(case: Case) -> list[Finding]:
    """Check that each linked realm stores what this one writes, and the reverse."""
    if not case.running:
        return [Finding("ok", "checked only while the server runs")]
    lines: list[str] = []
    try:
        async with asyncio.timeout(LIMIT_OF_REALMS):
            await control.call(case.data, "realm check", {}, lines.append)
    except (TimeoutError, control.NoServer):
        hint = "Check the server's log; restart it"
        return [Finding("fail", "the server does not report its links", hint)]
    except AdminRefused as refusal:
        return [Finding("fail", str(refusal))]
    found = [Finding(level, text) for level, _, text in (line.partition(" ") for line in lines)]
    return found or [Finding("ok", "no other realm is known")]
