"""Invariants that must hold once nothing is pending, after any faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from tests.federation.talkers import Connection, Home, Person

QUIET = 90.0
"""Seconds until all messages have arrived; generous, because test machines are busy."""


class Fault(AssertionError):
    """A message was lost, duplicated or reordered, or an event is missing."""


def demand(holds: bool, *what: object) -> None:
    """Raise Fault with the details, unless a condition holds."""
    if not holds:
        raise Fault(" ".join(str(part) for part in what))


async def quiet(people: Sequence[Person]) -> None:
    """Wait until all commands are answered, all links are up and all outboxes are empty.

    Raises:
        Fault: something is still pending after QUIET seconds.
    """
    waits: object = "answers"
    try:
        async with asyncio.timeout(QUIET):
            for person in people:
                waits = f"answers for {person.full}"
                await person.settle()
            while waits := await _waiting(people):  # noqa: ASYNC110 - no event exists
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise Fault(f"after {QUIET:.0f} s this still waits: {waits}") from None


async def _waiting(people: Sequence[Person]) -> list[object]:
    found: list[object] = []
    for person in people:
        found += (await person.ask("outbox"))["queued"]
        for row in (await person.ask("listrealm"))["realms"]:
            if row["queued"] or row["link"] != "up":
                found.append((person.home.name, row))
    return found


async def check_private(one: Person, other: Person, place: str) -> int:
    """Check that both users have each message once, in each sender's order; return their number."""
    mine, theirs = await one.history(place), await other.history(place)
    for sender in (one, other):
        bad = [(w.text, w.answer) for w in sender.wishes if w.place == place and w.failed]
        demand(not bad, place, "refused:", bad)
        wanted = [w.text for w in sender.wishes if w.place == place]
        for reader, found in ((one, mine), (other, theirs)):
            got = [m["text"] for m in found if reader.full_name(m["from"]) == sender.full]
            lost = [w.answer for w in sender.wishes if w.place == place and w.text not in got]
            who = f"from {sender.full} as read by {reader.full}"
            demand(got == wanted, difference(wanted, got), place, who, lost[:3])
            if reader is sender:
                states = {m["state"] for m in found if m["from"] == reader.name}
                good = {"stored"} if one.home is other.home else {"delivered"}
                demand(states <= good, place, sender.full, states)
    demand(len(mine) == len(theirs), place, len(mine), len(theirs))
    demand({m["id"] for m in mine} == {m["id"] for m in theirs}, place, "ids differ")
    return len(mine)


async def check_group(members: Sequence[Person], everybody: Sequence[Person], place: str) -> int:
    """Check that all realms have the host's messages in its order, and no refused message."""
    logs = {
        person.full: [
            (m["seq"], m["id"], person.full_name(m["from"]), m["text"], m["time"])
            for m in await person.history(place)
        ]
        for person in members
    }
    host = place.rpartition("@")[2]
    truth = next(logs[p.full] for p in members if p.home.name == host)
    for who, found in logs.items():
        demand(found == truth, place, who, difference(truth, found))
    for sender in everybody:
        wanted = [
            w.text
            for w in sender.wishes
            if w.place == place and w.state in ("stored", "delivered", "queued")
        ]
        got = [text for _, _, name, text, _ in truth if name == sender.full]
        demand(got == wanted, difference(wanted, got), place, "from", sender.full)
    return len(truth)


async def check_members(people: Sequence[Person], owner: Person, place: str) -> list[Person]:
    """Check that all members' realms have the same roster and no other realm has one; return it."""

    async def seen_by(person: Person) -> list[tuple[str, str]] | str:
        reply = await person.say("members", group=person.address(place))
        if reply["status"] != "OK":
            return str(reply["code"])
        return [(person.full_name(m["user"]), m["role"]) for m in reply["members"]]

    truth = await seen_by(owner)
    inside = []
    for person in people:
        if any(person.full == name for name, _ in truth):
            inside.append(person)
            wanted: object = truth
        else:
            wanted = "unknown_group"
        found = await seen_by(person)
        demand(found == wanted, place, "as seen by", person.full, found, "but is", wanted)
    return inside


def difference(wanted: Sequence[object], got: Sequence[object]) -> str:
    """Return the missing, duplicate and extra messages, and the first difference in order."""
    missing = [x for x in wanted if x not in set(got)]
    doubled = [x for x in set(got) if list(got).count(x) > 1]
    new = [x for x in got if x not in set(wanted)]
    at = next((i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), None)
    return (
        f"of {len(wanted)} wanted, {len(got)} there; missing {missing[:5]}, doubled {doubled[:5]},"
        f" new {new[:5]}, first difference at {at}"
    )


def check_pushes(person: Person) -> None:
    """Check that no connection was pushed a message twice or out of order."""
    for connection in (*person.before, *([person.connection] if person.connection else [])):
        for name, pushed in connection.pushed.items():
            seqs = [seq for seq, _, _ in pushed]
            demand(seqs == sorted(set(seqs)), person.full, name, "pushed", seqs)
        for id, told in connection.deliveries.items():
            demand(len(told) == 1, person.full, id, "was told", told)


async def check_all_pushed(person: Person, place: str) -> None:
    """Check that the present connection was pushed all messages of others since it began."""
    connection = person.connection
    assert connection is not None
    name = person.address(place)
    behind = connection.behind.get(name, 0)
    wanted = [
        m["seq"]
        for m in await person.history(place)
        if m["seq"] > behind and m["from"] != person.name
    ]
    got = [seq for seq, _, who in connection.pushed.get(name, []) if who != person.full]
    got = [seq for seq in got if seq > behind]
    demand(got == wanted, person.full, place, difference(wanted, got))


def check_deliveries(person: Person) -> None:
    """Check that each message answered `queued` got one `delivery` event on its connection."""
    connection: Connection | None = person.connection
    assert connection is not None
    for id in connection.queued:
        told = connection.deliveries.get(id)
        demand(told in (["delivered"], ["refused"]), person.full, id, "queued, then", told)


async def check_reading(one: Person, other: Person, place: str) -> None:
    """Check the unread counts, and that both realms have the markers once both users have read."""
    for reader in (one, other):
        found = await reader.history(place)
        standing = await _standing(reader, place)
        unread = [m for m in found if m["seq"] > standing["read_seq"] and m["from"] != reader.name]
        demand(standing["unread"] == len(unread), reader.full, place, standing, len(unread))
        if found:
            seq = found[-1]["seq"]
            await reader.ask("read", conversation=reader.address(place), seq=seq)
    deadline = time.monotonic() + QUIET
    for reader in (one, other):
        own = [m["seq"] for m in await reader.history(place) if m["from"] == reader.name]
        if not own:
            continue
        while True:
            standing = await _standing(reader, place)
            if standing["unread"] == 0 and standing["other_read_seq"] >= own[-1]:
                break
            demand(time.monotonic() < deadline, reader.full, place, standing, "own last", own[-1])
            await asyncio.sleep(0.1)


async def _standing(reader: Person, place: str) -> dict[str, int]:
    chats = (await reader.ask("listpc"))["conversations"]
    return dict(next(c for c in chats if c["conversation"] == reader.address(place)))


def check_logs(homes: Sequence[Home]) -> None:
    """Check that no realm has logged a traceback."""
    for home in homes:
        at = home.log.find("Traceback")
        demand(at < 0, home.name, home.log[at : at + 8000])
