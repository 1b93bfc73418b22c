"""Rules of the cache: who gets a copy, and that it stays bounded."""

from __future__ import annotations

import pytest

from shared.protocol.values import Address, GroupAddress
from ws_server.store import cache as cache_module
from ws_server.store.cache import Cache
from ws_server.store.conversations import Conversation, Member


def chat(id: int, *people: int, number: int | None = None, version: int = 1) -> Conversation:
    members = {person: Member(f"u{person}", False) for person in people}
    return Conversation(id, number, "", version, 0, members)


def test_both_people_of_a_private_chat_share_one_copy_whatever_case_they_write() -> None:
    cache = Cache()
    cache.put_private(1, "bob", chat(7, 1, 2))
    newer = chat(7, 1, 2)
    cache.put_private(2, "Alice", newer)
    assert cache.get(1, Address("BOB")) is newer
    assert cache.get(2, Address("alice")) is newer
    assert cache.get(3, Address("alice")) is None


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
    for id in range(100):
        cache.put_private(1, f"u{id}", chat(id, 1, id))
        cache.put_private(id, "u1", chat(id, 1, id))
    assert cache.get(1, Address("u0")) is None
    assert cache.get(1, Address("u99")) is not None
    assert len(cache._private) == 10
    assert len(cache._chats) <= 10


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
