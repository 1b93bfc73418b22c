"""Which pages in browsers may use the realm's port: pure rules on the head of a request.

A browser opens a WebSocket to anywhere for any page, with the addresses of its visitor; it says in
`Origin` which page asks (RFC 6455, section 10.2). By DNS rebinding a page may also reach a server
under a name of its own; so a name in `Host` counts only if it is the server's. Programs send no
`Origin` and may use any name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from http import HTTPStatus
from urllib.parse import SplitResult

from websockets.datastructures import Headers

from shared.hosts import REFUSED, HostNames, parts

DEFAULT_PORTS = {"http": 80, "https": 443}
OPEN_PATHS = ("/healthz", "/readyz")
"""Answered whatever the name: they tell nothing, and watchers often pass for browsers."""
Refusal = tuple[HTTPStatus, str]


class Browsers:
    """The names and pages that an operator allows."""

    def __init__(
        self, hosts: Sequence[str], origins: Sequence[str], ports: Collection[int]
    ) -> None:
        """Keep what is allowed.

        Args:
            hosts: Names of the server, besides those of loopback and IP addresses.
            origins: Pages that may connect; their names are the server's, too.
            ports: Where the server's own pages may be served.
        """
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._names = HostNames(hosts, self._origins)
        self.ports = set(ports)

    def refusal(self, path: str, headers: Headers) -> Refusal | None:
        """Return why a request is refused, or None."""
        origins, hosts = headers.get_all("Origin"), headers.get_all("Host")
        if len(origins) > 1 or len(hosts) > 1:
            return HTTPStatus.BAD_REQUEST, "Origin and Host come once at most.\n"
        if not (origins or looks_like_browser(headers)) or path in OPEN_PATHS:
            return None
        host = parts(f"//{hosts[0]}" if hosts else "")
        if host is None or not self._names.allow(hosts[0]):
            return HTTPStatus.FORBIDDEN, REFUSED
        if origins and not self._may_connect(origins[0].rstrip("/").lower(), host):
            return (
                HTTPStatus.FORBIDDEN,
                "Pages from elsewhere may not use this server. Its operator can allow this "
                "one with --origins.\n",
            )
        return None

    def _may_connect(self, origin: str, host: SplitResult) -> bool:
        """Judge a page: it is listed, or this server's own."""
        if origin in self._origins:
            return True
        page = parts(origin)
        if page is None or page.scheme not in DEFAULT_PORTS or page.hostname != host.hostname:
            return False
        default = DEFAULT_PORTS[page.scheme]
        return (page.port or default) in {host.port or default, *self.ports}


def looks_like_browser(headers: Headers) -> bool:
    """Tell whether a request without an `Origin` comes from a browser."""
    if any(name.lower().startswith("sec-fetch-") for name in headers):
        return True
    return any(agent.startswith("Mozilla/") for agent in headers.get_all("User-Agent"))
