"""No fault may lose, duplicate or reorder messages between two realms.

`CHAT_KILL_SEED` repeats the choices of a run.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.federation import ledger
from tests.federation.people import eventually
from tests.federation.talkers import Home, Person, befriend, chatter, place_of
from tests.proxy import Proxy

SEED = int(os.environ.get("CHAT_KILL_SEED", "0")) or time.time_ns() % 1_000_000
COUNT = 60
"""Messages of each user."""


@dataclass
class Pair:
    """Alpha with alice and adam, beta with bob and berta, and the networks between them."""

    alpha: Home
    beta: Home
    to_alpha: Proxy
    to_beta: Proxy
    people: list[Person]
    groups: list[str]
    chance: random.Random

    @property
    def chats(self) -> list[tuple[Person, Person]]:
        alice, adam, bob, berta = self.people
        return [(alice, bob), (adam, berta), (alice, berta)]

    def places(self, person: Person) -> list[str]:
        """Return the conversations that a user writes to."""
        return [*self.groups, *(place_of(a, b) for a, b in self.chats if person in (a, b))]

    async def talk(self, count: int = COUNT, pause: float = 0.05) -> None:
        """Let all users write to all their conversations."""
        await asyncio.gather(
            *(
                chatter(p, self.places(p), random.Random(self.chance.random()), count, pause)
                for p in self.people
            )
        )

    async def check(self, *, deliveries: bool = False) -> None:
        """Wait until nothing is pending, and compare the realms."""
        await ledger.quiet(self.people)
        for person in self.people:
            await person.learn_states()
        total = 0
        for one, other in self.chats:
            total += await ledger.check_private(one, other, place_of(one, other))
        for group in self.groups:
            total += await ledger.check_group(self.people, self.people, group)
        refused = [wish.answer for p in self.people for wish in p.wishes if wish.failed]
        ledger.demand(not refused, "refused:", refused[:3])
        ledger.demand(total == sum(len(p.wishes) for p in self.people), total, "messages in all")
        for person in self.people:
            await person.ask("ping")
            ledger.check_pushes(person)
            for place in self.places(person):
                await ledger.check_all_pushed(person, place)
            if deliveries:
                ledger.check_deliveries(person)
        for one, other in self.chats:
            await ledger.check_reading(one, other, place_of(one, other))
        await ledger.quiet(self.people)
        ledger.check_logs([self.alpha, self.beta])


async def is_in_all(person: Person, groups: list[str]) -> bool:
    """Return whether a user's realm lists them as a member of these groups."""
    listed = {row["group"] for row in (await person.ask("listgroup"))["groups"]}
    return listed == {person.address(group) for group in groups}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """Two realms that dial each other through proxies, with a group hosted on each."""
    print(f"CHAT_KILL_SEED={SEED}")
    alpha, beta = Home(tmp_path / "alpha", "alpha"), Home(tmp_path / "beta", "beta")
    async with AsyncExitStack() as stack:
        for home in (alpha, beta):
            stack.callback(home.kill)
            await home.begin()
        to_alpha = await stack.enter_async_context(Proxy(alpha.port))
        to_beta = await stack.enter_async_context(Proxy(beta.port))
        people = [Person(name, alpha) for name in ("alice", "adam")]
        people += [Person(name, beta) for name in ("bob", "berta")]
        for person in people:
            await person.join()
            stack.push_async_callback(person.leave)
        alice, _, bob, _ = people
        await befriend(alice, bob, to_beta, to_alpha)
        groups = []
        for owner in (alice, bob):
            made = await owner.ask("creategroup", name=f"of {owner.name}")
            groups.append(f"{made['group']}@{owner.home.name}")
            for person in people:
                if person is not owner:
                    user = person.full.removesuffix(f"@{owner.home.name}")
                    await owner.ask("invitegroup", group=made["group"], user=user)
        # The other realm gets the roster a little later, and refuses messages until then.
        for person in people:
            await eventually(partial(is_in_all, person, groups))
        yield Pair(alpha, beta, to_alpha, to_beta, people, groups, random.Random(SEED))


