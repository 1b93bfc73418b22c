"""Rules of messages that carry files: the quota of the sender, and the upload that ends."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from shared.protocol.errors import ErrorCode
from shared.protocol.values import Address
from tests.store.journaling import code, commit, say, texts
from tests.world import World
from ws_server.store.contents import files
from ws_server.store.contents.files import OpenUpload, StoredFile
from ws_server.store.drafts import MessageEntry, Storage
from ws_server.store.entries import Mutation
from ws_server.store.schema import uploads

ALICE, BOB = 1, 2
QUOTA = 2**30
"""Bytes of files that a sender may have where this is not what is tested."""


def carry(
    id: str, upload: str | None = None, *, key: str | None = None, quota: int = QUOTA
) -> MessageEntry:
    """Return a message of alice for bob with a file of three bytes."""
    file = StoredFile(id, "a.txt", 3, "text/plain", "0" * 64)
    storage = Storage(quota, 3, upload)
    return say(ALICE, Address("bob"), "", key, file=file, storage=storage)


async def test_a_repeated_file_is_the_first_one(world: World) -> None:
    first, again = carry("f_1", key="k"), carry("f_2", key="k")
    await commit(world.realm.journal, first)
    await commit(world.realm.journal, again)
    assert again.duplicate and again.message.content.file == first.message.content.file
    assert (first.stray_bytes, again.stray_bytes) == (0, 0)
    assert await world.realm.database.read(files.get, "f_2") is None


async def _upload(world: World, id: str, size: int = 3) -> Mutation:
    wanted = OpenUpload(id, ALICE, "bob", "a.txt", size, "0" * 64, None, False, 0)
    write = Mutation(lambda tx, now: files.open_upload(tx, wanted, now, QUOTA, lambda id: False))
    await commit(world.realm.journal, write)
    return write


def _count_uploads(tx: Connection) -> int:
    return tx.scalar(select(func.count()).select_from(uploads)) or 0


async def test_an_upload_ends_with_the_message_that_carries_its_file(world: World) -> None:
    await _upload(world, "u_1")
    draft = carry("f_1", "u_1")
    await commit(world.realm.journal, draft)
    assert draft.error is None
    assert await world.realm.database.read(_count_uploads) == 0


async def test_an_upload_makes_one_message_even_if_two_sessions_end_it(world: World) -> None:
    """Section 6: the message appears once, after the sha256 matched."""
    await _upload(world, "u_1")
    drafts = [carry(f"f_{n}", "u_1") for n in (1, 2)]
    await commit(world.realm.journal, *drafts)
    assert [draft.error is None for draft in drafts] == [True, False]
    assert len(await world.realm.database.read(texts)) == 1


async def test_an_upload_whose_message_is_refused_goes_on(world: World) -> None:
    await _upload(world, "u_1")
    draft = carry("f_1", "u_1", quota=2)
    await commit(world.realm.journal, draft)
    assert code(draft) is ErrorCode.TOO_LARGE
    assert draft.stray_bytes == 3
    assert await world.realm.database.read(_count_uploads) == 1


async def test_an_upload_ends_with_a_repeated_key_too(world: World) -> None:
    await _upload(world, "u_1")
    first = say(ALICE, Address("bob"), key="k")
    await commit(world.realm.journal, first)
    again = carry("f_1", "u_1", key="k")
    await commit(world.realm.journal, again)
    assert again.duplicate and again.stray_bytes == 3
    assert await world.realm.database.read(_count_uploads) == 0
