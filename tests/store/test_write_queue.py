"""Whose changes are written next: nobody waits for what somebody else has written in a loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address
from tests.store.journaling import say
from tests.world import World
from ws_server.store import journal
from ws_server.store.entries import Entry, Mutation
from ws_server.store.write_queue import LITTLE, MAX_WAITING_EACH, PAID_BURST, WriteQueue


def change(payer: str | None) -> Mutation:
    made = Mutation(lambda tx, now: None)
    made.payer = payer
    return made


def filled(**counts: int) -> WriteQueue:
    waiting = WriteQueue()
    for payer, count in counts.items():
        for _ in range(count):
            waiting.add(change(payer))
    return waiting


def payers(entries: list[Entry]) -> list[Any]:
    return [entry.payer for entry in entries]


def test_a_network_that_fills_the_queue_leaves_the_others_their_place_in_a_batch() -> None:
    waiting = filled(eve=9_000, bob=1)
    taken = payers(waiting.take(512))
    assert (taken.count("bob"), taken.count("eve")) == (1, 511)
    assert len(waiting) == 9_001 - 512


def test_who_has_written_little_comes_first_as_a_batch_may_end_before_all_is_written() -> None:
    waiting = filled(eve=9_000, bob=2, mal=9_000, ana=1)
    assert payers(waiting.take(512))[:3] == ["ana", "bob", "bob"]


def test_networks_whose_turn_a_batch_had_no_room_for_are_the_first_of_the_next() -> None:
    waiting = filled(a=3, b=3, c=3)
    assert payers(waiting.take(2)) == ["a", "b"]
    assert payers(waiting.take(2)) == ["c", "a"]


def test_what_somebody_sends_keeps_its_order_also_if_there_was_no_time_for_it() -> None:
    waiting = WriteQueue()
    entries = [change("eve") for _ in range(10)]
    for entry in entries:
        waiting.add(entry)
    taken = waiting.take(5)
    waiting.put_back(taken[2:])
    assert [*taken[:2], *waiting.take(100)] == entries


def test_who_has_spent_half_comes_last_and_with_little() -> None:
    waiting = filled(eve=100, bob=3)
    waiting.spend({"eve": PAID_BURST * 0.75})
    assert payers(waiting.take(512)) == ["bob"] * 3 + ["eve"] * LITTLE


def test_who_has_spent_all_waits_but_not_once_the_server_stops() -> None:
    waiting = filled(eve=100)
    waiting.spend({"eve": 2 * PAID_BURST})
    assert waiting.take(512) == []
    assert len(waiting.take(512, everything=True)) == 100


def test_who_has_spent_all_is_written_again_once_there_is_time_for_it() -> None:
    waiting = filled(eve=2 * LITTLE, mal=1)
    waiting.spend({"eve": PAID_BURST + 0.005, "mal": PAID_BURST + 10})
    waiting.spend({"eve": 0.005})
    taken: list[Entry] = []
    end = time.monotonic() + 10
    while not taken and time.monotonic() < end:
        taken = waiting.take(512)
    assert payers(taken) == ["eve"] * LITTLE


def test_a_batch_asked_each_network_that_waited_for_its_time() -> None:
    """With 5,000 that had spent theirs it took 3.4 ms, with 50,000 it took 35."""
    costs = []
    for owing in (5, 5_000):
        names = {f"eve{number}": 1 for number in range(owing)}
        waiting = filled(**names)
        waiting.spend(dict.fromkeys(names, 1_000.0))
        began = time.process_time()
        for _ in range(200):
            waiting.add(change("bob"))
            assert payers(waiting.take(512)) == ["bob"]
            waiting.spend({"bob": 1e-6})
        costs.append(time.process_time() - began)
    assert costs[1] < 20 * costs[0], costs


def test_who_does_not_pay_never_waits() -> None:
    waiting = WriteQueue()
    waiting.add(change(None))
    waiting.spend({None: 100.0})
    assert len(waiting.take(512)) == 1


def test_one_network_does_not_take_all_places_to_wait() -> None:
    waiting = filled(eve=MAX_WAITING_EACH)
    with pytest.raises(ChatError) as refused:
        waiting.add(change("eve"))
    assert refused.value.code is ErrorCode.UNAVAILABLE
    waiting.add(change("bob"))


async def test_a_message_does_not_wait_for_the_dear_changes_of_another_network(
    world: World,
) -> None:
    """Before, 200 changes of 10 ms were written before it: it took two seconds."""
    book = world.realm.journal
    ran = 0

    def dear(tx: Connection, now: int) -> None:
        nonlocal ran
        ran += 1
        time.sleep(0.01)

    for _ in range(200):
        entry = Mutation(dear)
        entry.payer = "eve"
        book.post(entry)
    await asyncio.sleep(0)
    written = asyncio.Event()
    draft = say(1, Address("bob"))
    draft.done = lambda _: written.set()
    book.post(draft)
    await asyncio.wait_for(written.wait(), 20)
    assert draft.error is None
    assert ran < 100


async def test_a_transaction_that_takes_long_leaves_the_rest_to_the_next(world: World) -> None:
    book = world.realm.journal
    before, ran = book.commits, []

    def dear(number: int) -> Mutation:
        def run(tx: Connection, now: int) -> None:
            ran.append(number)
            time.sleep(journal.BATCH_SECONDS)

        return Mutation(run)

    for number in range(5):
        book.post(dear(number))
    await book.write(lambda tx, now: None)
    assert ran == [0, 1, 2, 3, 4]
    assert book.commits - before >= 5
