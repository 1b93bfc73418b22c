"""`./chat serve` with its web app: started by the first browser, and never in the realm's way."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.flet_app.browser import Browser
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.product import Served, copy_product
from ws_server.settings import Settings
from ws_server.web_app import environment

pytestmark = [
    pytest.mark.system,
    # A pseudo-terminal needs a fork, which Python 3.12 warns of in processes with threads.
    pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning"),
]
LIMIT = 20.0


class WebServer(RealServer):
    """A server with its web app on a free port."""

    def __init__(self, folder: Path, *options: str, **more: dict[str, str]) -> None:
        super().__init__(folder, "--web-port", "0", *options, **more)

    @property
    def app_pids(self) -> list[int]:
        """The web app's processes."""
        asked = ["pgrep", "--parent", str(self.pid), "--full", "flet_app"]
        found = subprocess.run(asked, capture_output=True, text=True)
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture
def web_server(tmp_path: Path) -> Iterator[WebServer]:
    server = WebServer(tmp_path, environment={"CHAT_DATABASE": "", "SECRET_OF_THE_SERVER": "x"})
    server.start()
    yield server
    server.kill()


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def until(holds: Callable[[], bool]) -> None:
    """Wait for what another process does, of which nothing tells us."""
    deadline = time.monotonic() + LIMIT
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_app_starts_with_the_first_browser_and_holds_no_secret(web_server: WebServer) -> None:
    assert web_server.app_pids == []
    assert Browser(web_server.web_port).request("/").status == 200
    (pid,) = web_server.app_pids
    given = Path(f"/proc/{pid}/environ").read_text()
    assert "SECRET" not in given and "CHAT_DATABASE" not in given and "PATH=" in given
    command = Path(f"/proc/{pid}/cmdline").read_text()
    assert "sqlite" not in command and "postgresql" not in command


def test_an_app_that_is_killed_comes_back_on_the_same_port(web_server: WebServer) -> None:
    browser = Browser(web_server.web_port)
    browser.request("/")
    (first,) = web_server.app_pids
    os.kill(first, signal.SIGKILL)
    assert browser.request("/").status == 200
    assert web_server.app_pids not in ([], [first])
    assert "the web app ended" in web_server.log and "code=-9" in web_server.log


async def test_the_realm_lives_on_while_the_app_does_not(web_server: WebServer) -> None:
    client = await RawClient.signed_in(web_server.url, "ana")
    await asyncio.to_thread(Browser(web_server.web_port).request, "/")
    (pid,) = web_server.app_pids
    os.kill(pid, signal.SIGSTOP)
    await client.ask("ping")
    os.kill(pid, signal.SIGKILL)
    await client.ask("ping")
    await client.close()


def test_an_app_ends_when_its_server_is_killed(web_server: WebServer) -> None:
    Browser(web_server.web_port).request("/")
    (pid,) = web_server.app_pids
    web_server.kill()
    until(lambda: not is_alive(pid))


async def test_a_page_outlives_a_server_that_is_killed(web_server: WebServer) -> None:
    """What somebody is writing is not lost; the next server gets the port and its own app."""
    port = web_server.web_port
    browser = Browser(port)
    page = await browser.open()
    await page.until("Sign in")
    (pid,) = web_server.app_pids
    files = list((web_server.data / "web").iterdir())
    web_server.kill()
    until(lambda: is_free(port))
    web_server.options = ("--web-port", str(port))
    await asyncio.to_thread(web_server.start)
    assert web_server.web_port == port
    await Browser(port).load()
    assert web_server.app_pids != [pid]
    assert is_alive(pid) and all(file.exists() for file in files)
    await browser.close()
    until(lambda: not is_alive(pid))


async def test_the_server_stops_in_time_with_an_open_page(web_server: WebServer) -> None:
    browser = Browser(web_server.web_port)
    await (await browser.open()).until("Sign in")
    (pid,) = web_server.app_pids
    began = time.monotonic()
    assert await asyncio.to_thread(web_server.stop) == 0
    assert time.monotonic() - began < 5
    assert not is_alive(pid)
    assert list(web_server.data.glob("web*")) == []
    assert "level=error" not in web_server.log, web_server.log
    await browser.close()


def test_an_app_that_hangs_does_not_hold_up_the_servers_end(web_server: WebServer) -> None:
    Browser(web_server.web_port).request("/")
    (pid,) = web_server.app_pids
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    assert web_server.stop() == 0
    assert time.monotonic() - began < 5
    until(lambda: not is_alive(pid))


