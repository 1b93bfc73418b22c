"""Rules of the talk with the server itself: dialects, labels, refusals; sections 1 to 3."""

from __future__ import annotations

import time

import orjson

from shared.protocol.call import Dialect
from tests.conversations.stages import Seat
from tests.world import World


async def test_ping_tells_the_time_of_the_server(world: World) -> None:
    before = time.time_ns() // 1_000_000
    told = (await world.connect().ask("ping"))["time"]
    assert before <= told <= time.time_ns() // 1_000_000


async def test_a_reply_is_in_the_dialect_of_its_command(world: World) -> None:
    (alice,) = await world.log_in("alice")
    frames = ["ping", '{"command":"ping"}', "nonsense", '{"command":"nonsense"}', "send", "[1]"]
    for frame in frames * 2:
        reply = await alice.say(frame)
        assert isinstance(reply, dict) == frame.startswith("{")


async def test_events_are_in_the_dialect_of_the_latest_command(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for frame, is_json in [
        ('{"command":"ping"}', True),
        ("ping", False),
        (" {", True),
        ("x", False),
    ]:
        await bob.say(frame)
        await alice.ask("send", to="bob", text="hi")
        assert isinstance(await bob.push(), dict) == is_json


async def test_format_pins_replies_and_events_until_changed(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for dialect in ("text", "json", "text"):
        await bob.say(f"format {dialect}")
        for frame in ("ping", '{"command":"ping"}', "nonsense", "{"):
            assert isinstance(await bob.say(frame), dict) == (dialect == "json")
        await alice.ask("send", to="bob", text="hi")
        assert isinstance(await bob.push(), dict) == (dialect == "json")


async def test_people_who_have_not_spoken_yet_are_spoken_to_in_words(world: World) -> None:
    seat = Seat(world, "192.0.2.1")
    seat.send_binary()
    assert (await seat.frame()).startswith("ERROR bad_command ")


async def test_sessions_in_words_are_offered_files_and_json_ones_are_pushed_them(
    world: World,
) -> None:
    (alice,) = await world.log_in("alice")
    in_words, in_json = [
        (await world.log_in("bob", dialect=dialect))[0] for dialect in (Dialect.TEXT, Dialect.JSON)
    ]
    await alice.ask("sendfile", to="bob", name="a.txt", data="aGk=")
    assert [(await in_json.push())["event"] for _ in range(2)] == ["message", "file"]
    assert [push.split()[:2] for push in await in_words.pushes()] == [["[alice]", "a.txt"]]
    await in_words.say("files push")
    sent = await alice.ask("sendfile", to="bob", name="a.txt", data="aGk=")
    file = sent["file"]["id"]
    assert await in_words.push() == f"[alice] a.txt (2 bytes) file {file}"
    assert await in_words.push() == f"FILE {file} 0 aGk="


WRONG = [
    ("", "bad_command"),
    (" \r\n\t", "bad_command"),
    ("[1]", "bad_command"),
    ("null", "bad_command"),
    ("{", "bad_command"),
    ("{}", "bad_command"),
    ('{"command":5}', "bad_command"),
    ('{"command":"Ping"}', "bad_command"),
    ('{"command":"ping","nonsense":1}', "bad_arguments"),
    ('{"command":"ping","id":5}', "bad_arguments"),
    ('{"command":"ping","id":"' + "x" * 65 + '"}', "bad_arguments"),
    ('{"command":"read","conversation":"bob","seq":NaN}', "bad_arguments"),
    ('{"command":"send","to":"bob","text":"\\ud800"}', "bad_arguments"),
    ('{"command":"send","to":"bob","text":"a\\u0000b"}', "bad_arguments"),
    ('{"command":"send","to":"bob","text":5}', "bad_arguments"),
    (
        '{"command":"send","to":"bob","text":"hi","idempotency_key":"' + "k" * 65 + '"}',
        "bad_arguments",
    ),
    ("inbox bob before=1 before=2", "bad_arguments"),
    ("sendpcrealm", "bad_arguments"),
    ("sendpcrealm not/a/name bob hi", "bad_arguments"),
    ("read bob 99999999999999999999", "bad_arguments"),
    ("getfile " + "f" * 200_000, "bad_arguments"),
    ("x" * 200_000, "bad_command"),
]


async def test_what_is_wrong_is_refused_and_the_session_goes_on(world: World) -> None:
    await world.add_users("bob")
    (alice,) = await world.log_in("alice")
    for frame, code in WRONG:
        reply = await alice.say(frame)
        found = reply["code"] if isinstance(reply, dict) else reply.split()[1]
        shown = reply["message"] if isinstance(reply, dict) else reply
        assert found == code, frame[:100]
        assert len(shown) < 400
        assert (await alice.ask("whoami"))["user"] == "alice"


async def test_a_label_is_echoed_in_one_reply(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    label = 'é"\\\n😀'
    sent = await alice.ask("send", id=label, to="bob", text="hi")
    assert sent["id"] == label
    (push,) = await bob.pushes()
    assert push["id"] == sent["message_id"]
    assert "id" not in await alice.ask("ping")
    assert (await alice.say(orjson.dumps({"command": "nonsense", "id": label})))["id"] == label


async def test_a_binary_frame_is_refused_and_the_session_goes_on(world: World) -> None:
    (alice,) = await world.log_in("alice")
    alice.send_binary()
    assert (await alice.reply())["code"] == "bad_command"
    assert (await alice.ask("whoami"))["user"] == "alice"


async def test_help_lists_every_command_and_explains_each_spelling(world: World) -> None:
    stranger = world.connect()
    for command in (await stranger.ask("help"))["commands"]:
        (one,) = (await stranger.ask("help", topic=command["command"]))["commands"]
        assert one == command
        assert command["command"] in one["usage"].split()[0]
    (one,) = (await stranger.ask("help", topic="SendPCRealm"))["commands"]
    assert one["usage"] == "sendpcrealm <realm> <to> <text...>"
    assert await stranger.refused("help", topic="nonsense") == "bad_arguments"


THERE = [
    "send bob@beta hi",
    "sendpcrealm beta bob hi",
    '{"command":"sendpcrealm","realm":"beta","to":"bob","text":"hi"}',
    '{"command":"creategroup","realm":"beta","name":"team"}',
    '{"command":"listpc","realm":"beta"}',
    '{"command":"upload","to":"bob@beta","name":"a","size":1,"sha256":"' + "0" * 64 + '"}',
    "members #1@beta",
    "leavegroup #1@beta",
    "kick #1@beta bob",
    "ban #1@beta bob",
    "unban #1@beta bob",
    "accept #1@beta",
    "declinerealm beta 1",
    "blockrealm beta bob",
    "unblock bob@beta",
    "read bob@beta 1",
    "received #1@beta 1",
]


async def test_a_realm_that_was_not_added_is_unknown(world: World) -> None:
    (alice,) = await world.log_in("alice")
    for frame in THERE:
        reply = await alice.say(frame)
        found = reply["code"] if isinstance(reply, dict) else reply.split()[1]
        assert found == "unknown_realm", frame
