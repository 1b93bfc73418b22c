"""Any legal path works: of the data, of archives, certificates and databases; and one folder is one
folder, however it is spelled."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.admin.command import admin, done, refusal
from tests.admin.oldfolder import OldFolder, text
from tests.admin.realms import leftovers, live, seen
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer

NAMES = {
    "a query": "realm?one",
    "another query": "realm?mode=ro&immutable=1",
    "a fragment": "realm#one",
    "percent": "50%25 %s %(x)s %",
    "separators": "a;b&c=d,e:f",
    "blanks": " a  b ",
    "quotes": 'it\'s "one" `x` $HOME \\',
    "a line end": "one\ntwo\ttabs",
    "no UTF-8": os.fsdecode(b"gr\xfc\xdfe \xff"),
    "letters": "данные ü 資料",
    "a scheme": "file:x",
    "an option": "--data",
    "memory": ":memory:",
    "long": "x" * 200,
}

WORST = {name: NAMES[name] for name in ("a query", "percent", "a line end", "no UTF-8")}


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealServer]:
    folder = tmp_path / request.param
    folder.mkdir()
    made = RealServer(folder)
    made.log_path = tmp_path / "server.log"
    yield made
    made.kill()


@pytest.mark.parametrize("server", WORST.values(), ids=WORST, indirect=True)
async def test_a_realm_is_served_backed_up_and_restored_at_any_path(
    server: RealServer, tmp_path: Path
) -> None:
    server.options = ("--web-port", "0")
    server.start()
    home = server.data.parent
    tokens = await live(server.url)
    before = await seen(server.url, tokens)
    assert (server.data / "chat.db").stat().st_size > 0
    assert (server.data / "admin.sock").is_socket() and (server.data / "web.sock").is_socket()
    assert "alice: " in done("user", "list", data=server.data)
    assert "alpha" in done("status", data=server.data)
    told = admin("doctor", data=server.data)
    assert (told.returncode, told.stderr) == (0, ""), told.stdout
    done("backup", home / "realm.tar", data=server.data)
    done("export", "bob", home / "bob.zip", data=server.data)
    server.stop()
    assert "Traceback" not in server.log
    done("restore", home / "realm.tar", data=home / "restored")
    assert (home / "restored" / "chat.db").stat().st_size > 0
    assert admin("doctor", "--deep", data=home / "restored").returncode == 0
    again = RealServer(home)
    again.data, again.log_path = home / "restored", tmp_path / "again.log"
    again.start()
    try:
        assert await seen(again.url, tokens) == before
    finally:
        again.kill()
    # Nothing was made anywhere else.
    assert leftovers(tmp_path, home.name, "server.log", "again.log") == []


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_the_folder_itself_may_have_any_name_and_be_relative(name: str, tmp_path: Path) -> None:
    words = ("user", "add", "ana", "--real-name", "A", "--country", "P", "--create")
    ended = subprocess.run(
        [*EXECUTED, "admin", *words, f"--data={name}"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        input=b"secret-ana",
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / name / "chat.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_two_names_that_differ_behind_a_question_mark_are_two_realms(tmp_path: Path) -> None:
    words = ("--real-name", "A", "--country", "P", "--create")
    (tmp_path / "q").mkdir()
    for name in ("one", "two"):
        data = tmp_path / "q" / f"realm?{name}"
        done("user", "add", name, *words, data=data, input="secret-x")
        assert done("user", "list", data=data).startswith(f"{name}: A")
    assert sorted(path.name for path in (tmp_path / "q").iterdir()) == ["realm?one", "realm?two"]


@pytest.mark.parametrize("name", WORST.values(), ids=WORST)
def test_archives_configurations_and_databases_may_have_any_path(name: str, tmp_path: Path) -> None:
    odd = tmp_path / name
    odd.mkdir()
    old = OldFolder(odd / "old")
    old.user("ana")
    old.private("ana_ana", text("ana", "hi"))
    (odd / f"{name}.toml").write_text("max-file = 5\n")
    database = (odd / "other.db").as_uri().replace("file://", "sqlite:///")
    where = ("--database", database, "--config", odd / f"{name}.toml")
    done("import-json", old.path, "--create", *where, data=tmp_path / "data")
    assert (odd / "other.db").stat().st_size > 0 and not (tmp_path / "data" / "chat.db").exists()
    archive = odd / f"{name}.tar"
    done("backup", archive, *where, data=tmp_path / "data")
    done("export", "ana", odd / f"{name}.zip", *where, data=tmp_path / "data")
    done("restore", archive, data=tmp_path / "restored")
    assert "ana: " in done("user", "list", data=tmp_path / "restored")
    missing = odd / "missing.tar"
    assert len(refusal("restore", missing, data=tmp_path / "new").splitlines()) == 1


def test_options_behind_a_database_are_refused_not_taken_for_nothing(tmp_path: Path) -> None:
    why = refusal("user", "list", "--database", "sqlite:///a.db?timeout=5", data=tmp_path)
    assert "holds no realm" in why
    (tmp_path / "database-elsewhere").touch()
    why = refusal("user", "list", "--database", "sqlite:///a.db?timeout=5", data=tmp_path)
    assert "%3F" in why and not (tmp_path / "a.db").exists()


def deep(folder: Path, size: int) -> Path:
    """Return a path of so many bytes below a folder."""
    while len(os.fsencode(folder)) < size - 101:
        folder /= "d" * min(100, size - 102 - len(os.fsencode(folder)))
    return folder / ("e" * (size - len(os.fsencode(folder)) - 1))


async def test_sockets_work_below_a_path_that_is_too_long_for_one(tmp_path: Path) -> None:
    server = RealServer(deep(tmp_path, 480), "--web-port", "0")
    server.data.parent.mkdir(parents=True)
    server.start()
    try:
        assert len(os.fsencode(server.data / "admin.sock")) > 108
        client = await RawClient.signed_in(server.url, "ana", register=True)
        await client.close()
        assert "ana: " in done("user", "list", data=server.data)
    finally:
        server.kill()


def test_a_path_that_is_too_long_for_the_database_is_refused_in_words(tmp_path: Path) -> None:
    data = deep(tmp_path, 600)
    words = ("user", "add", "ana", "--real-name", "A", "--country", "P", "--create")
    why = refusal(*words, data=data, input="secret-ana")
    assert "SQLite opens at most 504" in why
    assert [path.name for path in data.iterdir()] == ["lock"]


def test_one_folder_is_one_folder_by_every_spelling(tmp_path: Path) -> None:
    server = RealServer(tmp_path)
    server.start()
    try:
        (tmp_path / "link").symlink_to(server.data)
        (tmp_path / "up").mkdir()
        for spelled in ("link", "up/../data", "./data/", "data/."):
            second = started(tmp_path, "--data", spelled, "--port", "0")
            assert "Another server uses" in second
    finally:
        server.kill()


def test_one_database_is_one_database_by_every_spelling(tmp_path: Path) -> None:
    database = tmp_path / "chat.db"
    server = RealServer(tmp_path, "--database", f"sqlite:///{database}")
    server.start()
    try:
        (tmp_path / "link.db").symlink_to(database)
        for spelled in (database, tmp_path / "link.db", "chat.db"):
            options = ("--data", "other", "--database", f"sqlite:///{spelled}", "--port", "0")
            second = started(tmp_path, *options)
            assert "Another server uses" in second
            assert sorted(path.name for path in (tmp_path / "other").iterdir()) == ["lock"]
    finally:
        server.kill()


def started(folder: Path, *words: str) -> str:
    """Let a server be refused, and return what it says."""
    ended = subprocess.run(
        [*EXECUTED, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr, ended.stderr
    return ended.stderr


def test_a_certificate_may_have_any_path(tmp_path: Path) -> None:
    for name in (NAMES["a line end"], NAMES["no UTF-8"]):
        odd = tmp_path / name
        odd.mkdir()
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
        files = ["-keyout", odd / "key.pem", "-out", odd / "cert.pem"]
        subprocess.run([*made, *files], check=True, capture_output=True)
        tls = ("--tls-cert", str(odd / "cert.pem"), "--tls-key", str(odd / "key.pem"))
        server = RealServer(odd, *tls)
        server.start()
        server.kill()
        gone = started(tmp_path, "--data", "x", "--tls-cert", str(odd / "no"), *tls[2:])
        assert len(gone.splitlines()) == 1 and "No such file" in gone


def test_an_archive_goes_where_a_link_leads_and_never_on_a_device(tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = ("user", "add", "ana", "--real-name", "A", "--country", "P", "--create")
    done(*words, data=data, input="secret-ana")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "latest.tar").symlink_to(tmp_path / "elsewhere" / "monday.tar")
    done("backup", tmp_path / "latest.tar", data=data)
    assert (tmp_path / "latest.tar").is_symlink()
    assert (tmp_path / "elsewhere" / "monday.tar").stat().st_size > 0
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/null")):
        assert "name a file" in refusal("backup", path, data=data)
        assert path.exists() and not path.is_file()
    long = tmp_path / ("n" * 255)
    done("backup", long, data=data)
    assert long.stat().st_size > 0


def test_a_migration_runs_wherever_the_product_is(tmp_path: Path) -> None:
    """Alembic reads its own settings with `%` in them."""
    product = tmp_path / "50%d product"
    for package in ("shared", "ws_server"):
        (product / package).parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "-r", ROOT / package, product / package], check=True)
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "chat.db")) as database:
        database.executescript((ROOT / "tests/store/schema_0001.sql").read_text())
    ended = subprocess.run(
        [*EXECUTED, "admin", "user", "list", "--data", data],
        cwd=product,
        env={**os.environ, "PYTHONPATH": str(product)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
