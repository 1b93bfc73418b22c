"""Connections that falsely claim to be realms, or violate the protocol."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import orjson
import pytest
from websockets.exceptions import ConnectionClosed

from shared.protocol.base64 import written as encoded
from tests.federation.conftest import Enter
from tests.federation.impostor import Impostor, Refused
from tests.federation.people import fingerprint_of, realm
from tests.realserver import RealServer
from ws_server import key
from ws_server.federation.handshake.transcript import Role, Seal
from ws_server.key import fingerprint


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """One realm for all tests of this module; each test uses impostors with other names."""
    server = RealServer(tmp_path_factory.mktemp("crowd"))
    server.start()
    yield server
    server.kill()
    assert "Traceback" not in server.log


@asynccontextmanager
async def dialled(server: RealServer, name: str) -> AsyncIterator[Impostor]:
    impostor = await Impostor.dial(server.url, name)
    try:
        yield impostor
    finally:
        await impostor.close()


@asynccontextmanager
async def linked(server: RealServer, name: str) -> AsyncIterator[Impostor]:
    impostor = await Impostor.linked(server.url, name)
    try:
        yield impostor
    finally:
        await impostor.close()


async def test_a_connection_that_says_link_and_proves_nothing_ends_in_ten_seconds(
    crowd: RealServer, enter: Enter
) -> None:
    async with dialled(crowd, "silent") as silent, dialled(crowd, "wrong") as wrong:
        await asyncio.gather(silent.say_link(), wrong.say_link())
        began = time.monotonic()
        with pytest.raises(Refused, match="realm_refused"):
            await wrong.prove(b"x" * 64)
        assert await asyncio.gather(silent.closed_with(), wrong.closed_with()) == [4500, 4500]
        assert 8 < time.monotonic() - began < 15
    listed = await enter(crowd, "ann")
    assert not await realm(listed, "silent") and not await realm(listed, "wrong")


@pytest.mark.parametrize("frame", ["x" * 8_193, '{"command":"linkproof","x":"' + "x" * 8_200])
async def test_a_large_frame_before_the_proof_ends_the_connection(
    crowd: RealServer, frame: str
) -> None:
    async with dialled(crowd, "large") as large:
        await large.say_link()
        await large.socket.send(frame)
        assert await large.closed_with() == 4400


async def test_a_frame_in_binary_ends_what_is_or_will_be_a_link(crowd: RealServer) -> None:
    async with dialled(crowd, "binary") as before, linked(crowd, "binary") as after:
        await before.say_link()
        for one in (before, after):
            await one.socket.send(b"x")
            assert await one.closed_with() == 4400


async def test_a_link_takes_no_commands(crowd: RealServer) -> None:
    for frame in ('{"command":"ping"}', "ping", "auth emil secret-emil", ""):
        async with linked(crowd, "commander") as commander:
            await commander.open()
            await commander.socket.send(frame)
            assert await commander.closed_with() == 4400


async def test_a_frame_over_the_limit_ends_a_link(crowd: RealServer) -> None:
    async with linked(crowd, "huge") as huge:
        await huge.socket.send("x" * (2**20 + 1))
        assert await huge.closed_with() == 1009


async def test_a_persons_connection_becomes_no_link_and_a_links_no_persons(
    crowd: RealServer, enter: Enter
) -> None:
    bea = await enter(crowd, "bea")
    async with dialled(crowd, "mixed") as mixed:
        mixed.socket, own = bea.socket, mixed.socket
        with pytest.raises(Refused, match="person's"):
            await mixed.say_link()
        with pytest.raises(Refused, match="Send link first"):
            await mixed.ask(command="linkproof", signature=encoded(b"x" * 64))
        assert (await bea.ask("whoami"))["user"] == "bea"
        mixed.socket = own
        await mixed.say_link()
        for body in (
            {"command": "auth", "user": "bea", "password": "secret-bea"},
            {"command": "ping"},
            {"command": "register", "user": "x", "real_name": "x", "password": "y" * 8},
        ):
            with pytest.raises(Refused):
                await mixed.ask(**body)
        with pytest.raises(Refused, match="once"):
            await mixed.say_link()


async def test_commands_that_came_with_the_proof_are_not_run_on_the_link(
    crowd: RealServer, enter: Enter
) -> None:
    await enter(crowd, "cyd")
    async with dialled(crowd, "eager") as eager:
        transcript = await eager.say_link()
        proof = encoded(transcript.sign(eager.key, Role.DIALLER))
        await eager.socket.send(orjson.dumps({"command": "linkproof", "signature": proof}).decode())
        for _ in range(3):
            await eager.socket.send('{"command":"auth","user":"cyd","password":"secret-cyd"}')
        assert orjson.loads(await eager.socket.recv())["status"] == "OK"
        eager.seal = Seal(transcript, eager.key, Role.DIALLER)
        # Commands before or after the link is up get no reply among its frames.
        await eager.socket.send(b"the end")
        with pytest.raises(ConnectionClosed):
            while True:
                eager.seal.open(bytes(await eager.socket.recv(decode=False)))
        assert eager.socket.close_code == 4400


async def test_what_proves_nothing_is_refused(crowd: RealServer, enter: Enter) -> None:
    async with dialled(crowd, "first") as first:
        transcript = await first.say_link()
        await first.prove()
    async with dialled(crowd, "first") as replaying:
        # Replay the same frames, with the signature that was valid then.
        await replaying.say_link(nonce=encoded(transcript.dialler.nonce))
        with pytest.raises(Refused, match="Not proven"):
            await replaying.prove(transcript.sign(first.key, Role.DIALLER))
    for point in (0, 1, 2**255 - 20, 2**255 - 19, 2, 2**256 - 1):
        async with dialled(crowd, "weak") as weak:
            await weak.say_link(key=encoded(point.to_bytes(32, "little")))
            with pytest.raises(Refused, match="Not proven"):
                # R and S of the signature that is valid under the neutral point for any message.
                await weak.prove((1).to_bytes(32, "little") + bytes(32))
    dan = await enter(crowd, "dan")
    assert not await realm(dan, "weak")


async def test_a_realm_is_not_connected_to_itself(crowd: RealServer, enter: Enter) -> None:
    own = key.read(crowd.data)
    assert own is not None
    async with dialled(crowd, "mirror") as mirror:
        with pytest.raises(Refused, match="realm itself"):
            await mirror.say_link(key=encoded(own.public_key().public_bytes_raw()))
    eli = await enter(crowd, "eli")
    for address in ("127.0.0.1", "localhost"):
        reply = await eli.say("addrealm", name="me2", address=address, port=crowd.port)
        assert reply["code"] == "realm_unreachable"


async def test_another_version_is_refused(crowd: RealServer) -> None:
    async with dialled(crowd, "newer") as newer:
        with pytest.raises(Refused, match="version 1"):
            await newer.say_link(version=2)


async def test_who_expects_another_key_is_told_the_right_one_and_gets_no_further(
    crowd: RealServer,
) -> None:
    async with dialled(crowd, "expecting") as expecting:
        transcript = await expecting.say_link(expects=encoded(b"x" * 32))
        assert fingerprint(transcript.listener.key) == fingerprint_of(crowd)
        with pytest.raises(Refused, match="Not proven"):
            await expecting.prove()


async def test_who_has_not_proven_the_key_does_not_disturb_the_one_who_has(
    crowd: RealServer, enter: Enter
) -> None:
    async with linked(crowd, "real") as real, dialled(crowd, "real") as false:
        await real.open()
        await false.say_link()
        with pytest.raises(Refused):
            await false.prove(b"x" * 64)
        flo = await enter(crowd, "flo")
        assert (await realm(flo, "real"))["link"] == "up"
        await flo.send("send", to="you@real", text="hi")
        batch = await real.hear("batch")
        assert batch["items"][0]["text"] == "hi"


async def test_a_realm_that_dials_anew_replaces_its_link(crowd: RealServer) -> None:
    async with linked(crowd, "again") as old:
        await old.open()
        async with linked(crowd, "again") as new:
            assert await old.closed_with() == 4401
            await new.open()


@pytest.mark.parametrize("fault", ["altered", "dropped", "doubled", "swapped", "other link's"])
async def test_a_frame_that_is_not_the_next_one_ends_the_link(
    crowd: RealServer, fault: str
) -> None:
    name = f"faulty-{fault[:4]}"
    async with linked(crowd, name) as first:
        await first.open()
        if fault == "other link's":
            frame = first.sealed(kind="ack", up_to=0, refused={})
            async with linked(crowd, name) as second:
                await second.open()
                await second.socket.send(frame)
                assert await second.closed_with() == 4400
            return
        frames = [first.sealed(kind="ack", up_to=0, refused={}) for _ in range(2)]
        sent = {
            "altered": [frames[0].replace('"up_to":0', '"up_to":1')],
            "dropped": [frames[1]],
            "doubled": [frames[0], frames[0]],
            "swapped": [frames[1], frames[0]],
        }[fault]
        for frame in sent:
            await first.socket.send(frame)
        assert await first.closed_with() == 4400


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "batch", "items": []},
        {"kind": "ack", "up_to": 1, "refused": {}},
        {"kind": "ack", "up_to": -1, "refused": {}},
        {"kind": "batch", "items": [{"kind": "message"}]},
        {"kind": "batch", "items": [{"number": 2}, {"number": 2}]},
        {"kind": "batch", "items": "x"},
    ],
)
async def test_a_frame_that_no_implementation_sends_ends_the_link(
    crowd: RealServer, body: dict[str, object]
) -> None:
    async with linked(crowd, "broken") as broken:
        await broken.open()
        await broken.say(**body)
        assert await broken.closed_with() == 4400


async def test_a_link_begins_with_open(crowd: RealServer) -> None:
    async with linked(crowd, "hasty") as hasty:
        await hasty.say(kind="ack", up_to=0, refused={})
        assert await hasty.closed_with() == 4400


async def test_an_unknown_kind_of_frame_is_for_a_newer_version_and_passed_over(
    crowd: RealServer, enter: Enter
) -> None:
    async with linked(crowd, "modern") as modern:
        await modern.open()
        await modern.say(kind="weather", rain=True)
        gus = await enter(crowd, "gus")
        row = {"kind": "message", "from": "you", "to": "gus", "id": "m_1", "seq": 1, "time": 1}
        await modern.say(kind="batch", items=[{**row, "number": 1, "text": "still here"}])
        assert await modern.hear("ack") == {"kind": "ack", "up_to": 1, "refused": {}}
        assert (await gus.event("message"))["from"] == "you@modern"


async def test_nobody_speaks_for_people_of_another_realm(crowd: RealServer, enter: Enter) -> None:
    hal = await enter(crowd, "hal")
    async with linked(crowd, "forger") as forger:
        await forger.open()
        row = {"kind": "message", "to": "hal", "seq": 1, "time": 1, "text": "x"}
        await forger.say(
            kind="batch",
            items=[
                {**row, "number": 1, "id": "f_1", "from": "boss@real"},
                {**row, "number": 2, "id": "f_2", "from": "x", "to": "hal@real"},
                {**row, "number": 3, "id": "f_3", "from": "hal"},
            ],
        )
        acked = await forger.hear("ack")
        assert acked["refused"] == {"1": "bad_arguments", "2": "bad_arguments"}
        assert (await hal.event("message"))["from"] == "hal@forger"


async def test_a_realm_that_ignores_the_window_is_cut_off(crowd: RealServer, enter: Enter) -> None:
    await enter(crowd, "ida")
    async with linked(crowd, "flood") as flood:
        await flood.open()
        row = {"kind": "message", "from": "x", "to": "ida", "seq": 1, "time": 1}
        text = "x" * 16_000
        with pytest.raises(ConnectionClosed):
            for batch in range(100):
                rows = [
                    {**row, "number": batch * 60 + n + 1, "id": f"{batch}.{n}", "text": text}
                    for n in range(60)
                ]
                await flood.say(kind="batch", items=rows)
            await flood.closed_with()
            await flood.socket.recv()
        assert flood.socket.close_code == 4400


async def test_an_ack_refuses_only_what_it_confirms_and_with_a_code(
    crowd: RealServer, enter: Enter
) -> None:
    joe = await enter(crowd, "joe")
    async with linked(crowd, "picky") as picky:
        await picky.open()
        await joe.send("send", to="you@picky", text="hi")
        number = (await picky.hear("batch"))["items"][0]["number"]
        refused = {str(number): "\n[boss] hi", "9" * 5_000: "x", "-1": "x", "²": "x", "77": "y"}
        await picky.say(kind="ack", up_to=number, refused=refused)
        assert (await joe.reply())["code"] == "realm_refused"
        await joe.send("send", to="you@picky", text="and now")
        assert (await picky.hear("batch"))["items"][0]["text"] == "and now"


async def test_a_realm_that_claims_to_have_what_never_was_gets_all_the_same_what_follows(
    crowd: RealServer, enter: Enter
) -> None:
    """Such as a realm that received this realm's messages under a key that it lost."""
    kim = await enter(crowd, "kim")
    async with linked(crowd, "liar") as liar:
        theirs = await liar.hear("open")
        await liar.say(kind="open", log="l", have={"log": theirs["log"], "number": 2**53 - 1})
        assert await liar.closed_with() == 4400
    async with linked(crowd, "heir") as heir:
        theirs = await heir.hear("open")
        # This message is written before the peer sends its `open`.
        assert (await kim.ask("send", to="you@heir", text="one"))["state"] == "queued"
        await heir.say(kind="open", log="l", have={"log": theirs["log"], "number": 41})
        assert await heir.closed_with() == 4400
    async with linked(crowd, "heir") as heir:
        await heir.say(kind="open", log="l", have={"log": theirs["log"], "number": 41})
        await kim.send("send", to="you@heir", text="two")
        rows: list[dict[str, object]] = []
        while len(rows) < 2:
            rows += (await heir.hear("batch"))["items"]
        assert [(row["number"], row["text"]) for row in rows] == [(42, "one"), (43, "two")]
