"""Strangers at an address of their own, who flood, in a process of their own.

127.0.0.0/8 is this machine: each of its addresses is another peer for a server on 127.0.0.1. A
process of its own, because what is measured is the server, not the test beside it.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from contextlib import suppress
from multiprocessing.synchronize import Event

from tests.system.wire import BINARY, CONTINUATION, HANDSHAKE, PING, PONG, TEXT, frame, say

RATE = 1_000_000
"""Bytes a second that all of them send together."""
TICK = 0.05

FLOODS = {
    "pongs": frame(PONG, b""),
    "pings": frame(PING, b""),
    "large-pings": frame(PING, b"x" * 125),
    "empty-fragments": frame(CONTINUATION, b"", fin=False),
    "small-fragments": frame(CONTINUATION, b"x", fin=False),
    "unreadable-json": frame(TEXT, b"{"),
    "unknown-commands": frame(TEXT, b"x"),
    "blank": frame(TEXT, b""),
    "binary": frame(BINARY, b"x"),
    "commands": say("ping"),
    "tokens": say("resume", token="x"),
    "help": frame(TEXT, b"help"),
    "dear-json": frame(TEXT, b'{"command":"ping","a":[' + b"[]," * 5_000 + b"[]]}"),
    "deep-json": frame(TEXT, b'{"command":"ping","a":' + b"[" * 8_000 + b"]" * 8_000 + b"}"),
    "many-keys": frame(
        TEXT, b'{"command":"ping"' + b"".join(b',"%d":1' % n for n in range(1_500)) + b"}"
    ),
}
FIRST = {
    "empty-fragments": frame(TEXT, b"", fin=False),
    "small-fragments": frame(TEXT, b"x", fin=False),
    "half-frames": frame(TEXT, b"x" * 16_000)[:-15_999],
}


class Strangers:
    """`count` connections from one address that do one thing until told to stop.

    Each sends `first` before, and waits for an answer to it.
    """

    def __init__(
        self,
        port: int,
        what: str,
        *,
        count: int = 100,
        address: str = "127.0.0.2",
        first: bytes = b"",
    ) -> None:
        context = multiprocessing.get_context("fork")
        self._begun, self._stop = context.Event(), context.Event()
        self._process = context.Process(
            target=_run,
            args=(port, what, count, address, first, self._begun, self._stop),
            daemon=True,
        )

    def __enter__(self) -> Strangers:
        self._process.start()
        assert self._begun.wait(20), "the strangers did not begin"
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join(10)
        self._process.kill()


def connected(port: int, address: str, timeout: float = 10) -> socket.socket:
    """Return a connection from an address of this machine."""
    sock = socket.socket()
    sock.settimeout(timeout)
    sock.bind((address, 0))
    sock.connect(("127.0.0.1", port))
    return sock


def opened(port: int, address: str) -> socket.socket | None:
    """Return a WebSocket from an address, or None if it was not accepted."""
    sock = connected(port, address)
    try:
        sock.sendall(HANDSHAKE)
        if sock.recv(4096).startswith(b"HTTP/1.1 101"):
            return sock
    except OSError:
        pass
    sock.close()
    return None


def _run(
    port: int, what: str, count: int, address: str, first: bytes, begun: Event, stop: Event
) -> None:
    def another() -> None:
        sock = opened(port, address)
        if sock is not None:
            if first:
                sock.sendall(first)
                sock.recv(4096)
            sock.sendall(FIRST.get(what, b""))
            sock.setblocking(False)
            socks.append(sock)

    piece = FLOODS.get(what, b"x")
    socks: list[socket.socket] = []
    for _ in range(count):
        another()
    begun.set()
    each = max(1, int(RATE * TICK / count / len(piece)))
    while not stop.is_set():
        again = time.monotonic() + TICK
        for sock in tuple(socks):
            try:
                sock.send(piece * each)
            except BlockingIOError:
                continue
            except OSError:
                sock.close()
                socks.remove(sock)
                with suppress(OSError):
                    another()  # whoever was closed comes again
            if stop.is_set():
                return
        time.sleep(max(0.0, again - time.monotonic()))
