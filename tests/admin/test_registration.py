"""Rules of `admin registration` and `admin invitation`; docs/administration.md, "Registration"."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.admin.command import done, refusal
from tests.admin.realms import tables
from tests.admin.test_doctor import assert_told, checked
from tests.rawclient import RawClient
from tests.realserver import RealServer

NEW = {"real_name": "Somebody", "password": "secret-1", "country": "Peru"}
BOB = ("user", "add", "bob", "--real-name", "Bob", "--country", "Peru", "--create")
MADE = re.compile(r"Invitation: (\S+)\n.* (\d+) accounts? and (\d+) days?; its id is (\w+)\n")


async def answer(server: RealServer, user: str, **more: Any) -> str:
    """Return the code that registering is refused with; empty if it is not."""
    client = await RawClient.open(server.url)
    reply = await client.say("register", user=user, **NEW, **more)
    await client.close()
    return str(reply.get("code", ""))


async def test_who_may_register_is_changed_in_a_running_server_and_stays(
    real_server: RealServer,
) -> None:
    data = real_server.data
    assert await answer(real_server, "ana") == ""
    assert "Nobody may register" in done("registration", "closed", data=data)
    assert await answer(real_server, "ben") == "forbidden"
    real_server.stop()
    real_server.start()
    assert await answer(real_server, "ben") == "forbidden"
    assert "Registration is closed (by admin registration; --registration says open):" in (
        real_server.log
    )
    said = done("status", data=data)
    assert "registration: closed (by admin registration; --registration says open)\n" in said
    _, found = checked(data=data)
    assert_told(found["settings"], "warn", "rate limits are off")
    done("registration", "invite", data=data)
    code = MADE.findall(done("invitation", "create", data=data))[0][0]
    assert await answer(real_server, "ben") == "forbidden"
    assert await answer(real_server, "ben", invitation=code) == ""
    done("registration", "open", data=data)
    assert await answer(real_server, "carol") == ""
    assert done("registration", data=data) == "Everybody may register (open)\n"
    assert code not in real_server.log
    assert 'detail="registration closed"' in real_server.log


def test_the_doctor_says_what_holds_whether_or_not_a_server_runs(tmp_path: Path) -> None:
    done(*BOB, data=tmp_path, input="secret-bob")
    _, found = checked(data=tmp_path)
    assert_told(found["settings"], "ok", "registration open,")
    done("registration", "invite", data=tmp_path)
    _, found = checked(data=tmp_path)
    told = "registration invite (by admin registration; --registration says open),"
    assert_told(found["settings"], "ok", told)


def test_invitations_are_made_listed_and_taken_back(tmp_path: Path) -> None:
    done(*BOB, data=tmp_path, input="secret-bob")
    assert "no invitations" in done("invitation", "list", data=tmp_path)
    said = done("invitation", "create", data=tmp_path)
    assert "No invitation is needed now, as registration is open" in said
    code, uses, days, id = MADE.findall(said)[0]
    assert (uses, days) == ("1", "7") and re.fullmatch(r"([A-Z2-9]{4}-){3}[A-Z2-9]{4}", code)
    said = done("invitation", "create", "--uses", 20, "--days", 1, data=tmp_path)
    other_code, uses, days, other = MADE.findall(said)[0]
    assert (uses, days) == ("20", "1")
    listed = done("invitation", "list", data=tmp_path)
    assert re.fullmatch(
        rf"{id}: 1 of 1 account left, made .* UTC, valid until .* UTC\n"
        rf"{other}: 20 of 20 accounts left, made .* UTC, valid until .* UTC\n",
        listed,
    )
    assert code not in listed and other_code not in listed
    database = (tmp_path / "chat.db").read_bytes()
    for kept in (code, code.replace("-", "")):
        assert kept.encode() not in database
    assert "revoked" in done("invitation", "remove", id.lower(), data=tmp_path)
    assert "no such invitation" in refusal("invitation", "remove", id, data=tmp_path)
    assert [line[:6] for line in done("invitation", "list", data=tmp_path).splitlines()] == [other]


def test_what_is_wrong_with_a_line_is_said(tmp_path: Path) -> None:
    done(*BOB, data=tmp_path, input="secret-bob")
    assert "open, invite or closed" in refusal("registration", "perhaps", data=tmp_path)
    for name, value in (("uses", "0"), ("uses", "10001"), ("days", "367"), ("days", "-1")):
        why = refusal("invitation", "create", f"--{name}={value}", data=tmp_path)
        assert why.startswith(f"--{name} must be from 1 to ")
    assert "whole number" in refusal("invitation", "create", "--uses", "many", data=tmp_path)


def test_invitations_come_back_with_a_backup_unless_sessions_are_to_end(tmp_path: Path) -> None:
    data = tmp_path / "data"
    done(*BOB, data=data, input="secret-bob")
    done("registration", "invite", data=data)
    done("invitation", "create", data=data)
    done("backup", tmp_path / "x.tar", data=data)
    done("restore", tmp_path / "x.tar", data=tmp_path / "kept")
    done("restore", tmp_path / "x.tar", "--end-sessions", data=tmp_path / "ended")
    made = tables(data / "chat.db")["invitation_codes"]
    assert len(made) == 1
    assert tables(tmp_path / "kept" / "chat.db")["invitation_codes"] == made
    assert tables(tmp_path / "ended" / "chat.db")["invitation_codes"] == []
    for folder in ("kept", "ended"):
        assert "(invite)" in done("registration", data=tmp_path / folder)
