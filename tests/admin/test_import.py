"""Rules of `admin import-json`: what comes in, what is skipped, and what a second one adds."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from unicodedata import normalize

import pytest

from tests.admin.command import admin, done, refusal
from tests.admin.oldfolder import OldFolder, content, counts, file, history, text
from tests.cluster import Cluster
from tests.rawclient import RawClient
from tests.realserver import RealServer


@pytest.fixture
def old(tmp_path: Path) -> OldFolder:
    return OldFolder(tmp_path / "old")


@pytest.fixture(params=["running", "closed", "running on postgresql", "closed on postgresql"])
def realm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealServer]:
    """A realm whose server runs, or is started when somebody first signs in."""
    elsewhere = ()
    if "postgresql" in request.param:
        cluster: Cluster = request.getfixturevalue("cluster")
        elsewhere = ("--database", cluster.fresh_realm())
    server = RealServer(tmp_path, *elsewhere)
    if request.param.startswith("running"):
        server.start()
    yield server
    server.kill()


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[RealServer]:
    """A realm that does not exist yet."""
    server = RealServer(tmp_path)
    yield server
    server.kill()


def take(old: OldFolder, realm: RealServer) -> str:
    """Import the folder and return what was said."""
    return done("import-json", "--create", old.path, *realm.options, data=realm.data)


def line(said: str, part: str) -> str:
    """Return the one line about a file or an entry."""
    (found,) = [line for line in said.splitlines() if line.startswith(f"{part}: ")]
    return found


async def sign_in(realm: RealServer, name: str, password: str | None = None) -> RawClient:
    if not realm.port:
        realm.start()
    client = await RawClient.open(realm.url)
    await client.ask("auth", user=name, password=password or f"secret-{name}")
    return client


async def test_people_groups_chats_and_files_come_in(old: OldFolder, realm: RealServer) -> None:
    old.user("ana", "bob")
    photo = os.urandom(300_000)
    old.group(
        "7",
        ["bob", "ana"],
        text("ana", "hello all"),
        {"sender": "bob", "mesasge": "a misspelt key"},
        file("ana", "photo.png", photo),
        text("ana", "hello all"),
    )
    old.private("ana_bob", text("bob", "hi"), text("ana", "hi"), file("bob", "x/y.txt", b"yes"))
    before = time.time() * 1000
    assert counts(take(old, realm)) == (2, 1, 7, 2, 0)
    bob = await sign_in(realm, "bob")
    assert (await bob.ask("whoami"))["real_name"] == "Old bob"
    assert (await bob.ask("whoami"))["country"] == "Indonesia"
    assert await history(bob, "#7") == [
        ("ana", "hello all"),
        ("bob", "a misspelt key"),
        ("ana", "photo.png"),
        ("ana", "hello all"),
    ]
    assert await history(bob, "ana") == [("bob", "hi"), ("ana", "hi"), ("bob", "y.txt")]
    assert await content(bob, "#7", "photo.png") == photo
    assert await content(bob, "ana", "y.txt") == b"yes"
    (group,) = (await bob.ask("listgroup"))["groups"]
    assert (group["name"], group["role"], group["members"]) == ("group 7", "owner", 2)
    # All has the time of the import, and counts as read.
    assert before < group["last"]["time"] < time.time() * 1000
    assert group["unread"] == 0
    assert (await bob.ask("sendg", group="#7", text="go on"))["seq"] == 5
    await bob.close()


async def test_people_who_are_connected_see_it_at_the_next_look(
    old: OldFolder, real_server: RealServer
) -> None:
    ana = await RawClient.signed_in(real_server.url, "ana")
    bob = await RawClient.signed_in(real_server.url, "bob")
    await ana.ask("send", to="bob", text="before")
    old.user("ana", "bob")
    old.private("ana_bob", text("bob", "of old"))
    assert counts(take(old, real_server)) == (0, 0, 1, 0, 0)
    assert (await ana.ask("listpc"))["conversations"][0]["last_seq"] == 2
    missed = await ana.ask("sync", have={"bob": 1})
    assert [message["text"] for message in missed["messages"]] == ["of old"]
    # The server's own copy of the conversation was behind; the next message is not.
    assert (await ana.ask("send", to="bob", text="after"))["seq"] == 3
    assert [said for _, said in await history(bob, "ana")] == ["before", "of old", "after"]
    await ana.close()
    await bob.close()


async def test_a_second_import_adds_nothing_and_a_later_one_only_what_is_new(
    old: OldFolder, realm: RealServer
) -> None:
    old.user("ana", "bob", "carl")
    old.group("7", ["ana", "bob", "carl"], text("ana", "one"), text("ana", "one"))
    old.private("ana_bob", text("ana", "x"), file("ana", "a.txt", b"abc"))
    take(old, realm)
    ana = await sign_in(realm, "ana")
    bob = await sign_in(realm, "bob")
    carl = await sign_in(realm, "carl")
    await ana.ask("passwd", old_password="secret-ana", new_password="another")
    await ana.ask("send", to="bob", text="moved on")
    await carl.ask("leavegroup", group="#7")
    said = take(old, realm)
    assert counts(said) == (0, 0, 0, 0, 0)
    assert "Nothing new" in said
    assert "3 users have an account here already" in said
    old.group(
        "7",
        ["ana", "bob", "carl"],
        *(text("ana", "one"), text("ana", "one"), text("ana", "one"), text("carl", "I left")),
        nama="another name",
    )
    old.private("ana_bob", text("ana", "x"), file("ana", "a.txt", b"abc"), text("bob", "z"))
    old.user("dave")
    said = take(old, realm)
    assert counts(said) == (1, 0, 2, 0, 1)
    assert "carl is not in #7 any more" in line(said, "groups/7.json")
    assert await history(bob, "#7") == [("ana", "one")] * 3
    assert [said for _, said in await history(bob, "ana")] == ["x", "a.txt", "moved on", "z"]
    (group,) = (await bob.ask("listgroup"))["groups"]
    assert (group["name"], group["members"]) == ("group 7", 2)
    again = await sign_in(realm, "ana", "another")
    for client in (ana, bob, carl, again):
        await client.close()


async def test_what_was_skipped_comes_in_once_it_is_mended(
    old: OldFolder, closed: RealServer
) -> None:
    old.user("ana")
    old.write("users/bob.json", b"{")
    entries = [text("ana", "one"), text("bob", "two"), {}, text("ana", 3)]
    old.group("7", ["ana", "bob"], *entries)
    assert counts(take(old, closed)) == (1, 1, 1, 0, 5)
    old.user("bob")
    old.group("7", ["ana", "bob"], text("ana", "one"), text("bob", "two"), text("ana", "three"))
    assert counts(take(old, closed)) == (1, 0, 2, 0, 0)
    bob = await sign_in(closed, "bob")
    assert await history(bob, "#7") == [("ana", "one"), ("bob", "two"), ("ana", "three")]
    members = (await bob.ask("members", group="#7"))["members"]
    assert [member["user"] for member in members] == ["ana", "bob"]
    await bob.close()


async def test_files_and_names_written_on_other_systems_come_in(
    old: OldFolder, closed: RealServer
) -> None:
    ana = {
        "nama": "\u200bJose\u0301 ",
        "negara": "\u3164",
        "password": normalize("NFD", "pässwörd"),
    }
    old.write("users/ana.json", b"\xef\xbb\xbf" + json.dumps(ana).encode())
    old.write("users/bob.json", json.dumps(ana).encode("utf-16"))
    old.private("ana_ana", file("ana", normalize("NFD", "übung.WEBP"), b"abc"))
    said = take(old, closed)
    assert counts(said) == (1, 0, 1, 1, 1)
    assert "is UTF-16, as Windows writes it; it must be UTF-8" in line(said, "users/bob.json")
    assert 'negara must be one line of visible text; "-" stands in for it' in said
    client = await sign_in(closed, "ana", normalize("NFC", "pässwörd"))
    me = await client.ask("whoami")
    assert (me["real_name"], me["country"]) == ("José", "-")
    (message,) = (await client.ask("history", conversation="ana"))["messages"]
    assert (message["file"]["name"], message["file"]["type"]) == ("übung.WEBP", "image/webp")
    await client.close()


async def test_short_passwords_sign_in_and_missing_ones_are_listed(
    old: OldFolder, closed: RealServer
) -> None:
    old.user("ana", password="x")
    old.user("bob", password="")
    old.user("carl", password=["secret"])
    old.user("dave", password="p" * 1025)
    old.write("users/eve.json", {"nama": "Eve", "negara": "Chile"})
    said = take(old, closed)
    assert counts(said) == (5, 0, 0, 0, 0)
    for name in ("bob", "carl", "dave", "eve"):
        assert f"admin user password {name}" in line(said, f"users/{name}.json")
    assert "users/ana.json" not in said
    ana = await sign_in(closed, "ana", "x")
    for name, password in (("bob", ""), ("bob", "x"), ("eve", "None"), ("carl", "secret")):
        refused = await ana.say("auth", user=name, password=password)
        assert refused["code"] in ("bad_credentials", "bad_arguments")
    done("user", "password", "eve", data=closed.data, input="a new one\n")
    await ana.ask("auth", user="eve", password="a new one")
    await ana.close()


async def test_nobody_becomes_an_admin_unasked(old: OldFolder, realm: RealServer) -> None:
    old.user("ana")
    assert "admin user grant-admin NAME" in take(old, realm)
    listed = done("user", "list", *realm.options, data=realm.data)
    assert listed.splitlines() == ["ana: Old ana, Indonesia"]


async def test_names_with_underscores_are_told_apart_by_accounts_and_senders(
    old: OldFolder, closed: RealServer
) -> None:
    old.user("a", "b", "c", "a_b", "b_c", "x_y", "z")
    old.private("x_y_z", text("z", "only one pair has accounts"))
    old.private("a_b_c", text("b_c", "the sender tells"))
    old.private("b_c_b", text("b", "the same two, however it is split"))
    old.private("a_nobody", text("a", "x"))
    old.private("z", text("z", "x"))
    old.private("z_z", text("z", "a note to oneself"))
    said = take(old, closed)
    assert counts(said) == (7, 0, 4, 0, 2)
    for stem in ("a_nobody", "z"):
        assert "add the missing one" in line(said, f"privates/{stem}.json")
    z = await sign_in(closed, "z")
    assert await history(z, "x_y") == [("z", "only one pair has accounts")]
    assert await history(z, "z") == [("z", "a note to oneself")]
    await z.ask("auth", user="a", password="secret-a")
    assert await history(z, "b_c") == [("b_c", "the sender tells")]
    await z.ask("auth", user="b", password="secret-b")
    assert await history(z, "b_c") == [("b", "the same two, however it is split")]
    await z.close()


async def test_a_chat_that_nobody_can_decide_comes_in_once_its_senders_tell(
    old: OldFolder, closed: RealServer
) -> None:
    old.user("a", "a_b", "b_c", "c", "d")
    old.private("a_b_c", text("d", "of neither"))
    said = take(old, closed)
    assert "may be the chat of" in line(said, "privates/a_b_c.json")
    old.private("a_b_c", text("c", "hello"), {"sender": "a_b"})
    assert counts(take(old, closed)) == (0, 0, 1, 0, 1)
    c = await sign_in(closed, "c")
    assert await history(c, "a_b") == [("c", "hello")]
    await c.close()


async def test_groups_keep_free_numbers_and_others_get_new_ones(
    old: OldFolder, real_server: RealServer
) -> None:
    ana = await RawClient.signed_in(real_server.url, "ana")
    await ana.ask("creategroup", name="here before")
    old.user("ana")
    for id in ("1", "2", "007", "12", "friends", "9" * 15):
        old.group(id, ["ana"], text("ana", id))
    take(old, real_server)
    groups = {g["name"]: g["group"] for g in (await ana.ask("listgroup"))["groups"]}
    assert (groups["here before"], groups["group 2"], groups["group 12"]) == ("#1", "#2", "#12")
    others = {groups[f"group {id}"] for id in ("1", "007", "friends", "9" * 15)}
    assert others == {"#13", "#14", "#15", "#16"}
    for id in ("1", "2", "007"):
        assert await history(ana, groups[f"group {id}"]) == [("ana", id)]
    assert (await ana.ask("creategroup", name="next"))["group"] == "#17"
    await ana.close()


async def test_names_that_differ_in_case_only_are_never_one_person(
    old: OldFolder, closed: RealServer
) -> None:
    old.user("Bob", "ana")
    old.user("bob", password="of-bob")
    old.group("1", ["bob", "Bob", "ANA"], text("Bob", "capital"), text("bob", "small"))
    old.private("ana_bob", text("bob", "secret"))
    said = take(old, closed)
    assert "Bob has this one; rename it" in line(said, "users/bob.json")
    assert counts(said) == (2, 1, 1, 0, 4)
    bob = await sign_in(closed, "bob", "secret-Bob")
    assert await history(bob, "#1") == [("Bob", "capital")]
    assert (await bob.ask("listpc"))["conversations"] == []
    await bob.close()


async def test_the_account_that_is_here_decides_which_of_two_names_it_has(
    old: OldFolder, closed: RealServer
) -> None:
    old.user("bob")
    take(old, closed)
    old.user("Bob")
    old.group("1", ["bob", "Bob"], text("Bob", "capital"), text("bob", "small"))
    assert "bob has this one" in line(take(old, closed), "users/Bob.json")
    bob = await sign_in(closed, "bob")
    assert await history(bob, "#1") == [("bob", "small")]
    await bob.close()


@pytest.mark.parametrize("what", ["missing", "a file", "another folder", "empty"])
def test_a_folder_that_is_no_old_data_is_refused_and_nothing_is_begun(
    tmp_path: Path, what: str
) -> None:
    folder = tmp_path / "old"
    if what == "a file":
        folder.write_text("{}")
    elif what != "missing":
        folder.mkdir()
        if what == "another folder":
            OldFolder(folder / "below")
            (folder / "users").write_text("no folder")
    assert str(folder) in refusal("import-json", folder, "--create", data=tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_no_password_is_ever_shown(old: OldFolder, real_server: RealServer) -> None:
    secret = "hunter2-correct-horse"
    old.user("ana", password=secret)
    old.user("bad name", password=secret)
    old.user("bob", password=[secret])
    old.write("users/carl.json", b'{"password": "' + secret.encode() + b'",}')
    old.write("users/dave.json", [secret])
    ended = admin("import-json", "--create", old.path, data=real_server.data)
    assert ended.returncode == 0
    assert secret not in ended.stdout + ended.stderr + real_server.log
