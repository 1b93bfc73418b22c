"""The web pages that may use the realm's port: pure rules on the head of a request.

A browser lets any page open a WebSocket to any server, from the visitor's network. The browser
names the page in `Origin` (RFC 6455, section 10.2). By DNS rebinding, a page can also reach this
server under the page's own host name; so the name in `Host` must be the server's. Programs send no
`Origin`, and may use any name.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from http import HTTPStatus
from urllib.parse import SplitResult

from websockets.datastructures import Headers

from shared.hosts import REFUSED, HostNames, parts

DEFAULT_PORTS = {"http": 80, "https": 443}
OPEN_PATHS = ("/healthz", "/readyz")
"""Answered for any name: the responses reveal nothing, and monitors often look like browsers."""
Refusal = tuple[HTTPStatus, str]


class Browsers:
    """The host names and pages that the operator allows."""

    def __init__(
        self, hosts: Sequence[str], origins: Sequence[str], ports: Collection[int]
    ) -> None:
        """Set what is allowed.

        Args:
            hosts: Names of the server, besides loopback names and IP addresses.
            origins: Origins of pages that may connect; their host names count as the server's, too.
            ports: Ports at which the server's own pages are served.
        """
        self._origins = {origin.rstrip("/").lower() for origin in origins}
        self._names = HostNames(hosts, self._origins)
        self.ports = set(ports)

    def refusal(self, path: str, headers: Headers) -> Refusal | None:
        """Return the status and text that refuse a request; None if it is allowed."""
        origins, hosts = headers.get_all("Origin"), headers.get_all("Host")
        if len(origins) > 1 or len(hosts) > 1:
            return HTTPStatus.BAD_REQUEST, "Origin and Host may occur only once.\n"
        if not (origins or looks_like_browser(headers)) or path in OPEN_PATHS:
            return None
        host = parts(f"//{hosts[0]}" if hosts else "")
        if host is None or not self._names.allow(hosts[0]):
            return HTTPStatus.FORBIDDEN, REFUSED
        if origins and not self._may_connect(origins[0].rstrip("/").lower(), host):
            return (
                HTTPStatus.FORBIDDEN,
                "Pages of other origins may not use this server. Its operator can allow this "
                "one with --origins.\n",
            )
        return None

    def _may_connect(self, origin: str, host: SplitResult) -> bool:
        """Return whether a page is listed, or is this server's own."""
        if origin in self._origins:
            return True
        page = parts(origin)
        if page is None or page.scheme not in DEFAULT_PORTS or page.hostname != host.hostname:
            return False
        default = DEFAULT_PORTS[page.scheme]
        return (page.port or default) in {host.port or default, *self.ports}


def looks_like_browser(headers: Headers) -> bool:
    """Return whether a request without an `Origin` looks like a browser's."""
    if any(name.lower().startswith("sec-fetch-") for name in headers):
        return True
    return any(agent.startswith("Mozilla/") for agent in headers.get_all("User-Agent"))
