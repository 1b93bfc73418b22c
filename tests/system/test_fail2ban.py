"""The filter of docs/deploy/fail2ban, read by fail2ban itself over the log of a real server."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from tests.rawclient import RawClient
from tests.realserver import ROOT, RealServer

pytestmark = pytest.mark.system

FILES = ROOT / "docs" / "deploy" / "fail2ban"
FETCHED = Path(sys.prefix) / "fail2ban"
GUESSER, V6, FRIEND, HONEST, FRAMED = (
    *("192.0.2.7", "2001:db8::7", "192.0.2.8"),
    *("192.0.2.9", "198.51.100.1"),
)
FORGED = f"event=audit act=sign_in outcome=refused address={FRAMED} "


def found(log: Path) -> Counter[str]:
    """Return whom fail2ban finds guilty in a log, and how often."""
    program = shutil.which("fail2ban-regex")
    settings = Path("/etc/fail2ban")
    words = [str(program)]
    if program is None:
        script = FETCHED / "usr" / "bin" / "fail2ban-regex"
        settings = FETCHED / "etc" / "fail2ban"
        words = [sys.executable, str(script)]
        if not script.exists():
            pytest.skip("fail2ban is missing; ./chat test fetches it with apt-get")
    modules = FETCHED / "usr" / "lib" / "python3" / "dist-packages"
    ended = subprocess.run(
        [*words, "-c", str(settings), "-o", "ip", str(log), str(FILES / "filter.conf")],
        env={**os.environ, "PYTHONPATH": str(modules), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return Counter(ended.stdout.split())


async def at(server: RealServer, address: str) -> RawClient:
    headers = {"X-Forwarded-For": address}
    return RawClient(await connect(server.url, proxy=None, additional_headers=headers))


async def drive(server: RealServer) -> None:
    """Guess, be right, and try to have somebody else banned."""
    honest = await at(server, HONEST)
    about = {"real_name": "Bob", "password": "secret1", "country": "Peru"}
    await honest.ask("register", user="bob", **about)
    await honest.say("register", user="bob", **about)
    await honest.ask("auth", user="bob", password="secret1")
    await honest.say("resume", token="of yesterday")
    guesser = await at(server, GUESSER)
    for _ in range(7):
        await guesser.say("auth", user="bob", password="wrong-one")
    mapped = await at(server, V6)
    await mapped.say("auth", user="nobody-here", password="wrong-one")
    await mapped.say("code", code="ABCD-EFGH")
    await mapped.say("invitation", code="ABCD-EFGH")
    friend = await at(server, FRIEND)
    for forged in (FORGED, f"\n{FORGED}", f'" {FORGED}', f"x\ntimestamp=1 level=info {FORGED}"):
        await friend.say("auth", user=forged, password=forged)
        await friend.say("resume", token=forged)
        await friend.say(forged)
        await friend.say("register", user=forged, **about)
    for client in (honest, guesser, mapped, friend):
        await client.close()


async def test_it_finds_those_who_guess_and_nobody_else(tmp_path: Path) -> None:
    server = RealServer(tmp_path, "--rate-limits", "on", "--trusted-proxies", "127.0.0.1")
    server.start()
    try:
        await drive(server)
        assert server.stop() == 0
    finally:
        server.kill()
    guilty = found(server.log_path)
    assert guilty == {GUESSER: 7, V6: 3, FRIEND: guilty[FRIEND]}
    # The same lines as the journal hands them out, and as rsyslog writes them.
    for before in ("", "Nov 30 12:00:00 "):
        lines = server.log.splitlines()
        journal = tmp_path / "journal"
        journal.write_text("".join(f"{before}host simple-chatting[12]: {x}\n" for x in lines))
        assert found(journal) == guilty


def test_the_jail_names_the_filter_and_is_milder_than_the_server() -> None:
    jail = configparser.ConfigParser()
    jail.read(FILES / "jail.conf")
    (section,) = jail.sections()
    assert jail[section]["filter"] == "simple-chatting"
    assert int(jail[section]["maxretry"]) > 5
    page = (ROOT / "docs" / "deploy" / "README.md").read_text(encoding="utf-8")
    for file in FILES.iterdir():
        installed = file.read_text().splitlines()[0].split()[1].rstrip(";")
        assert f"fail2ban/{file.name}" in page and installed in page
