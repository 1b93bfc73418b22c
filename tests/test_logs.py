"""Rules of the log: what people write, passwords and tokens never get into it."""

from __future__ import annotations

import asyncio
import base64
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from shared import logs
from tests.rawclient import RawClient
from tests.realserver import RealServer

SECRETS = {
    "password": "Passw0rd-old-zebra",
    "new password": "Passw0rd-new-zebra",
    "wrong password": "Passw0rd-wrong-zebra",
    "text": "Text-of-a-message-zebra",
    "key": "idempotency-zebra",
    "name": "file-name-zebra.txt",
    "content": "content-of-a-file-zebra",
    "real name": "Real Name Zebra",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    made = RealServer(tmp_path, "--log-level", "debug")
    made.start()
    yield made
    made.kill()


async def drive(url: str) -> list[str]:
    """Do a bit of everything, right and wrong, and return the tokens that were given."""
    s = SECRETS
    alice = await RawClient.open(url)
    for name in ("alice", "bob"):
        await alice.ask(
            "register",
            user=name,
            real_name=s["real name"],
            password=s["password"],
            country="Indonesia",
        )
    await alice.say("auth", user="alice", password=s["wrong password"])
    await alice.say("auth", user="nobody", password=s["wrong password"])
    tokens = [(await alice.ask("auth", user="alice", password=s["password"]))["token"]]
    await alice.ask("passwd", old_password=s["password"], new_password=s["new password"])
    await alice.say("passwd", old_password=s["wrong password"], new_password=s["new password"])
    await alice.ask("send", to="bob", text=s["text"], idempotency_key=s["key"])
    await alice.say("send", to="nobody", text=s["text"])
    await alice.say("send", to="bob", text=s["text"], surprise=s["text"])
    await alice.say("send", to=7, text=s["text"])
    await alice.say("sendg", group="#9", text=s["text"])
    data = base64.b64encode(s["content"].encode()).decode()
    await alice.ask("sendfile", to="bob", name=s["name"], data=data)
    await alice.say("sendfile", to="bob", name=s["name"], data=s["content"])
    await alice.close()
    resumed = await RawClient.open(url)
    await resumed.ask("resume", token=tokens[0])
    await resumed.say("resume", token=tokens[0] + "x")
    await resumed.ask("history", conversation="bob")
    async with connect(url, proxy=None) as words:
        for line in (
            f"auth alice {s['new password']} too many",
            f"auth alice {s['new password']}",
            f"send bob {s['text']}",
            f"{s['text']} is no command",
            f'{{"command": "send", "text": "{s["text"]}',
        ):
            await words.send(line)
            answer = str(await words.recv())
            tokens += re.findall(r"^token (\S+)", answer, re.MULTILINE)
        await words.send(s["text"].encode())
        await words.recv()
    # Not UTF-8, and then gone without a word.
    async with connect(url, proxy=None) as broken:
        await broken.send(s["text"].encode() + b"\xff", text=True)
    await resumed.ask("logout")
    resumed.socket.transport.abort()
    await asyncio.sleep(0)
    return tokens


async def test_the_log_holds_no_password_token_or_text(server: RealServer) -> None:
    tokens = await drive(f"ws://127.0.0.1:{server.port}/")
    assert len(tokens) == 2
    await asyncio.to_thread(server.stop)
    log = server.log
    assert "event=serving" in log and "event=stopping" in log
    for what, secret in SECRETS.items():
        assert secret not in log, what
    assert "zebra" not in log.lower()
    assert not any(token in log for token in tokens)
    assert "Traceback" not in log


def test_a_line_is_one_event_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("info")
        logging.getLogger("ws_server.x").info("forged\nlevel=error", extra={"user": "a b\nc"})
        logging.getLogger("ws_server.x").debug("too quiet")
        logging.getLogger("websockets.server").error("what a client did")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("websockets").setLevel(logging.NOTSET)
        logging.getLogger("alembic").setLevel(logging.NOTSET)
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(r"timestamp=\S+Z level=info event=", line)
    assert 'user="a b\\nc"' in line
