"""The checks of `admin doctor`: each looks at one thing and says how to mend what is not well."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import http.client
import os
import shutil
import socket
import ssl
import stat
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.engine import URL

from ws_server import key as realm_key
from ws_server.admin import control
from ws_server.admin.backup import LAST_BACKUP
from ws_server.admin.commands import AdminRefused
from ws_server.settings import Settings
from ws_server.store import blobs as blob_store
from ws_server.store import inspection
from ws_server.store.adapter import DatabaseRefused
from ws_server.store.sqlite_file import file_of

LEVELS = ("ok", "warn", "fail")
RELEASED = 1_735_689_600
"""1 January 2025: this version is younger, so no clock that is right shows an earlier time."""
WEEK = 7 * 24 * 3600
SLOW = 1.0
"""Seconds after which an answer is called slow."""
LOOK = 3.0
"""Seconds that a look at much takes at most; what is left then is not looked at."""
LIMIT_OF_REALMS = 14.0
"""Seconds for rows to and from all other realms."""
BLOBS = 20_000
"""Contents looked for, unless all are."""
GIB = 2**30


class Finding(NamedTuple):
    """What a check found; `hint` says how to mend what is not `ok`."""

    level: str
    text: str
    hint: str = ""


@dataclass(slots=True)
class Case:
    """The realm that is looked at."""

    settings: Settings
    database: URL
    deep: bool
    running: dict[str, str] = field(default_factory=dict)
    """What the server says of itself; empty if none runs, or none answers."""

    @property
    def data(self) -> Path:
        return self.settings.data


Check = Callable[[Case], Awaitable[list[Finding]]]


async def server(case: Case) -> list[Finding]:
    """Does a server run, and does it answer?"""

    def note(line: str) -> None:
        name, _, value = line.partition(": ")
        case.running[name] = value

    try:
        async with asyncio.timeout(5):
            await control.call(case.data, "status", {}, note)
    except control.NoAnswer:
        return [Finding("ok", "none runs on this folder")]
    except TimeoutError:
        return [Finding("fail", "does not answer at its socket", "Look into its log; restart it")]
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
    """Does the server answer at its port; is the port free if none runs?"""
    if not case.running:
        hosts, number = case.settings.hosts, case.settings.port
        taken = [host for host in hosts if not _is_free(host, number)]
        if taken:
            return [
                Finding(
                    "warn",
                    f"{taken[0]} port {number} cannot be listened on now",
                    "If this realm is to use it, stop what does, or choose another --port",
                )
            ]
        return [Finding("ok", f"{case.settings.host} port {number} is free")]
    host, number = case.running["host"], int(case.running["port"])
    begun = time.monotonic()
    try:
        answer = await asyncio.to_thread(_ready, host, number, case.running["tls"] == "on")
    except (OSError, http.client.HTTPException) as error:
        hint = "Look into the server's log, and for a firewall; restart the server"
        return [Finding("fail", f"{host} port {number} does not answer: {error}", hint)]
    took = time.monotonic() - begun
    if answer != 200:
        hint = "It takes no writes now: look at disk and database below, and into its log"
        return [Finding("fail", f"/readyz at port {number} answers {answer}", hint)]
    text = f"/readyz at port {number} answers in {took * 1000:.0f} ms"
    if took > SLOW:
        return [Finding("warn", text, "Look what loads the machine or its disk")]
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
        # A machine without IPv6 has no ::1, and the server does without it.
        return host == "::1"
    return True


def _ready(host: str, number: int, tls: bool) -> int:
    """Return how `/readyz` is answered."""
    here = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    if tls:
        # It is this machine that is asked, by an address that no certificate names.
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
    """Are there settings that are dangerous in public?"""
    given = case.settings
    host = case.running.get("host", given.host)
    tls = case.running.get("tls", "on" if given.tls_cert else "off")
    limits = case.running.get("rate limits", given.rate_limits)
    found = []
    if limits == "off":
        found.append(
            Finding(
                "warn",
                "rate limits are off, so passwords can be guessed and the server be flooded",
                "Start it without --rate-limits off, unless for a test",
            )
        )
    if tls == "off" and not _is_loopback(host):
        found.append(
            Finding(
                "warn",
                f"{host} is open to other machines without TLS, so passwords can be overheard",
                "Give --tls-cert and --tls-key, or a reverse proxy that ends TLS",
            )
        )
    where = f"{host}, {'with' if tls == 'on' else 'without'} TLS"
    return found or [Finding("ok", f"nothing dangerous ({where}, rate limits {limits})")]


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


async def database(case: Case) -> list[Finding]:
    """Does the database open, is its schema of this version, and is it sound?"""
    file = file_of(case.database)

    def look(tx: Connection) -> list[Finding]:
        schema = inspection.schema(tx)
        check = inspection.quick_check(tx, LOOK)
        found = []
        if not schema.is_known:
            hint = "Use the version that made it, or restore a backup"
            found.append(Finding("fail", f"its schema {schema.found} is not known here", hint))
        elif schema.found != schema.newest:
            text = f"its schema {schema.found} is older than this version's {schema.newest}"
            found.append(Finding("warn", text, "Starting the server brings it up to date"))
        if check.fault:
            hint = "Stop the server, keep a copy, and restore the last backup"
            found.append(Finding("fail", f"it is damaged: {check.fault}", hint))
        if file is not None and not inspection.is_wal(file):
            hint = "Starting the server sets it, unless the disk does not allow it (as NFS)"
            found.append(Finding("warn", "its journal mode is not wal", hint))
        if file is None:
            return found or [Finding("ok", f"schema {schema.found}, {inspection.product(tx)}")]
        how = "quick check passed" if check.is_whole else f"sound as far as {LOOK:.0f} s went"
        return found or [Finding("ok", f"schema {schema.found}, journal mode wal, {how}")]

    try:
        return await asyncio.to_thread(inspection.read, case.database, look)
    except DatabaseRefused as refusal:
        hint = "Run this as the account of the server; if it is damaged, restore a backup"
        return [Finding("fail", str(refusal), hint)]


async def disk(case: Case) -> list[Finding]:
    """Is there room where data and database are?"""
    folders = {case.data.resolve()}
    if (file := file_of(case.database)) is not None:
        folders.add(file.resolve().parent)
    devices = {folder.stat().st_dev: folder for folder in sorted(folders) if folder.is_dir()}
    found = []
    for folder in devices.values():
        free = shutil.disk_usage(folder).free
        text = f"{free / GIB:.1f} GiB free in {folder}"
        level = "fail" if free < GIB / 10 else "warn" if free < GIB else "ok"
        hint = "Make room: a full disk refuses every message" if level != "ok" else ""
        found.append(Finding(level, text, hint))
    return found


async def clock(case: Case) -> list[Finding]:
    """Is the clock plausible, and kept right?"""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    hint = "Set the clock, and have it kept right by NTP (systemd-timesyncd or chrony)"
    if now < RELEASED:
        return [Finding("fail", f"{shown} is before this version was made", hint)]
    try:
        newest = await asyncio.to_thread(inspection.read, case.database, inspection.newest_message)
    except DatabaseRefused:
        newest = None  # as the check of the database says
    if newest is not None and newest / 1000 > now + 60:
        ahead = newest / 1000 - now
        text = f"{shown} is {ahead:.0f} s before the newest message that this clock dated"
        hint = "It is behind now, or was ahead then. " + hint
        return [Finding("fail", text, hint)]
    synchronised = _is_synchronised()
    if synchronised is False:
        hint = "Have it kept right by NTP: enable systemd-timesyncd or chrony"
        return [Finding("warn", f"{shown}, but the system clock is not synchronised", hint)]
    how = "kept right by the system" if synchronised else "plausible"
    return [Finding("ok", f"{shown}, {how}")]


def _is_synchronised() -> bool | None:
    """Tell whether the kernel's clock is synchronised; None if it does not say (man 2 adjtimex)."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        return None
    return None if state < 0 else state != 5  # TIME_ERROR


