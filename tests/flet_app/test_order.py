"""Lists and days follow the order of events, even if clocks were wrong."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from flet_app.conversation import WAITING, BubbleEntry
from flet_app.order import days_in_order, in_order
from flet_app.state import AppState
from shared.protocol.commands.groups import GroupChat
from shared.protocol.commands.messages import Sent
from shared.protocol.commands.private import PrivateChat
from tests.flet_app.people import NOON, arrived, chat, group, known

YEAR = 365 * 86_400_000
TODAY = 740_000


def chat_at(name: str, time: int) -> PrivateChat:
    row = chat(name, 3, 3)
    assert row.last is not None
    return replace(row, last=replace(row.last, time=time))


def group_at(number: int, time: int) -> GroupChat:
    row = group(f"#{number}", f"group {number}", 3, 3)
    assert row.last is not None
    return replace(row, last=replace(row.last, time=time))


def after_sign_in(chats: list[PrivateChat], groups: list[GroupChat]) -> AppState:
    state = AppState(lambda _: None)
    state.signed_in("ana", "alpha", None)
    state.lists(chats, groups, {}, NOON)
    return state


def shown(state: AppState) -> list[str]:
    return [c.address for c in state.conversations.matching()]


def test_empty_groups_stood_above_a_chat_with_messages_after_each_sign_in() -> None:
    empty = [group(f"#{n}", f"empty {n}") for n in range(1, 6)]
    state = after_sign_in([chat("bob", 3, 3)], empty)
    assert shown(state) == ["bob", "#1", "#2", "#3", "#4", "#5"]


def test_a_group_just_made_is_first_until_something_is_written_elsewhere() -> None:
    state = after_sign_in([chat("bob", 3, 3)], [])
    state.conversation("#9")
    assert shown(state) == ["#9", "bob"]
    state.lists([chat("bob", 3, 3)], [group("#9", "new")], known(state), NOON)
    state.take(arrived(4))
    assert shown(state) == ["bob", "#9"]


def test_chats_and_groups_lie_in_each_other_by_their_newest_messages() -> None:
    chats = [chat_at("a", NOON - 10), chat_at("b", NOON - 30)]
    groups = [group_at(1, NOON - 20), group("#2", "empty"), group_at(3, NOON - 40)]
    assert shown(after_sign_in(chats, groups)) == ["a", "#1", "b", "#2", "#3"]


@pytest.mark.parametrize("wrong", [NOON + YEAR, 0, 2**53 - 1], ids=["ahead", "1970", "never"])
def test_a_wrong_clock_moves_nothing_in_the_list_of_a_realm(wrong: int) -> None:
    chats = [chat_at("a", NOON - 10), chat_at("wrong", wrong), chat_at("b", NOON - 30)]
    groups = [group_at(1, NOON - 20), group_at(2, NOON - 40)]
    found = list(in_order(chats, groups, NOON))
    assert [name for name in found if "#" not in name] == ["a", "wrong", "b"]
    assert [name for name in found if name != "wrong"] == ["a", "#1", "b", "#2"]


def test_a_message_of_a_year_ahead_froze_the_order_of_the_list() -> None:
    state = after_sign_in([chat_at("ahead", NOON + YEAR), chat_at("bob", NOON)], [])
    state.take(arrived(4))
    assert shown(state) == ["bob", "ahead"]
    state.take(arrived(4, "zed", conversation="zed"))
    assert shown(state) == ["zed", "bob", "ahead"]


def test_a_list_older_than_what_came_meanwhile_does_not_take_it_down() -> None:
    before = [chat_at("a", NOON - 10), chat_at("bob", NOON - 20)]
    state = after_sign_in(before, [])
    asked = known(state)
    state.take(arrived(4))
    state.lists(before, [], asked, NOON)
    assert shown(state) == ["bob", "a"]


def test_a_list_with_all_that_came_decides() -> None:
    """After a break, messages of several conversations come one conversation after the other."""
    state = after_sign_in([chat_at("a", NOON - 10), chat_at("bob", NOON - 20)], [])
    state.take(arrived(4))
    state.take(arrived(4, "a", conversation="a"))
    rows = [chat("bob", 4, 3, 1), chat("a", 4, 3, 1)]
    state.lists(rows, [], known(state), NOON)
    assert shown(state) == ["bob", "a"]


def test_a_chat_begun_here_in_which_nothing_was_written_stays_where_it_is() -> None:
    rows = [chat_at("a", NOON - 10), chat_at("b", NOON - 20)]
    state = after_sign_in(rows, [])
    state.conversation("zed")
    state.take(arrived(4, "a", conversation="a"))
    rows[0] = replace(rows[0], last_seq=4)
    state.lists(rows, [], known(state), NOON)
    assert shown(state) == ["a", "zed", "b"]


def test_what_one_writes_is_first_before_the_realm_has_answered_and_stays_there() -> None:
    rows = [chat_at("a", NOON - 10), chat_at("b", NOON - 20)]
    state = after_sign_in(rows, [])
    b = state.conversation("b")
    entry = BubbleEntry("k", "ana", "hi", NOON, state=WAITING)
    state.put(b, entry)
    state.lists(rows, [], known(state), NOON)
    assert shown(state) == ["b", "a"]
    state.sent(b, entry, Sent("b", 4, "m4", NOON, "stored"))
    assert shown(state) == ["b", "a"]


def test_no_address_twice_in_a_list_makes_two_of_it() -> None:
    state = after_sign_in([chat("bob", 3, 3), chat("BOB", 3, 3)], [])
    assert shown(state) == ["BOB"]


@pytest.mark.parametrize(
    "days, under",
    [
        ([-2, -1, 0, 0], [-2, -1, 0, 0]),
        ([-2, 365, -1, 0], [-2, -2, -1, 0]),
        ([365, 366, -1, 0], [-1, -1, -1, 0]),
        ([-9, 365, 365, 365], [-9, -9, -9, -9]),
        ([365], [0]),
        ([], []),
        ([-700_000, -3, -2], [-700_000, -3, -2]),
        ([-3, -3, -700_000, -2], [-3, -3, -3, -2]),
        ([-60, -10, -10, -59, -58, -57, -56], [-60, -60, -60, -59, -58, -57, -56]),
        ([0, 1, 0], [0, 0, 0]),
    ],
)
def test_days_of_a_chat_do_not_run_back(days: list[int], under: list[int]) -> None:
    found = days_in_order([TODAY + day for day in days], TODAY)
    assert [day - TODAY for day in found] == under


@pytest.mark.parametrize("seed", range(20))
def test_however_the_clocks_ran_each_day_begins_once(seed: int) -> None:
    chance = Random(seed)
    days = [TODAY + chance.choice([-9, -3, -2, -1, 0, 0, 0, 40, -700_000]) for _ in range(200)]
    found = days_in_order(days, TODAY)
    assert len(found) == 200 and found == sorted(found)
    assert set(found) <= {*days, TODAY}
