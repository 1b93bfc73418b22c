"""The start prints the first admin's code where others can reach the server, and never logs it."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.forked import Forked
from tests.rawclient import RawClient
from tests.realserver import START_LIMIT

pytestmark = pytest.mark.system

CODE = re.compile(r"^Admin code: (\S+)$", re.MULTILINE)


class Started:
    """A server whose output and log are apart."""

    def __init__(self, folder: Path, *options: str) -> None:
        folder.mkdir(exist_ok=True)
        self._output, self._errors = folder / f"{time.time_ns()}", folder / "log"
        words = ["--host", "127.0.0.1", "--port", "0", "--data", str(folder / "data")]
        words += ["--realm", "alpha", "--web-port", "off", *options]
        self._process = Forked(words, os.environ, output=self._output, errors=self._errors)
        deadline = time.monotonic() + START_LIMIT
        while "Ctrl+C stops" not in self.output:
            assert time.monotonic() < deadline and self._process.poll() is None, self.log
            time.sleep(0.02)
        self.url = re.findall(r"serves (ws://\S+),", self.output)[0]

    @property
    def output(self) -> str:
        return self._output.read_text() if self._output.exists() else ""

    @property
    def log(self) -> str:
        return self._errors.read_text()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(10) == 0


async def test_the_code_is_printed_and_not_logged_until_there_is_an_admin(tmp_path: Path) -> None:
    served = ("--trusted-proxies", "127.0.0.1")
    codes = []
    for _ in range(2):
        server = Started(tmp_path, *served)
        codes += CODE.findall(server.output)
        if len(codes) == 2:
            client = await RawClient.open(server.url)
            about = {"real_name": "Ana", "password": "secret1", "country": "Portugal"}
            old = await client.say("register", user="mallory", code=codes[0], **about)
            assert old["code"] == "bad_credentials"
            await client.ask("register", user="ana", code=codes[1], **about)
            await client.ask("auth", user="ana", password="secret1")
            assert (await client.ask("whoami"))["admin"] is True
            await client.close()
        server.stop()
    assert len(set(codes)) == 2
    later = Started(tmp_path, *served)
    later.stop()
    assert "Admin code" not in later.output
    assert not any(code in later.log for code in codes)


def test_a_trial_prints_none_and_a_realm_where_nobody_else_registers_does(tmp_path: Path) -> None:
    for number, options in enumerate([(), ("--public", "--registration", "closed")]):
        server = Started(tmp_path / str(number), *options)
        server.stop()
        assert len(CODE.findall(server.output)) == number


@pytest.mark.parametrize("mode", ["open", "invite", "closed"])
def test_a_start_says_who_may_register_and_what_to_do(tmp_path: Path, mode: str) -> None:
    server = Started(tmp_path, "--registration", mode)
    server.stop()
    hints = {
        "invite": "./chat admin invitation create prints a CODE",
        "closed": "./chat admin user add creates accounts",
    }
    assert [m for m, hint in hints.items() if hint in server.output] == [
        m for m in hints if m == mode
    ]
    assert ("> register bob" in server.output) == (mode != "closed")
    assert ("> invitation CODE" in server.output) == (mode == "invite")
