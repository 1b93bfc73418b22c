"""Rules of `admin export`: a person gets all of his own, as he sees it, and nothing else."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

from tests.admin.command import done, refusal
from tests.admin.realms import leftovers, live, people
from tests.history import history
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.transfers import encoded, end


def unzipped(path: Path) -> dict[str, bytes]:
    """Return the contents by name; no name is there twice, and all checksums fit."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert len(names) == len({name.casefold() for name in names})
        return {name: archive.read(name) for name in names}


def records(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().split("\n")[:-1]]


async def test_a_person_gets_all_conversations_as_they_are_seen(
    real_server: RealServer, tmp_path: Path
) -> None:
    await live(real_server.url)
    dave, erin = await people(real_server.url, "dave", "erin", register=True)
    await dave.ask("send", to="erin", text="a secret of dave's")
    blocker = await RawClient.signed_in(real_server.url, "bob", register=False)
    await blocker.ask("block", user="erin")
    await blocker.close()
    said = done("export", "BOB", tmp_path / "bob.zip", data=real_server.data)
    found = unzipped(tmp_path / "bob.zip")
    bob = await RawClient.signed_in(real_server.url, "bob", register=False)
    profile = json.loads(found.pop("profile.json"))
    me = await bob.ask("whoami")
    assert {name: me[name] for name in ("user", "real_name", "country", "admin")}.items() <= (
        profile.items()
    )
    assert (profile["disabled"], profile["blocked"]) == (False, ["erin"])
    assert profile["created"] > 1_700_000_000_000
    chats = {row["conversation"]: row for row in records(found.pop("conversations.jsonl"))}
    assert chats.keys() == {"alice", "bob", "carol", "#1"}
    assert chats["#1"]["name"] == "lovers of cake"
    assert [(m["user"], m["role"]) for m in chats["#1"]["members"]] == [
        ("bob", "owner"),
        ("carol", "member"),
    ]
    messages = records(found.pop("messages.jsonl"))
    assert f"{len(messages)} messages of 4 conversations" in said
    by_chat: dict[str, list[dict[str, Any]]] = {}
    for message in messages:
        if "file" in message:
            path = message["file"].pop("path")
            assert hashlib.sha256(found[path]).hexdigest() == message["file"]["sha256"]
            message["kept"] = path
        by_chat.setdefault(message["conversation"], []).append(message)
    assert list(by_chat) == list(chats)
    paths = [message.pop("kept") for message in messages if "kept" in message]
    assert sorted(found) == sorted(paths) and len(paths) == 2
    for conversation, mine in by_chat.items():
        assert mine == await history(bob.ask, conversation)
        assert chats[conversation]["last_seq"] == len(mine)
    everything = b"".join([*unzipped(tmp_path / "bob.zip").values()])
    for hidden in (b"argon2", b"secret of dave", b"token"):
        assert hidden not in everything
    await end(bob, dave, erin)


async def test_names_of_files_are_safe_on_every_system_and_differ(
    real_server: RealServer, tmp_path: Path
) -> None:
    (bob,) = await people(real_server.url, "bob", register=True)
    names = ["CON", "a:b?.txt", "a:b?.txt", "x" * 251 + ".pdf", ".hidden", "dots...", "ü ñ.tar.gz"]
    for number, name in enumerate(names):
        await bob.ask("sendfile", to="bob", name=name, data=encoded(bytes([number])))
    done("export", "bob", tmp_path / "bob.zip", data=real_server.data)
    found = unzipped(tmp_path / "bob.zip")
    sent = [message["file"] for message in records(found["messages.jsonl"])]
    assert [file["name"] for file in sent] == names
    assert [found[file["path"]] for file in sent] == [bytes([n]) for n in range(len(names))]
    for file in sent:
        folder, _, last = file["path"].partition("/")
        assert folder == "files" and last.startswith(f"{file['id']}-")
        assert not set(last) & set('\\/:*?"<>|') and not last.endswith((".", " "))
        assert len(last.encode()) <= 255
    assert sent[3]["path"].endswith("xxx.pdf") and sent[6]["path"].endswith("-ü ñ.tar.gz")
    await bob.close()


async def test_an_unknown_person_is_named(real_server: RealServer, tmp_path: Path) -> None:
    why = refusal("export", "nobody", tmp_path / "x.zip", data=real_server.data)
    assert "Nobody here is called nobody" in why
    assert leftovers(tmp_path, "data", "server.log") == []


async def test_somebody_who_wrote_nothing_gets_a_profile(
    real_server: RealServer, tmp_path: Path
) -> None:
    await end(*await people(real_server.url, "bob", register=True))
    done("export", "bob", tmp_path / "bob.zip", data=real_server.data)
    found = unzipped(tmp_path / "bob.zip")
    assert (found["messages.jsonl"], found["conversations.jsonl"]) == (b"", b"")
    assert json.loads(found["profile.json"])["user"] == "bob"


async def test_messages_hidden_from_a_person_are_not_exported_to_them(
    real_server: RealServer, tmp_path: Path
) -> None:
    """`grouphistory joining`: bob gets neither the texts nor the files from before he joined."""
    alice, bob = await people(real_server.url, "alice", "bob", register=True)
    group = (await alice.ask("creategroup", name="cake"))["group"]
    await alice.ask("sendg", group=group, text="an old secret")
    await alice.ask("sendgroupfile", group=group, name="old.txt", data=encoded(b"hidden bytes"))
    await alice.ask("grouphistory", group=group, history="joining")
    await alice.ask("invitegroup", group=group, user="bob")
    await alice.ask("sendg", group=group, text="welcome")
    for name in ("alice", "bob"):
        done("export", name, tmp_path / f"{name}.zip", data=real_server.data)
    found = unzipped(tmp_path / "bob.zip")
    assert [message["text"] for message in records(found["messages.jsonl"])] == ["welcome"]
    assert not [name for name in found if name.startswith("files/")]
    whole = b"".join(found.values())
    assert b"secret" not in whole and b"old.txt" not in whole and b"hidden bytes" not in whole
    hers = unzipped(tmp_path / "alice.zip")
    assert len(records(hers["messages.jsonl"])) == 3
    assert b"hidden bytes" in hers.values()
    await end(alice, bob)
