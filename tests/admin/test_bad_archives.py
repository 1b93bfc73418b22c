"""Rule of `admin restore`: what is not a whole backup is refused, and nothing of it is kept."""

from __future__ import annotations

import asyncio
import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.admin.archives import (
    BLOCK,
    Entries,
    at,
    changed,
    content,
    header,
    packed,
    signed,
    unpacked,
)
from tests.admin.command import done, refusal
from tests.admin.realms import leftovers, live, serving

USERS = "tables/users/000001.jsonl"
MESSAGES = "tables/messages/000001.jsonl"
CUT, DAMAGED, MANIFEST = "truncated", "damaged", "manifest.json"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a realm that has everything in it."""
    folder = tmp_path_factory.mktemp("good")
    with serving(folder) as server:
        asyncio.run(live(server.url))
        done("backup", folder / "good.tar", data=server.data)
    return folder / "good.tar"


@pytest.fixture(scope="module")
def entries(archive: Path) -> Entries:
    return unpacked(archive)


def refused(folder: Path, archive: bytes) -> str:
    """Restore an archive that has to be refused, and return the one line that says why."""
    bad = folder / "bad.tar"
    bad.write_bytes(archive)
    why = refusal("restore", bad, data=folder / "new")
    assert leftovers(folder, "bad.tar") == []
    assert why.endswith("\n") and why[:-1].isprintable()
    return why


def test_the_archive_that_the_others_are_made_of_is_good(entries: Entries, tmp_path: Path) -> None:
    assert packed(entries) == packed(signed(entries))
    (tmp_path / "good.tar").write_bytes(packed(entries))
    done("restore", tmp_path / "good.tar", data=tmp_path / "new")


@pytest.mark.parametrize("name", ["realm.key", USERS, MESSAGES, "blob", MANIFEST])
@pytest.mark.parametrize("where", [0.4, 0.99])
def test_one_flipped_bit_is_noticed(
    entries: Entries, tmp_path: Path, name: str, where: float
) -> None:
    if name == "blob":
        name = next(found for found, _ in entries if found.startswith("blobs/"))
    flipped = bytearray(content(entries, name))
    flipped[int(len(flipped) * where)] ^= 1
    why = refused(tmp_path, packed(changed(entries, name, bytes(flipped))))
    assert DAMAGED in why
    assert name in why or name == MANIFEST


@pytest.mark.parametrize("kept", [100, 512, 700, 0.3, 0.9, -1024 - 512, -1024, -512, -1])
def test_an_archive_that_was_cut_is_noticed(archive: Path, tmp_path: Path, kept: float) -> None:
    whole = archive.read_bytes()
    assert CUT in refused(
        tmp_path, whole[: kept if isinstance(kept, int) else int(len(whole) * kept)]
    )


def other_tar() -> bytes:
    return packed([("etc/passwd", b"root:x:0:0")])


def other_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("about.json", "{}" * 1000)
    return out.getvalue()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (b"", CUT),
        (b"this is a letter", CUT),
        (b"this is a longer letter. " * 500, "not a backup"),
        (b"vm\n", "not a backup"),
        (random.Random(1).randbytes(5_000), "not a backup"),
        (bytes(10_240), "not a backup"),
        (other_tar(), "not a backup"),
        (other_zip(), "not a backup"),
        (gzip.compress(bytes(100_000_000)), "not a backup"),
        (packed([("about.json", b"")]), DAMAGED),
        (packed([("about.json", b"[]")]), DAMAGED),
        (packed([("about.json", b"[" * 100_000)]), DAMAGED),
        (packed([("about.json", b"{}")]), DAMAGED),
        (packed([("about.json", b'{"format":"1"}')]), DAMAGED),
        (packed([("about.json", bytes(20_000_000))]), "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_backup_is_refused(tmp_path: Path, what: bytes, why: str) -> None:
    assert why in refused(tmp_path, what)


@pytest.mark.parametrize(
    "entry",
    [
        header("../outside", 4) + b"evil".ljust(BLOCK, b"\0"),
        header("/tmp/outside", 4) + b"evil".ljust(BLOCK, b"\0"),
        header("blobs/../../outside", 4) + b"evil".ljust(BLOCK, b"\0"),
        header("blobs/\x1b[2Jx\n", 4) + b"evil".ljust(BLOCK, b"\0"),
        header("x" * 400, 4) + b"evil".ljust(BLOCK, b"\0"),
        header("blobs/" + "0" * 64, 0, tarfile.LNKTYPE, "realm.key"),
        header("blobs/" + "0" * 64, 0, tarfile.SYMTYPE, "/etc/passwd"),
        header("blobs/" + "0" * 64, 0, tarfile.CHRTYPE),
        header("blobs/" + "0" * 64, 0, tarfile.FIFOTYPE),
        header("blobs/", 0, tarfile.DIRTYPE),
        header("blobs/" + "0" * 64, 1 << 50, tarfile.GNUTYPE_SPARSE),
        header("x", 4, tarfile.XHDTYPE) + b"evil".ljust(BLOCK, b"\0"),
        header("blobs/" + "0" * 64, 1 << 62),
        header("blobs/" + "0" * 64, -512),
        header(MESSAGES, 1 << 40),
        header(MESSAGES, 5 << 20) + bytes(5 << 20),
        header("realm.key", 1 << 40),
    ],
    ids=lambda header: repr(header[:20].rstrip(b"\0"))[2:-1] + header[156:157].decode(),
)
@pytest.mark.parametrize("before", ["realm.key", "blob"])
def test_nothing_gets_out_of_its_place_or_is_believed_its_size(
    entries: Entries, tmp_path: Path, entry: bytes, before: str
) -> None:
    if before == "blob":
        before = next(found for found, _ in entries if found.startswith("blobs/"))
    place = at(entries, before)
    first, rest = packed(entries[:place])[: -2 * BLOCK], packed(entries[place:])
    (tmp_path / "inner").mkdir()
    refused(tmp_path / "inner", first + entry + rest)
    assert leftovers(tmp_path, "inner") == []


def doubled(name: str) -> Callable[[Entries], Entries]:
    def change(entries: Entries) -> Entries:
        place = at(entries, name)
        return signed(entries[: place + 1] + entries[place:])

    return change


def missing(name: str) -> Callable[[Entries], Entries]:
    return lambda entries: [entry for entry in entries if entry[0] != name]


def blob(number: int) -> Callable[[Entries], str]:
    return lambda entries: [name for name, _ in entries if name.startswith("blobs/")][number]


def replaced(name: str, old: bytes, new: bytes) -> Callable[[Entries], Entries]:
    def change(entries: Entries) -> Entries:
        before = content(entries, name)
        assert old in before, before
        return signed(changed(entries, name, before.replace(old, new, 1)))

    return change


def about(**changes: object) -> Callable[[Entries], Entries]:
    def change(entries: Entries) -> Entries:
        found = orjson.loads(content(entries, "about.json"))
        return changed(entries, "about.json", orjson.dumps(found | changes))

    return change


def one_blob_less(entries: Entries) -> Entries:
    return signed(missing(blob(0)(entries))(entries))


def one_blob_more(entries: Entries) -> Entries:
    empty = "blobs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    blobs = sorted([*[e for e in entries if e[0].startswith("blobs/")], (empty, b"")])
    others = [e for e in entries if not e[0].startswith("blobs/")]
    return signed([*others[:-1], *blobs, others[-1]])


def blobs_in_another_order(entries: Entries) -> Entries:
    first, second = (at(entries, blob(number)(entries)) for number in (0, 1))
    swapped = list(entries)
    swapped[first], swapped[second] = swapped[second], swapped[first]
    return swapped


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (missing("realm.key"), "missing"),
        (missing(USERS), DAMAGED),
        (missing(MESSAGES), "missing"),
        (lambda e: missing(blob(0)(e))(e), DAMAGED),
        (missing(MANIFEST), DAMAGED),
        (missing("about.json"), "not a backup"),
        (doubled("about.json"), "unexpected"),
        (doubled("realm.key"), "unexpected"),
        (doubled(USERS), "unexpected"),
        (lambda e: doubled(blob(0)(e))(e), "wrong place"),
        (doubled(MANIFEST), "continues"),
        (one_blob_less, "missing"),
        (one_blob_more, "no message refers to"),
        (blobs_in_another_order, "wrong place"),
        (about(format=2), "newer version"),
        (about(format=0), DAMAGED),
        (about(schema="9999"), "newer version"),
        (about(schema="head"), "newer version"),
        (about(schema=None), DAMAGED),
        (about(time=1 << 60), DAMAGED),
        (about(realm="\x1b[2J"), DAMAGED),
        (about(tables={}), "tables"),
        (about(tables={"users": 5}), DAMAGED),
        (about(tables={"users": [1, "id"]}), DAMAGED),
        (about(tables={"users": ["id"], "sqlite_master": ["name"]}), "tables"),
        (about(epoch="another"), "about.json"),
        (replaced(USERS, b"[1,", b'["1",'), USERS),
        (replaced(USERS, b"[1,", b"[2,"), USERS),
        (replaced(USERS, b"[1,", b"[9,"), "tables/"),
        (replaced(USERS, b"[1,", b"[null,"), USERS),
        (replaced(USERS, b"[1,", b"[99999999999999999999,"), USERS),
        (replaced(USERS, b"[1,", b"[1,1,"), USERS),
        (replaced(USERS, b"[1,", b"["), USERS),
        (replaced(USERS, b"]\n[", b"]["), USERS),
        (replaced(USERS, b"true", b"1"), USERS),
        (replaced("tables/files/000001.jsonl", b",300000,", b",300001,"), "another size"),
        (replaced("tables/tokens/000001.jsonl", b'["', b'["#'), "tokens"),
        (replaced("tables/members/000001.jsonl", b"[1,1,", b"[1,2,"), "members"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    entries: Entries, tmp_path: Path, change: Callable[[Entries], Entries], why: str
) -> None:
    assert why in refused(tmp_path, packed(change(entries)))


def test_what_follows_the_end_is_refused(archive: Path, tmp_path: Path) -> None:
    assert "continues" in refused(tmp_path, archive.read_bytes() + b"x")
    assert "continues" in refused(tmp_path, archive.read_bytes()[:-1024] + b"x" * 1024)


def test_a_wrong_file_name_is_named(tmp_path: Path) -> None:
    for name in (tmp_path / "nowhere.tar", tmp_path):
        why = refusal("restore", name, data=tmp_path / "new")
        assert str(name) in why
    assert leftovers(tmp_path) == []
