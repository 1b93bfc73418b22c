"""Chaos test: three realms, users who write across them, random faults; then compare all realms.

    ./chat test --chaos MINUTES [--seed N]

repeats rounds of faults and comparisons, prints a summary, and keeps the data folders if a message
was lost, duplicated or reordered. A seed repeats the random choices, but not the exact timing.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import combinations
from pathlib import Path

from tests.federation import ledger
from tests.federation.talkers import Home, Person, befriend, place_of
from tests.proxy import Proxy

REALMS = {"alpha": ("alice", "adam"), "beta": ("bob", "berta"), "gamma": ("carol", "carl")}
ROUND = 15.0
"""Seconds of faults before each comparison."""
PAUSE = 0.08
"""Most seconds between two messages of one user."""


class Chaos:
    """Three realms, each of which hosts a group with all users."""

    def __init__(self, homes: list[Home], ways: dict[str, Proxy], seed: int) -> None:
        self.homes = homes
        self.ways = ways
        """The proxies to each realm, for the links of the others."""
        self.chance = random.Random(seed)
        self.people: list[Person] = []
        self.groups: dict[str, Person] = {}
        """Each group with its owner, who never leaves it."""
        self.done: Counter[str] = Counter()
        self.chats: list[tuple[Person, Person]] = []

    async def settle_in(self) -> None:
        """Register all users, link all realms, and add all users to each group."""
        for home in self.homes:
            for name in REALMS[home.name]:
                person = Person(name, home)
                self.people.append(person)
                await person.join()
        firsts = [next(p for p in self.people if p.home is home) for home in self.homes]
        for one, other in combinations(firsts, 2):
            await befriend(one, other, self.ways[other.home.name], self.ways[one.home.name])
        for owner in firsts:
            made = await owner.ask("creategroup", name=f"of {owner.name}")
            place = f"{made['group']}@{owner.home.name}"
            self.groups[place] = owner
            for person in self.people:
                if person is not owner:
                    user = person.full.removesuffix(f"@{owner.home.name}")
                    await owner.ask("invitegroup", group=made["group"], user=user)
        pairs = combinations(self.people, 2)
        self.chats = [(one, other) for one, other in pairs if one.home is not other.home]

    async def round(self, seconds: float) -> None:
        """Let all users write while faults occur; then repair everything and compare.

        Raises:
            ledger.Fault: a message was lost, duplicated or reordered.
        """
        until = time.monotonic() + seconds
        await asyncio.gather(
            *(self._talk(person, until) for person in self.people),
            self._go_wrong(until),
            self._come_and_go(until),
        )
        await self.compare()

    async def _talk(self, person: Person, until: float) -> None:
        places = [*self.groups, *(place_of(a, b) for a, b in self.chats if person in (a, b))]
        chance = random.Random(self.chance.random())
        while time.monotonic() < until:
            place = chance.choice(places)
            if chance.random() < 0.1 and person.connection is not None:
                await self._read(person, place)
            else:
                person.wish(place, f"{person.full} {len(person.wishes)}")
                self.done["messages"] += 1
            await asyncio.sleep(chance.uniform(0, PAUSE))

    async def _read(self, person: Person, place: str) -> None:
        seqs = [seq for seq, _, _ in person.pushed(place)]
        if seqs:
            # The user may have left the group meanwhile.
            await person.say("read", conversation=person.address(place), seq=max(seqs))
            self.done["reads"] += 1

    async def _come_and_go(self, until: float) -> None:
        """Invite and remove users and let users leave; refusals are ignored."""
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0.2, 1.0))
            place = self.chance.choice(sorted(self.groups))
            owner = self.groups[place]
            who = self.chance.choice([p for p in self.people if p is not owner])
            what = self.chance.choice(["invited", "invited", "invited", "removed", "left"])
            if what == "left":
                reply = await who.say("leavegroup", group=who.address(place))
            else:
                command = "kick" if what == "removed" else "invitegroup"
                by = owner if what == "removed" else self.chance.choice(self.people)
                user = who.full.removesuffix(f"@{by.home.name}")
                reply = await by.say(command, group=by.address(place), user=user)
            self.done[what if reply["status"] == "OK" else f"not {what}"] += 1

    async def _go_wrong(self, until: float) -> None:
        faults: list[Callable[[], Awaitable[None]]] = [
            self._kill,
            self._cut,
            self._cut,
            self._cut_within,
            self._swallow,
            self._slow,
            self._double,
        ]
        while time.monotonic() < until:
            await asyncio.sleep(self.chance.uniform(0.1, 1.5))
            fault = self.chance.choice(faults)
            await fault()
            self.done[fault.__name__.strip("_").replace("_", " ")] += 1

    def _way(self) -> Proxy:
        return self.ways[self.chance.choice(sorted(self.ways))]

    async def _kill(self) -> None:
        killed = self.chance.sample(self.homes, self.chance.choice([1, 1, 1, 2, 3]))
        for home in killed:
            home.kill()
        await asyncio.sleep(self.chance.uniform(0, 1))
        await asyncio.gather(*(home.begin() for home in killed))

    async def _cut(self) -> None:
        self._way().cut()

    async def _cut_within(self) -> None:
        up, down = self.chance.sample([self.chance.randrange(3000), None], 2)
        self._way().cut_after(up=up, down=down)

    async def _swallow(self) -> None:
        way = self._way()
        way.black_hole = True
        await asyncio.sleep(self.chance.uniform(0.1, 1))
        way.cut()
        way.black_hole = False

    async def _slow(self) -> None:
        self._way().delay = self.chance.choice([0, 0, 0.05, 0.3])

    async def _double(self) -> None:
        self._way().doubled = self.chance.choice([True, False])

    async def compare(self) -> None:
        """Repair everything, wait until nothing is pending, and compare the realms."""
        for way in self.ways.values():
            way.delay = 0
            way.cut_after()
        await ledger.quiet(self.people)
        for person in self.people:
            await person.learn_states()
            ledger.check_pushes(person)
        for one, other in self.chats:
            place = place_of(one, other)
            if any(wish.place == place for wish in (*one.wishes, *other.wishes)):
                await ledger.check_private(one, other, place)
                await ledger.check_all_pushed(one, place)
                await ledger.check_all_pushed(other, place)
                await ledger.check_reading(one, other, place)
        for place, owner in self.groups.items():
            members = await ledger.check_members(self.people, owner, place)
            await ledger.check_group(members, self.people, place)
        await ledger.quiet(self.people)
        ledger.check_logs(self.homes)

    def summary(self) -> str:
        """Return a summary of the actions so far."""
        states = Counter(wish.state for person in self.people for wish in person.wishes)
        did = ", ".join(f"{count} {what}" for what, count in sorted(self.done.items()))
        became = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return f"{did}; the messages are {became}"


@asynccontextmanager
async def opened(
    folder: Path, seed: int, databases: Mapping[str, str] | None = None
) -> AsyncIterator[Chaos]:
    """Start three realms in a folder, with their users; they stop at the end of the block.

    Args:
        databases: The database URLs of realms whose database is not in the folder.
    """
    elsewhere = {name: ("--database", url) for name, url in (databases or {}).items()}
    async with AsyncExitStack() as stack:
        homes = [Home(folder / name, name, *elsewhere.get(name, ())) for name in REALMS]
        ways = {}
        for home in homes:
            stack.callback(home.kill)
            await home.begin()
            ways[home.name] = await stack.enter_async_context(Proxy(home.port))
        chaos = Chaos(homes, ways, seed)
        try:
            await chaos.settle_in()
            yield chaos
        finally:
            for person in chaos.people:
                await person.leave()


async def run(minutes: float, seed: int) -> bool:
    """Run for this time, print the progress, and return whether no fault was found."""
    folder = Path(tempfile.mkdtemp(prefix="chat-chaos-"))
    until = time.monotonic() + minutes * 60
    print(f"seed {seed}, data in {folder}", flush=True)
    count = 0
    async with opened(folder, seed) as chaos:
        try:
            while time.monotonic() < until:
                await chaos.round(min(ROUND, max(1.0, until - time.monotonic())))
                count += 1
                print(f"round {count}: the same everywhere. {chaos.summary()}", flush=True)
        except ledger.Fault as fault:
            print(f"round {count + 1}: FOUND {fault}\nUntil then: {chaos.summary()}")
            print(f"To repeat it: ./chat test --chaos {minutes:g} --seed {seed}; data: {folder}")
            return False
    shutil.rmtree(folder)
    print(f"{count} rounds, nothing lost, doubled or moved")
    return True


def main() -> int:
    parser = argparse.ArgumentParser(prog="./chat test --chaos")
    parser.add_argument("minutes", type=float, help="how long to run")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    given = parser.parse_args()
    return 0 if asyncio.run(run(given.minutes, given.seed)) else 1


if __name__ == "__main__":
    sys.exit(main())
