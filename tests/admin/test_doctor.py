"""Rules of `admin doctor`: it sees what is wrong, says how to mend it, and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.admin.command import admin, done, refusal
from tests.admin.oldfolder import OldFolder, file
from tests.cluster import PASSWORD, Cluster
from tests.rawclient import RawClient
from tests.realserver import RealServer
from ws_server.admin.doctor import CHECKS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a realm with a message that carries a file."""
    old = OldFolder(tmp_path_factory.mktemp("old"))
    old.user("ana")
    old.private("ana_ana", file("ana", "x.txt", b"content"))
    data = tmp_path_factory.mktemp("made") / "data"
    done("import-json", "--create", old.path, data=data)
    return data


@pytest.fixture
def realm(made: Path, tmp_path: Path) -> Path:
    """A copy of that folder, on which no server runs."""
    return shutil.copytree(made, tmp_path / "data")


def checked(*words: str, data: Path) -> tuple[int, dict[str, tuple[str, str]]]:
    """Return the exit code, and level and text of each check."""
    begun = time.monotonic()
    ended = admin("doctor", *words, data=data)
    assert time.monotonic() - begun < 30
    assert "Traceback" not in ended.stdout + ended.stderr
    lines = [re.fullmatch(r"(ok|warn|fail) +(\w+): (.+)", s) for s in ended.stdout.splitlines()]
    found = {line[2]: (line[1], line[3]) for line in lines if line}
    assert list(found) == list(CHECKS) and len(lines) == len(found), ended.stdout
    assert ended.returncode == any(level == "fail" for level, _ in found.values())
    return ended.returncode, found


def assert_told(found: tuple[str, str], level: str, *texts: str) -> None:
    assert found[0] == level, found
    for text in texts:
        assert text in found[1], found


