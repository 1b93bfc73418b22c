"""What others write steers no terminal and forges no line, seen at a real wscat."""

from __future__ import annotations

import pytest

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.wscat import Terminals, needs_wscat

pytestmark = [
    pytest.mark.system,
    needs_wscat,
    # A pseudo-terminal needs a fork, which Python 3.12 warns of in processes with threads.
    pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning"),
]

STEERING = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b5A\x08\r\nOK Sent\r\x85\u2028ERROR\u202egnp"
SHOWN = (
    r"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b5A\x08"
    "\n  OK Sent"
    r"\x0d\x85\u2028ERROR\u202egnp"
)


async def test_nobody_can_steer_a_terminal_or_forge_a_line(
    real_server: RealServer, terminal: Terminals
) -> None:
    bob = terminal("bob")
    mallory = await RawClient.signed_in(real_server.url, "mallory")
    await mallory.ask("send", to="bob", text=STEERING)
    assert bob.hear() == f"[mallory] {SHOWN}"
    assert bob.say("inbox mallory").endswith(f"[mallory] {SHOWN}")
    assert bob.say("listpc").endswith(f"mallory: {SHOWN}")
    await mallory.ask("sendfile", to="bob", name=f"{STEERING}.txt", data="aGFsbG8=")
    shown = bob.hear()
    assert shown.isprintable(), shown
    await mallory.close()


async def test_nobody_can_steer_a_terminal_by_a_groups_name(
    real_server: RealServer, terminal: Terminals
) -> None:
    bob = terminal("bob")
    mallory = await RawClient.signed_in(real_server.url, "mallory")
    for name in ("\x1b[2Jteam", "team\r\nOK", "team\u202egnp", "\x9b5Ateam"):
        created = await mallory.say("creategroup", name=name)
        if created["status"] == "OK":
            await mallory.ask("invitegroup", group=created["group"], user="bob")
            shown = bob.hear()
            assert shown.isprintable(), shown
        else:
            assert created["code"] == "bad_arguments"
    assert all(line.isprintable() for line in bob.say("listgroup").split("\n"))
    await mallory.close()