async def permissions(case: Case) -> list[Finding]:
    """Is anything readable by others than the server's account?"""
    private = [case.data / name for name in ("blobs", realm_key.FILE, control.FILE)]
    if (file := file_of(case.database)) is not None:
        private += [file.with_name(file.name + end) for end in ("", "-wal", "-shm")]
    found = []
    for level, path in [("warn", case.data), *(("fail", path) for path in private)]:
        if path.exists() and path.stat().st_mode & 0o077:
            mode = "700" if path.is_dir() else "600"
            shown = stat.filemode(path.stat().st_mode)
            text = f"{path} can be opened by other accounts ({shown})"
            found.append(Finding(level, text, f"chmod {mode} {path}"))
        if path.exists() and not os.access(path, os.R_OK | os.W_OK):
            if os.statvfs(path).f_flag & os.ST_RDONLY:
                hint = "Mount its file system for writing"
            else:
                hint = "Run this as the server's account, or chown it"
            text = f"{path} cannot be read and written by this account"
            found.append(Finding("fail", text, hint))
    return found or [Finding("ok", "nobody but the owner can read the data")]


async def key(case: Case) -> list[Finding]:
    """Is the realm's key there?"""
    hint = f"Put back the {realm_key.FILE} of a backup; other realms know this one by its key"
    try:
        found = await asyncio.to_thread(realm_key.read, case.data)
    except realm_key.KeyRefused as refusal:
        return [Finding("fail", str(refusal), hint)]
    if found is None:
        return [Finding("fail", f"{realm_key.FILE} is missing", hint)]
    return [
        Finding("ok", f"fingerprint {realm_key.fingerprint(found.public_key().public_bytes_raw())}")
    ]