def content(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Return everything in a folder, with its mode."""
    return {
        str(path): (path.read_bytes() if path.is_file() else b"", path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
    }


def test_a_closed_realm_is_well_and_nothing_is_changed(realm: Path) -> None:
    before = content(realm)
    code, found = checked(data=realm)
    assert code == 0
    assert content(realm) == before
    assert_told(found["server"], "ok", "no server runs")
    assert_told(found["database"], "ok", "schema ", "wal", "quick check passed")
    assert_told(found["blobs"], "ok", "1 of 1")
    assert_told(found["permissions"], "ok")
    assert_told(found["backup"], "warn", "no backup was ever made", "admin backup")
    assert_told(found["settings"], "ok")
    key = found["key"][1]
    assert re.fullmatch(r"fingerprint ([A-Z2-7]{4}-){7}[A-Z2-7]{4}", key)
    _, deep = checked("--deep", data=realm)
    assert_told(deep["blobs"], "ok", "intact")
    assert content(realm) == before


def test_a_running_server_is_asked_for_its_own_settings(real_server: RealServer) -> None:
    code, found = checked(data=real_server.data)
    assert code == 0
    assert_told(found["server"], "ok", "alpha, version ", "0 users in 0 sessions")
    assert_told(found["port"], "ok", f"port {real_server.port}", " ms")
    assert_told(found["settings"], "warn", "rate limits are off", "--rate-limits off")
    assert_told(found["database"], "ok")


def test_a_realm_in_postgresql_is_looked_at_there(tmp_path: Path, cluster: Cluster) -> None:
    elsewhere = ("--database", cluster.fresh_realm())
    old = OldFolder(tmp_path / "old")
    old.user("ana")
    old.private("ana_ana", file("ana", "x.txt", b"content"))
    data = tmp_path / "data"
    done("import-json", "--create", old.path, *elsewhere, data=data)
    server = RealServer(tmp_path, *elsewhere)
    server.start()
    try:
        code, found = checked(*elsewhere, data=data)
        assert code == 0
        assert_told(found["server"], "ok", "alpha, version ")
    finally:
        server.kill()
    code, found = checked("--deep", *elsewhere, data=data)
    assert code == 0
    assert_told(found["database"], "ok", "schema ", "postgresql 1")
    assert "wal" not in found["database"][1]
    assert_told(found["blobs"], "ok", "1 of 1", "intact")
    assert "UTC" in found["clock"][1]
    gone = elsewhere[1].replace(f":{cluster.port}/", ":1/")
    code, found = checked("--database", gone, data=data)
    assert code == 1
    assert_told(found["database"], "fail", "127.0.0.1")
    assert PASSWORD not in str(found)


async def test_status_shows_the_running_server(real_server: RealServer) -> None:
    ana = await RawClient.signed_in(real_server.url, "ana")
    said = dict(line.split(": ") for line in done("status", data=real_server.data).splitlines())
    assert said["realm"] == "alpha"
    assert said["port"] == str(real_server.port)
    assert (said["users"], said["sessions"]) == ("1", "1")
    assert re.fullmatch(r"\d+ s", said["up"])
    await ana.close()
    real_server.stop()
    assert "No server runs" in refusal("status", data=real_server.data)


def test_a_server_open_to_others_without_tls_is_warned_of(tmp_path: Path) -> None:
    server = RealServer(tmp_path, "--host", "0.0.0.0")
    server.start()
    try:
        _, found = checked(data=server.data)
        assert_told(found["settings"], "warn", "0.0.0.0", "without TLS", "--tls-cert")
        assert_told(found["port"], "ok")
    finally:
        server.kill()


def test_what_other_realms_may_do_is_named(tmp_path: Path) -> None:
    """Behind a proxy on one machine, and where a choice lets everybody in."""
    options = ("--rate-limits", "on", "--realms", "open", "--origins", "https://chat.example.org")
    server = RealServer(tmp_path, *options)
    server.start()
    try:
        _, found = checked(data=server.data)
        assert_told(found["settings"], "warn", "realms are open", "--realms admin")
        assert_told(found["settings"], "warn", "which ports are open here", "--public")
        assert "Realms are open (--realms open)" in server.log
    finally:
        server.kill()
    server = RealServer(tmp_path, "--rate-limits", "on")
    server.start()
    try:
        _, found = checked(data=server.data)
        assert_told(found["settings"], "ok", "realms trial", "public off")
    finally:
        server.kill()


def test_a_server_with_tls_is_asked_by_tls(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=chat.example.org", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    server = RealServer(
        tmp_path, "--tls-cert", str(cert), "--tls-key", str(key), "--rate-limits", "on"
    )
    server.start()
    try:
        _, found = checked(data=server.data)
        assert_told(found["port"], "ok", "/readyz")
        assert_told(found["settings"], "ok", "with TLS")
    finally:
        server.kill()


def test_a_server_that_hangs_has_failed(real_server: RealServer) -> None:
    os.kill(real_server.pid, signal.SIGSTOP)
    try:
        code, found = checked(data=real_server.data)
        assert code == 1
        assert_told(found["server"], "fail", "does not answer")
    finally:
        os.kill(real_server.pid, signal.SIGCONT)


def test_a_store_that_takes_no_writes_fails_the_port(real_server: RealServer) -> None:
    path = real_server.data / "chat.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        _, found = checked(data=real_server.data)
        other.execute("ROLLBACK")
    assert_told(found["port"], "fail", "503", "disk and database")
    assert_told(found["database"], "ok")


def test_a_port_that_something_else_has_is_warned_of(realm: Path, tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        config = tmp_path / "chat.toml"
        config.write_text(f"port = {other.getsockname()[1]}")
        _, found = checked("--config", str(config), data=realm)
    assert_told(found["port"], "warn", "is in use by another program", "--port")


def test_a_damaged_database_fails(realm: Path) -> None:
    path = realm / "chat.db"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 9] = os.urandom(4096 * 6)
    path.write_bytes(content)
    code, found = checked(data=realm)
    assert code == 1
    assert_told(found["database"], "fail", "restore")


@pytest.mark.parametrize("what", ["missing", "noise", "newer", "older"])
def test_a_database_of_another_kind_is_told(realm: Path, what: str) -> None:
    path = realm / "chat.db"
    if what == "missing":
        path.unlink()
    elif what == "noise":
        path.write_bytes(b"no database" * 1_000)
    else:
        revision = "9999" if what == "newer" else "0001"
        with closing(sqlite3.connect(path)) as database:
            database.execute("UPDATE alembic_version SET version_num = ?", (revision,))
            database.commit()
    code, found = checked(data=realm)
    expected = {
        "missing": ("fail", "there is no database"),
        "noise": ("fail", "not a database"),
        "newer": ("fail", "9999 is unknown to this version"),
        "older": ("warn", "0001 is older"),
    }[what]
    assert_told(found["database"], *expected)
    assert code == (expected[0] == "fail")


def test_contents_that_are_missing_or_damaged_fail(realm: Path) -> None:
    (blob,) = (realm / "blobs").glob("*/*")
    blob.write_bytes(b"CONTENT")  # of the right size
    assert_told(checked(data=realm)[1]["blobs"], "ok")
    assert_told(checked("--deep", data=realm)[1]["blobs"], "fail", str(blob), "backup")
    blob.unlink()
    code, found = checked(data=realm)
    assert code == 1
    assert_told(found["blobs"], "fail", str(blob), "1 of 1")


@pytest.mark.parametrize("name", ["chat.db", "realm.key", "blobs"])
def test_what_others_can_read_fails_with_the_command_that_mends_it(realm: Path, name: str) -> None:
    path = realm / name
    path.chmod(path.stat().st_mode | 0o044)
    code, found = checked(data=realm)
    assert code == 1
    assert_told(found["permissions"], "fail", str(path), f"chmod {'7' if path.is_dir() else '6'}00")
    subprocess.run(found["permissions"][1].rpartition(". ")[2].split(), check=True)
    assert_told(checked(data=realm)[1]["permissions"], "ok")


def test_a_folder_that_others_can_list_is_warned_of(realm: Path) -> None:
    realm.chmod(0o755)
    code, found = checked(data=realm)
    assert code == 0
    assert_told(found["permissions"], "warn", f"chmod 700 {realm}")


@pytest.mark.parametrize("content", [None, b"no key"])
def test_a_key_that_is_gone_or_broken_fails(realm: Path, content: bytes | None) -> None:
    path = realm / "realm.key"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    code, found = checked(data=realm)
    assert code == 1
    assert_told(found["key"], "fail", "Put back")


@pytest.mark.parametrize(
    "content, level",
    [("", "warn"), ("soon", "warn"), ("1e999", "warn"), ("nan", "warn"), ("8", "warn")]
    + [("week", "warn"), ("day", "ok"), ("future", "warn")],
)
def test_a_backup_should_be_of_this_week(realm: Path, content: str, level: str) -> None:
    now = int(time.time())
    ages = {"week": now - 8 * 86400, "day": now - 86400, "future": now + 86400}
    (realm / "last-backup").write_text(str(ages.get(content, content)))
    code, found = checked(data=realm)
    assert code == 0
    assert_told(found["backup"], level)


def test_a_clock_of_another_realm_is_not_held_against_this_one(realm: Path) -> None:
    """A group is dated by the realm that hosts it."""
    with closing(sqlite3.connect(realm / "chat.db")) as database:
        tables = ("realms", "conversations", "messages")
        columns = {
            table: [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            for table in tables
        }
        of_realm = dict.fromkeys(columns["realms"], 0) | {
            **{"id": 1, "name": "beta", "key": "beta", "own_name": "beta", "state": "active"},
            **{"public_key": bytes(32), "received_log": "", "refusals": "{}", "address": None},
        }
        group = dict.fromkeys(columns["conversations"], 0) | {
            **{"id": 99, "realm_id": 1, "number": 7, "name": "theirs", "last_seq": 1},
            **{"low_user": None, "high_user": None, "request": None},
        }
        ahead = {
            **{"row": 999, "conversation_id": 99, "seq": 1, "id": "m_theirs", "sender_id": 1},
            **{"time": int((time.time() + 3600) * 1000), "text": "hi"},
        }
        for table, row in zip(tables, (of_realm, group, ahead), strict=True):
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            values = [row[name] for name in row]
            database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)
        database.commit()
    code, found = checked(data=realm)
    assert code == 0
    assert found["clock"][0] != "fail", found


def test_a_clock_behind_the_newest_message_fails(realm: Path) -> None:
    with closing(sqlite3.connect(realm / "chat.db")) as database:
        database.execute("UPDATE messages SET time = time + 3600 * 1000")
        database.commit()
    code, found = checked(data=realm)
    assert code == 1
    assert_told(found["clock"], "fail", "before the newest message", "NTP")


def test_a_folder_without_a_realm_is_not_looked_at(tmp_path: Path) -> None:
    assert "holds no realm" in refusal("doctor", data=tmp_path / "nowhere")
    assert list(tmp_path.iterdir()) == []
