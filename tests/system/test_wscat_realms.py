"""Two servers and a terminal at each: all that the old system's realm commands did, in words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.protocol.reference import for_people
from tests.realserver import RealServer
from tests.system.wscat import Wscat, needs_wscat

pytestmark = [
    pytest.mark.system,
    needs_wscat,
    # A pseudo-terminal needs a fork, which Python 3.12 warns of in processes with threads.
    pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning"),
]

WHEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d")
FINGERPRINT = re.compile("([A-Z2-7]{4}-){7}[A-Z2-7]{4}")
FILE = re.compile(r"f_\w+")


class Town:
    """Realms alpha and beta, messi at one and henderson at the other."""

    def __init__(self, folder: Path) -> None:
        for name in ("alpha", "beta"):
            (folder / name).mkdir()
        self.alpha = RealServer(folder / "alpha")
        self.beta = RealServer(folder / "beta", "--realm", "beta")
        self.alpha.start()
        self.beta.start()
        self.messi = self.sign_in(self.alpha, "messi", new=True)
        self.henderson = self.sign_in(self.beta, "henderson", new=True)

    @staticmethod
    def sign_in(server: RealServer, name: str, *, new: bool = False) -> Wscat:
        terminal = Wscat(server.url)
        if new:
            assert terminal.say(f"register {name} {name} secret-{name} Chile")[:2] == "OK"
        assert terminal.say(f"auth {name} secret-{name}")[:2] == "OK"
        return terminal

    def link(self) -> None:
        """Let messi add beta; both are admins, so both are told."""
        added = self.messi.say(f"addrealm beta localhost {self.beta.port}")
        assert FINGERPRINT.sub("F", added) == "OK Added beta, the link is up; its fingerprint is F"
        assert self.messi.hear() == "(realm beta is up)"
        assert self.henderson.hear() == "(realm alpha is up)"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path)
    yield made
    made.messi.close()
    made.henderson.close()
    made.alpha.kill()
    made.beta.kill()


def plain(shown: str) -> str:
    """Return a reply without what is another at each run."""
    return FILE.sub("f_1", FINGERPRINT.sub("F", WHEN.sub("WHEN", shown)))


def test_everything_is_typed_at_one_realm_and_seen_at_the_other(town: Town) -> None:
    town.link()
    messi, henderson = town.messi, town.henderson
    used: set[str] = {"addrealm"}

    def type(line: str) -> str:
        used.add(line.partition(" ")[0])
        return plain(messi.say(line))

    assert type("sendpcrealm beta henderson halo") == "OK Sent to henderson@beta as message 1"
    assert henderson.hear() == "[messi@alpha] halo"
    # Who never added a realm answers all the same.
    assert henderson.say("send messi@alpha hai") == "OK Sent to messi@alpha as message 2"
    assert messi.hear() == "[henderson@beta] hai"
    assert type("listpcrealm beta") == (
        "OK 1 private chat\nhenderson@beta: 2 messages, 1 unread | henderson@beta: hai"
    )
    assert type("sendfilerealm beta henderson a.txt aGk=") == (
        "OK Sent to henderson@beta as message 3\nfile f_1"
    )
    assert plain(henderson.hear()) == "[messi@alpha] a.txt (2 bytes) file f_1"
    assert type("inboxrealm beta henderson") == (
        "OK henderson@beta: messages 1 to 3\n1. WHEN [messi] halo\n2. WHEN [henderson@beta] hai\n"
        "3. WHEN [messi] a.txt (2 bytes) file f_1"
    )
    assert henderson.hear() == "(messi@alpha has read up to message 2)"
    assert type("creategrouprealm beta tim") == "OK Created #1@beta tim"
    assert messi.hear() == "(messi joined: #1@beta tim)"
    assert type("invitegrouprealm beta 1 henderson") == "OK henderson@beta is now in #1@beta"
    assert henderson.hear() == "(henderson joined: #1 tim)"
    assert messi.hear() == "(henderson@beta joined: #1@beta tim)"
    assert type("sendgrouprealm beta 1 halo") == "OK Sent to #1@beta as message 1"
    assert henderson.hear() == "[#1 tim | messi@alpha] halo"
    assert henderson.say("sendg 1 hai") == "OK Sent to #1 as message 2"
    assert messi.hear() == "[#1@beta tim | henderson@beta] hai"
    assert type("sendgroupfilerealm beta 1 b.txt aGk=") == (
        "OK Sent to #1@beta as message 3\nfile f_1"
    )
    assert plain(henderson.hear()) == "[#1 tim | messi@alpha] b.txt (2 bytes) file f_1"
    assert type("listgrouprealm beta") == (
        "OK 1 group\n#1@beta tim (owner): 2 members, 3 messages, 1 unread"
        " | messi: b.txt (2 bytes) file f_1"
    )
    assert type("inboxgrouprealm beta 1") == (
        "OK #1@beta: messages 1 to 3\n1. WHEN [messi] halo\n2. WHEN [henderson@beta] hai\n"
        "3. WHEN [messi] b.txt (2 bytes) file f_1"
    )
    assert type("listrealm") == (
        f"OK 1 realm\nbeta localhost:{town.beta.port} active, link up, 0 queued, F"
    )
    assert type("outbox") == "OK No messages are waiting"
    told = {spec.name for spec in for_people() if "realm" in spec.name}
    assert told <= used, "a realm command is typed by no test"


def test_in_json_they_do_the_same_and_so_does_an_address(town: Town) -> None:
    town.link()
    messi, henderson = town.messi, town.henderson
    made = json.loads(messi.say('{"command":"creategrouprealm","realm":"beta","name":"tim"}'))
    assert (made["status"], made["group"]) == ("OK", "#1@beta")
    spoken = [
        "sendpcrealm beta henderson halo",
        "send henderson@beta halo",
        '{"command":"sendpcrealm","realm":"beta","to":"henderson","text":"halo"}',
        '{"command":"send","to":"henderson@beta","text":"halo"}',
    ]
    for seq, line in enumerate(spoken, 1):
        reply = messi.say(line)
        if line.startswith("{"):
            said = json.loads(reply)
            assert (said["conversation"], said["seq"]) == ("henderson@beta", seq)
        else:
            assert reply == f"OK Sent to henderson@beta as message {seq}"
        assert henderson.hear() == "[messi@alpha] halo"


def test_who_is_away_gets_it_all_when_back_and_the_sender_is_told(town: Town) -> None:
    town.link()
    messi = town.messi
    town.henderson.close()
    town.beta.kill()
    assert messi.hear() == "(realm beta is down)"
    assert messi.say("sendpcrealm beta henderson still there?") == (
        "OK Queued for henderson@beta as message 1"
    )
    assert messi.say("sendpcrealm beta nobody hm") == "OK Queued for nobody@beta as message 1"
    outbox = plain(messi.say("outbox"))
    assert re.fullmatch(
        r"OK 2 waiting\nm_\w+ to henderson@beta, since WHEN UTC, \d+ attempts?\n"
        r"m_\w+ to nobody@beta, since WHEN UTC, \d+ attempts?",
        outbox,
    ), outbox
    assert " link down, 2 queued, " in messi.say("listrealm")
    town.beta.start()
    heard = [messi.hear() for _ in range(3)]
    assert "(realm beta is up)" in heard
    town.henderson = town.sign_in(town.beta, "henderson")
    assert "[messi@alpha] still there?" in town.henderson.say("inbox messi@alpha")
    assert messi.say("sendpcrealm beta nobody hm") == (
        "ERROR unknown_user Nobody is called nobody@beta there"
    )
