"""How fast people may ask, guess and register (contract, section 6, Limits)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.rawclient import LIMIT, RawClient
from tests.realserver import RealServer

BURST = 1_000
RATE = 50
WRONG_AT_ONCE = 5
REGISTRATIONS = 30
MAX_ERRORS = 1_000


def started(folder: Path, *options: str) -> Iterator[RealServer]:
    server = RealServer(folder, "--rate-limits", "on", *options)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with its limits on; each test has people of its own."""
    yield from started(tmp_path_factory.mktemp("limited"))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """The same behind a trusted proxy on this machine; each test has addresses of its own."""
    yield from started(tmp_path_factory.mktemp("proxied"), "--trusted-proxies", "127.0.0.1")


async def at(server: RealServer, address: str) -> RawClient:
    """Connect as a proxy does for a client at this address."""
    headers = {"X-Forwarded-For": address}
    return RawClient(
        await connect(
            server.url, proxy=None, compression=None, max_size=None, additional_headers=headers
        )
    )


async def register(client: RawClient, name: str) -> dict[str, Any]:
    return await client.say(
        "register", user=name, real_name=name, password=f"secret-{name}", country="Peru"
    )


async def auth(client: RawClient, name: str, password: str = "") -> dict[str, Any]:
    return await client.say("auth", user=name, password=password or f"secret-{name}")


def assert_limited(reply: dict[str, Any], longest: float) -> None:
    """The refusal says that and when the same may succeed."""
    assert (reply["status"], reply.get("code")) == ("ERROR", "rate_limited"), reply
    assert reply["temporary"] is True
    assert 0 < reply["retry_after"] <= longest


async def flood(client: RawClient, count: int) -> list[dict[str, Any]]:
    """Send so many pings at once and return their replies."""
    frames = [
        orjson.dumps({"command": "ping", "id": f"p{number}"}).decode() for number in range(count)
    ]

    async def pour() -> None:
        for frame in frames:
            await client.socket.send(frame)

    pouring = asyncio.create_task(pour())
    replies = [await client.reply() for _ in range(count)]
    await pouring
    assert [reply["id"] for reply in replies] == [f"p{number}" for number in range(count)]
    return replies


async def test_a_burst_of_1000_commands_passes_then_50_a_second(server: RealServer) -> None:
    """Contract 6: 50 commands/s a user with a burst of 1,000, over all sessions of the user."""
    alice = await RawClient.signed_in(server.url, "alice")
    phone = await RawClient.signed_in(server.url, "alice", register=False)
    bob = await RawClient.signed_in(server.url, "bob")
    begun = time.monotonic()
    replies = await flood(alice, BURST + 300)
    taken = time.monotonic() - begun
    passed = [reply for reply in replies if reply["status"] == "OK"]
    assert BURST <= len(passed) <= BURST + RATE * taken + 1
    refused = [reply for reply in replies if reply["status"] != "OK"]
    assert refused
    for reply in refused:
        assert_limited(reply, 1)
    assert_limited((await flood(phone, 20))[-1], 1)
    assert (await bob.ask("ping"))["time"] > 0
    # What it says is true: after the time it names, the same command passes.
    await asyncio.sleep(max(reply["retry_after"] for reply in refused[-1:]) + 0.5)
    await phone.ask("ping")
    for client in (alice, phone, bob):
        await client.close()


async def test_refused_commands_do_nothing(server: RealServer) -> None:
    """Contract 3: what was refused did not happen; seq has no gap for it."""
    amir = await RawClient.signed_in(server.url, "amir")
    budi = await RawClient.signed_in(server.url, "budi")
    for _ in range(BURST + 200):
        await amir.send("send", to="budi", text="x")
    replies = [await amir.reply() for _ in range(BURST + 200)]
    seqs = [reply["seq"] for reply in replies if reply["status"] == "OK"]
    assert len(seqs) < BURST + 200
    assert seqs == list(range(1, len(seqs) + 1))
    page = await budi.ask("history", conversation="amir")
    assert page["messages"][-1]["seq"] == len(seqs)
    await amir.close()
    await budi.close()


