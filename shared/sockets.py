"""Listening sockets: Unix sockets with paths of any length, and TCP on the next free port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

BACKLOG = 1_024
PORT_TRIES = 20
"""Further ports to try if one is taken."""
MAX_PATH_BYTES = 100
"""Bytes of a path that fit everywhere; Linux allows 108 (man 7 unix), some systems 104."""


UNHEARD = {
    errno.EADDRINUSE: "Another program listens there: stop that one, or give another port",
    errno.EACCES: "Ports below 1024 are root's: give a higher one and let a reverse proxy listen "
    "there, or grant CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "This machine has no such address: give one that it has, or 0.0.0.0 for "
    "all IPv4 and :: for all IPv6 addresses",
    errno.EAFNOSUPPORT: "This machine has no IPv6: give an IPv4 address",
}
"""The remedies for errors of listening."""


def not_listening(error: OSError) -> str:
    """Return why an address cannot be listened on, and the remedy."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}. Give an address of this machine, such as 0.0.0.0 or localhost"
    text = os.strerror(error.errno) if error.errno else str(error)
    hint = UNHEARD.get(error.errno or 0)
    return f"{text}. {hint}" if hint else text


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Yield a short path to the same socket."""
    if len(os.fsencode(path)) < MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def bind_unix(path: Path) -> socket.socket:
    """Return a socket bound to `path` that only this account may open; replaces an old one.

    Raises:
        OSError: the folder cannot hold a socket.
    """
    path.unlink(missing_ok=True)
    bound = socket.socket(socket.AF_UNIX)
    try:
        with short(path) as fitting:
            bound.bind(fitting)
        path.chmod(0o600)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound


def listen(hosts: Sequence[str], port: int, tries: int = PORT_TRIES) -> list[socket.socket]:
    """Return sockets listening at all hosts on one port: `port`, or the next free one.

    An address of localhost that the machine lacks, such as ::1 without IPv6, is left out.

    Args:
        port: 0 takes any free port.
        tries: How many further ports may be tried.

    Raises:
        OSError: no port is free, or a host is not an address of this machine.
    """
    for number in range(port, min(port + tries, 65_535) + 1) if port else [0]:
        try:
            return _listen(hosts, number)
        except OSError as error:
            last = error
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                break
    raise last


def _listen(hosts: Sequence[str], port: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    with ExitStack() as stack:
        for host in hosts:
            found = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = socket.socket(found[0], socket.SOCK_STREAM)
            stack.callback(listening.close)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if found[0] == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                listening.bind((found[4][0], port))
            except OSError as error:
                if bound and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    continue
                raise
            listening.listen(BACKLOG)
            listening.setblocking(False)
            port = listening.getsockname()[1]
            bound.append(listening)
        stack.pop_all()
    return bound
