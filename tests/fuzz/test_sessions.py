"""Any frame in any state of a session; sections 2, 3, 5 and 6 of the contract.

Every command gets exactly one reply, in order, in its dialect and with its label, and only with
documented codes; `crowd.py` checks that. A failure names its seed; run it alone with `-k`.
"""

from __future__ import annotations

import logging
from random import Random

import pytest
from sqlalchemy import Connection, select

from shared.protocol.call import Dialect
from shared.protocol.spec import Access, specs
from tests.fuzz.crowd import USERS, Crowd, Talker, seqs
from tests.fuzz.frames import Known, of_command
from tests.fuzz.seeds import SEEDS
from tests.world import World
from ws_server.federation import peer_admin
from ws_server.store.schema import conversations, members, users


def assert_nothing_failed(caplog: pytest.LogCaptureFixture) -> None:
    """Check that the server logged no fault of its own."""
    faults = [r for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]
    assert not faults, faults[0].getMessage() + str(faults[0].exc_info)


async def assert_no_gaps(world: World) -> None:
    """Check that in every conversation of everybody seq counts 1, 2, 3 ... without a gap.

    In a group it counts from the first message that the group does not hide from the reader.
    """
    for name in USERS:
        (reader,) = await world.log_in(name)
        for position in (await reader.ask("sync", have={}))["conversations"]:
            found = await seqs(reader, position["conversation"])
            hidden = await world.realm.database.read(hidden_from, name, position["conversation"])
            assert found == list(range(hidden + 1, position["last_seq"] + 1))


def hidden_from(tx: Connection, name: str, conversation: str) -> int:
    """Return the last seq that a group keeps from a member; 0 in a private chat."""
    if not conversation.startswith("#"):
        return 0
    hidden = tx.scalar(
        select(members.c.hidden_seq)
        .join(conversations, conversations.c.id == members.c.conversation_id)
        .join(users, users.c.id == members.c.user_id)
        .where(conversations.c.number == int(conversation[1:]), users.c.name == name)
    )
    assert hidden is not None
    return int(hidden)


@pytest.mark.parametrize("seed", range(4))
async def test_any_frame_at_any_time(
    world: World, seed: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer_admin, "ADD", 0.5)  # each addrealm of nobody would take 5 s
    crowd = Crowd(world, Random(seed))
    await crowd.gather()
    await crowd.talk(steps=250)
    await crowd.settle()
    assert_nothing_failed(caplog)
    await assert_no_gaps(world)


@pytest.mark.parametrize("place", range(10))
async def test_every_seed_in_every_state(
    world: World, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    crowd = Crowd(world, Random(place))
    await crowd.gather()
    talker = crowd.talkers[place]
    for seed in SEEDS:
        talker.send(crowd.known.filled(crowd.chance, seed))
        if talker.ends_a_burst:
            await talker.hear()
    await talker.hear()
    await crowd.settle()
    assert_nothing_failed(caplog)


async def test_without_a_session_only_these_commands_are_run(world: World) -> None:
    chance = Random(0)
    talker = Talker(world.connect(), Known())
    for spec in specs():
        if spec.access is Access.USER:
            for number in range(5):
                frame = of_command(chance, talker.known, spec, str(number))
                reply = str(await talker.person.say(frame))
                assert "not_authenticated" in reply or "bad_" in reply, (frame, reply)


@pytest.mark.parametrize("dialect", Dialect)
async def test_a_burst_beyond_every_queue_is_answered_in_order(
    world: World, dialect: Dialect
) -> None:
    (alice,) = await world.log_in("alice", dialect=dialect)
    talker = Talker(alice, Known())
    for number in range(900):
        talker.send(
            [
                f"send alice {number}",
                f'{{"command":"ping","id":"{number}"}}',
                f'{{"command":"send","id":"{number}","to":"alice","text":"{number}"}}',
                "history alice limit=1",
                "nonsense",
                "send nobody hi",
            ][number % 6]
        )
    await talker.hear()
    page = await alice.ask("history", conversation="alice", limit=200)
    numbers = [int(message["text"]) for message in page["messages"]]
    assert numbers == sorted(numbers) and page["messages"][-1]["seq"] == 300
