"""Rules of `admin user`: inside a running server, and on a realm that is closed."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from unicodedata import normalize

import pytest

from tests.admin.command import admin, done, refusal
from tests.rawclient import RawClient
from tests.realserver import RealServer

BOB = ("user", "add", "bob", "--real-name", "Bob Bobson", "--country", "Costa Rica", "--create")


def test_accounts_are_made_and_listed_while_no_server_runs(tmp_path: Path) -> None:
    assert done(*BOB, data=tmp_path, input="secret-bob\n").startswith("Added bob, who is the admin")
    done(
        "user",
        "add",
        "Ana",
        "--real-name",
        "A",
        "--country",
        "P",
        "--create",
        data=tmp_path,
        input="abcdef",
    )
    assert done("user", "list", data=tmp_path).splitlines() == [
        "Ana: A, P",
        "bob: Bob Bobson, Costa Rica, admin",
    ]


async def test_an_account_made_while_the_server_runs_signs_in_at_once(
    real_server: RealServer,
) -> None:
    done(*BOB, data=real_server.data, input="secret-bob\n")
    bob = await RawClient.signed_in(real_server.url, "bob", register=False)
    me = await bob.ask("whoami")
    assert (me["user"], me["real_name"], me["country"]) == ("bob", "Bob Bobson", "Costa Rica")
    await bob.close()


async def test_names_and_passwords_are_held_to_the_rules_of_register(
    real_server: RealServer,
) -> None:
    mac, windows = normalize("NFD", "pässwörd"), normalize("NFC", "pässwörd")
    for real_name in ("\u3164", "a\u202eb"):
        line = ("user", "add", "bob", "--real-name", real_name, "--country", "Peru")
        assert "visible text" in refusal(*line, data=real_server.data, input="secret1\n")
    line = ("user", "add", "bob", "--real-name", "\u200bBob ", "--country", "Peru")
    done(*line, data=real_server.data, input=f"\ufeff{mac}\r\n")
    bob = await RawClient.open(real_server.url)
    await bob.ask("auth", user="bob", password=windows)
    assert (await bob.ask("whoami"))["real_name"] == "Bob"
    done("user", "password", "bob", data=real_server.data, input=f"{windows}1\n")
    await bob.close()
    bob = await RawClient.open(real_server.url)
    await bob.ask("auth", user="bob", password=f"{mac}1")
    await bob.close()


async def test_a_new_password_ends_all_sessions_and_the_old_password(
    real_server: RealServer,
) -> None:
    bob = await RawClient.signed_in(real_server.url, "bob")
    done("user", "password", "BOB", data=real_server.data, input="another-one\n")
    await bob.socket.wait_closed()
    assert bob.socket.close_code == 4501
    bob = await RawClient.open(real_server.url)
    assert (await bob.say("auth", user="bob", password="secret-bob"))["code"] == "bad_credentials"
    await bob.ask("auth", user="bob", password="another-one")
    await bob.close()


async def test_a_disabled_account_is_signed_out_and_kept_out_until_it_is_enabled(
    real_server: RealServer,
) -> None:
    bob = await RawClient.signed_in(real_server.url, "bob")
    token = (await bob.ask("auth", user="bob", password="secret-bob"))["token"]
    done("user", "disable", "bob", data=real_server.data)
    await bob.socket.wait_closed()
    assert bob.socket.close_code == 4501
    bob = await RawClient.open(real_server.url)
    assert (await bob.say("resume", token=token))["code"] == "bad_credentials"
    refused = await bob.say("auth", user="bob", password="secret-bob")
    assert (refused["code"], "disabled" in refused["message"]) == ("forbidden", True)
    # Who does not know the password does not learn that the account is disabled.
    assert (await bob.say("auth", user="bob", password="wrong-one"))["code"] == "bad_credentials"
    assert "bob: bob, Indonesia, admin, disabled" in done("user", "list", data=real_server.data)
    done("user", "enable", "bob", data=real_server.data)
    await bob.ask("auth", user="bob", password="secret-bob")
    await bob.close()


async def test_an_admin_is_made_and_unmade(real_server: RealServer) -> None:
    for name in ("bob", "ana"):
        await (await RawClient.signed_in(real_server.url, name)).close()
    done("user", "grant-admin", "ana", data=real_server.data)
    done("user", "grant-admin", "bob", "--revoke", data=real_server.data)
    assert done("user", "list", data=real_server.data).splitlines() == [
        "ana: ana, Indonesia, admin",
        "bob: bob, Indonesia",
    ]


def test_what_breaks_the_rules_of_register_is_refused(tmp_path: Path) -> None:
    assert "real name: must have 1" in refusal(
        *("user", "add", "bob", "--real-name", "", "--country", "Peru", "--create"),
        data=tmp_path,
        input="x",
    )

    def add(name: str, real_name: str, password: str) -> str:
        words = ("user", "add", name, "--real-name", real_name, "--country", "Peru", "--create")
        return refusal(*words, data=tmp_path, input=password)

    assert "name: must be" in add("bob smith", "Bob", "secret1")
    assert "called me" in add("Me", "Bob", "secret1")
    assert "real name: must be" in add("bob", "Bob\nBob", "secret1")
    assert "password: must have 6 to 128" in add("bob", "Bob", "short")
    done(*BOB, data=tmp_path, input="secret-bob")
    assert "taken" in add("BOB", "Bob", "secret1")
    assert "Nobody here is called" in refusal("user", "disable", "ana", data=tmp_path)


def test_a_missing_password_and_a_wrong_line_say_so(tmp_path: Path) -> None:
    ended = admin(*BOB, data=tmp_path)
    assert (ended.returncode, "standard input" in ended.stderr) == (2, True)
    ended = admin("user", "ad", "bob", data=tmp_path)
    assert (ended.returncode, "add" in ended.stderr) == (2, True)


def test_a_folder_without_a_realm_is_not_taken_for_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert "holds no realm" in refusal("user", "list", data=folder)
    assert list(tmp_path.iterdir()) == []


async def test_only_the_servers_account_may_open_the_socket(real_server: RealServer) -> None:
    path = real_server.data / "admin.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((real_server.data / "realm.key").stat().st_mode) == 0o600
    real_server.stop()
    assert not path.exists()


def test_a_socket_left_by_a_killed_server_is_nobodys(real_server: RealServer) -> None:
    real_server.kill()
    assert (real_server.data / "admin.sock").exists()
    done(*BOB, data=real_server.data, input="secret-bob")
    real_server.start()
    assert "bob" in done("user", "list", data=real_server.data)


@pytest.mark.parametrize("sent", [b"", b"nonsense\n", b"[]\n", b'{"command":3}\n', b"x" * 100_000])
def test_nonsense_at_the_socket_is_hung_up_on(server: RealServer, sent: bytes) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        folder = os.open(server.data, os.O_RDONLY)
        connection.connect(f"/proc/self/fd/{folder}/admin.sock")
        os.close(folder)
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    assert "Traceback" not in server.log


def test_the_key_is_made_once_and_kept(real_server: RealServer) -> None:
    path = real_server.data / "realm.key"
    before = path.read_bytes()
    real_server.stop()
    real_server.start()
    assert path.read_bytes() == before


def test_a_broken_key_is_refused_at_start(tmp_path: Path) -> None:
    done(*BOB, data=tmp_path, input="secret-bob")
    (tmp_path / "realm.key").write_text("no key")
    assert re.search(r"realm\.key holds no Ed25519 key", refusal("user", "list", data=tmp_path))


def test_a_realm_whose_database_is_elsewhere_is_not_begun_anew_in_its_folder(
    tmp_path: Path,
) -> None:
    """Without --database a new, empty realm once appeared, whose first account is the admin."""
    elsewhere = f"sqlite:///{tmp_path / 'other.db'}"
    data = tmp_path / "data"
    done(*BOB, "--database", elsewhere, data=data, input="secret-bob")
    assert "--database or CHAT_DATABASE" in refusal("user", "list", data=data)
    assert "--database or CHAT_DATABASE" in refusal("backup", tmp_path / "x.tar", data=data)
    assert "bob" in done("user", "list", "--database", elsewhere, data=data)
