"""Rules of the cache: only members get a copy, it is bounded, and stale copies do no harm."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select

from shared.protocol.errors import ErrorCode
from shared.protocol.values import Address, GroupAddress
from tests.store.journaling import GROUP, REFUSED, commit, make_group, say
from tests.world import World
from ws_server.store import cache as cache_module
from ws_server.store import conversations
from ws_server.store.accounts import users
from ws_server.store.cache import Cache
from ws_server.store.conversations import Conversation, Member
from ws_server.store.drafts import MessageEntry
from ws_server.store.entries import Entry, Mutation
from ws_server.store.groups import group_members
from ws_server.store.schema import messages


def chat(id: int, *people: int, number: int | None = None, version: int = 1) -> Conversation:
    members = {person: Member(f"u{person}", False) for person in people}
    return Conversation(id, number, "", version, 0, members)


def test_both_people_of_a_private_chat_share_one_copy_whatever_case_they_write() -> None:
    cache = Cache()
    cache.put(chat(7, 1, 2))
    newer = chat(7, 1, 2)
    cache.put(newer)
    assert cache.get(1, Address("u2")) is newer
    assert cache.get(2, Address("U1")) is newer
    assert cache.get(3, Address("u1")) is None


def test_notes_to_oneself_are_no_chat_with_others() -> None:
    cache = Cache()
    notes, other = chat(7, 1), chat(8, 1, 2)
    cache.put(notes)
    cache.put(other)
    assert cache.get(1, Address("u1")) is notes
    assert cache.get(1, Address("u2")) is other
    assert cache.get(2, Address("u2")) is None


def test_a_person_of_another_realm_is_not_the_one_here_of_that_name() -> None:
    cache = Cache()
    abroad = Conversation(
        7, None, "", 1, 0, {1: Member("u1", False), 2: Member("u3@Beta", False, 1)}
    )
    here = chat(8, 1, 3)
    cache.put(abroad)
    cache.put(here)
    assert cache.get(1, Address("u3", "beta")) is abroad
    assert cache.get(1, Address("u3")) is here
    assert cache.get(1, Address("u3", "gamma")) is None
    assert cache.get(2, Address("u1")) is abroad


def test_a_chat_with_a_disabled_account_is_looked_up_each_time() -> None:
    """A cached copy would refuse messages after the account is enabled again."""
    cache = Cache()
    cache.put(chat(7, 1, 2))
    people = {1: Member("u1", False), 2: Member("u2", False, disabled=True)}
    cache.put(Conversation(7, None, "", 2, 0, people))
    assert cache.get(1, Address("u2")) is None
    enabled = chat(7, 1, 2, version=3)
    cache.put(enabled)
    assert cache.get(1, Address("u2")) is enabled


def test_a_group_is_given_to_its_members_only() -> None:
    cache = Cache()
    group = chat(7, 1, 2, number=12)
    cache.put_group(group)
    assert cache.get(2, GroupAddress(12)) is group
    assert cache.get(3, GroupAddress(12)) is None
    assert cache.get(2, GroupAddress(13)) is None


def test_an_older_copy_of_a_group_does_not_replace_a_newer_one() -> None:
    cache = Cache()
    newer, older = chat(7, 1, number=12, version=2), chat(7, 1, 2, number=12, version=1)
    cache.put_group(newer)
    cache.put_group(older)
    assert cache.get(1, GroupAddress(12)) is newer


def test_private_chats_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_PRIVATE", 10)
    cache = Cache()
    for id in range(2, 100):
        cache.put(chat(id, 1, id))
        cache.put(chat(id, 1, id))
    kept = [id for id in range(2, 100) if cache.get(1, Address(f"u{id}"))]
    assert kept == list(range(90, 100))
    assert len(cache._chats) == 10
    assert len(cache._people) <= 20


def test_groups_are_bounded_by_their_members(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_GROUP_MEMBERS", 10)
    cache = Cache()
    for number in range(1, 8):
        cache.put_group(chat(number, 1, 2, 3, number=number))
        cache.put_group(chat(number, 1, 2, 3, number=number, version=2))
    kept = [number for number in range(1, 8) if cache.get(1, GroupAddress(number))]
    assert kept == [5, 6, 7]


def test_one_group_over_the_bound_is_still_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_GROUP_MEMBERS", 2)
    cache = Cache()
    cache.put_group(chat(1, 1, 2, 3, number=1))
    assert cache.get(1, GroupAddress(1)) is not None


@dataclass
class Model:
    """The expected content of the database, in plain lists."""

    members: set[int] = field(default_factory=lambda: {1, 2})
    posts: dict[object, list[tuple[int, str]]] = field(default_factory=dict)
    keys: dict[tuple[int, str], tuple[object, int]] = field(default_factory=dict)

    def place(self, sender: int, to: int) -> object:
        return "group" if to == 0 else frozenset((sender, to))


STEP = st.one_of(
    st.tuples(
        st.just("say"),
        st.integers(1, 3),
        st.sampled_from([0, 0, 1, 2, 3]),
        st.sampled_from([None, None, "k", "l"]),
        st.booleans(),
    ),
    st.tuples(st.sampled_from(["join", "leave"]), st.integers(2, 3)),
    st.tuples(st.just("refuse")),
)
BATCHES = st.lists(st.lists(STEP, min_size=1, max_size=12), min_size=1, max_size=6)


def join_or_leave(kind: str, user_id: int) -> Mutation:
    def change(tx: Connection, now: int) -> None:
        group = conversations.load(tx, group=GroupAddress(1))
        assert group is not None
        if kind == "leave":
            if user_id in group.members:
                group_members.leave(tx, group, user_id)
        elif user_id not in group.members:
            name = {2: "bob", 3: "carol"}[user_id]
            group_members.join(tx, group, users.existing(tx, name))

    return Mutation(change)


def refuse_all(tx: Connection, now: int) -> None:
    raise REFUSED


@pytest.mark.slow
@settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(batches=BATCHES)
async def test_random_batches_agree_with_a_simple_model(
    database_kind: Callable[[Path], str], batches: list[list[Any]]
) -> None:
    """Callers may hold copies for any time, however stale."""
    with tempfile.TemporaryDirectory() as folder:
        url = database_kind(Path(folder))
        async with World(Path(folder), database=url) as world:
            await world.add_users("alice", "bob", "carol")
            await make_group(world, "alice", "bob")
            model, copies = Model(), {}
            for batch in batches:
                await _one_batch(world, model, copies, batch)
            await _check(world, model)


async def _one_batch(world: World, model: Model, copies: dict[Any, Any], batch: list[Any]) -> None:
    names = {1: "alice", 2: "bob", 3: "carol"}
    entries: list[Entry] = []
    expected: list[tuple[MessageEntry, object]] = []
    for step in batch:
        if step[0] == "say":
            _, sender, to, key, use_copy = step
            target = Address(names[to]) if to else GROUP
            place = model.place(sender, to)
            copy = copies.get(place) if use_copy else None
            if copy is not None and sender not in copy.members:
                copy = None
            word = f"{len(model.posts)}.{len(entries)}"
            draft = say(sender, target, word, key=key, cached=copy)
            entries.append(draft)
            if key is not None and (sender, key) in model.keys:
                expected.append((draft, (True, model.keys[sender, key])))
            elif to == 0 and sender not in model.members:
                expected.append((draft, ErrorCode.UNKNOWN_GROUP))
            else:
                posts = model.posts.setdefault(place, [])
                posts.append((sender, word))
                if key is not None:
                    model.keys[sender, key] = (place, len(posts))
                expected.append((draft, (False, (place, len(posts)))))
        elif step[0] == "refuse":
            entries.append(Mutation(refuse_all))
        else:
            entries.append(join_or_leave(*step))
            (model.members.add if step[0] == "join" else model.members.discard)(step[1])
    await commit(world.realm.journal, *entries)
    for draft, what in expected:
        if isinstance(what, ErrorCode):
            assert draft.error is not None and draft.error.code is what
            continue
        assert draft.error is None
        found = draft.message.conversation
        place = "group" if found.number else frozenset(found.members)
        assert (draft.duplicate, (place, draft.message.seq)) == what
        copies[place] = found


async def _check(world: World, model: Model) -> None:
    def ask(tx: Connection) -> dict[object, list[tuple[int, str]]]:
        found: dict[object, list[tuple[int, str]]] = {}
        for (id,) in tx.execute(select(messages.c.conversation_id).distinct()).all():
            conversation = conversations.load(tx, id=id)
            assert conversation is not None
            rows = tx.execute(
                select(messages.c.seq, messages.c.sender_id, messages.c.text)
                .where(messages.c.conversation_id == id)
                .order_by(messages.c.seq)
            ).all()
            assert [row.seq for row in rows] == list(range(1, conversation.last_seq + 1))
            place = "group" if conversation.number else frozenset(conversation.members)
            found[place] = [(row.sender_id, row.text) for row in rows]
        ids = tx.scalar(select(func.count(messages.c.id.distinct())))
        assert ids == sum(map(len, found.values()))
        return found

    assert await world.realm.database.read(ask) == {p: m for p, m in model.posts.items() if m}
