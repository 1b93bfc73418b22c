"""Under which names browsers may reach a server.

By DNS rebinding a page from elsewhere reaches a server under a name of the page's own: to a browser
both are then one site. So a name counts only if it is the server's. An IP address is nobody's name,
and no page from elsewhere has one in its address bar that leads here.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from urllib.parse import SplitResult, urlsplit

from shared.settings import split

NAME = re.compile(r"[A-Za-z0-9._-]{1,253}")
REFUSED = (
    "Browsers may not use this server under this name. Its operator can allow the name "
    "with --hosts.\n"
)


class Names:
    """The names of one server, besides those of loopback and all IP addresses.

    Args:
        hosts: Names.
        origins: Web origins, whose names are the server's too.
    """

    def __init__(self, hosts: Iterable[str], origins: Iterable[str] = ()) -> None:
        named = [urlsplit(origin.lower()).hostname or "" for origin in origins]
        self._names = {_folded(name) for name in (*hosts, *named) if NAME.fullmatch(name)}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def has(self, name: str) -> bool:
        """Tell whether a name or an address, without a port, is the server's."""
        name = _folded(name)
        if name == "localhost" or name.endswith(".localhost") or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def allow(self, host: str) -> bool:
        """Judge the value of a `Host` header (RFC 9110, section 7.2)."""
        found = parts(f"//{host}")
        return found is not None and found.netloc == host and self.has(found.hostname or "")


def checked(text: str) -> str:
    """Return a list of names, written with commas, as it is.

    Raises:
        ValueError: one of them is none.
    """
    for name in split(text):
        if not NAME.fullmatch(name):
            raise ValueError(f"{name} is no name such as chat.example.org")
    return text


def parts(text: str) -> SplitResult | None:
    """Return the parts of an address such as an origin; None if it names no host."""
    try:
        found = urlsplit(text)
        _ = found.port
    except ValueError:
        return None
    return found if found.hostname and "@" not in found.netloc else None


def _folded(name: str) -> str:
    return name.lower().rstrip(".")
