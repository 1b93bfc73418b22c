"""How another realm is dialled: which addresses are never, and how one socket is opened to it.

A name is resolved once, every address it has is judged, and the socket goes to an address that was
judged, so that nobody can have the server look at what only the server can reach. `ipaddress`'s
`is_global` is no such test: it calls 6to4, NAT64 and IPv4-compatible spellings of private addresses
global (Python 3.11), so the ranges are listed here.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from contextlib import suppress

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECT_TIMEOUT = 5.0
"""Seconds for one address to take the connection."""
MAX_ADDRESSES = 8
"""Addresses of one name that are tried."""


def _networks(*texts: str) -> list[Network]:
    return [ipaddress.ip_network(text) for text in texts]


# IANA's special-purpose registries (RFC 6890 and its updates).
NEVER = _networks(
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "100::/64", "2001:db8::/32", "fe80::/10", "ff00::/8"),
)
"""Unspecified, link-local, multicast, reserved and documentation addresses: nobody's realm."""
PRIVATE = _networks(
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "fc00::/7", "fec0::/10"),
)
"""This machine and its own network, which a public realm does not dial for strangers."""
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_COMPATIBLE = ipaddress.ip_network("::/96")


class Unreachable(Exception):
    """No connection; whoever asked is told no more than that."""


def meant(address: Ip) -> Ip:
    """Return the IPv4 address that an IPv6 one stands for, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.sixtofour is not None:
            return address.sixtofour
        if address.teredo is not None:
            return address.teredo[1]
        embeds = address in _NAT64 or (address in _COMPATIBLE and int(address) > 1)
        if embeds:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def may_dial(address: Ip, public: bool) -> bool:
    """Tell whether a realm may be dialled there.

    Args:
        public: This realm faces the internet, so that its own network is not for strangers to see.
    """
    for spelling in (address, meant(address)):
        networks = NEVER + PRIVATE if public else NEVER
        if any(spelling in network for network in networks if network.version == spelling.version):
            return False
    return True


async def resolve(host: str, port: int, public: bool) -> list[Ip]:
    """Return the addresses of a host, in the system's order.

    Raises:
        Unreachable: there is none, or any of them may not be dialled.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
        )
    except (OSError, UnicodeError, ValueError) as error:
        raise Unreachable("no such host") from error
    addresses = [ipaddress.ip_address(str(item[4][0]).partition("%")[0]) for item in found]
    # All of them: a name that also points inside is one that somebody made to look inside.
    if not addresses or not all(may_dial(address, public) for address in addresses):
        raise Unreachable("an address that is not dialled")
    return list(dict.fromkeys(addresses))[:MAX_ADDRESSES]


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
