"""Rules of names and passwords that may be chosen; docs/security.md, "Names and passwords"."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import MAX_PASSWORD, MIN_PASSWORD
from tests.admin.command import done, refusal
from tests.realserver import ROOT
from tests.world import World
from ws_server import account_rules
from ws_server.account_rules import RESERVED, check_name, check_password

NEW = {"real_name": "Robert", "password": "secret1", "country": "Peru"}


@pytest.mark.parametrize(
    "name",
    "admin ADMIN Administrator root system all everyone here postmaster "
    "alpha Alpha a.d.m.i.n admin. -root- _all_ adm1n r00t a11 5ystem n0body al-pha".split(),
)
def test_names_that_others_would_trust_are_reserved(name: str) -> None:
    with pytest.raises(ChatError) as error:
        check_name(name, "alpha")
    assert error.value.code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    "name", "ali alina ally admira rooted user1 b0b 1234567890 ooo alphabet systemd2 me2".split()
)
def test_ordinary_names_are_free(name: str) -> None:
    check_name(name, "alpha")


@pytest.mark.parametrize(
    "password",
    "123456 password PassWord 12345678 qwerty 111111 letmein password1 iloveyou abc123 "
    "robert ROBERT robertrobert bobbob trebor realm-x".split(),
)
def test_passwords_that_others_try_first_are_refused(password: str) -> None:
    with pytest.raises(ChatError) as error:
        check_password(password, "bob", "Robert", "realm-x")
    assert error.value.code is ErrorCode.BAD_ARGUMENTS
    assert str(error.value.message).startswith("This password is ")


@pytest.mark.parametrize("password", ["secret1", "correct horse", "bob is my name", "пароль-мой"])
def test_ordinary_passwords_are_taken(password: str) -> None:
    check_password(password, "bob", "Bob", "alpha")


def test_the_list_is_short_names_its_source_and_fits_the_length_of_passwords() -> None:
    lines = account_rules.COMMON.read_text(encoding="ascii").splitlines()
    comment = "\n".join(line for line in lines if line.startswith("#"))
    assert "zxcvbn" in comment and "MIT" in comment
    words = [line for line in lines if not line.startswith("#")]
    assert len(words) == len(set(words)) == 1_000
    assert all(MIN_PASSWORD <= len(word) <= MAX_PASSWORD for word in words)
    assert all(word == word.casefold() for word in words)


def test_every_reserved_name_is_in_the_document() -> None:
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert {name for name in RESERVED if f"`{name}`" not in page} == set()


async def test_they_hold_for_registering_and_for_another_password(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        bob = world.connect()
        assert await bob.refused("register", user="admin", **NEW) == "forbidden"
        assert await bob.refused("register", user="alpha", **NEW) == "forbidden"
        for password in ("123456", "Robert", "bobbob"):
            code = await bob.refused("register", user="bob", **NEW | {"password": password})
            assert code == "bad_arguments"
        await bob.ask("register", user="bob", **NEW)
        await bob.ask("auth", user="bob", password="secret1")
        for password in ("qwerty", "robert", "alphaalpha"):
            code = await bob.refused("passwd", old_password="secret1", new_password=password)
            assert code == "bad_arguments"
        await bob.ask("passwd", old_password="secret1", new_password="secret2")


async def test_an_account_of_before_keeps_its_name_and_its_password(tmp_path: Path) -> None:
    async with World(tmp_path) as world:
        await world.add_users("admin", "alpha")
        for name in ("admin", "alpha"):
            person = world.connect()
            await person.ask("auth", user=name, password="secret1")
            await person.ask("passwd", old_password="secret1", new_password="secret1")


@pytest.mark.slow
def test_an_operator_may_give_away_a_reserved_name_but_no_common_password(tmp_path: Path) -> None:
    about = ("--real-name", "Root", "--country", "Peru", "--create")
    data = tmp_path / "data"
    said = refusal("user", "add", "admin", *about, data=data, input="123456\n")
    assert "most common" in said
    done("user", "add", "admin", *about, data=data, input="secret1\n")
    for password in ("password", "adminadmin"):
        refusal("user", "password", "admin", data=data, input=f"{password}\n")
    done("user", "password", "admin", data=data, input="secret2\n")
