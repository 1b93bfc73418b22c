"""IP addresses, and the network that each stands for in limits."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

MAX_CACHED_ADDRESSES = 4_096
"""Addresses whose network is cached."""


@lru_cache(MAX_CACHED_ADDRESSES)
def network(address: str) -> str:
    """Return the unit that limits count for an address; for IPv6, its /64.

    A provider gives each customer at least a /64 (RFC 6177). IPv4-mapped IPv6 addresses count as
    the IPv4 addresses. A text that is not an address is returned unchanged.
    """
    found = _parsed(address)
    if found is None:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


@lru_cache(MAX_CACHED_ADDRESSES)
def site(address: str) -> str | None:
    """Return the /48 of an IPv6 address, which one customer may have; None for IPv4."""
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((found, 48), strict=False))
    return None


@lru_cache(MAX_CACHED_ADDRESSES)
def neighbourhood(address: str) -> str:
    """Return the /48 of an IPv6 address, the /24 of an IPv4 one: what may be one party's.

    A text that is not an address is returned unchanged.
    """
    found = _parsed(address)
    if isinstance(found, ipaddress.IPv4Address):
        return str(ipaddress.ip_network((found, 24), strict=False))
    return site(address) or address


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found
