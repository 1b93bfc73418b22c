"""Whatever strangers send, the log has only lines that docs/observability.md explains."""

from __future__ import annotations

import random
import re
import socket
import ssl
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realserver import RealServer
from tests.system.proxies import make_certificate
from tests.system.wire import BINARY, CLOSE, CONTINUATION, HANDSHAKE, PING, TEXT, frame
from tests.test_observability import rows

pytestmark = pytest.mark.system

CHANCE = random.Random(20)
HEADER = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
UNSPOKEN = [
    b"",
    b"\r\n\r\n",
    b"\0" * 64,
    bytes(CHANCE.randbytes(4_096)),
    b"GET / HTTP/0.9\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + CHANCE.randbytes(300),
    b"\x16\x03\x01\xff\xff" + CHANCE.randbytes(64),
    b"\x15\x03\x03\x00\x02\x02\x28",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\nx",
    b"GET /%00%0a%0dlevel=error HTTP/1.1\r\nHost: x\nlevel=error\r\n\r\n",
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://example.org/ HTTP/1.1\r\nHost: example.org\r\n\r\n",
    HEADER + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
    HEADER + b"Origin: https://a\r\nOrigin: https://b\r\n\r\n",
    HEADER + b"X-Forwarded-For: \xff\xfe, 1.2.3.4, ::1%x\r\nUpgrade: websocket\r\n\r\n",
    HEADER + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n",
    HEADER + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"\xff\xfe" + HEADER + b"\r\n",
    HANDSHAKE.replace(b"Version: 13", b"Version: 99"),
    HANDSHAKE.replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
    HANDSHAKE[:-3],
]
"""What is no handshake, or a bad one."""
SPOKEN = [
    b"",
    b"\0\0",
    CHANCE.randbytes(2_000),
    frame(TEXT, b"hi", masked=False),
    frame(TEXT, b"\xff\xfe\xfd"),
    frame(TEXT, b"{" * 10_000),
    frame(TEXT, b"[" * 10_000),
    frame(TEXT, b'{"command":"auth","user":"\\ud800","password":"\\u0000"}'),
    frame(TEXT, b'{"command":"register","user":"a\\nlevel=error","real_name":1}'),
    frame(TEXT, b'{"command":"link","version":2}'),
    frame(TEXT, b'{"command":"link","version":9e99,"name":"x","key":"AA","nonce":"AA"}'),
    frame(TEXT, b'{"command":"linkproof","signature":"AA"}'),
    frame(TEXT, b'{"command":"resume","token":"' + b"\xc3\xa9" * 60 + b'"}'),
    frame(TEXT, b"auth bob wrong-one"),
    frame(TEXT, b"auth 'level=error event=audit' x\ny"),
    frame(TEXT, b'code "\nevent=audit"'),
    frame(TEXT, b"register \x1b[2J x secret1 y"),
    frame(TEXT, b"x" * 2_000_000),
    frame(BINARY, b"hi"),
    frame(CONTINUATION, b"hi"),
    frame(TEXT, b"hi", fin=False) + frame(TEXT, b"hi"),
    frame(TEXT, b"hi", fin=False) * 3,
    frame(3, b"hi"),
    frame(15, b""),
    frame(PING, b"x" * 126),
    frame(PING, b"x") * 5_000,
    frame(CLOSE, b"x"),
    frame(CLOSE, struct.pack("!H", 999) + b"bye"),
    frame(CLOSE, struct.pack("!H", 1000) + b"\xff"),
    frame(CLOSE, b"") + frame(TEXT, b"ping"),
    b"\x81\xff" + struct.pack("!Q", 2**63) + b"xxxx",
    b"\xf1\x80\0\0\0\0",
]
"""What follows a good handshake."""


def speak(wire: socket.socket, data: bytes, reset: bool) -> None:
    if reset:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.sendall(data)
    if not reset:
        wire.settimeout(0.05)
        while wire.recv(65_536):
            pass


def send(port: int, data: bytes, *, reset: bool, tls: ssl.SSLContext | None = None) -> None:
    """Send bytes, read what comes at once, and go: politely, or with a reset."""
    try:
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            if tls is None:
                speak(plain, data, reset)
                return
            with tls.wrap_socket(plain, server_hostname="localhost") as wire:
                speak(wire, data, reset)
    except OSError:
        pass  # it has ended the connection first, or waits


@pytest.fixture(params=["plain", "tls"])
def attacked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RealServer]:
    options = ["--rate-limits", "on", "--web-port", "0", "--trusted-proxies", "127.0.0.1"]
    tls = None
    if request.param == "tls":
        make_certificate(tmp_path)
        options += ["--tls-cert", str(tmp_path / "fullchain.pem")]
        options += ["--tls-key", str(tmp_path / "privkey.pem")]
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    server = RealServer(tmp_path, *options)
    server.start()
    try:
        for data in [*UNSPOKEN, *(HANDSHAKE + spoken for spoken in SPOKEN)]:
            for reset in (False, True):
                send(server.port, data, reset=reset)
                if tls is not None:
                    send(server.port, data, reset=reset, tls=tls)
        for data in UNSPOKEN:
            send(server.web_port, data, reset=len(data) % 2 == 0, tls=tls)
        assert server.stop() == 0
        yield server
    finally:
        server.kill()


def explained(line: str) -> bool:
    """Whether a line of the log has an event of the page, with its level and fields."""
    found = re.match(r'timestamp=\S+Z level=(\w+) event=("(?:[^"\\]|\\.)*"|\S+)(.*)', line)
    if found is None:
        return False
    level, event, rest = found.groups()
    fields = set(re.findall(r" (\w+)=", re.sub(r'"(?:[^"\\]|\\.)*"', '""', rest)))
    for text, (wanted, named, _) in rows("The log").items():
        pattern = ".*".join(map(re.escape, text.split("…")))
        if re.fullmatch(pattern, event.strip('"')) and wanted == level:
            return fields <= set(re.findall(r"`(\w+)`", named))
    return False


def test_no_stranger_puts_a_line_into_the_log_that_is_not_explained(attacked: RealServer) -> None:
    log = attacked.log
    assert "Traceback" not in log
    lines = [line for line in log.splitlines() if "level=" in line or "timestamp=" in line]
    assert any("event=audit" in line for line in lines)
    assert [line for line in lines if not explained(line)] == []
    # All else is what the start prints.
    others = [line for line in log.splitlines() if line not in lines]
    assert len(others) < 40, others


def test_lines_are_told_apart() -> None:
    start = "timestamp=2026-11-30T12:00:00Z level"
    assert explained(f"{start}=info event=stopped")
    assert explained(f'{start}=error event="the web app does not start: x"')
    assert not explained(f"{start}=error event=stopped")
    assert not explained(f"{start}=info event=stopped surprise=1")
    assert not explained(f'{start}=error event="Task exception was never retrieved"')
    assert not explained("Exception ignored in: x")