async def test_nothing_is_lost_doubled_or_moved_while_links_are_up(pair: Pair) -> None:
    await pair.talk()
    await pair.check(deliveries=True)


@pytest.mark.parametrize("which", ["alpha", "beta", "both"])
@pytest.mark.timeout(300)
async def test_nor_by_kill_9_at_any_moment(pair: Pair, which: str) -> None:
    """Contract 5, over two realms: either one is killed at any moment."""
    homes = [home for home in (pair.alpha, pair.beta) if which in (home.name, "both")]
    talking = asyncio.create_task(pair.talk())
    for _ in range(3):
        await asyncio.sleep(pair.chance.uniform(0.1, 0.8))
        for home in homes:
            home.kill()
        await asyncio.sleep(pair.chance.uniform(0, 0.5))
        await asyncio.gather(*(home.begin() for home in homes))
    await talking
    await pair.check()


@pytest.mark.timeout(300)
async def test_nor_by_links_cut_between_and_within_frames(pair: Pair) -> None:
    """Client connections stay up, so each sender gets an event for every queued message."""
    talking = asyncio.create_task(pair.talk())
    while not talking.done():
        await asyncio.sleep(pair.chance.uniform(0.1, 0.4))
        for proxy in (pair.to_alpha, pair.to_beta):
            if pair.chance.random() < 0.5:
                proxy.cut()
            else:
                up, down = pair.chance.sample([pair.chance.randrange(2000), None], 2)
                proxy.cut_after(up=up, down=down)
    await talking
    for proxy in (pair.to_alpha, pair.to_beta):
        proxy.cut_after()
    await pair.check(deliveries=True)


@pytest.mark.timeout(300)
async def test_nor_by_links_on_which_nothing_arrives_any_more(pair: Pair) -> None:
    talking = asyncio.create_task(pair.talk())
    for _ in range(3):
        await asyncio.sleep(pair.chance.uniform(0.1, 0.4))
        for proxy in (pair.to_alpha, pair.to_beta):
            proxy.black_hole = True
        await asyncio.sleep(pair.chance.uniform(0.1, 1.0))
        for proxy in (pair.to_alpha, pair.to_beta):
            # The swallowed frames are missing on all connections until now.
            proxy.cut()
            proxy.black_hole = False
    await talking
    await pair.check(deliveries=True)


@pytest.mark.timeout(300)
async def test_nor_by_slow_links_that_are_cut_with_much_on_its_way(pair: Pair) -> None:
    for proxy in (pair.to_alpha, pair.to_beta):
        proxy.delay = 0.3
    talking = asyncio.create_task(pair.talk(pause=0.02))
    for _ in range(3):
        await asyncio.sleep(pair.chance.uniform(0.3, 0.8))
        pair.to_alpha.cut()
        pair.to_beta.cut()
    await talking
    await pair.check(deliveries=True)


@pytest.mark.timeout(300)
async def test_nor_by_both_dialling_at_once(pair: Pair) -> None:
    """Both are partitioned, then dial each other at the same moment; one link remains."""
    both = (pair.to_alpha, pair.to_beta)
    talking = asyncio.create_task(pair.talk())
    for _ in range(4):
        for proxy in both:
            await proxy.refuse()
            proxy.cut()
        await asyncio.sleep(pair.chance.uniform(0.2, 0.6))
        # A delay makes both handshakes overlap.
        for proxy in both:
            proxy.delay = 0.1
            await proxy.accept()
        await asyncio.sleep(pair.chance.uniform(0.6, 1.2))
        for proxy in both:
            proxy.delay = 0.0
    await talking
    await pair.check(deliveries=True)


async def test_nor_by_connections_that_somebody_on_the_way_makes_twice(pair: Pair) -> None:
    """The second connection replays all frames of the first one, and does not become a link."""
    for proxy in (pair.to_alpha, pair.to_beta):
        proxy.doubled = True
        proxy.cut()
    await pair.talk()
    assert pair.to_alpha.count + pair.to_beta.count > 2
    await pair.check(deliveries=True)