def test_it_takes_the_next_free_port_and_says_so(tmp_path: Path) -> None:
    chat = copy_product(tmp_path) / "chat"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with Served(chat, "--port", "0", "--web-port", str(port), cwd=tmp_path) as served:
            found = re.search(
                r"Open http://localhost:(\d+) in a browser \((\d+) was", served.welcome
            )
            assert found and int(found[2]) == port
            other = int(found[1])
            assert port < other <= port + 20
            assert Browser(other).request("/").status == 200


def test_off_means_off(tmp_path: Path) -> None:
    chat = copy_product(tmp_path) / "chat"
    with Served(chat, "--port", "0", "--web-port", "off", cwd=tmp_path) as served:
        assert "browser" not in served.welcome
        assert not list(tmp_path.glob("data/web*"))


def test_the_app_is_served_with_the_certificate_of_the_realm(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)),
        *("-addext", "subjectAltName=DNS:localhost"),
    ]
    subprocess.run(made, check=True, capture_output=True)
    server = WebServer(tmp_path, "--tls-cert", str(cert), "--tls-key", str(key))
    server.start()
    try:
        trust = ssl.create_default_context(cafile=str(cert))
        with socket.create_connection(("127.0.0.1", server.web_port), timeout=LIMIT) as plain:
            with trust.wrap_socket(plain, server_hostname="localhost") as tls:
                tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda: tls.recv(65536), b"")).decode()
        assert answer.startswith("HTTP/1.1 200") and "; Secure\r\n" in answer
        # Who forgets the s, is not answered, and nobody else hears of it.
        for port in (server.port, server.web_port):
            assert heard(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") == ""
        assert server.stop() == 0 and " level=error " not in server.log
    finally:
        server.kill()


def heard(port: int, words: bytes) -> str:
    """Say something to a port, and return what it answers until it hangs up."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as connection:
        connection.sendall(words)
        answer = b""
        with suppress(ConnectionError):
            while part := connection.recv(65536):
                answer += part
    return answer.decode(errors="replace")


def hello(port: int) -> None:
    """Begin TLS with a port that has none."""
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as plain:
        with pytest.raises(OSError):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


async def test_at_the_wrong_port_nobody_was_told_of_the_right_one(web_server: WebServer) -> None:
    """wscat showed `404` at the web app's port, whose log had an error that no page explains."""
    realm, web = web_server.port, web_server.web_port
    for path in ("/", "/ws", "/chat"):
        async with connect(f"ws://localhost:{web}{path}", proxy=None) as terminal:
            told = f"ERROR bad_command This is the web app's port; the realm is at {web_server.url}"
            assert await terminal.recv() == told
            await terminal.wait_closed()
            assert terminal.close_code == 4510
    with pytest.raises(InvalidStatus):
        await connect(f"ws://localhost:{web}/", origin=Origin("https://evil.example"), proxy=None)
    for host, shown in {
        f"chat.example:{realm}": "chat.example",
        f"[::1]:{realm}": "[::1]",
        "127.0.0.1": "127.0.0.1",
        "<script>": "localhost",
        "a b": "localhost",
        "": "localhost",
    }.items():
        request = f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        answer = await asyncio.to_thread(heard, realm, request)
        assert answer.startswith("HTTP/1.1 426 ")
        assert answer.endswith(f" or open http://{shown}:{web}/ in a browser.\n")
    health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for port in (realm, web):
        assert (await asyncio.to_thread(heard, port, health)).endswith("ok\n")
        await asyncio.to_thread(hello, port)
        for words in (b"SSH-2.0-x\r\n\r\n", b"\0\xff\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n"):
            await asyncio.to_thread(heard, port, words)
    assert await asyncio.to_thread(web_server.stop) == 0
    events = re.findall(r"event=(\"[^\"]*\"|\S+)", web_server.log)
    assert events == ["serving", '"the web app starts"', "stopping", "stopped"]


def test_only_what_the_app_needs_of_the_environment_is_passed_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LC_ALL", "id_ID.UTF-8")
    monkeypatch.setenv("CHAT_APP_MAX_PAGES", "7")
    for name in ("CHAT_DATABASE", "PGPASSWORD", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    given = environment(tmp_path)
    assert "secret" not in given.values()
    assert (given["LC_ALL"], given["CHAT_APP_MAX_PAGES"]) == ("id_ID.UTF-8", "7")
    assert given["TMPDIR"] == str(tmp_path)


def test_the_port_is_a_number_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_WEB_PORT", "off")
    assert Settings().web_port is None
    monkeypatch.setenv("CHAT_WEB_PORT", "9000")
    assert Settings().web_port == 9000
