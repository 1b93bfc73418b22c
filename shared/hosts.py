"""The names under which browsers may reach a server.

With DNS rebinding, a foreign page reaches the server under the page's own name, and the browser
takes both for one site. So only the server's own names are accepted. IP addresses are accepted too:
no foreign page can have the server's IP address as its name.
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


class HostNames:
    """The names of one server, in addition to loopback and all IP addresses.

    Args:
        hosts: Host names.
        origins: Web origins, whose names count too.
    """

    def __init__(self, hosts: Iterable[str], origins: Iterable[str] = ()) -> None:
        named = [urlsplit(origin.lower()).hostname or "" for origin in origins]
        self._names = {_folded(name) for name in (*hosts, *named) if NAME.fullmatch(name)}

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names))

    def has(self, name: str) -> bool:
        """Tell whether a name or an address, without a port, is accepted."""
        name = _folded(name)
        if name == "localhost" or name.endswith(".localhost") or name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def allow(self, host: str) -> bool:
        """Tell whether the value of a `Host` header is accepted (RFC 9110, section 7.2)."""
        found = parts(f"//{host}")
        return found is not None and found.netloc == host and self.has(found.hostname or "")


def checked(text: str) -> str:
    """Validate a comma-separated list of names, and return it unchanged.

    Raises:
        ValueError: an item is not a host name.
    """
    for name in split(text):
        if not NAME.fullmatch(name):
            raise ValueError(f"{name} is no name such as chat.example.org")
    return text


def parts(text: str) -> SplitResult | None:
    """Return the parts of a URL such as an origin; None if it has no host."""
    try:
        found = urlsplit(text)
        _ = found.port
    except ValueError:
        return None
    return found if found.hostname and "@" not in found.netloc else None


def _folded(name: str) -> str:
    return name.lower().rstrip(".")
