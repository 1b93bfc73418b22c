"""Who is charged for what a link does: its peer's network, or nobody, never who has begun it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.net.listening import port
from tests.rawclient import LIMIT
from tests.world import World
from ws_server.store.database import current_payer, current_requester
from ws_server.store.entries import Entry

ADA, PEER, OTHER = "192.0.2.1", "127.0.0.1", "192.0.2.66"
"""The networks of the person who adds the realm, of the other realm, and of somebody else."""

WRITERS = "203.0.113.9"


@dataclass
class Paid:
    """A realm, and who is charged for what it writes and reads."""

    world: World
    writes: set[Hashable] = field(default_factory=set)
    reads: set[Hashable] = field(default_factory=set)
    asked: set[Hashable] = field(default_factory=set)
    count: int = 0

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        realm = self.world.realm
        post, run = realm.journal.post, realm.database._threads.run

        def posted(entry: Entry) -> None:
            self.count += 1
            self.writes.add(entry.payer)
            post(entry)

        def ran(requester, job, payer=None):  # type: ignore[no-untyped-def]
            self.asked.add(requester)
            self.reads.add(payer)
            return run(requester, job, payer)

        monkeypatch.setattr(realm.journal, "post", posted)
        monkeypatch.setattr(realm.database._threads, "run", ran)


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[list[Paid]]:
    """Alpha, in which Ada has added beta, and beta; nothing but the link does anything there."""
    on = {"rate_limits": "on"}
    async with (
        World(tmp_path / "alpha", **on) as alpha,
        World(tmp_path / "beta", realm="beta", **on) as beta,
    ):
        found = [Paid(alpha), Paid(beta)]
        ada, ben = *await alpha.log_in("ada"), *await beta.log_in("ben")
        # Her frame is parsed in the turn of somebody else, as those of busy connections are.
        begun = current_payer.set(OTHER)
        added = await ada.ask("addrealm", name="beta", address="127.0.0.1", port=port(beta))
        current_payer.reset(begun)
        assert added["link"] == "up"
        await ada.ask("send", to="ben@beta", text="hello")
        await ben.push()
        for one in found:
            one.watch(monkeypatch)
        beta.realm.peers.all_peers()[0].keep_by(None)  # it is alpha that dials again
        (peer,) = alpha.realm.peers.all_peers()
        assert peer.link is not None
        peer.link.end(1001, "again")
        await asyncio.wait_for(peer.opened.wait(), LIMIT)
        for person, to in ((ada, "ben@beta"), (ben, "ada@alpha")):
            # Whoever writes is somebody else.
            person.session.client = replace(person.session.client, network=WRITERS)
            for number in range(5):
                # The reply comes once the other realm's confirmation is stored, too.
                assert (await person.ask("send", to=to, text=f"{number}"))["state"] == "delivered"
        for person in (ada, ben):
            for _ in range(5):
                while (await person.push())["event"] != "message":
                    pass
        yield found


async def test_a_link_that_somebody_has_begun_was_at_their_cost_for_ever(both: list[Paid]) -> None:
    """All that beta sent was written at the cost of Ada's network."""
    alpha = both[0]
    assert alpha.count > 10
    assert alpha.writes == {None, WRITERS}
    assert (alpha.reads, alpha.asked) == ({None}, {""})


async def test_a_link_that_a_peer_has_begun_is_at_the_peers_cost(both: list[Paid]) -> None:
    assert both[1].writes == {None, PEER, WRITERS}


async def test_dialling_again_after_a_command_is_at_nobodys_cost(tmp_path: Path) -> None:
    async with World(tmp_path, rate_limits="on") as world:
        dialled: asyncio.Future[tuple[Hashable, Hashable]] = asyncio.Future()

        async def dial(peer: object) -> None:
            dialled.set_result((current_requester.get(), current_payer.get()))

        (ada,) = await world.log_in("ada")
        peers = world.realm.peers
        async with World(tmp_path / "beta", realm="beta") as beta:
            await ada.ask("addrealm", name="beta", address="127.0.0.1", port=port(beta))
            (known,) = [peer.known for peer in peers.all_peers()]
        peers._dial = dial
        peers.by_id(known.id).keep_by(None)
        current_payer.set(ADA)
        peers.upsert(known)
        assert await asyncio.wait_for(dialled, LIMIT) == ("", None)
