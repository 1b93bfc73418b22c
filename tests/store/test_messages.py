"""Rules of writing messages: seqs without gaps, stale copies, keys, refusals."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, update

from shared.protocol.errors import ErrorCode
from shared.protocol.values import Address, GroupAddress
from tests.store.journaling import GROUP, code, commit, make_group, say, texts
from tests.world import World
from ws_server.store import conversations
from ws_server.store import messages as message_store
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.entries import Mutation
from ws_server.store.groups import group_members
from ws_server.store.schema import conversations as table
from ws_server.store.schema import members, messages

ALICE, BOB, CAROL = 1, 2, 3


def kick(user_id: int) -> Mutation:
    def change(tx: Connection, now: int) -> Conversation:
        group = conversations.load(tx, group=GroupAddress(1))
        assert group is not None
        return group_members.leave(tx, group, user_id)

    return Mutation(change)


def invite(name: str) -> Mutation:
    def change(tx: Connection, now: int) -> Conversation:
        group = conversations.load(tx, group=GroupAddress(1))
        assert group is not None
        return group_members.join(tx, group, users.existing(tx, name))

    return Mutation(change)


def post_elsewhere(conversation_id: int, sender: int) -> Mutation:
    """Post a message without the cached copies, as another process would."""

    def change(tx: Connection, now: int) -> None:
        c = table.c
        seq = tx.scalar(select(c.last_seq).where(c.id == conversation_id)) or 0
        tx.execute(update(table).where(c.id == conversation_id).values(last_seq=seq + 1))
        tx.execute(
            insert(messages).values(
                conversation_id=conversation_id,
                seq=seq + 1,
                id=message_store.new_id("m"),
                sender_id=sender,
                time=now,
                text="elsewhere",
            )
        )

    return Mutation(change)


async def begun(world: World) -> Conversation:
    """Return a cached copy of alice's and bob's private chat, with one message."""
    first = say(ALICE, Address("bob"), "first")
    await commit(world.realm.journal, first)
    return first.message.conversation


async def test_a_conversation_counts_from_one_whoever_writes(world: World) -> None:
    drafts = [say(*pair) for pair in [(1, Address("bob")), (2, Address("Alice"))] * 3]
    await commit(world.realm.journal, *drafts)
    assert [draft.message.seq for draft in drafts] == [1, 2, 3, 4, 5, 6]
    assert {draft.message.conversation.id for draft in drafts} == {1}


async def test_notes_to_oneself_are_a_conversation(world: World) -> None:
    note = say(ALICE, Address("alice"))
    await commit(world.realm.journal, note)
    assert note.message.seq == 1
    assert (list(note.message.conversation.members), note.message.conversation.address(ALICE)) == (
        [1],
        "alice",
    )


async def test_a_refused_message_takes_no_place(world: World) -> None:
    drafts = [say(ALICE, Address(name)) for name in ("bob", "nobody", "bob")]
    await commit(world.realm.journal, *drafts)
    assert [code(draft) for draft in drafts] == [None, ErrorCode.UNKNOWN_USER, None]
    assert [drafts[at].message.seq for at in (0, 2)] == [1, 2]


@pytest.mark.parametrize("target", [GROUP, GroupAddress(999_999_999_999_999)])
async def test_a_group_one_is_not_in_is_unknown(world: World, target: GroupAddress) -> None:
    await make_group(world, "alice", "bob")
    draft = say(CAROL, target)
    await commit(world.realm.journal, draft)
    assert code(draft) is ErrorCode.UNKNOWN_GROUP


async def test_a_copy_follows_the_seq_that_was_committed(world: World) -> None:
    copy = await begun(world)
    for seq in (2, 3):
        draft = say(BOB, Address("alice"), cached=copy)
        await commit(world.realm.journal, draft)
        assert (draft.message.seq, copy.last_seq, draft.message.conversation is copy) == (
            seq,
            seq,
            True,
        )


async def test_a_copy_whose_seq_another_moved_is_noticed(world: World) -> None:
    copy = await begun(world)
    await commit(world.realm.journal, post_elsewhere(copy.id, BOB))
    assert copy.last_seq == 1
    drafts = [say(ALICE, Address("bob"), str(n), cached=copy) for n in (3, 4)]
    await commit(world.realm.journal, *drafts)
    assert [draft.message.seq for draft in drafts] == [3, 4]
    stored = await world.realm.database.read(texts)
    assert stored == [(1, "first"), (2, "elsewhere"), (3, "3"), (4, "4")]
    assert drafts[-1].message.conversation.last_seq == 4


async def test_a_write_between_two_drafts_that_moves_the_seq_is_noticed(world: World) -> None:
    copy = await begun(world)
    before = say(ALICE, Address("bob"), "before", cached=copy)
    after = say(ALICE, Address("bob"), "after", cached=copy)
    await commit(world.realm.journal, before, post_elsewhere(copy.id, BOB), after)
    stored = await world.realm.database.read(texts)
    assert [seq for seq, _ in stored] == [1, 2, 3, 4]
    place = {text: seq for seq, text in stored}
    assert (place["before"], place["after"]) == (before.message.seq, after.message.seq) == (2, 4)


async def test_two_copies_of_one_conversation_in_a_batch_share_its_count(world: World) -> None:
    copy = await begun(world)
    other = await world.realm.database.read(conversations.load, id=copy.id)
    drafts = [
        say(ALICE, Address("bob"), cached=copy),
        say(BOB, Address("alice"), cached=other),
        say(BOB, Address("alice")),
        say(ALICE, Address("bob"), cached=copy),
    ]
    await commit(world.realm.journal, *drafts)
    assert [draft.message.seq for draft in drafts] == [2, 3, 4, 5]
    # One of the copies is stale now; the next commit detects it.
    drafts = [say(ALICE, Address("bob"), cached=copy), say(BOB, Address("alice"), cached=other)]
    await commit(world.realm.journal, *drafts)
    assert [draft.message.seq for draft in drafts] == [6, 7]


async def test_a_stale_batch_gives_each_message_once(world: World) -> None:
    copy = await begun(world)
    await commit(world.realm.journal, post_elsewhere(copy.id, BOB))
    ran: list[str] = []
    drafts = [
        say(CAROL, Address("bob"), "fresh"),
        say(ALICE, Address("bob"), "stale", cached=copy, key="k"),
        say(ALICE, Address("bob"), "repeated", cached=copy, key="k"),
    ]
    change = Mutation(lambda tx, now: ran.append("x"))
    await commit(world.realm.journal, drafts[0], change, *drafts[1:])
    assert [(draft.message.seq, draft.duplicate) for draft in drafts] == [
        (1, False),
        (3, False),
        (3, True),
    ]
    stored = [text for _, text in await world.realm.database.read(texts)]
    assert stored == ["first", "elsewhere", "fresh", "stale"]
    assert 1 <= len(ran) <= 2  # the contract of Write


@pytest.mark.parametrize("together", [True, False], ids=["same batch", "next batch"])
async def test_a_kicked_sender_is_refused_even_with_an_old_copy_in_flight(
    world: World, together: bool
) -> None:
    copy = await make_group(world, "alice", "bob")
    posts = [say(BOB, GROUP, "late", cached=copy), say(ALICE, GROUP, "on", cached=copy)]
    if together:
        await commit(world.realm.journal, kick(BOB), *posts)
    else:
        await commit(world.realm.journal, kick(BOB))
        await commit(world.realm.journal, *posts)
    assert [code(post) for post in posts] == [ErrorCode.UNKNOWN_GROUP, None]
    assert posts[1].message.seq == 1
    assert list(posts[1].message.conversation.members) == [ALICE]


@pytest.mark.parametrize(
    "copy_first",
    [True, False],
)
async def test_an_old_copy_is_noticed_beside_a_fresh_one(world: World, copy_first: bool) -> None:
    """A user just invited has no cached copy; their post must not validate another's stale one."""
    copy = await make_group(world, "alice", "bob")
    await commit(world.realm.journal, kick(BOB), invite("carol"))
    late, fresh = say(BOB, GROUP, "late", cached=copy), say(CAROL, GROUP, "fresh")
    await commit(world.realm.journal, *((late, fresh) if copy_first else (fresh, late)))
    assert (code(late), code(fresh), fresh.message.seq) == (ErrorCode.UNKNOWN_GROUP, None, 1)


