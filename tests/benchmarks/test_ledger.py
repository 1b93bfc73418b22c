"""What the ledger notices between what was sent, what came and what was kept."""

from __future__ import annotations

import pytest

from benchmarks.ledger import SIZE, Ledger

RECEIVER = 0


@pytest.fixture
def ledger() -> Ledger:
    """One receiver that hears sender 1."""
    return Ledger([1])


def come(ledger: Ledger, *texts: str) -> None:
    for text in texts:
        ledger.book(RECEIVER, text.encode())


def faults(ledger: Ledger) -> dict[str, int]:
    counted = {
        "lost": ledger.lost,
        "doubled": ledger.doubled,
        "disordered": ledger.disordered,
        "stray": ledger.stray,
    }
    return {fault: count for fault, count in counted.items() if count}


def three(ledger: Ledger) -> list[str]:
    return [ledger.write(1) for _ in range(3)]


def test_what_came_once_and_in_order_is_no_fault(ledger: Ledger) -> None:
    come(ledger, *three(ledger))
    assert faults(ledger) == {}
    assert (ledger.sent, ledger.received, ledger.complete) == (3, 3, True)


def test_what_has_not_come_is_lost(ledger: Ledger) -> None:
    first, _, _ = three(ledger)
    come(ledger, first)
    assert faults(ledger) == {"lost": 2}
    assert not ledger.complete


def test_a_gap_is_lost_though_later_ones_came(ledger: Ledger) -> None:
    first, _, third = three(ledger)
    come(ledger, first, third)
    assert faults(ledger) == {"lost": 1}


def test_what_came_late_is_out_of_order_but_not_lost(ledger: Ledger) -> None:
    first, second, third = three(ledger)
    come(ledger, first, third, second)
    assert faults(ledger) == {"disordered": 1}
    assert ledger.received == 3


@pytest.mark.parametrize("late", [False, True])
def test_what_came_twice_is_doubled(ledger: Ledger, late: bool) -> None:
    first, second, third = three(ledger)
    come(ledger, *((first, third, second, second) if late else (first, first, second, third)))
    assert ledger.doubled == 1
    assert (ledger.lost, ledger.received) == (0, 3)


def test_what_others_sent_or_nobody_is_stray(ledger: Ledger) -> None:
    invented = Ledger([1])
    invented.write(1)
    come(ledger, Ledger([0]).write(0), invented.write(1))
    assert faults(ledger) == {"stray": 2}
    assert ledger.received == 0


def test_each_receiver_of_a_group_must_get_each_text() -> None:
    ledger = Ledger([0, 0, 0])
    text = ledger.write(0).encode()
    ledger.book(0, text)
    ledger.book(2, text)
    assert (ledger.received, ledger.lost) == (2, 1)
    ledger.book(1, text)
    assert ledger.complete


def test_latencies_are_kept_while_measuring(ledger: Ledger) -> None:
    first, second, third = three(ledger)
    come(ledger, first)
    latencies = ledger.measure()
    come(ledger, second)
    ledger.latencies = None
    come(ledger, third)
    assert len(latencies) == 1
    assert 0 < latencies[0] < 10**9


def test_a_text_has_a_fixed_size(ledger: Ledger) -> None:
    assert {len(text) for text in three(ledger)} == {SIZE}


@pytest.mark.parametrize(
    "kept, wrong",
    [
        ([0, 1, 2], 0),
        ([2, 0, 1], 0),
        ([0, 1], 1),
        ([0, 1, 2, 2], 1),
        ([0, 1, 1], 2),
        ([], 3),
    ],
)
def test_a_store_must_hold_exactly_what_was_sent(
    ledger: Ledger, kept: list[int], wrong: int
) -> None:
    texts = three(ledger)
    assert ledger.misstored([texts[index] for index in kept], copies=1) == wrong


def test_a_store_must_hold_every_copy_unchanged(ledger: Ledger) -> None:
    texts = three(ledger)
    assert ledger.misstored(texts * 2, copies=2) == 0
    assert ledger.misstored(texts, copies=2) == 3
    changed = [texts[0][:-1] + "y", *texts[1:]]
    assert ledger.misstored(changed, copies=1) == 2
