"""Rules of accounts and sessions; sections 6 (Sessions, Limits) and 8 of the contract."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any
from unicodedata import normalize

import orjson
import pytest
from argon2 import PasswordHasher
from sqlalchemy import Connection

from tests.conversations.stages import Seat
from tests.world import PASSWORD, Closed, Person, World
from ws_server.store.accounts import users
from ws_server.store.database import current_requester

NEW = {"real_name": "Somebody", "password": "secret1", "country": "Costa Rica"}


async def signed_in(world: World, name: str, password: str = PASSWORD) -> Person:
    """Return one more connection that signed in with its password."""
    person = world.connect()
    person.token = (await person.ask("auth", user=name, password=password))["token"]
    return person


# Accounts


async def test_the_first_account_is_the_realm_s_admin(world: World) -> None:
    for name, admin in [("alice", True), ("bob", False)]:
        person = world.connect()
        assert (await person.ask("register", user=name, **NEW))["user"] == name
        await person.ask("auth", user=name, password="secret1")
        me = await person.ask("whoami")
        assert me["admin"] is admin
        assert (me["user"], me["realm"]) == (name, "alpha")
        assert (me["real_name"], me["country"]) == ("Somebody", "Costa Rica")


async def test_a_password_typed_on_a_mac_fits_on_windows(world: World) -> None:
    mac, windows = normalize("NFD", "pässwörd"), normalize("NFC", "pässwörd")
    person = world.connect()
    await person.ask("register", user="bob", **NEW | {"password": mac})
    await person.ask("auth", user="bob", password=windows)
    await person.ask("passwd", old_password=mac, new_password=normalize("NFD", "schlüssel"))
    await person.ask("auth", user="bob", password=normalize("NFC", "schlüssel"))


async def test_an_old_hash_is_renewed_when_it_fits_even_in_two_windows_at_once(
    world: World,
) -> None:
    mac, windows = normalize("NFD", "pässwörd"), normalize("NFC", "pässwörd")
    await world.connect().ask("register", user="bob", **NEW)
    old = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(mac)

    def keep(tx: Connection, now: int) -> None:
        users.set_password(tx, users.existing(tx, "bob").id, old)

    await world.realm.journal.write(keep)
    assert await world.connect().refused("auth", user="bob", password=windows) == "bad_credentials"
    people = [world.connect() for _ in range(3)]
    for person in people:
        person.send(orjson.dumps({"command": "auth", "user": "bob", "password": mac}))
    assert [(await person.reply())["status"] for person in people] == ["OK"] * 3
    await signed_in(world, "bob", windows)


async def test_one_name_registered_twice_at_once_becomes_one_account(world: World) -> None:
    people = [world.connect() for _ in range(4)]
    for person, name in zip(people, ["Bob", "bob", "BOB", "boB"], strict=True):
        person.send(orjson.dumps({"command": "register", "user": name, **NEW}))
    replies = [await person.reply() for person in people]
    assert sorted(r.get("code", "") for r in replies) == ["", *["user_exists"] * 3]


@pytest.mark.parametrize(
    "change, code",
    [
        ({"password": "p" * 5}, "bad_arguments"),
        ({"password": "p" * 6}, ""),
        ({"password": "é" * 128}, ""),
        ({"password": "p" * 129}, "bad_arguments"),
        ({"user": "b" * 32}, ""),
        ({"user": "b" * 33}, "bad_arguments"),
        ({"user": "bob@alpha"}, "bad_arguments"),
        ({"user": "bøb"}, "bad_arguments"),
        ({"real_name": "a\nb"}, "bad_arguments"),
        ({"real_name": " "}, "bad_arguments"),
        ({"country": ""}, "bad_arguments"),
    ],
)
async def test_what_an_account_may_be(world: World, change: dict[str, str], code: str) -> None:
    frame = orjson.dumps({"command": "register", "user": "bob", **NEW, **change})
    assert (await world.connect().say(frame)).get("code", "") == code


async def test_registration_may_be_closed(tmp_path: Path) -> None:
    async with World(tmp_path, registration="closed") as world:
        assert await world.connect().refused("register", user="bob", **NEW) == "forbidden"


async def test_a_wrong_password_and_an_unknown_user_answer_the_same(world: World) -> None:
    await world.add_users("bob")
    stranger = world.connect()
    wrong = await stranger.say('{"command":"auth","user":"bob","password":"nonsense"}')
    unknown = await stranger.say('{"command":"auth","user":"bobby","password":"nonsense"}')
    assert wrong["code"] == "bad_credentials"
    assert wrong == unknown


# Sessions


async def test_resume_opens_the_session_of_its_token_anywhere(world: World) -> None:
    (bob,) = await world.log_in("bob")
    elsewhere = world.connect("198.51.100.7")
    resumed = await elsewhere.ask("resume", token=bob.token)
    assert (resumed["user"], resumed["token"]) == ("bob", bob.token)
    assert await elsewhere.refused("resume", token="nonsense") == "bad_credentials"
    assert (await elsewhere.ask("whoami"))["user"] == "bob"


async def test_logout_ends_the_token_and_the_connections_that_use_it(world: World) -> None:
    alice, bob, other = await world.log_in("alice", "bob", "bob")
    same = world.connect()
    await same.ask("resume", token=bob.token)
    await bob.ask("logout")
    with pytest.raises(Closed) as closed:
        await same.push()
    assert closed.value.code == 4501
    assert await bob.refused("resume", token=bob.token) == "bad_credentials"
    assert await bob.refused("send", to="alice", text="hi") == "not_authenticated"
    await alice.ask("send", to="bob", text="hi")
    assert await bob.pushes() == []
    assert len(await other.pushes()) == 1


async def test_a_new_password_ends_the_other_sessions_and_their_tokens(world: World) -> None:
    await world.add_users("bob")
    bob, other = await signed_in(world, "bob"), await signed_in(world, "bob")
    await bob.ask("passwd", old_password=PASSWORD, new_password="secret2")
    with pytest.raises(Closed) as closed:
        await other.push()
    assert closed.value.code == 4501
    stranger = world.connect()
    assert await stranger.refused("resume", token=other.token) == "bad_credentials"
    assert await stranger.refused("auth", user="bob", password=PASSWORD) == "bad_credentials"
    assert (await stranger.ask("resume", token=bob.token))["user"] == "bob"
    await stranger.ask("auth", user="bob", password="secret2")
    assert (await bob.ask("whoami"))["user"] == "bob"


async def test_signing_in_as_another_replaces_the_session(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await world.add_users("carol")
    assert await bob.refused("auth", user="carol", password="nonsense") == "bad_credentials"
    assert (await bob.ask("whoami"))["user"] == "bob"
    await bob.ask("auth", user="carol", password=PASSWORD)
    assert (await bob.ask("whoami"))["user"] == "carol"
    await alice.ask("send", to="bob", text="to bob")
    await alice.ask("send", to="carol", text="to carol")
    assert [push["text"] for push in await bob.pushes()] == ["to carol"]


async def test_a_sign_in_that_the_store_could_not_finish_changes_nothing(
    world: World, tmp_path: Path
) -> None:
    alice, bob = await world.log_in("alice", "bob")
    store = sqlite3.connect(tmp_path / "chat.db", isolation_level=None)
    store.execute("ALTER TABLE messages RENAME TO lost")
    stranger = world.connect()
    for person in (stranger, alice):
        assert await person.refused("resume", token=bob.token) == "unavailable"
    store.execute("ALTER TABLE lost RENAME TO messages")
    store.close()
    assert await stranger.refused("whoami") == "not_authenticated"
    assert (await alice.ask("whoami"))["user"] == "alice"


async def test_commands_behind_a_sign_in_wait_for_it(world: World) -> None:
    await world.add_users("alice", "bob")
    alice = world.connect()
    alice.send(orjson.dumps({"command": "auth", "user": "alice", "password": PASSWORD}))
    alice.send('{"command":"send","to":"bob","text":"hi"}')
    alice.send('{"command":"logout"}')
    alice.send('{"command":"whoami"}')
    replies = [await alice.reply() for _ in range(4)]
    assert [r["command"] for r in replies] == ["auth", "send", "logout", "whoami"]
    assert [r["status"] for r in replies] == ["OK", "OK", "OK", "ERROR"]


async def test_what_a_session_asked_before_it_ended_is_done(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for number in range(20):
        alice.send(orjson.dumps({"command": "send", "to": "bob", "text": str(number)}))
    alice.leave()
    (again,) = await world.log_in("alice")
    await again.ask("send", to="bob", text="last")
    texts = [push["text"] for push in await bob.pushes()]
    assert texts == [*map(str, range(20)), "last"]


async def test_unread_at_sign_in_counts_by_conversation(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = (await alice.ask("creategroup", name="team"))["group"]
    await alice.ask("invitegroup", group=group, user="bob")
    await alice.ask("sendg", group=group, text="one")
    await bob.ask("sendg", group=group, text="own")
    await alice.ask("send", to="bob", text="two")
    await alice.ask("send", to="bob", text="three")
    await bob.ask("send", to="bob", text="note")
    assert (await signed_in_reply(world, bob))["unread"] == {"alice": 2, group: 1}
    await bob.ask("inbox", user="alice")
    assert (await signed_in_reply(world, bob))["unread"] == {group: 1}


async def signed_in_reply(world: World, person: Person) -> dict[str, Any]:
    return await world.connect().ask("resume", token=person.token)


# Between sign-in and the first message


async def test_events_are_held_back_until_the_sign_in_is_answered(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    late = Seat(world, "192.0.2.1")
    go_on = threading.Event()

    def wait(tx: Connection) -> None:
        go_on.wait(20)

    # All readers are kept busy, so that the unread count must wait.
    async def keep_busy(who: int) -> None:
        current_requester.set(f"asker {who}")
        await world.realm.database.read(wait)

    busy = [asyncio.create_task(keep_busy(who)) for who in range(4)]
    late.send(orjson.dumps({"command": "resume", "token": bob.token}))
    sent = 0
    while late.session.account is None:
        await alice.ask("send", to="bob", text="before or between")
        sent += 1
    await alice.ask("send", to="bob", text="between")
    sent += 1
    go_on.set()
    await asyncio.gather(*busy)
    reply = orjson.loads(await late.frame())
    assert (reply["command"], reply["status"]) == ("resume", "OK")
    assert reply["unread"] == {"alice": sent}
    assert (await alice.ask("send", to="bob", text="after"))["seq"] == sent + 1
    texts: list[str] = []
    while texts[-1:] != ["after"]:
        texts.append(orjson.loads(await late.frame())["text"])
    assert texts[-2:] == ["between", "after"]


async def test_no_message_is_missed_around_a_sign_in(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for _ in range(10):
        late = Seat(world, "192.0.2.1")
        late.send(orjson.dumps({"command": "resume", "token": bob.token}))
        answered = asyncio.create_task(late.frame())
        while not answered.done():
            await alice.ask("send", to="bob", text="hi")
        total = (await alice.ask("send", to="bob", text="end"))["seq"]
        pushed: list[int] = []
        while pushed[-1:] != [total]:
            pushed.append(orjson.loads(await late.frame())["seq"])
        unread = orjson.loads(await answered)["unread"].get("alice", 0)
        assert pushed == list(range(pushed[0], total + 1))
        # Counted, or pushed, or both; never neither.
        assert unread >= pushed[0] - 1
        late.leave()


# Limits


async def test_wrong_passwords_are_slowed_for_one_address_and_account(tmp_path: Path) -> None:
    async with World(tmp_path, rate_limits="on") as world:
        await world.add_users("bob", "carol")
        stranger, elsewhere = world.connect("192.0.2.1"), world.connect("192.0.2.2")
        for _ in range(5):
            assert await stranger.refused("auth", user="bob", password="x") == "bad_credentials"
        reply = await stranger.say('{"command":"auth","user":"BOB","password":"secret1"}')
        assert (reply["code"], reply["temporary"]) == ("rate_limited", True)
        assert 0 < reply["retry_after"] <= 10
        await stranger.ask("auth", user="carol", password=PASSWORD)
        await elsewhere.ask("auth", user="bob", password=PASSWORD)


async def test_right_passwords_are_not_slowed(tmp_path: Path) -> None:
    async with World(tmp_path, rate_limits="on") as world:
        await world.add_users("bob")
        person = world.connect()
        for _ in range(8):
            await person.ask("auth", user="bob", password=PASSWORD)


async def test_a_user_s_commands_are_limited_over_all_his_sessions(tmp_path: Path) -> None:
    async with World(tmp_path, rate_limits="on") as world:
        bob, other, alice = await world.log_in("bob", "bob", "alice")
        for _ in range(1_300):
            bob.send('{"command":"ping"}')
        replies = [await bob.reply() for _ in range(1_300)]
        refused = [r for r in replies if r["status"] == "ERROR"]
        assert refused and replies[999]["status"] == "OK"
        assert {r["code"] for r in refused} == {"rate_limited"}
        assert all(r["retry_after"] > 0 and r["temporary"] for r in refused)
        assert (await alice.say('{"command":"ping"}'))["status"] == "OK"
        other.send('{"command":"ping"}')
        assert (await other.reply()).get("code") in ("rate_limited", None)


async def test_more_than_a_thousand_errors_close_with_4502(tmp_path: Path) -> None:
    async with World(tmp_path, rate_limits="on") as world:
        (bob,) = await world.log_in("bob")
        for _ in range(1_100):
            bob.send("nonsense")
        with pytest.raises(Closed) as closed:
            for _ in range(1_100):
                await bob.reply()
        assert closed.value.code == 4502


@pytest.mark.slow
async def test_registrations_are_limited_by_address(tmp_path: Path) -> None:
    async with World(tmp_path, rate_limits="on") as world:
        stranger = world.connect()
        for number in range(30):
            await stranger.ask("register", user=f"user{number}", **NEW)
        assert await stranger.refused("register", user="user30", **NEW) == "rate_limited"
        await world.connect("192.0.2.9").ask("register", user="user30", **NEW)
