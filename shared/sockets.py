"""Sockets to listen on: Unix sockets whatever the length of their path, and the next free port."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

BACKLOG = 1_024
TRIES = 20
"""Further ports that are tried if one is taken."""
LONGEST = 100
"""Bytes that surely fit; the system has 108 for a path (man 7 unix), some others 104."""


UNHEARD = {
    errno.EADDRINUSE: "Another program listens there: stop that one, or give another port",
    errno.EACCES: "Ports below 1024 are root's: give a higher one and let a reverse proxy listen "
    "there, or grant CAP_NET_BIND_SERVICE",
    errno.EADDRNOTAVAIL: "This machine has no such address: give one that it has, or 0.0.0.0 for "
    "all IPv4 and :: for all IPv6 addresses",
    errno.EAFNOSUPPORT: "This machine has no IPv6: give an IPv4 address",
}
"""What to do when nothing can be listened on."""


def not_listening(error: OSError) -> str:
    """Return in words why an address cannot be listened on, and what to do."""
    if isinstance(error, socket.gaierror):
        return f"{error.strerror}. Give an address of this machine, such as 0.0.0.0 or localhost"
    text = os.strerror(error.errno) if error.errno else str(error)
    hint = UNHEARD.get(error.errno or 0)
    return f"{text}. {hint}" if hint else text


@contextmanager
def short(path: Path) -> Iterator[str]:
    """Give a path to the same socket that fits."""
    if len(os.fsencode(path)) < LONGEST:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def bind_unix(path: Path) -> socket.socket:
    """Return a socket bound to `path` that only this account may open; an old one is replaced.

    Raises:
        OSError: the folder takes no socket.
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


def listen(hosts: Sequence[str], port: int, tries: int = TRIES) -> list[socket.socket]:
    """Return sockets that listen at all hosts on one port: `port`, or the next one that is free.

    A host of localhost that the machine does not have, as ::1 without IPv6, is left out.

    Args:
        port: 0 takes any that is free.
        tries: How many ports after it may be tried.

    Raises:
        OSError: none is free, or a host is no address of this machine.
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
