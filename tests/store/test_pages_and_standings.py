"""Rules of reading: pages, markers, unread counts, lists, sync."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from shared.protocol import json_dialect, text_dialect
from shared.protocol.commands.messages import Message, Page
from shared.protocol.values import Address, GroupAddress
from tests.store.journaling import GROUP, commit, make_group, say
from tests.world import World
from ws_server.store import (
    conversation_summaries,
    conversations,
    markers,
    message_pages,
    sync_query,
)
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.groups import group_members
from ws_server.store.steps import answer

ALICE, BOB, CAROL = 1, 2, 3


async def talk(world: World, *wanted: str) -> Conversation:
    """Send these texts from alice to bob, in one commit."""
    drafts = [say(ALICE, Address("bob"), text) for text in wanted]
    await commit(world.realm.journal, *drafts)
    return drafts[-1].message.conversation


async def page(world: World, chat: Conversation, **asked: Any) -> tuple[list[int], bool]:
    found = await world.realm.database.read(message_pages.page, BOB, chat, **asked)
    return [message.seq for message in found.messages], found.more


async def mark(world: World, user: int, chat: Conversation, **to: int) -> markers.Markers:
    def move(tx: Connection, now: int) -> markers.Markers:
        return markers.mark(tx, user, chat, **to)

    found: markers.Markers = await world.realm.journal.write(move)
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"limit": 3}, ([8, 9, 10], True)),
        ({"limit": 10}, ([*range(1, 11)], False)),
        ({"before": 8, "limit": 3}, ([5, 6, 7], True)),
        ({"before": 4, "limit": 3}, ([1, 2, 3], False)),
        ({"before": 1, "limit": 3}, ([], False)),
        ({"before": 10**15, "limit": 2}, ([9, 10], True)),
        ({"after": 0, "limit": 3}, ([1, 2, 3], True)),
        ({"after": 7, "limit": 3}, ([8, 9, 10], False)),
        ({"after": 10, "limit": 3}, ([], False)),
    ],
)
async def test_pages_are_exclusive_oldest_first_and_say_if_there_is_more(
    world: World, asked: dict[str, int], expected: Any
) -> None:
    chat = await talk(world, *map(str, range(1, 11)))
    assert await page(world, chat, **asked) == expected


@pytest.mark.parametrize("text", ["x" * 16_384, "\x1b" * 16_384, '"' * 16_384, "\u202e" * 5_461])
async def test_a_page_fits_a_frame_in_both_dialects(world: World, text: str) -> None:
    chat = await talk(world, *[text] * 120)
    found = await world.realm.database.read(message_pages.page, BOB, chat, limit=200)
    assert found.more and found.messages[-1].seq == 120
    reply = Page("alice", found.messages, found.more)
    assert len(json_dialect.format_reply(reply, "history", "x" * 64)) < 2**20
    assert len(text_dialect.format_reply(reply).encode()) < 2**20


@given(st.text(max_size=500), st.sampled_from(["alice", "a" * 32]))
def test_the_size_on_the_wire_is_not_guessed_too_low(text: str, name: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    message = Message("m_" + "f" * 30, name, 2**53, name, 2**43, text, None, "stored")
    one, none = Page(name, [message], False), Page(name, [], False)
    in_json = len(json_dialect.format_reply(one, "history", None))
    in_json -= len(json_dialect.format_reply(none, "history", None))
    in_words = len(message.row().encode()) + 1
    assert max(in_json, in_words) <= message_pages.size_on_wire(message) + 60


async def test_markers_never_go_back_nor_beyond_the_last_message(world: World) -> None:
    chat = await talk(world, "1", "2", "3")
    steps = [
        ({"received": 2}, (0, 2, True)),
        ({"received": 1}, (0, 2, False)),
        ({"read": 1}, (1, 2, True)),
        ({"read": 3}, (3, 3, True)),
        ({"read": 2, "received": 2}, (3, 3, False)),
        ({"read": 10**15}, (3, 3, False)),
    ]
    for asked, expected in steps:
        found = await mark(world, BOB, chat, **asked)
        assert (found.read_seq, found.received_seq, found.changed) == expected


async def test_who_left_has_no_markers(world: World) -> None:
    chat = await talk(world, "1")
    assert await mark(world, CAROL, chat, read=1) == markers.Markers(0, 0, False)


async def test_unread_counts_what_others_wrote_behind_the_marker(world: World) -> None:
    chat = await talk(world, "1", "2")
    await commit(world.realm.journal, say(BOB, Address("alice")), say(ALICE, Address("bob")))
    unread = world.realm.database.look_up
    assert await unread(conversation_summaries.unread, BOB) == {"alice": 3}
    assert await unread(conversation_summaries.unread, ALICE) == {"bob": 1}
    await mark(world, BOB, chat, read=2)
    assert await unread(conversation_summaries.unread, BOB) == {"alice": 1}
    await mark(world, BOB, chat, read=4)
    assert await unread(conversation_summaries.unread, BOB) == {}


async def test_who_joins_has_read_what_was_before_and_sees_it(world: World) -> None:
    await make_group(world, "alice", "bob")
    await commit(world.realm.journal, *(say(ALICE, GROUP) for _ in range(3)))

    def invite(tx: Connection, now: int) -> Conversation:
        group = conversations.group(tx, ALICE, GROUP)
        return group_members.join(tx, group, users.existing(tx, "carol"))

    group = await world.realm.journal.write(invite)
    await commit(world.realm.journal, say(ALICE, GROUP))
    assert await world.realm.database.look_up(conversation_summaries.unread, CAROL) == {"#1": 1}
    found = await world.realm.database.read(message_pages.page, CAROL, group, limit=50)
    assert [message.seq for message in found.messages] == [1, 2, 3, 4]


async def test_the_list_is_newest_first_and_shows_where_both_stand(world: World) -> None:
    await make_group(world, "alice", "bob")
    chat = await talk(world, "1")
    await commit(world.realm.journal, say(ALICE, Address("alice"), "note"))
    later = say(CAROL, Address("alice"), "latest")
    await commit(world.realm.journal, later)
    await mark(world, BOB, chat, received=1)
    found = await world.realm.database.look_up(conversation_summaries.standings, ALICE)
    # The empty group is ordered by its creation.
    assert [s.address for s in found] == ["carol", "alice", "bob", "#1"]
    bob, note = found[2], found[1]
    assert (bob.other_received_seq, bob.other_read_seq, bob.unread) == (1, 0, 0)
    assert (note.other_read_seq, note.unread) == (0, 0)
    groups = await world.realm.database.look_up(
        conversation_summaries.standings, ALICE, groups=True
    )
    assert [(s.address, s.owner) for s in groups] == [("#1", True)]
    private = await world.realm.database.look_up(
        conversation_summaries.standings, ALICE, groups=False
    )
    assert [s.address for s in private] == ["carol", "alice", "bob"]


async def test_the_newest_message_is_cut_to_a_preview(world: World) -> None:
    await talk(world, "old", "x" * 1_000)

    def ask(tx: Connection) -> list[Message]:
        return list(
            conversation_summaries.newest(
                tx, BOB, answer(tx, conversation_summaries.standings(BOB))
            ).values()
        )

    (last,) = await world.realm.database.read(ask)
    assert (last.seq, last.conversation, len(last.text)) == (
        2,
        "alice",
        conversation_summaries.PREVIEW,
    )
    assert last.text.endswith("…")


async def missed(world: World, reader: int, have: dict[Any, int]) -> sync_query.Missed:
    return await world.realm.database.look_up(sync_query.missed, reader, have)


async def test_sync_gives_what_came_after_and_counts_what_is_not_named_as_0(world: World) -> None:
    await make_group(world, "alice", "bob")
    await talk(world, "1", "2", "3")
    await commit(world.realm.journal, say(ALICE, GROUP, "g"))
    found = await missed(world, BOB, {Address("ALICE"): 2})
    assert sorted((m.conversation, m.seq) for m in found.messages) == [("#1", 1), ("alice", 3)]
    assert (found.more, found.recovered) == (False, True)
    found = await missed(world, BOB, {Address("alice"): 3, GroupAddress(1): 1})
    assert (found.messages, found.recovered) == ([], True)


@pytest.mark.parametrize(
    ("have", "recovered"),
    [
        ({Address("alice"): 4}, False),
        ({Address("carol"): 1}, False),
        ({Address("carol"): 0}, True),
        ({GroupAddress(9): 5}, True),  # a group one has left in the meantime
    ],
)
async def test_sync_from_ahead_of_the_history_recovers_nothing(
    world: World, have: dict[Any, int], recovered: bool
) -> None:
    await talk(world, "1", "2", "3")
    found = await missed(world, BOB, have)
    assert (found.recovered, bool(found.messages)) == (recovered, recovered)


async def test_sync_pages_leave_no_gap_and_end(world: World) -> None:
    chats = {}
    for sender in (ALICE, CAROL):
        drafts = [say(sender, Address("bob"), f"{n}" * 3_000) for n in range(400)]
        await commit(world.realm.journal, *drafts)
        chats[Address("alice" if sender == ALICE else "carol")] = 0
    seen: dict[str, list[int]] = {"alice": [], "carol": []}
    rounds = 0
    while True:
        rounds += 1
        found = await missed(world, BOB, {who: n for who, n in chats.items() if n})
        for message in found.messages:
            seen[message.conversation].append(message.seq)
            chats[Address(message.conversation)] = message.seq
        if not found.more:
            break
        assert found.messages and rounds < 50
    assert seen == {"alice": [*range(1, 401)], "carol": [*range(1, 401)]}
