"""What the environment brings along and is not meant for the server, does it no harm."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.client import ChatClient
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, ROOT, RealServer
from tests.test_settings import LINKS

DEAD = "http://127.0.0.1:1"
HOSTILE = {
    **LINKS,
    "CHAT_CONFIG": "",
    "CHAT_PROT": "1",
    "LC_ALL": "C",
    "PYTHONUTF8": "0",
    "PYTHONCOERCECLOCALE": "0",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "TZ": "Nonsense/Zone",
    "TMPDIR": "/nonexistent",
    "HOME": "/nonexistent",
    **dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), DEAD),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    folder = tmp_path_factory.mktemp("hostile") / "données"
    folder.mkdir()
    made = RealServer(folder, "--web-port", "0", environment=HOSTILE)
    made.program = EXECUTED
    made.start()
    yield made
    made.kill()
    assert "Traceback" not in made.log


async def test_a_server_in_a_hostile_environment_serves_and_links(
    server: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, DEAD)
    (tmp_path / "beta").mkdir()
    beta = RealServer(tmp_path / "beta", "--realm", "beta", environment=HOSTILE)
    beta.start()
    try:
        async with ChatClient(server.url) as ana, ChatClient(beta.url) as bea:
            for client, name in ((ana, "ana"), (bea, "bea")):
                await client.register(name, "X", "secret-x", "Peru")
                await client.auth(name, "secret-x")
            added = await ana.addrealm("beta", "127.0.0.1", beta.port)
            assert added.link == "up"
            assert (await ana.send("bea@beta", "hällo")).state == "delivered"
    finally:
        beta.kill()
    told = server.log
    assert "CHAT_PORT is passed over: it holds an address" in told
    assert "CHAT_PROT is not a setting; did you mean CHAT_PORT?" in told
    assert told.count("level=warning") == 3  # CHAT_WEB_PORT as well
    assert "\x1b" not in told


@pytest.mark.parametrize("words", [("user", "list"), ("doctor",), ("backup", "x.tar"), ("--help",)])
def test_admin_commands_in_a_hostile_environment_do_their_work(
    server: RealServer, words: tuple[str, ...], tmp_path: Path
) -> None:
    ended = subprocess.run(
        [*EXECUTED, "admin", *words, *(() if "--help" in words else ("--data", server.data))],
        cwd=tmp_path,
        env={**os.environ, **HOSTILE, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
async def test_an_account_without_a_name_and_a_home_can_serve(tmp_path: Path) -> None:
    """As containers have it, which run as a number of the operator's choice."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, 12_345, 12_345)
    for above in [folder, *folder.parents][:-1]:
        above.chmod(above.stat().st_mode | 0o055)
    server = RealServer(folder, "--web-port", "0", environment={"HOME": ""})
    server.log_path = tmp_path / "server.log"
    server.program = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups", *EXECUTED)
    server.start()
    try:
        client = await RawClient.signed_in(server.url, "ana", register=True)
        await client.close()
    finally:
        server.kill()


def test_ctrl_c_while_it_loads_ends_it_without_a_traceback(tmp_path: Path) -> None:
    words = [*EXECUTED, "--port", "0", "--web-port", "off", "--data", str(tmp_path / "data")]
    for wait in (0.1, 0.2, 0.3, 0.5):
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        # Before Python has begun, a signal ends it as the system does.
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        # Python itself shows one if it has not come to the program yet.
        assert "command_line.py" not in errors, errors
        assert process.returncode in (0, -signal.SIGINT) or "frozen" in errors, errors
