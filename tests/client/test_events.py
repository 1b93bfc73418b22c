"""events() yields everything once, in order, from the client's position, within bounds."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shared.client import (
    ChatClient,
    ChatError,
    FileChunk,
    GroupChanged,
    HistoryChanged,
    MessageArrived,
    NoAnswer,
    NotSent,
    Offline,
    Online,
    OutcomeUnknown,
    Receipt,
    SignedOut,
)
from shared.client import events as events_module
from shared.protocol.commands.history import Read
from shared.protocol.values import Address
from tests.client.people import People, new_name, two
from tests.proxy import Proxy


async def test_events_are_typed_and_in_order(people: People) -> None:
    alice, bob = await two(people)
    a, b = alice.client.user, bob.client.user
    await alice.client.send(b, "one")
    group = (await alice.client.creategroup("team")).group
    await alice.client.invitegroup(group, b)
    await alice.client.sendg(group, "two")
    await bob.until(lambda: len(bob.events) == 4)
    assert [type(e) for e in bob.events] == [Online, MessageArrived, GroupChanged, MessageArrived]
    await bob.client.call(Read(Address(a), 1))
    await alice.until(lambda: alice.of(Receipt))
    assert alice.of(Receipt)[0] == Receipt(b, b, 1, 1)


async def test_old_messages_are_not_events_and_new_ones_are(people: People) -> None:
    alice, bob = await two(people)
    for n in range(5):
        await alice.client.send(bob.client.user, f"old {n}")
    again = await people.join(bob.client.user)
    await alice.client.send(bob.client.user, "new")
    await again.until(lambda: again.messages)
    await again.client.ping()
    assert again.texts == ["new"]
    assert again.client.positions == {alice.client.user: 6}


async def test_kept_positions_go_on_where_the_app_stopped(people: People) -> None:
    alice, bob = await two(people)
    group = (await alice.client.creategroup("team")).group
    await alice.client.invitegroup(group, bob.client.user)
    for n in range(3):
        await alice.client.send(bob.client.user, f"{n}")
        await alice.client.sendg(group, f"{n}")
    await bob.until(lambda: len(bob.messages) == 6)
    kept, epoch, token = bob.client.positions, bob.client.epoch, bob.client.token
    assert kept == {alice.client.user: 3, group: 3}
    await bob.client.close()
    for n in range(700):  # more than one page of sync
        await alice.client.send(bob.client.user, f"missed {n}")
    later = people.listen(await people.open(token=token, positions=kept, epoch=epoch))
    await later.until(lambda: len(later.messages) == 700)
    assert later.texts == [f"missed {n}" for n in range(700)]
    assert later.of(HistoryChanged) == []
    assert later.client.user == bob.client.user


async def test_positions_are_those_of_what_the_app_has_taken(people: People) -> None:
    alice = await people.join(new_name())
    bob = await people.sign_in(new_name())
    events = bob.events()
    assert await anext(events) == Online(bob.user)
    for n in range(3):
        await alice.client.send(bob.user, f"{n}")
    await bob.send(alice.client.user, "mine")
    assert bob.positions == {}
    for n in range(3):
        await anext(events)
        assert bob.positions == {alice.client.user: n + 1 if n < 2 else 4}


async def test_own_messages_come_from_other_sessions_only(people: People) -> None:
    alice, bob = await two(people)
    again = await people.join(alice.client.user)
    await alice.client.send(bob.client.user, "hi")
    await again.until(lambda: again.messages)
    await alice.client.ping()
    assert [m.state for m in again.messages] == ["stored"]
    assert alice.messages == []
    await bob.until(lambda: bob.messages)
    assert bob.messages[0].state is None


async def test_the_late_reply_of_a_cancelled_send_tells_its_message_as_an_event(
    people: People, proxy: Proxy
) -> None:
    alice = await people.join(new_name(), proxy.url)
    proxy.delay = 0.1
    sending = asyncio.create_task(alice.client.send(alice.client.user, "note"))
    await asyncio.sleep(0)
    sending.cancel()
    await alice.until(lambda: alice.messages)
    assert [(m.text, m.state, m.seq) for m in alice.messages] == [("note", "stored", 1)]
    await alice.send(alice.client.user, "and another")
    await alice.all_told()


async def test_a_cancelled_send_that_had_not_gone_out_is_not_sent(
    people: People, proxy: Proxy
) -> None:
    alice = await people.join(new_name(), proxy.url)
    await proxy.refuse()
    proxy.cut()
    await alice.until(lambda: alice.of(Offline))
    sending = asyncio.create_task(alice.client.send(alice.client.user, "never"))
    await asyncio.sleep(0)
    sending.cancel()
    await proxy.accept()
    await alice.send(alice.client.user, "this")
    assert [m.text for m in await alice.history(alice.client.user)] == ["this"]


async def test_waiting_for_an_event_may_be_cancelled(people: People) -> None:
    alice = await people.join(new_name())
    bob = await people.sign_in(new_name())
    events = bob.events()
    taken: list[Any] = []
    for n in range(20):
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0)
        if waiting.done():
            taken.append(waiting.result())
        waiting.cancel()
        await alice.client.send(bob.user, f"{n}")
    while len(taken) < 21:
        taken.append(await anext(events))
    assert [event.seq for event in taken[1:]] == list(range(1, 21))


async def test_only_one_task_waits_for_events(people: People) -> None:
    alice = await people.join(new_name())
    await alice.until(lambda: alice.events)
    with pytest.raises(RuntimeError, match="another task"):
        await anext(alice.client.events())


async def test_an_app_that_takes_nothing_stops_the_reading_and_gets_all_later(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound the server closes with 4000; the client resumes and syncs."""
    monkeypatch.setattr(events_module, "MAX_EVENTS", 50)
    alice, bob = await two(people)
    await bob.until(lambda: bob.of(Online))
    bob.taking.clear()
    text = "x" * 16_000
    total = 1500  # 24 MB: more than the sockets' buffers and the server's 4 MiB take
    for _ in range(total // 50):
        await asyncio.gather(*(alice.client.send(bob.client.user, text) for _ in range(50)))
    assert len(bob.client._exchange.queue._entries) <= 200
    bob.taking.set()
    await bob.until(lambda: len(bob.messages) == total)
    assert [m.seq for m in bob.messages] == list(range(1, total + 1))
    assert any("4000" in offline.reason for offline in bob.of(Offline))


async def test_a_call_is_answered_though_the_app_is_behind_with_its_events(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bot that awaits a call while it handles an event must not wait for itself."""
    monkeypatch.setattr(events_module, "MAX_EVENTS", 50)
    alice, bob = await two(people)
    await bob.until(lambda: bob.of(Online))
    bob.taking.clear()
    for _ in range(30):
        await asyncio.gather(*(alice.client.send(bob.client.user, "x") for _ in range(100)))
        await bob.send(alice.client.user, "y")
    bob.taking.set()
    await bob.until(lambda: len(bob.messages) == 3000)
    await bob.all_told()
    assert bob.of(Offline) == []


async def test_an_app_that_only_sends_is_never_stopped(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "MAX_EVENTS", 5)
    bob = await people.join(new_name())
    sender = await people.sign_in(new_name(), events=False)
    for n in range(20):
        await bob.client.send(sender.user, f"{n}")
        await sender.send(bob.client.user, f"{n}")
    assert await asyncio.wait_for(sender.ping(), 5)
    assert (sender.positions, len(sender._exchange.queue._entries)) == ({}, 0)


async def test_the_end_of_the_session_is_told(people: People) -> None:
    alice = await people.join(new_name())
    again = await people.join(alice.client.user)
    password = f"secret-{alice.client.user}"
    await again.client.passwd(password, password)
    await alice.until(lambda: alice.of(SignedOut))
    assert alice.client.token == ""
    with pytest.raises(ChatError) as refused:
        await alice.client.whoami()
    assert refused.value.code == "not_authenticated"
    await alice.client.auth(alice.client.user, password)
    assert (await alice.client.whoami()).user == alice.client.user


async def test_signing_in_as_somebody_else_begins_anew(people: People) -> None:
    alice, bob = await two(people)
    await bob.client.send(alice.client.user, "for alice")
    await alice.until(lambda: alice.messages)
    await alice.client.auth(bob.client.user, f"secret-{bob.client.user}")
    await alice.until(lambda: alice.of(HistoryChanged))
    await alice.until(lambda: len(alice.of(Online)) == 2)
    assert alice.client.user == bob.client.user
    await bob.client.send(bob.client.user, "for bob")
    await alice.until(lambda: alice.texts == ["for alice", "for bob"])


async def test_contents_of_files_come_only_if_asked_for(people: People, proxy: Proxy) -> None:
    alice, bob = await two(people)
    pushed = await people.join(bob.client.user, proxy.url, files="push")
    await alice.client.sendfile(bob.client.user, "a.txt", b"hello")
    await pushed.until(lambda: pushed.of(FileChunk))
    proxy.cut()
    await pushed.until(lambda: len(pushed.of(Online)) == 2)
    await pushed.client.ping()
    await alice.client.sendfile(bob.client.user, "b.txt", b"again")
    await pushed.until(lambda: len(pushed.of(FileChunk)) == 2)
    await bob.until(lambda: len(bob.messages) == 2)
    await bob.client.ping()
    assert bob.of(FileChunk) == []


async def test_addresses_may_be_written_or_given_and_wrong_ones_are_refused_here(
    people: People,
) -> None:
    alice, bob = await two(people)
    await alice.client.send(Address(bob.client.user), "hi")
    await alice.client.send(f"{bob.client.user}@alpha", "hi")
    group = (await alice.client.creategroup("team")).group
    for spelled in (group, group[1:], int(group[1:])):
        assert (await alice.client.sendg(spelled, "hi")).conversation == group
    for wrong in ("#1", "a b", "x" * 33):
        with pytest.raises(ChatError, match="Usage: send") as refused:
            await alice.client.send(wrong, "hi")
        assert refused.value.code == "bad_arguments"


async def test_a_refusal_has_its_code_and_its_values(people: People) -> None:
    alice = await people.sign_in(new_name())
    with pytest.raises(ChatError) as refused:
        await alice.send("nobody-here", "hi")
    assert refused.value.code == "unknown_user"


async def test_an_own_key_sends_once(people: People) -> None:
    alice, bob = await two(people)
    first = await alice.client.send(bob.client.user, "hi", idempotency_key="mine")
    second = await alice.client.send(bob.client.user, "hi", idempotency_key="mine")
    assert (second.message_id, second.duplicate) == (first.message_id, True)


async def test_calls_that_wait_are_bounded(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.client.calls.MAX_CALLS", 10)
    alice = await people.sign_in(new_name())
    calls = [asyncio.create_task(alice.ping()) for _ in range(11)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(one) for one in done].count(ChatError) == 1
    with pytest.raises(ChatError, match="at most 1,048,576 bytes"):
        await alice.sendfile(alice.user, "x", bytes(800_000))


async def test_closing_is_quick_and_leaves_nothing(people: People, proxy: Proxy) -> None:
    before = asyncio.all_tasks()
    client = ChatClient(proxy.url)
    async with client:
        await client.register("closer", "C", "secret1", "Peru")
        await client.auth("closer", "secret1")
        proxy.black_hole = True
        waiting = asyncio.create_task(client.send("closer", "hi"))
        await asyncio.sleep(0)
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 2
    with pytest.raises(OutcomeUnknown):
        await waiting
    mine = {task for task in asyncio.all_tasks() - before if "proxy" not in repr(task)}
    assert mine == set()


async def test_the_format_of_the_client_cannot_be_changed(people: People) -> None:
    client = await people.open()
    with pytest.raises(ChatError, match="JSON only"):
        await client.format("text")
    await client.format("json")
    assert isinstance(NotSent("x"), NoAnswer)
