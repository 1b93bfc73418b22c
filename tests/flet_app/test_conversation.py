"""A conversation holds each message once and in order, for input in any order."""

from __future__ import annotations

import random

import pytest

from flet_app.conversation import (
    DELIVERED,
    QUEUED,
    READ,
    REFUSED,
    STORED,
    WAITING,
    AppConversation,
    BubbleEntry,
)
from tests.flet_app.people import NOON, message


def seqs(c: AppConversation) -> list[int | None]:
    return [entry.seq for entry in c.entries]


def own(key: str, text: str = "hi") -> BubbleEntry:
    return BubbleEntry(key, "ana", text, NOON, state=WAITING)


def loaded(*numbers: int) -> AppConversation:
    c = AppConversation("bob")
    c.newest([message(n) for n in numbers], more=bool(numbers) and numbers[0] > 1)
    return c


@pytest.mark.parametrize("seed", range(20))
def test_each_message_is_there_once_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    c = AppConversation("bob")
    c.newest([message(n) for n in range(31, 41)], more=True)
    events = [message(n) for n in range(38, 61)]
    for event in events:
        c.arrived(event)
        if chance.random() < 0.2:
            first = c.first_seq or 1
            page = [message(n) for n in range(max(1, first - 10), first)]
            c.earlier(page, more=first > 11)
        if chance.random() < 0.2:
            newest = [message(n) for n in range(event.seq - 9, event.seq + 1)]
            c.newest(newest, more=True)
    found = [seq for seq in seqs(c) if seq is not None]
    assert found == list(range(found[0], 61))


def test_messages_that_wait_are_last() -> None:
    c = loaded(1, 2)
    c.put(own("k1"))
    c.put(own("k2"))
    c.arrived(message(3))
    assert seqs(c) == [1, 2, 3, None, None]
    assert [e.key for e in c.entries[3:]] == ["k1", "k2"]


def test_an_own_message_keeps_its_bubble_when_it_gets_its_place() -> None:
    c = loaded(1, 2)
    entry = c.put(own("k1"))
    c.arrived(message(4))
    c.settle(entry, 3)
    assert seqs(c) == [1, 2, 3, 4]
    assert c.entries[2] is entry and entry.key == "k1"


def test_a_message_that_came_as_event_before_its_late_answer_is_not_doubled() -> None:
    c = loaded(1)
    entry = c.put(own("k1"))
    c.arrived(message(2, state=STORED))
    c.settle(entry, 2)
    assert seqs(c) == [1, 2]
    assert c.entries[1] is entry


def test_a_queued_post_whose_place_a_page_tells_is_not_doubled() -> None:
    """The event that told its place was missed."""
    c = AppConversation("#7@beta")
    c.newest([message(1, conversation="#7@beta")], more=False)
    entry = c.put(own("k1"))
    entry.state, entry.id = QUEUED, "m2"
    c.newest([message(n, conversation="#7@beta", state=DELIVERED) for n in (1, 2)], more=False)
    assert seqs(c) == [1, 2]
    assert c.entries[1] is entry and entry.state == DELIVERED


def test_a_page_that_does_not_reach_what_is_here_replaces_it() -> None:
    c = loaded(1, 2, 3)
    c.newest([message(n) for n in range(51, 61)], more=True)
    assert seqs(c) == list(range(51, 61)) and c.older


def test_a_page_that_reaches_what_is_here_keeps_it() -> None:
    c = loaded(1, 2, 3)
    c.newest([message(n) for n in range(3, 9)], more=True)
    assert seqs(c) == list(range(1, 9)) and not c.older


def test_a_page_tells_states_anew() -> None:
    c = AppConversation("bob@beta")
    c.newest([message(1, state=QUEUED)], more=False)
    c.newest([message(1, state=DELIVERED)], more=False)
    assert [e.state for e in c.entries] == [DELIVERED]


def test_what_arrives_unseen_is_counted_and_not_kept() -> None:
    c = AppConversation("bob")
    for n in range(1, 6):
        assert c.arrived(message(n))
    assert not c.arrived(message(5))
    assert (c.unread, c.last_seq, c.entries) == (5, 5, [])
    assert c.last is not None and c.last.text == "text 5"


def test_own_messages_are_never_unread() -> None:
    c = loaded(1)
    c.arrived(message(2, state=STORED))
    assert c.unread == 0


def test_reading_counts_what_is_left() -> None:
    c = loaded()
    for n in range(1, 6):
        c.arrived(message(n))
    c.read_to(3)
    assert c.unread == 2
    c.read_to(2)
    assert (c.read_seq, c.unread) == (3, 2)
    c.read_to(5)
    assert c.unread == 0


def test_what_cannot_be_counted_is_asked_for() -> None:
    c = AppConversation("bob")
    c.standing(90, 10, 80, message(90))
    c.read_to(50)
    assert c.stale
    c.standing(90, 50, 40, message(90))
    assert (c.unread, c.stale) == (40, False)


def test_a_list_that_is_older_than_what_came_counts_for_nothing() -> None:
    c = AppConversation("bob")
    c.standing(3, 0, 3, message(3))
    c.arrived(message(4))
    c.standing(3, 0, 3, message(3))
    assert (c.last_seq, c.unread) == (4, 4)


@pytest.mark.parametrize(
    "state, received, read, expected",
    [
        (STORED, 0, 0, STORED),
        (STORED, 1, 0, DELIVERED),
        (STORED, 1, 1, READ),
        (DELIVERED, 0, 0, DELIVERED),
        (QUEUED, 1, 1, QUEUED),
        (REFUSED, 9, 9, REFUSED),
    ],
)
def test_receipts_tell_more_than_the_message(
    state: str, received: int, read: int, expected: str
) -> None:
    c = AppConversation("bob")
    c.newest([message(1, state=state)], more=False)
    c.other_received, c.other_read = received, read
    assert c.fate(c.entries[0]) == expected


def test_the_other_persons_messages_have_no_fate() -> None:
    c = loaded(1)
    assert c.fate(c.entries[0]) == ""


def test_a_note_stays_behind_the_message_it_followed() -> None:
    c = loaded(1)
    c.note(["/whoami", "ana on alpha"], NOON)
    c.arrived(message(2))
    c.note(["/ping", "Pong"], NOON)
    assert [e.note[0] if e.note else e.seq for e in c.entries] == [1, "/whoami", 2, "/ping"]


def test_what_waits_to_be_sent_is_never_forgotten() -> None:
    c = loaded(*range(1, 11))
    c.put(own("k1"))
    c.trim(4)
    assert seqs(c) == [8, 9, 10, None] and c.older
    c.unload()
    assert [e.key for e in c.entries] == ["k1"]
    c.forget()
    assert [e.key for e in c.entries] == ["k1"]
