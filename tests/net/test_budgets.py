"""Rules of budgets: shared levels, eviction of strangers, and the return of places."""

from __future__ import annotations

import random

import pytest

from shared.addresses import neighbourhood, network, site
from ws_server.net import budgets as budgets_module
from ws_server.net.budgets import ADDRESS, ALL, SITE, Budget, Budgets, Place


class Somebody:
    """A connection that leaves when dropped."""

    def __init__(self, budgets: Budgets, budget: Budget) -> None:
        self.budgets = budgets
        self.budget = budget
        self.gone = False

    def drop(self, reason: str) -> None:
        self.gone = True
        self.budgets.leave(self.budget, self)


class Clock:
    """A clock that a test advances."""

    now = 1.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock near zero, like the monotonic clock of a machine that has just booted."""
    made = Clock()
    monkeypatch.setattr(budgets_module, "perf_counter", made)
    return made


def arrive(budgets: Budgets, address: str) -> tuple[Place, Somebody]:
    somebody = Somebody(budgets, budgets.of(address))
    return budgets.admit(somebody.budget, somebody), somebody


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff", True),
        ("2001:db8::1", "2001:DB8:0::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
    ],
)
def test_who_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (network(one) == network(other)) is same
    budgets = Budgets(True, 10_000)
    assert (budgets.of(one) is budgets.of(other)) is same


def test_sites_are_of_ipv6_only() -> None:
    assert site("2001:db8:5:1::1") == site("2001:db8:5:2::1") == "2001:db8:5::/48"
    assert site("192.0.2.1") is site("::ffff:192.0.2.1") is site("nonsense") is None


def test_a_neighbourhood_is_a_48_or_a_24() -> None:
    assert neighbourhood("2001:db8:5:1::1") == neighbourhood("2001:db8:5:2::1") == "2001:db8:5::/48"
    assert neighbourhood("192.0.2.1") == neighbourhood("::ffff:192.0.2.200") == "192.0.2.0/24"
    assert neighbourhood("nonsense") == "nonsense"


def test_an_address_that_is_full_gets_only_plain_http_then_nothing(clock: Clock) -> None:
    budgets = Budgets(True, 10_000)
    places = [arrive(budgets, "192.0.2.1")[0] for _ in range(1_500)]
    assert places.count(Place.FREE) == ADDRESS.strangers - ADDRESS.spare
    assert places.count(Place.SPARE) == ADDRESS.spare
    assert arrive(budgets, "192.0.2.2")[0] is Place.FREE


def test_the_oldest_of_an_address_goes_if_it_is_not_young(clock: Clock) -> None:
    """A new client gets a place although idle strangers fill its address."""
    budgets = Budgets(True, 10_000)
    crowd = [arrive(budgets, "192.0.2.1")[1] for _ in range(300)]
    clock.now += budgets_module.GRACE_SECONDS
    place, _ = arrive(budgets, "192.0.2.1")
    assert place is Place.FREE
    assert [somebody.gone for somebody in crowd[:2]] == [True, False]


def test_the_64s_of_a_site_have_a_bound_together(clock: Clock) -> None:
    """One customer may have a /48, which contains 65,536 /64s."""
    budgets = Budgets(True, 10_000)
    places = [arrive(budgets, f"2001:db8:0:{n:x}::1")[0] for n in range(2_000)]
    assert places.count(Place.NONE) == 2_000 - SITE.strangers
    assert arrive(budgets, "2001:db8:1::1")[0] is Place.FREE


def test_of_too_many_strangers_the_oldest_of_the_fullest_address_goes(clock: Clock) -> None:
    budgets = Budgets(True, 10_000)
    _, alone = arrive(budgets, "192.0.2.1")
    crowd = [arrive(budgets, "192.0.2.2")[1] for _ in range(100)]
    for number in range(ALL.strangers - 120):
        arrive(budgets, f"198.51.{number // 250}.{number % 250}")
    assert budgets.total.strangers < ALL.strangers
    assert crowd[0].gone and not alone.gone


def test_with_little_room_no_address_takes_all_of_it(clock: Clock) -> None:
    budgets = Budgets(True, 160)
    known = []
    for number in range(200):
        place, somebody = arrive(budgets, "192.0.2.1")
        if place is Place.FREE:
            budgets.recognise(somebody.budget, somebody, known=True)
            known.append(number)
    assert len(known) <= 120
    assert arrive(budgets, "192.0.2.2")[0] is Place.FREE


def test_without_bounds_only_the_room_counts(clock: Clock) -> None:
    budgets = Budgets(False, 3_000)
    places = [arrive(budgets, "127.0.0.1")[0] for _ in range(2_500)]
    assert set(places) == {Place.FREE}
    assert budgets.sessions_of_account is None


def test_what_is_spent_comes_back_and_everybody_below_is_counted_above(clock: Clock) -> None:
    budgets = Budgets(True, 10_000)
    one, other = budgets.of("2001:db8::1"), budgets.of("2001:db8:0:1::1")
    one.spend(ADDRESS.burst, clock.now, known=False)
    assert not one.affords(clock.now) and other.affords(clock.now)
    clock.now += 1
    assert one.affords(clock.now)
    other.spend(SITE.burst + SITE.rate, clock.now, known=False)
    assert not one.affords(clock.now)
    assert budgets.of("192.0.2.1").affords(clock.now) is False  # all strangers together
    clock.now += 60
    assert all(b.affords(clock.now) for b in (one, other))
    one.spend(100, clock.now, known=True)
    assert one.affords(clock.now)


def test_bytes_that_wait_are_too_many_for_an_address_a_site_or_all(clock: Clock) -> None:
    budgets = Budgets(True, 10_000)
    one = budgets.of("2001:db8::1")
    assert one.hold(ADDRESS.unfinished, known=False)
    assert not one.hold(1, known=False)
    assert one.hold(ADDRESS.unfinished_known, known=True)
    one.hold(-ADDRESS.unfinished - 1, known=False)
    fitting = [budgets.of(f"192.0.2.{n}").hold(ADDRESS.unfinished, known=False) for n in range(20)]
    assert fitting == [True] * 16 + [False] * 4


def test_whatever_comes_and_goes_counts_end_at_nothing(clock: Clock) -> None:
    """Random arrivals of all kinds, sign-ins, sign-outs and ends."""
    chance = random.Random(5)
    budgets = Budgets(True, 400)
    here: list[Somebody] = []
    known: set[Somebody] = set()
    for _ in range(20_000):
        clock.now += chance.random()
        here = [somebody for somebody in here if not somebody.gone]
        if chance.random() < 0.6:
            address = chance.choice(["192.0.2.%d", "2001:db8:0:%d::1", "2001:db8:%d::1"])
            place, somebody = arrive(budgets, address % chance.randrange(9))
            if place is not Place.NONE:
                here.append(somebody)
        elif here:
            somebody = chance.choice(here)
            if chance.random() < 0.5:
                budgets.recognise(somebody.budget, somebody, somebody not in known)
                known ^= {somebody}
            else:
                somebody.drop("")
        assert budgets.total.connections == sum(not s.gone for s in here)
        assert budgets.total.connections <= budgets.room
    for somebody in here:
        if not somebody.gone:
            somebody.drop("")
    levels = [budgets.total, *budgets._budgets.values()]
    assert {(b.strangers, b.connections, len(b.stranger_arrivals)) for b in levels} == {(0, 0, 0)}


def test_budgets_that_say_nothing_are_forgotten(clock: Clock) -> None:
    budgets = Budgets(True, 10_000)
    kept = arrive(budgets, "192.0.2.1")[1]
    for number in range(10_000):
        clock.now += 1
        budgets.of(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}").spend(
            0.1, clock.now, True
        )
    assert len(budgets._budgets) <= budgets_module.FORGOTTEN_ABOVE + 1
    assert budgets.of("192.0.2.1") is kept.budget
