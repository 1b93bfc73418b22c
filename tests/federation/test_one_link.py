"""Two realms have one link, regardless of the dialler and of network faults."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.federation.conftest import Enter
from tests.federation.impostor import DialledRealm, Impostor, key_of
from tests.federation.people import eventually, realm, texts
from tests.federation.relay import Mangle, Relay
from tests.proxy import Proxy
from tests.rawclient import LIMIT, RawClient
from tests.realserver import RealServer
from ws_server import key


async def accepted(server: RealServer) -> int:
    """Return the number of WebSockets that other realms dialled to a server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    found = re.search(r"^chat_connections (\S+)$", text, re.MULTILINE)
    assert found
    return int(float(found.group(1)))


async def test_realms_that_dial_each_other_at_once_have_one_link_and_agree_on_it(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")

    async def agree() -> bool:
        ups = [(await realm(emil, "beta"))["link"], (await realm(fay, "alpha"))["link"]]
        # One user's connection on each server, and one link.
        return ups == ["up", "up"] and await accepted(alpha) + await accepted(beta) == 3

    async with Proxy(alpha.port) as to_alpha, Proxy(beta.port) as to_beta:
        to_alpha.delay = to_beta.delay = 0.03
        names = ("beta", to_beta), ("alpha", to_alpha)
        for number in range(6):
            both = await asyncio.gather(
                *(
                    client.say("addrealm", name=name, address="127.0.0.1", port=proxy.port)
                    for client, (name, proxy) in zip((emil, fay), names, strict=True)
                )
            )
            assert [one["status"] for one in both] == ["OK", "OK"], both
            await eventually(agree)
            sent = [
                await emil.ask("send", to="fay@beta", text=f"e{number}"),
                await fay.ask("send", to="emil@alpha", text=f"f{number}"),
            ]
            assert [one["state"] for one in sent] == ["delivered", "delivered"]
            # Both sides lose the link at once, and both dial again at once.
            to_alpha.cut()
            to_beta.cut()
        await eventually(agree)
    for client, other in ((emil, "fay@beta"), (fay, "emil@alpha")):
        assert sorted(await texts(client, other)) == sorted(
            f"{who}{number}" for who in "ef" for number in range(6)
        )


def beside(server: RealServer, prefix: str, *, lower: bool) -> str:
    """Return the name of an impostor whose key is lower or higher than the server's."""
    own = key.read(server.data)
    assert own is not None
    mine = own.public_key().public_bytes_raw()
    names = (f"{prefix}.{number}" for number in range(1_000))
    return next(
        name for name in names if (key_of(name).public_key().public_bytes_raw() < mine) == lower
    )


@pytest.mark.parametrize("lower", [True, False], ids=["theirs is lower", "theirs is higher"])
@pytest.mark.parametrize("first", ["theirs", "ours"])
async def test_of_two_links_dialled_at_once_the_one_of_the_lower_key_is_kept(
    server: RealServer, enter: Enter, lower: bool, first: str
) -> None:
    name = beside(server, first, lower=lower)
    emil = await enter(server, f"emil.{name}")
    async with DialledRealm(name) as there:
        asking = asyncio.create_task(
            emil.say("addrealm", name=name, address="127.0.0.1", port=there.port)
        )
        # The server has dialled and sent its proof; before the answer, the other side dials.
        await asyncio.wait_for(there.proven.wait(), LIMIT)
        theirs = await Impostor.dial(server.url, name)
        await theirs.say_link()
        if first == "theirs":
            await theirs.prove()
            await theirs.hear("open")
            there.go.set()
            ours = await there.link()
        else:
            there.go.set()
            ours = await there.link()
            await ours.hear("open")
            await theirs.prove()
        kept, other = (theirs, ours) if lower else (ours, theirs)
        assert await other.closed_with() in (4401, 1000)
        await kept.say(kind="open", log="log", have={"log": "", "number": 0})
        assert (await asking)["status"] == "OK"
        await emil.send("send", to=f"you@{name}", text="on the one that is kept")
        assert (await kept.hear("batch"))["items"][0]["text"] == "on the one that is kept"
        await theirs.close()


async def test_a_side_that_dials_anew_has_no_link_and_replaces_the_one_that_is_half_open(
    server: RealServer, enter: Enter
) -> None:
    """Even if the rule for simultaneous dials would prefer the present link."""
    name = beside(server, "half", lower=False)
    emil = await enter(server, "emil.half")
    async with DialledRealm(name) as there:
        there.go.set()
        asking = asyncio.create_task(
            emil.say("addrealm", name=name, address="127.0.0.1", port=there.port)
        )
        half_open = await there.link()
        await half_open.open()
        await asking
        # At first this dial may have begun before the link, so the older link wins.
        early = await Impostor.linked(server.url, name)
        assert await early.closed_with() == 4401
        assert (await realm(emil, name))["link"] == "up"
        await asyncio.sleep(10)
        anew = await Impostor.linked(server.url, name)
        assert await half_open.closed_with() == 4401
        await anew.open()
        await emil.send("send", to=f"you@{name}", text="here")
        assert (await anew.hear("batch"))["items"][0]["text"] == "here"
        await anew.close()


async def test_what_is_done_to_frames_on_the_way_loses_and_doubles_no_message(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    held: list[str] = []

    def swapped(frame: str) -> list[str]:
        held.append(frame)
        return [] if len(held) % 2 else [held[-1], held[-2]]

    ways: dict[str, Mangle] = {
        "altered": lambda frame: [frame.replace("hello", "hullo").replace("ack", "akk")],
        "dropped": lambda frame: [],
        "doubled": lambda frame: [frame, frame],
        "swapped": swapped,
        "spliced": lambda frame: [relay.seen[2]],
        "cut short": lambda frame: [frame[:-1]],
    }
    async with Relay(beta.port) as relay:
        added = await emil.ask("addrealm", name="beta", address="127.0.0.1", port=relay.port)
        assert added["link"] == "up"
        for number, mangle in enumerate(ways.values()):
            relay.mangle = mangle
            await emil.ask("send", to="fay@beta", text=f"hello {number}")
            relay.mangle = lambda frame: [frame]
            # The next frame reveals a dropped or delayed one.
            await fay.ask("send", to="emil@alpha", text=f"hello too {number}")
            await emil.ask("send", to="fay@beta", text=f"and {number}")
    sent = [text for n in range(len(ways)) for text in (f"hello {n}", f"hello too {n}", f"and {n}")]

    async def all_there(client: RawClient, other: str) -> bool:
        return sorted(await texts(client, other)) == sorted(sent)

    await eventually(lambda: all_there(emil, "fay@beta"))
    await eventually(lambda: all_there(fay, "emil@alpha"))
    assert "not signed by the other side" in alpha.log + beta.log
