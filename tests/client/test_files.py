"""Files of any size, over any number of breaks, without leftovers on the disk."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from pathlib import Path

import pytest

from shared.client import ChatError, FileChunk, NoAnswer, Offline
from shared.client import files as files_module
from shared.client.files import IncomingFile
from shared.protocol.commands.files import ChunkTaken
from shared.protocol.commands.messages import FileInfo
from tests.client.people import People, Told, new_name
from tests.proxy import Proxy

MIB = 2**20


def noise(path: Path, size: int) -> Path:
    path.write_bytes(random.Random(size).randbytes(size))
    return path


def open_files() -> list[str]:
    """Return the files below temporary folders that this process has open."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return [path for path in found if path.endswith((".bin", ".part", ".txt"))]


async def arrived(person: Told) -> FileInfo:
    await person.until(lambda: person.messages)
    file = person.messages[-1].file
    assert file is not None
    return file


@pytest.mark.parametrize("size", [1, 128 * 1024, 5 * MIB + 1])
async def test_a_file_arrives_whole(people: People, tmp_path: Path, size: int) -> None:
    alice, bob = await people.join(new_name()), await people.join(new_name())
    path = noise(tmp_path / "a.bin", size)
    up: list[tuple[int, int]] = []
    sent = await alice.client.send_file(
        bob.client.user, path, progress=lambda *done: up.append(done)
    )
    assert (sent.seq, sent.offset) == (1, size)
    assert up[-1] == (size, size) and up == sorted(up)
    down: list[tuple[int, int]] = []
    folder = tmp_path / "in"
    folder.mkdir()
    saved = await bob.client.save_file(
        await arrived(bob), folder, progress=lambda *done: down.append(done)
    )
    assert saved == folder / "a.bin" and saved.read_bytes() == path.read_bytes()
    assert down[-1] == (size, size) and down == sorted(down)
    assert os.listdir(folder) == ["a.bin"]
    assert bob.of(FileChunk) == []
    assert open_files() == []


async def test_a_group_gets_a_file_too(people: People, tmp_path: Path) -> None:
    alice, bob = await people.join(new_name()), await people.join(new_name())
    group = (await alice.client.creategroup("team")).group
    await alice.client.invitegroup(group, bob.client.user)
    sent = await alice.client.send_file(group, noise(tmp_path / "a.bin", 9), name="b.txt")
    assert sent.conversation == group
    assert (await arrived(bob)).name == "b.txt"


async def test_transfers_go_on_where_they_were_after_breaks(
    people: People, proxy: Proxy, tmp_path: Path
) -> None:
    alice = await people.join(new_name(), proxy.url)
    bob = await people.join(new_name(), proxy.url)
    path = noise(tmp_path / "a.bin", 6 * MIB)
    passed: list[int] = []

    def cut_at_times(done: int, total: int) -> None:
        if done // MIB > len(passed):
            passed.append(done)
            proxy.cut()

    await alice.client.send_file(bob.client.user, path, progress=cut_at_times)
    assert len(passed) >= 5 and passed == sorted(passed)
    assert len(alice.of(Offline)) >= 4
    passed.clear()
    file = await arrived(bob)
    saved = await bob.client.save_file(file, tmp_path / "b.bin", progress=cut_at_times)
    assert saved.read_bytes() == path.read_bytes()
    assert len(passed) >= 5
    assert len(bob.messages) == 1
    await alice.client.ping()
    assert [m.seq for m in await alice.history(bob.client.user)] == [1]