async def backup(case: Case) -> list[Finding]:
    """Was a backup made lately?"""
    hint = "Make one with: admin backup"
    path = case.data / LAST_BACKUP
    try:
        made = float(path.read_text())
        age = time.time() - made
        days = f"{age / 86400:.1f} days ago"
    except FileNotFoundError:
        return [Finding("warn", "none was ever made", hint)]
    except (ValueError, OverflowError):
        return [Finding("warn", f"{path} does not hold a time", hint)]
    if age < -3600:
        text = f"the last one is dated {-age / 86400:.1f} days ahead of this machine's clock"
        return [Finding("warn", text, "See the check of the clock; then make one: admin backup")]
    if not age <= WEEK:
        return [Finding("warn", f"the last one was made {days}", hint)]
    return [Finding("ok", f"the last one was made {days}")]


async def blobs(case: Case) -> list[Finding]:
    """Are the contents there that messages refer to?"""

    def ask(tx: Connection) -> tuple[int, list[tuple[str, int]]]:
        return inspection.contents(tx, None if case.deep else BLOBS)

    try:
        count, some = await asyncio.to_thread(inspection.read, case.database, ask)
    except DatabaseRefused as refusal:
        hint = "See the check of the database"
        return [Finding("fail", f"the database does not say which there are: {refusal}", hint)]
    looked, wrong = await asyncio.to_thread(_look_for, case, some)
    how = "read and right" if case.deep else "there"
    if not wrong:
        return [Finding("ok", f"{looked:,} of {count:,} contents looked for, all {how}")]
    text = f"{len(wrong):,} of {looked:,} contents are missing or damaged, such as {wrong[0]}"
    return [Finding("fail", text, "Put them back from a backup of the data folder's blobs")]


async def realms(case: Case) -> list[Finding]:
    """Does each linked realm store what this one writes, and this one what it writes?"""
    if not case.running:
        return [Finding("ok", "links are tried while the server runs")]
    lines: list[str] = []
    try:
        async with asyncio.timeout(LIMIT_OF_REALMS):
            await control.call(case.data, "realm check", {}, lines.append)
    except (TimeoutError, control.NoAnswer):
        hint = "Look into the server's log; restart it"
        return [Finding("fail", "the server does not say how its links are", hint)]
    except AdminRefused as refusal:
        return [Finding("fail", str(refusal))]
    found = [Finding(level, text) for level, _, text in (line.partition(" ") for line in lines)]
    return found or [Finding("ok", "no other realm is known")]


def _look_for(case: Case, some: list[tuple[str, int]]) -> tuple[int, list[Path]]:
    """Return how many contents were looked for, and which are not as they should be."""
    end = time.monotonic() + LOOK
    wrong: list[Path] = []
    for looked, (sha256, size) in enumerate(some):
        if not case.deep and time.monotonic() > end:
            return looked, wrong
        path = blob_store.place(case.data, sha256)
        try:
            right = path.stat().st_size == size
            if right and case.deep:
                with open(path, "rb") as content:
                    right = hashlib.file_digest(content, "sha256").hexdigest() == sha256
        except OSError:
            right = False
        if not right:
            wrong.append(path)
    return len(some), wrong
