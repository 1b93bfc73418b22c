"""How another realm is dialled: which addresses are never, and how one socket is opened to it.

A name is resolved once, every address it has is judged, and the socket goes to an address that was
judged, so that nobody can have the server look at what only the server can reach. `ipaddress`'s
`is_global` is no such test: it calls 6to4, NAT64 and IPv4-compatible spellings of private addresses
global (Python 3.11), so the ranges are listed here.
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
"""Seconds for one address to take the connection."""
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
"""Unspecified, link-local, multicast, reserved, tunnel and documentation addresses: no realm's."""
PRIVATE = _networks(
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "64:ff9b:1::/48", "fc00::/7", "fec0::/10"),
)
"""This machine and its own network, which a public realm does not dial for strangers."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")
_LABEL = re.compile(r"(?![-])[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOOKUPS = threading.BoundedSemaphore(16)
"""Names that are looked up at once, those nobody waits for any more included."""


class Unreachable(Exception):
    """No connection; whoever asked is told no more than that."""


def read_address(address: str) -> tuple[str, bool]:
    """Return the host in an address as `addrealm` takes it, in one spelling, and whether with TLS.

    Raises:
        Unreachable: it is no host name, IPv4 or IPv6 address with at most `ws://` or `wss://`
            before it. Spellings that only some programs take for an IPv4 address (`127.1`,
            `0x7f.1`, `2130706433`) are none.
    """
    scheme, mark, host = address.rpartition("://")
    if mark and scheme.lower() not in ("ws", "wss"):
        raise Unreachable("no scheme of a realm")
    if host.startswith("[") and host.endswith("]"):
        if ":" not in host:
            raise Unreachable("no IPv6 address")
        host = host[1:-1]
    return read_host(host), scheme.lower() == "wss"


def read_host(host: str) -> str:
    """Return a host in one spelling: a name in ASCII and lower case, or an IP address.

    Raises:
        Unreachable: it is none.
    """
    if ":" in host:
        with suppress(ValueError):
            if "%" not in host:
                return str(ipaddress.IPv6Address(host))
        raise Unreachable("no IPv6 address")
    try:
        name = host.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise Unreachable("no host name") from None
    labels = name.split(".")
    if len(name) > MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise Unreachable("no host name")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            raise Unreachable("no IPv4 address") from None
    return name


def meant(address: Ip) -> tuple[Ip, ...]:
    """Return an address and the IPv4 addresses that it stands for, if it is an IPv6 one."""
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
    """Tell whether a realm may be dialled there.

    Args:
        public: This realm faces the internet, so that its own network is not for strangers to see.
    """
    networks = NEVER + PRIVATE if public else NEVER
    return not any(
        spelling in network
        for spelling in meant(address)
        for network in networks
        if network.version == spelling.version
    )


def is_own(address: Ip) -> bool:
    """Tell whether an address is one of this machine's."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as asking:
        # Nothing is sent: the system only chooses where it would send from.
        asking.connect((str(address), 9))
        return ipaddress.ip_address(asking.getsockname()[0]) == address
    return False


async def resolve(host: str, port: int, public: bool) -> list[Ip]:
    """Return the addresses of a host, in the system's order.

    Args:
        host: As `read_host` returns it.

    Raises:
        Unreachable: there is none, or any of them may not be dialled.
    """
    try:
        addresses: list[Ip] = [ipaddress.ip_address(host)]
    except ValueError:
        addresses = list(dict.fromkeys(await _look_up(host, port)))
    # All of them: a name that also points inside is one that somebody made to look inside.
    if not addresses or not all(may_dial(address, public) for address in addresses):
        raise Unreachable("an address that is not dialled")
    if public and any(is_own(address) for address in addresses):
        raise Unreachable("an address of this machine")
    return addresses[:MAX_ADDRESSES]


async def _look_up(host: str, port: int) -> list[Ip]:
    """Ask the system for a name's addresses, in a thread that may outlive whoever asks.

    Raises:
        Unreachable: it has none, or too many names are being looked up.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[Ip]] = loop.create_future()
    if not _LOOKUPS.acquire(blocking=False):
        raise Unreachable("too many names are looked up")

    def tell(addresses: list[Ip]) -> None:
        if not found.done():
            found.set_result(addresses)

    def ask() -> None:
        addresses: list[Ip] = []
        try:
            with suppress(OSError, UnicodeError):
                infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                hosts = (str(info[4][0]).partition("%")[0] for info in infos)
                addresses = [ipaddress.ip_address(host) for host in hosts]
        finally:
            _LOOKUPS.release()
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, addresses)

    # A daemon, as a resolver may take half a minute, and stopping waits for no other thread.
    threading.Thread(target=ask, name="resolve", daemon=True).start()
    return await found


async def dial(host: str, port: int, public: bool) -> socket.socket:
    """Return a connected socket to the first address that answers.

    Raises:
        Unreachable: none does.
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
    raise Unreachable("nobody answers")
