"""Rules of the audit trail; docs/observability.md, "The audit trail"."""

from __future__ import annotations

import logging
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from shared import token_buckets
from tests.test_limits import Clock
from tests.test_observability import PAGE
from tests.world import PASSWORD, World
from ws_server.audit import Act, Audit, Result

FIELDS = ["act", "outcome", "address", "user", "detail"]
NEW = {"real_name": "Somebody", "password": "secret1", "country": "Peru"}


class Trail(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        known = logging.makeLogRecord({}).__dict__
        fields = {name: x for name, x in record.__dict__.items() if name not in known}
        self.lines.append({"event": record.msg, **fields})

    def told(self) -> list[tuple[str, str, str, str]]:
        """Return act, outcome, user and detail of each line of the trail, and forget them."""
        found = [line for line in self.lines if line["event"] == "audit"]
        self.lines.clear()
        return [(x["act"], x["outcome"], x["user"], x["detail"]) for x in found]


@pytest.fixture
def trail() -> Any:
    handler, log = Trail(), logging.getLogger("ws_server.audit")
    before = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    yield handler
    log.removeHandler(handler)
    log.setLevel(before)


def test_the_document_lists_every_act_and_outcome_and_no_other() -> None:
    section = PAGE.split("## The audit trail\n")[1].split("\n## ")[0]
    table = re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, re.MULTILINE)
    assert [act for act, _ in table] == [act.value for act in Act]
    outcomes = {outcome for _, cell in table for outcome in re.findall(r"`(\w+)`", cell)}
    assert outcomes == {outcome.value for outcome in Result}


@pytest.mark.slow
async def test_what_somebody_does_with_an_account_leaves_its_lines(
    tmp_path: Path, trail: Trail
) -> None:
    async with World(tmp_path, rate_limits="on", trusted_proxies="192.0.2.200") as world:
        bob = world.connect("192.0.2.7")
        await bob.refused("code", code="ABCD")
        assert trail.told() == [("code", "refused", "", "")]
        code = world.realm.first_admin.code
        await bob.ask("register", user="Bob", code=code, **NEW)
        await bob.refused("register", user="bob", **NEW)
        assert trail.told() == [
            ("register", "done", "Bob", "admin"),
            ("register", "refused", "", ""),
        ]
        await bob.refused("auth", user="bob", password="wrong-one")
        await bob.refused("auth", user="my-password", password="wrong-one")
        await bob.ask("auth", user="BOB", password="secret1")
        await bob.refused("resume", token="nonsense")
        assert trail.told() == [
            ("sign_in", "refused", "Bob", ""),
            ("sign_in", "refused", "", ""),
            ("sign_in", "done", "Bob", ""),
            ("resume", "refused", "", ""),
        ]
        await bob.refused("passwd", old_password="wrong-one", new_password="secret2")
        await bob.ask("passwd", old_password="secret1", new_password="secret2")
        await bob.refused("addrealm", name="beta", address="127.0.0.1", port=9)
        await bob.ask("logout")
        assert trail.told() == [
            ("password", "refused", "Bob", ""),
            ("password", "done", "Bob", ""),
            ("add_realm", "refused", "Bob", "beta"),
            ("sign_out", "done", "Bob", ""),
        ]


async def test_every_line_has_the_same_fields_and_the_address_of_the_connection(
    tmp_path: Path, trail: Trail
) -> None:
    async with World(tmp_path) as world:
        await world.add_users("bob")
        await world.connect("2001:db8::7").refused("auth", user="bob", password="wrong-one")
        world.realm.audit.note(Act.ADMIN, Result.DONE, detail="user add bob")
    assert [list(line) for line in trail.lines] == [["event", *FIELDS]] * 2
    assert [line["address"] for line in trail.lines] == ["2001:db8::7", "local"]


async def test_a_flood_of_guesses_leaves_few_lines_and_their_number(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(token_buckets, "time", clock)
    audit = Audit()
    for number in range(10_000):
        address = f"2001:db8:0:{number % 3}::{number % 1000:x}"
        audit.note(Act.SIGN_IN, Result.REFUSED, address=address)
    assert len(trail.lines) == 3 * 50
    # Those at other addresses, and the operator, are still heard.
    audit.note(Act.SIGN_IN, Result.DONE, address="192.0.2.1", user="bob")
    audit.note(Act.ADMIN, Result.DONE, detail="status")
    assert trail.told()[-2:] == [("sign_in", "done", "bob", ""), ("admin", "done", "", "status")]
    audit.summarise()
    (line,) = trail.lines
    assert line == {
        "event": "audit lines left out",
        "act": "sign_in",
        "outcome": "refused",
        "count": 10_000 - 150,
    }


async def test_a_flood_from_everywhere_does_not_hide_who_signed_in(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(token_buckets, "time", clock)
    audit = Audit()
    for number in range(5_000):
        audit.note(Act.SIGN_IN, Result.REFUSED, address=f"10.{number // 250}.{number % 250}.1")
    audit.note(Act.SIGN_IN, Result.DONE, address="192.0.2.1", user="bob")
    assert Counter(line["outcome"] for line in trail.lines) == {"refused": 1_000, "done": 1}
    audit.summarise()
    assert trail.lines[-1]["count"] == 4_000


async def test_a_disabled_account_is_told_apart_in_the_trail_alone(
    tmp_path: Path, trail: Trail
) -> None:
    from ws_server.store.accounts import users

    async with World(tmp_path) as world:
        await world.add_users("alice", "bob")
        await world.realm.journal.write(
            lambda tx, now: users.set_disabled(tx, users.existing(tx, "bob").id, True)
        )
        stranger = world.connect()
        assert await stranger.refused("auth", user="bob", password="wrong") == "bad_credentials"
        assert await stranger.refused("auth", user="bob", password=PASSWORD) == "forbidden"
    assert trail.told() == [
        ("sign_in", "refused", "bob", ""),
        ("sign_in", "refused", "bob", "disabled"),
    ]