@pytest.mark.parametrize("breaks", [False, True], ids=["smoothly", "over breaks"])
async def test_one_file_sent_three_times_at_once_arrives_three_times(
    people: People, proxy: Proxy, tmp_path: Path, breaks: bool
) -> None:
    """Each under its own name and key; a repeat under a key gives the message of that key."""
    alice = await people.join(new_name(), proxy.url)
    bob = await people.join(new_name())
    path = noise(tmp_path / "a.bin", 2 * MIB)
    passed: list[int] = []

    def cut_at_times(done: int, total: int) -> None:
        if breaks and done // 400_000 > len(passed) and len(passed) < 3:
            passed.append(done)
            proxy.cut()

    names = ["one.bin", "two.bin", "three.bin"]

    async def send_all() -> list[ChunkTaken]:
        return await asyncio.gather(
            *(
                alice.client.send_file(
                    bob.client.user, path, name=name, idempotency_key=name, progress=cut_at_times
                )
                for name in names
            )
        )

    sent = await send_all()
    assert [s.file.name for s in sent if s.file] == names
    assert len({s.message_id for s in sent}) == 3
    await bob.until(lambda: len(bob.messages) == 3)
    assert sorted(m.file.name for m in bob.messages if m.file) == sorted(names)
    again = await send_all()
    assert [(s.message_id, s.duplicate) for s in again] == [(s.message_id, True) for s in sent]
    assert len(await alice.history(bob.client.user)) == 3


async def test_two_clients_that_send_under_one_key_send_it_once(
    people: People, tmp_path: Path
) -> None:
    """The second client gets the first message as its result, not an error."""
    alice = await people.join(new_name())
    again = await people.join(alice.client.user)
    bob = await people.join(new_name())
    path = noise(tmp_path / "a.bin", 2 * MIB)
    sent = await asyncio.gather(
        *(p.client.send_file(bob.client.user, path, idempotency_key="k") for p in (alice, again))
    )
    assert len({s.message_id for s in sent}) == 1
    assert len(await alice.history(bob.client.user)) == 1


async def test_a_break_before_the_last_answer_posts_once(
    people: People, proxy: Proxy, tmp_path: Path
) -> None:
    """The message may be stored already; it is neither sent twice nor told twice."""
    alice = await people.join(new_name(), proxy.url)
    path = noise(tmp_path / "a.bin", 300_000)
    last = False

    def cut_the_answer(done: int, total: int) -> None:
        nonlocal last
        if done > 200_000 and not last:
            last = True
            proxy.cut_after(down=0)

    sent = await alice.client.send_file(alice.client.user, path, progress=cut_the_answer)
    assert last and sent.seq == 1
    assert len(await alice.history(alice.client.user)) == 1
    await alice.client.send(alice.client.user, "done")
    again = await people.join(alice.client.user)
    await again.send(again.client.user, "more")
    await alice.until(lambda: "more" in alice.texts)
    assert alice.texts == ["more"]


async def test_chunks_travel_together(people: People, proxy: Proxy, tmp_path: Path) -> None:
    """On a slow link, one at a time would take a round trip for each."""
    alice = await people.join(new_name(), proxy.url)
    path = noise(tmp_path / "a.bin", 24 * 128 * 1024)
    proxy.delay = 0.1
    begun = asyncio.get_running_loop().time()
    await alice.client.send_file(alice.client.user, path)
    assert asyncio.get_running_loop().time() - begun < 24 * 0.2 * 0.75


async def test_nothing_that_exists_is_overwritten(people: People, tmp_path: Path) -> None:
    alice = await people.join(new_name())
    client = alice.client
    sent = await client.send_file(client.user, noise(tmp_path / "a.bin", 1000))
    assert sent.file is not None
    for expected in ("a (2).bin", "a (3).bin"):
        assert (await client.save_file(sent.file.id, tmp_path)).name == expected
    with pytest.raises(FileExistsError):
        await client.save_file(sent.file, tmp_path / "a (2).bin")
    with pytest.raises(OSError):
        await client.save_file(sent.file, tmp_path / "nowhere" / "a.bin")
    assert len(os.listdir(tmp_path)) == 3