async def test_five_wrong_passwords_then_a_pause_for_this_address_and_account(
    proxied: RealServer,
) -> None:
    """Contract 6: wrong passwords 5 at once, then one per 10 s, for each pair; never a lock."""
    here, elsewhere = await at(proxied, "192.0.2.1"), await at(proxied, "192.0.2.2")
    for name in ("anna", "bert"):
        assert (await register(here, name))["status"] == "OK"
    for _ in range(WRONG_AT_ONCE):
        assert (await auth(here, "anna", "wrong-one"))["code"] == "bad_credentials"
    # In any case of letters, over a new connection too, and with the right password as well.
    again = await at(proxied, "192.0.2.1")
    assert_limited(await auth(here, "anna", "wrong-one"), 10)
    assert_limited(await auth(again, "ANNA", "wrong-one"), 10)
    assert_limited(await auth(again, "anna"), 10)
    assert (await auth(again, "bert"))["status"] == "OK"
    assert (await auth(elsewhere, "anna"))["status"] == "OK"
    for client in (here, elsewhere, again):
        await client.close()


async def test_right_passwords_are_not_counted(server: RealServer) -> None:
    """Contract 6: only wrong passwords are limited; many devices may sign in."""
    client = await RawClient.open(server.url)
    await register(client, "ayu")
    for _ in range(4 * WRONG_AT_ONCE):
        assert (await auth(client, "ayu"))["status"] == "OK"
    await client.close()


async def test_guesses_sent_at_once_are_not_checked_beyond_five(server: RealServer) -> None:
    """Contract 6: many connections that guess together get no more tries than one."""
    client = await RawClient.open(server.url)
    await register(client, "agus")
    guessers = [await RawClient.open(server.url) for _ in range(12)]
    replies = await asyncio.gather(*(auth(g, "agus", "wrong-one") for g in guessers))
    codes = sorted(reply["code"] for reply in replies)
    assert codes == ["bad_credentials"] * WRONG_AT_ONCE + ["rate_limited"] * 7
    for one in (client, *guessers):
        await one.close()


async def test_passwd_counts_wrong_old_passwords(server: RealServer) -> None:
    """Contract 6: guessing the old password of an open session is guessing, too."""
    arif = await RawClient.signed_in(server.url, "arif")
    for _ in range(WRONG_AT_ONCE):
        reply = await arif.say("passwd", old_password="wrong-one", new_password="another-one")
        assert reply["code"] == "bad_credentials"
    reply = await arif.say("passwd", old_password="secret-arif", new_password="another-one")
    assert_limited(reply, 10)
    await arif.close()


async def test_names_nobody_has_are_limited_alike(server: RealServer) -> None:
    """Contract 3: `bad_credentials` and its limits do not tell which names exist."""
    client = await RawClient.open(server.url)
    for _ in range(WRONG_AT_ONCE):
        assert (await auth(client, "nobody"))["code"] == "bad_credentials"
    assert_limited(await auth(client, "nobody"), 10)
    await client.close()


async def test_guessing_for_many_accounts_slows_nobody_elsewhere(proxied: RealServer) -> None:
    """DESIGN: addresses take turns at the password threads, a few hash times at most."""
    andi = await at(proxied, "192.0.2.1")
    await register(andi, "andi")
    begun = time.monotonic()
    for _ in range(5):
        assert (await auth(andi, "andi"))["status"] == "OK"
    alone = (time.monotonic() - begun) / 5
    guessers = [await at(proxied, "192.0.2.66") for _ in range(40)]

    async def guess(client: RawClient, number: int) -> None:
        for turn in range(3):
            await auth(client, f"victim-{number}-{turn}", "wrong-one")

    guessing = [asyncio.create_task(guess(g, number)) for number, g in enumerate(guessers)]
    await asyncio.sleep(0.1)
    slowest = 0.0
    for _ in range(5):
        begun = time.monotonic()
        assert (await auth(andi, "andi"))["status"] == "OK"
        slowest = max(slowest, time.monotonic() - begun)
    assert not all(task.done() for task in guessing), "they were done before the measure"
    for task in guessing:
        task.cancel()
    print(f"alone {alone * 1000:.0f} ms, beside 40 guessers {slowest * 1000:.0f} ms at most")
    assert slowest < 12 * alone + 0.2
    for client in (andi, *guessers):
        await client.close()