async def test_a_message_before_the_kick_stays_and_one_behind_it_is_refused(world: World) -> None:
    copy = await make_group(world, "alice", "bob")
    before, behind = say(BOB, GROUP, cached=copy), say(BOB, GROUP, cached=copy)
    await commit(world.realm.journal, before, kick(BOB), behind)
    assert (before.message.seq, code(before), code(behind)) == (1, None, ErrorCode.UNKNOWN_GROUP)
    assert BOB in before.message.conversation.members


async def test_who_was_invited_in_the_batch_may_write_and_is_told(world: World) -> None:
    copy = await make_group(world, "alice", "bob")
    old, new = say(ALICE, GROUP, cached=copy), say(CAROL, GROUP)
    await commit(world.realm.journal, invite("carol"), old, new)
    assert [(draft.message.seq, code(draft)) for draft in (old, new)] == [(1, None), (2, None)]
    assert CAROL in old.message.conversation.members


async def test_who_joins_behind_a_message_of_the_same_batch_has_it_behind_him(
    world: World,
) -> None:
    copy = await make_group(world, "alice", "bob")
    join = invite("carol")
    await commit(world.realm.journal, say(ALICE, GROUP, cached=copy), join)

    def joined(tx: Connection) -> int | None:
        return tx.scalar(select(members.c.joined_seq).where(members.c.user_id == CAROL))

    assert await world.realm.database.read(joined) == 1
    assert join.result.last_seq == 1


