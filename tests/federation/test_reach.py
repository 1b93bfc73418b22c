"""Rules of dialling: every spelling of an address is checked by the address it stands for."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ws_server.federation.handshake import dial_policy
from ws_server.federation.handshake.dial_policy import (
    NEVER,
    PRIVATE,
    Ip,
    Unreachable,
    dial,
    is_own,
    may_dial,
    read_address,
    resolve,
)

OUTSIDE = ["1.1.1.1", "93.184.215.14", "172.32.0.1", "192.169.0.1", "100.128.0.1", "2606:4700::1"]
INSIDE = ["127.0.0.1", "127.9.9.9", "10.1.2.3", "172.31.0.1", "192.168.1.1", "100.64.0.1"]
INSIDE6 = ["::1", "fd00::1", "fec0::1", "64:ff9b:1::1"]
NOBODYS = ["0.0.0.0", "0.1.2.3", "169.254.169.254", "224.0.0.1", "255.255.255.255", "192.0.2.1"]
NOBODYS6 = ["::", "fe80::1", "ff02::1", "2001:db8::1", "2001::1", "100::1"]


def spellings(address: str) -> list[str]:
    """Return the IPv6 addresses that stand for an IPv4 one."""
    number = int(ipaddress.IPv4Address(address))
    high, low = f"{number >> 16:x}", f"{number & 0xFFFF:x}"
    turned = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{high}:{low}",
        f"64:ff9b::{high}:{low}",
        f"2002:{high}:{low}::1",
        f"2001:0:101:101:0:0:{turned >> 16:x}:{turned & 0xFFFF:x}",
        f"2001:0:{high}:{low}:0:0:fefe:fefe",
        *([f"::{high}:{low}"] if number > 1 else []),
    ]


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_dialled_by_all(address: str) -> None:
    assert may_dial(ipaddress.ip_address(address), public=True)
    assert may_dial(ipaddress.ip_address(address), public=False)


@pytest.mark.parametrize("address", INSIDE + INSIDE6)
def test_an_address_of_ones_own_network_is_dialled_unless_the_realm_is_public(address: str) -> None:
    assert may_dial(ipaddress.ip_address(address), public=False)
    assert not may_dial(ipaddress.ip_address(address), public=True)


@pytest.mark.parametrize("address", NOBODYS + NOBODYS6)
def test_an_address_that_is_nobodys_is_never_dialled(address: str) -> None:
    assert not may_dial(ipaddress.ip_address(address), public=False)


@pytest.mark.parametrize("address", INSIDE + NOBODYS)
def test_an_ipv6_spelling_of_a_forbidden_ipv4_address_is_forbidden_too(address: str) -> None:
    for spelling in spellings(address):
        assert not may_dial(ipaddress.ip_address(spelling), public=True), spelling


@given(st.ip_addresses(v=4))
def test_a_spelling_is_never_dialled_where_its_meaning_is_not(address: Ip) -> None:
    for public in (True, False):
        for spelling in spellings(str(address)):
            if may_dial(ipaddress.ip_address(spelling), public):
                assert may_dial(address, public)


@given(st.sampled_from(NEVER + PRIVATE), st.data())
def test_no_address_of_a_listed_range_is_dialled_by_a_public_realm(
    network: dial_policy.Network, data: st.DataObject
) -> None:
    offset = data.draw(st.integers(0, network.num_addresses - 1))
    assert not may_dial(network[offset], public=True)


@pytest.mark.parametrize(
    "written, host, tls",
    [
        ("localhost", "localhost", False),
        ("ws://Chat.Example.ORG", "chat.example.org", False),
        ("WSS://chat.example.org.", "chat.example.org", True),
        ("192.168.1.7", "192.168.1.7", False),
        ("[2001:DB8::0:1]", "2001:db8::1", False),
        ("wss://[::1]", "::1", True),
        ("::1", "::1", False),
        ("bücher.example", "xn--bcher-kva.example", False),
        ("my_realm", "my_realm", False),
        ("1.2.3.4.example", "1.2.3.4.example", False),
        ("１２７.0.0.1", "127.0.0.1", False),
    ],
)
def test_a_host_has_one_spelling(written: str, host: str, tls: bool) -> None:
    assert read_address(written) == (host, tls)


@pytest.mark.parametrize(
    "written",
    [
        *("", ".", "..", "a..b", "example.org..", "-a.example", "a-.example", "a b", "a\tb"),
        *("http://localhost", "wss:localhost", "://localhost", "ws://ws://localhost", "ws://"),
        *("localhost/", "localhost/path", "localhost?x", "localhost#x", "localhost:8765"),
        *("user@localhost", "user:pw@localhost", "localhost\\@example.org", "%6cocalhost"),
        *("127.1", "127.0.1", "0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.0.0.01"),
        *("1.2.3.4.5", "1.2.3.256", "1.2.3.0x4", "999"),
        *(
            "[::1",
            "::1]",
            "[127.0.0.1]",
            "[localhost]",
            "fe80::1%eth0",
            "[::1%1]",
            ":::",
            "1::2::3",
        ),
        *("a" * 64, ".".join(["a" * 50] * 6), "a" * 255, "xn--\udcff", "bü" * 40 + ".example"),
    ],
)
def test_what_is_no_host_is_refused_before_anything_is_looked_up(written: str) -> None:
    with pytest.raises(Unreachable):
        read_address(written)


@given(st.text(max_size=60))
def test_any_text_is_a_host_or_refused(text: str) -> None:
    try:
        host, _ = read_address(text)
    except Unreachable:
        return
    assert read_address(host)[0] == host and host.isascii() and not set(host) & set("/@?#% []")


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Make each lookup of any name return the next answer; return the list of looked-up names."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_: object) -> list[object]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(0, 0, 0, "", (address, port)) for address in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


async def test_one_address_inside_spoils_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["1.1.1.1", "2606:4700::1", "::ffff:10.0.0.1"])
    with pytest.raises(Unreachable):
        await resolve("both.example", 80, public=True)
    assert len(await resolve("both.example", 80, public=False)) == 3


async def test_a_name_is_looked_up_once_and_what_was_judged_is_dialled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The first answer is this machine, where the test listens; that of a second lookup is not.
    with socket.create_server(("127.0.0.1", 0)) as listening:
        asked = names(monkeypatch, ["127.0.0.1"], ["169.254.169.254"])
        opened = await dial("rebinding.example", listening.getsockname()[1], public=False)
        assert opened.getpeername()[0] == "127.0.0.1"
        opened.close()
    assert asked == ["rebinding.example"]


async def test_a_name_without_an_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, [])
    with pytest.raises(Unreachable):
        await resolve("nowhere.example", 80, public=False)


async def test_look_ups_that_hang_are_bounded_and_hold_up_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hanging = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hanging.wait(60) and [])
    waiting = [asyncio.create_task(resolve(f"n{i}.example", 80, False)) for i in range(16)]
    await asyncio.sleep(0)
    began = time.monotonic()
    with pytest.raises(Unreachable):
        await resolve("one.more.example", 80, public=False)
    assert await resolve("127.0.0.1", 80, public=False)
    assert time.monotonic() - began < 5
    hanging.set()
    await asyncio.gather(*waiting, return_exceptions=True)


def test_this_machines_own_addresses_are_known_as_such() -> None:
    assert is_own(ipaddress.ip_address("127.0.0.1"))
    assert not is_own(ipaddress.ip_address("192.0.2.1"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        with suppress(OSError):  # a machine without a network
            asking.connect(("192.0.2.1", 9))
        own = asking.getsockname()[0]
    assert own == "0.0.0.0" or is_own(ipaddress.ip_address(own))


async def test_a_public_realm_does_not_dial_its_own_machine_by_its_outer_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dial_policy, "is_own", lambda address: str(address) == "1.1.1.1")
    with pytest.raises(Unreachable):
        await resolve("1.1.1.1", 80, public=True)
    assert await resolve("1.0.0.1", 80, public=True)
    assert await resolve("1.1.1.1", 80, public=False)