async def test_thirty_registrations_an_address_then_a_pause(proxied: RealServer) -> None:
    """Contract 6: 30 registrations per 10 min an address; names that are taken cost none."""
    here, elsewhere = await at(proxied, "198.51.100.1"), await at(proxied, "198.51.100.2")
    for number in range(REGISTRATIONS):
        assert (await register(here, f"user{number}"))["status"] == "OK"
        if number < 3:
            assert (await register(here, f"user{number}"))["code"] == "user_exists"
    assert_limited(await register(here, "late"), 600)
    assert (await auth(here, "late"))["code"] == "bad_credentials"
    assert (await register(elsewhere, "late"))["status"] == "OK"
    await here.close()
    await elsewhere.close()


async def test_forwarded_addresses_of_untrusted_peers_are_ignored(server: RealServer) -> None:
    """Contract 6: `X-Forwarded-For` counts only when the peer is in --trusted-proxies."""
    first = await at(server, "192.0.2.1")
    await register(first, "asep")
    for number in range(WRONG_AT_ONCE):
        client = await at(server, f"192.0.2.{number}")
        assert (await auth(client, "asep", "wrong-one"))["code"] == "bad_credentials"
        await client.close()
    last = await at(server, "192.0.2.99")
    assert_limited(await auth(last, "asep"), 10)
    await first.close()
    await last.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param("10.9.9.9, 203.0.113.1", "10.8.8.8, 203.0.113.1", id="invented-hops"),
        pytest.param("203.0.113.2", "203.0.113.2, 127.0.0.1", id="trusted-hops-behind"),
        pytest.param("nonsense", "203.0.113.3, <script>", id="no-addresses"),
    ],
)
async def test_only_the_hop_a_trusted_proxy_saw_is_believed(
    proxied: RealServer, first: str, second: str
) -> None:
    """Contract 6: what a client writes before the proxy's own entry changes nothing."""
    one, two = await at(proxied, first), await at(proxied, second)
    await register(one, "adele")
    for _ in range(WRONG_AT_ONCE):
        assert (await auth(one, "adele", "wrong-one"))["code"] == "bad_credentials"
    assert_limited(await auth(two, "adele"), 10)
    await one.close()
    await two.close()


async def test_more_than_1000_errors_in_a_minute_close_with_4502(server: RealServer) -> None:
    """Contract 6: the 1,000th error is answered; what is beyond closes this connection alone."""
    akira = await RawClient.signed_in(server.url, "akira")
    b = await RawClient.signed_in(server.url, "boris")
    for _ in range(MAX_ERRORS):
        await akira.socket.send('{"command": "nonsense"}')
    for _ in range(MAX_ERRORS):
        assert (await akira.reply())["code"] == "bad_command"
    await akira.ask("ping")
    await akira.socket.send('{"command": "nonsense"}')
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(LIMIT):
            while True:
                await akira.socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4502
    await b.ask("ping")
    again = await RawClient.signed_in(server.url, "akira", register=False)
    await again.close()
    await b.close()


async def test_without_limits_nothing_of_this_is_refused(real_server: RealServer) -> None:
    """Contract 6: `--rate-limits off` lifts all of these but the password length."""
    client = await RawClient.signed_in(real_server.url, "alice")
    assert {reply["status"] for reply in await flood(client, BURST + 200)} == {"OK"}
    for _ in range(WRONG_AT_ONCE + 2):
        assert (await auth(client, "alice", "wrong-one"))["code"] == "bad_credentials"
    for number in range(REGISTRATIONS + 2):
        assert (await register(client, f"user{number}"))["status"] == "OK"
    for _ in range(MAX_ERRORS + 10):
        await client.socket.send("{}")
    for _ in range(MAX_ERRORS + 10):
        assert (await client.reply())["code"] == "bad_command"
    short = await client.say(
        "register", user="short", real_name="S", password="12345", country="Peru"
    )
    assert short["code"] == "bad_arguments"
    await client.close()


async def test_closed_registration_is_forbidden(tmp_path: Path) -> None:
    """Contract 9: --registration closed; those who have accounts go on."""
    server = RealServer(tmp_path)
    server.start()
    try:
        alice = await RawClient.signed_in(server.url, "alice")
        await alice.close()
        assert server.stop() == 0
        server.options = ("--registration", "closed")
        server.start()
        alice = await RawClient.signed_in(server.url, "alice", register=False)
        reply = await register(alice, "bob")
        assert (reply["code"], "temporary" in reply) == ("forbidden", False)
        # Whether a name is taken is not told either.
        assert (await register(alice, "alice"))["code"] == "forbidden"
        await alice.close()
    finally:
        server.kill()