async def test_damaged_content_is_not_kept(
    people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = await people.join(new_name())
    client = alice.client
    sent = await client.send_file(client.user, noise(tmp_path / "a.bin", 1000))
    assert sent.file is not None
    folder = tmp_path / "in"
    folder.mkdir()
    take = files_module.IncomingFile.take
    monkeypatch.setattr(
        files_module.IncomingFile, "take", lambda self, at, piece: take(self, at, bytes(len(piece)))
    )
    with pytest.raises(OSError, match="sha256"):
        await client.save_file(sent.file, folder)
    assert os.listdir(folder) == []


async def test_a_cancelled_transfer_leaves_nothing_open_or_behind(
    people: People, proxy: Proxy, tmp_path: Path
) -> None:
    alice = await people.join(new_name(), proxy.url)
    client = alice.client
    path = noise(tmp_path / "a.bin", 3 * MIB)
    proxy.delay = 0.02
    moved = asyncio.Event()
    sending = asyncio.create_task(
        client.send_file(client.user, path, progress=lambda *_: moved.set())
    )
    await moved.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    # The upload goes on where it was.
    done: list[int] = []
    sent = await client.send_file(client.user, path, progress=lambda now, _: done.append(now))
    assert done[0] > 128 * 1024 and sent.file is not None
    moved.clear()
    folder = tmp_path / "in"
    folder.mkdir()
    saving = asyncio.create_task(
        client.save_file(sent.file, folder, progress=lambda *_: moved.set())
    )
    await moved.wait()
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert os.listdir(folder) == [] and open_files() == []
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sent.file.sha256
    assert (await client.ping()).time  # the pieces that still come harm nothing
    assert (await client.save_file(sent.file, folder)).read_bytes() == path.read_bytes()


async def test_pieces_for_who_gave_up_a_file_interrupted_who_asked_again(tmp_path: Path) -> None:
    """The pieces were mistaken for a gap, and after five of them the save failed."""
    content = bytes(range(200))
    info = FileInfo("f1", "a.bin", len(content), "", hashlib.sha256(content).hexdigest())
    incoming = IncomingFile(tmp_path / "a.bin")
    incoming.resume()
    incoming.take(150, content[150:])
    await incoming.begin(info)
    for begin, end in ((100, 150), (0, 50), (150, 200), (50, 100)):
        incoming.take(begin, content[begin:end])
    assert await incoming.more(1) is True
    incoming.take(100, content[100:])
    assert await incoming.more(1) is False
    assert (await incoming.finish()).read_bytes() == content
    await incoming.close()


async def test_refusals_and_bad_paths_are_told(people: People, tmp_path: Path) -> None:
    client = await people.sign_in(new_name())
    path = noise(tmp_path / "a.bin", 10)
    with pytest.raises(ChatError) as refused:
        await client.send_file("nobody-here", path)
    assert refused.value.code == "unknown_user"
    with pytest.raises(ChatError) as unknown:
        await client.save_file("f_unknown", tmp_path)
    assert unknown.value.code == "unknown_file"
    with pytest.raises(FileNotFoundError):
        await client.send_file(client.user, tmp_path / "none.bin")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(OSError, match="empty"):
        await client.send_file(client.user, tmp_path / "empty.txt")
    assert sorted(os.listdir(tmp_path)) == ["a.bin", "empty.txt"]


async def test_a_transfer_without_a_connection_ends(
    people: People, proxy: Proxy, tmp_path: Path
) -> None:
    alice = await people.join(new_name(), proxy.url, timeout=0.5)
    await proxy.refuse()
    proxy.cut()
    with pytest.raises(NoAnswer):
        await alice.client.send_file(alice.client.user, noise(tmp_path / "a.bin", 10))
    with pytest.raises(NoAnswer):
        await alice.client.save_file("f_1", tmp_path)
    assert os.listdir(tmp_path) == ["a.bin"]


async def test_several_files_at_once_and_texts_between(people: People, tmp_path: Path) -> None:
    alice, bob = await people.join(new_name()), await people.join(new_name())
    to = bob.client.user
    paths = [noise(tmp_path / f"{n}.bin", MIB + n) for n in range(10)]
    sends = [alice.client.send_file(to, path) for path in paths]
    texts = [alice.client.send(to, f"{n}") for n in range(20)]
    await asyncio.gather(*sends, *texts)
    await bob.until(lambda: len(bob.messages) == 30)
    folder = tmp_path / "in"
    folder.mkdir()
    found = [m.file for m in bob.messages if m.file is not None]
    await asyncio.gather(*(bob.client.save_file(file, folder) for file in found))
    for path in paths:
        assert (folder / path.name).read_bytes() == path.read_bytes()
