"""Rules for dialling another realm: which addresses are allowed, and how its socket is opened.

A name is resolved once, all its addresses are checked, and the socket connects to a checked
address. So nobody can make the server probe a network that only the server can reach (SSRF).
`ipaddress`'s `is_global` does not suffice: it accepts 6to4, NAT64 and IPv4-compatible spellings of
private addresses (Python 3.11). Therefore the ranges are listed here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import threading
from contextlib import suppress

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECT_TIMEOUT = 4.0
"""Seconds for one address to accept the connection."""
MAX_ADDRESSES = 8
"""Addresses of one name that are tried."""
MAX_HOST = 253
"""Characters of a host name (RFC 1035)."""


def _networks(*texts: str) -> list[Network]:
    return [ipaddress.ip_network(text) for text in texts]


# IANA's special-purpose registries (RFC 6890 and its updates).
NEVER = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
    *("fe80::/10", "ff00::/8"),
)
"""Unspecified, link-local, multicast, reserved, tunnel and documentation addresses."""
PRIVATE = _networks(
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "64:ff9b:1::/48", "fc00::/7", "fec0::/10"),
)
"""This machine and private networks, which a public realm does not dial on behalf of users."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_LABEL = re.compile(r"(?![-])[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOOKUPS = threading.BoundedSemaphore(16)
"""Concurrent name lookups, including those whose caller has given up."""


class Unreachable(Exception):
    """No connection. Users are shown this fact only, so that they cannot scan a network."""


def read_address(address: str) -> tuple[str, bool]:
    """Parse an address of `addrealm`: return its host in canonical form, and whether it has TLS.

    Args:
        address: A host name, an IPv4 or an IPv6 address, after an optional `ws://` or `wss://`.

    Raises:
        Unreachable: the address is malformed. IPv4 addresses that only some programs accept
            (`127.1`, `0x7f.1`, `2130706433`) are malformed.
    """
    scheme, mark, host = address.rpartition("://")
    if mark and scheme.lower() not in ("ws", "wss"):
        raise Unreachable("the scheme must be ws:// or wss://")
    if host.startswith("[") and host.endswith("]"):
        if ":" not in host:
            raise Unreachable("not an IPv6 address")
        host = host[1:-1]
    return read_host(host), scheme.lower() == "wss"


def read_host(host: str) -> str:
    """Return a host in canonical form: a name in ASCII and lower case, or an IP address.

    Raises:
        Unreachable: the text is neither a host name nor an IP address.
    """
    if ":" in host:
        with suppress(ValueError):
            if "%" not in host:
                return str(ipaddress.IPv6Address(host))
        raise Unreachable("not an IPv6 address")
    try:
        name = host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise Unreachable("not a host name") from None
    labels = name.split(".")
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise Unreachable("not a host name")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise Unreachable("not an IPv4 address") from None
    return name


def meant(address: Ip) -> tuple[Ip, ...]:
    """Return an address and, for an IPv6 address, the IPv4 addresses embedded in it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    embedded: list[Ip] = [address]
    if address.sixtofour is not None:
        embedded.append(address.sixtofour)
    if address.teredo is not None:
        embedded += address.teredo
    is_compatible = address in _COMPATIBLE and int(address) > 1
    if address.ipv4_mapped is not None or address in _NAT64 or is_compatible:
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(embedded)


def may_dial(address: Ip, public: bool) -> bool:
    """Return whether an address may be dialled.

    Args:
        public: This realm faces the internet, so users must not reach its private network.
    """
    networks = NEVER + PRIVATE if public else NEVER
    return not any(
        spelling in network
        for spelling in meant(address)
        for network in networks
        if network.version == spelling.version
    )


def is_own(address: Ip) -> bool:
    """Return whether an address belongs to this machine."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        # `connect` on a UDP socket sends nothing; the system only selects a source address.
        probe.connect((str(address), 9))
        return ipaddress.ip_address(probe.getsockname()[0]) == address
    return False


async def resolve(host: str, port: int, public: bool) -> list[Ip]:
    """Resolve a host to at most MAX_ADDRESSES addresses, in the system's order.

    Args:
        host: A result of `read_host`.
        public: As for `may_dial`.

    Raises:
        Unreachable: the host has no address, or one that may not be dialled.
    """
    try:
        addresses: list[Ip] = [ipaddress.ip_address(host)]
    except ValueError:
        addresses = list(dict.fromkeys(await _look_up(host, port)))
    # One forbidden address rejects the host: a name that mixes both kinds is an attack.
    if not addresses or not all(may_dial(address, public) for address in addresses):
        raise Unreachable("the address may not be dialled")
    if public and any(is_own(address) for address in addresses):
        raise Unreachable("the address is this machine's own")
    return addresses[:MAX_ADDRESSES]


async def _look_up(host: str, port: int) -> list[Ip]:
    """Resolve a name in a thread, which may outlive its caller.

    Returns:
        The addresses; empty if the name does not resolve.

    Raises:
        Unreachable: too many lookups are running.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Ip]] = loop.create_future()
    if not _LOOKUPS.acquire(blocking=False):
        raise Unreachable("too many name lookups are running")

    def resolved(addresses: list[Ip]) -> None:
        if not found.done():
            found.set_result(addresses)

    def look_up() -> None:
        addresses: list[Ip] = []
        try:
            with suppress(OSError, UnicodeError):
                infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                hosts = (str(info[4][0]).partition("%")[0] for info in infos)
                addresses = [ipaddress.ip_address(host) for host in hosts]
        finally:
            _LOOKUPS.release()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(resolved, addresses)

    # A daemon thread: a resolver may need half a minute, and must not delay the server's exit.
    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    return await found


async def dial(host: str, port: int, public: bool) -> socket.socket:
    """Return a socket connected to the first address that accepts.

    Raises:
        Unreachable: no address accepts, or `resolve` raised it.
    """
    loop = asyncio.get_running_loop()
    for address in await resolve(host, port, public):
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        opened = socket.socket(family, socket.SOCK_STREAM)
        opened.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await loop.sock_connect(opened, (str(address), port))
            with suppress(OSError):
                opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        except (OSError, TimeoutError):
            opened.close()
        except BaseException:
            opened.close()
            raise
    raise Unreachable("no answer")
