"""A realm's name belongs to its data, and a realm is made by those only who are told to."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.admin.command import done, refusal
from tests.admin.oldfolder import OldFolder
from tests.admin.realms import leftovers, serving
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT

ADD = ("user", "add", "ana", "--real-name", "A", "--country", "P")


def started(data: Path, *options: str) -> str:
    """Start a server without `--realm`, stop it, and return the first line that it printed."""
    words = ("--host", "127.0.0.1", "--port", "0", "--web-port", "off", *options)
    process = subprocess.Popen(
        [*EXECUTED, *words, "--data", data],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        return process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def refused(data: Path, *options: str) -> str:
    ended = subprocess.run(
        [*EXECUTED, "--port", "0", "--web-port", "off", *options, "--data", data],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    return ended.stderr


@pytest.fixture(params=["sqlite", "postgresql"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], tuple[str, ...]]:
    """What names the database of a realm: nothing, or a fresh one in PostgreSQL."""
    if request.param == "sqlite":
        return lambda: ()
    cluster = request.getfixturevalue("cluster")
    return lambda: ("--database", cluster.new_database())


def test_a_restored_realm_is_served_under_its_name(
    tmp_path: Path, elsewhere: Callable[[], tuple[str, ...]]
) -> None:
    """It was served under the name of the machine."""
    first, second = elsewhere(), elsewhere()
    data, restored = tmp_path / "data", tmp_path / "restored"
    assert started(data, *first, "--realm", "alpha").startswith("Realm alpha serves ")
    assert started(data, *first).startswith("Realm alpha serves ")
    done("backup", tmp_path / "x.tar", *first, data=data)
    told = done("restore", tmp_path / "x.tar", *second, data=restored)
    assert told.startswith("Restored the realm alpha into")
    assert started(restored, *second).startswith("Realm alpha serves ")


def test_a_first_start_says_that_the_realm_is_new_and_where_it_is(tmp_path: Path) -> None:
    data = tmp_path / "mistyped"
    line = started(data, "--realm", "alpha")
    assert f"with its data in {data}. This realm is new" in line
    assert "This realm is new" not in started(data)


def test_another_name_is_refused_and_a_rename_is_asked_for(tmp_path: Path) -> None:
    data = tmp_path / "data"
    started(data, "--realm", "alpha")
    why = refused(data, "--realm", "beta")
    assert "is called alpha, not beta" in why and "admin realm rename beta" in why
    assert started(data).startswith("Realm alpha ")
    # That is no other name.
    assert started(data, "--realm", "ALPHA").startswith("Realm alpha ")
    assert "beta from its next start" in done("realm", "rename", "beta", data=data)
    assert started(data).startswith("Realm beta ")
    assert "is called beta, not alpha" in refused(data, "--realm", "alpha")
    assert "has 1 to 32 of" in refusal("realm", "rename", "a b", data=data)


async def test_the_name_of_a_realm_that_is_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "beta").mkdir()
    with serving(tmp_path) as alpha, serving(tmp_path / "beta", "--realm", "beta") as beta:
        ana = await RawClient.signed_in(alpha.url, "ana", register=True)
        await ana.ask("addrealm", name="beta", address="127.0.0.1", port=beta.port)
        assert "Another realm is known as Beta" in refusal(
            "realm", "rename", "Beta", data=alpha.data
        )
        await ana.close()


def test_data_of_an_earlier_version_keeps_the_name_that_it_is_served_under(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "chat.db")) as database:
        database.executescript((ROOT / "tests/store/schema_0001.sql").read_text())
    assert started(data, "--realm", "old").startswith("Realm old ")
    assert started(data).startswith("Realm old ")


def test_a_name_that_is_none_is_refused_not_served(tmp_path: Path) -> None:
    data = tmp_path / "data"
    started(data, "--realm", "alpha")
    with closing(sqlite3.connect(data / "chat.db")) as database:
        database.execute("UPDATE meta SET value = 'a b\n' WHERE key = 'realm'")
        database.commit()
    assert "name in the database is damaged" in refused(data)


def test_admin_commands_do_not_give_a_realm_its_name(tmp_path: Path) -> None:
    """Accounts may be added before the first start, which then may say a name."""
    data = tmp_path / "data"
    done(*ADD, "--create", data=data, input="secret-ana")
    assert started(data, "--realm", "alpha").startswith("Realm alpha ")


def test_a_realm_is_made_only_if_that_is_said(tmp_path: Path) -> None:
    """`user add` without `--data`, in another folder, made one with a new key."""
    old = OldFolder(tmp_path / "old")
    old.user("ana")
    (tmp_path / "empty").mkdir()
    for words in (ADD, ("import-json", str(old.path))):
        for data in (tmp_path / "empty", tmp_path / "nowhere"):
            why = refusal(*words, data=data, input="secret-ana")
            assert "holds no realm; name its data folder with --data" in why
            assert "make a new realm there with --create" in why
    assert leftovers(tmp_path, "old", "empty") == []
    assert leftovers(tmp_path / "empty") == []
    done(*ADD, "--create", data=tmp_path / "empty", input="secret-ana")
    # Where there is one, that says nothing.
    told = refusal(*ADD, "--create", data=tmp_path / "empty", input="secret-ana")
    assert "ana" in told
    assert done("user", "list", data=tmp_path / "empty").startswith("ana: ")


@pytest.mark.parametrize(
    "words",
    [
        *(("user", "list"), ("user", "disable", "x"), ("user", "grant-admin", "x")),
        *(("realm", "list"), ("realm", "rename", "x"), ("realm", "block", "x")),
        *(("backup", "x"), ("export", "x", "y"), ("doctor",), ("status",), ("realm", "check")),
    ],
    ids=" ".join,
)
def test_no_admin_command_makes_anything_where_there_is_no_realm(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    assert "name" in refusal(*words, data=tmp_path / "nowhere")
    assert leftovers(tmp_path) == []