async def test_a_key_repeated_gives_the_first_result(world: World) -> None:
    first = say(ALICE, Address("bob"), "once", key="k")
    same_batch = say(ALICE, Address("bob"), "twice", key="k")
    await commit(world.realm.journal, first, same_batch)
    later = say(ALICE, Address("carol"), "thrice", key="k")
    await commit(world.realm.journal, later)
    for repeated in (same_batch, later):
        assert repeated.duplicate and not first.duplicate
        found = repeated.message
        assert (found.id, found.seq, found.time, found.content.text, found.address) == (
            *(first.message.id, 1, first.message.time, "once", "bob"),
        )
    assert await world.realm.database.read(texts) == [(1, "once")]


async def test_a_key_is_known_across_a_restart_and_a_kick(
    tmp_path: Path, database_url: str
) -> None:
    async with World(tmp_path, database=database_url) as world:
        await world.add_users("alice", "bob")
        await make_group(world, "alice", "bob")
        first = say(BOB, GROUP, "once", key="k")
        await commit(world.realm.journal, first, kick(BOB))
    async with World(tmp_path, database=database_url) as world:
        again = say(BOB, GROUP, "once", key="k")
        await commit(world.realm.journal, again)
        assert (again.duplicate, again.message.id, again.message.seq) == (True, first.message.id, 1)
        assert again.error is None


async def test_a_key_belongs_to_one_sender(world: World) -> None:
    drafts = [
        say(ALICE, Address("bob"), key="k"),
        say(BOB, Address("alice"), key="k"),
        say(ALICE, Address("bob"), key="K"),
    ]
    await commit(world.realm.journal, *drafts)
    assert [(draft.message.seq, draft.duplicate) for draft in drafts] == [
        (1, False),
        (2, False),
        (3, False),
    ]


@pytest.mark.parametrize("together", [True, False], ids=["same batch", "next batch"])
async def test_a_key_of_a_refused_message_is_free(world: World, together: bool) -> None:
    refused = say(ALICE, Address("nobody"), key="k")
    again = say(ALICE, Address("bob"), key="k")
    repeated = say(ALICE, Address("bob"), key="k")
    if together:
        await commit(world.realm.journal, refused, again, repeated)
    else:
        for draft in (refused, again, repeated):
            await commit(world.realm.journal, draft)
    assert code(refused) is ErrorCode.UNKNOWN_USER
    assert [(code(d), d.message.seq, d.duplicate) for d in (again, repeated)] == [
        (None, 1, False),
        (None, 1, True),
    ]
