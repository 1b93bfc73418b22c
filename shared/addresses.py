"""Addresses of the network, and how much of it one of them stands for."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

KEPT = 4_096
"""Addresses whose network is remembered."""


@lru_cache(KEPT)
def network(address: str) -> str:
    """Return whom limits count for an address: of IPv6, the /64 around it.

    One customer of a provider has at least so many addresses (RFC 6177). IPv4 addresses that are
    mapped into IPv6 are the IPv4 addresses; what is no address stays as it is.
    """
    found = _parsed(address)
    if found is None:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


@lru_cache(KEPT)
def site(address: str) -> str | None:
    """Return the /48 around an IPv6 address, which one customer may have; None for IPv4."""
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 48), strict=False))
    return None


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
