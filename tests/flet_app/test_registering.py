"""Rules of the form for a new account, by who may register in the realm."""

from __future__ import annotations

from typing import Any

import flet as ft
import pytest

from shared.client import ChatError, ErrorCode
from shared.protocol.commands.accounts import (
    Auth,
    Code,
    CodeWanted,
    Invitation,
    Register,
    Registered,
    RegistrationRules,
)
from tests.flet_app.looking import Open

NEW = {"Username": "bob", "Real name": "B", "Country": "Peru", "Password": "secret1"}
WRONG = ChatError(ErrorCode.BAD_CREDENTIALS, "no")
CLOSED = "Registration is closed on this realm. Ask its admin for an account."


class Realm:
    """What the realm answers; tests change who may register meanwhile."""

    def __init__(self, mode: str, *, wants_admin: bool = False) -> None:
        self.mode = mode
        self.wants_admin = wants_admin

    @property
    def script(self) -> dict[type, Any]:
        return {
            Code: lambda _: CodeWanted(wanted=self.wants_admin, accepted=False),
            Invitation: lambda _: RegistrationRules(self.mode, accepted=False),
            Register: self._register,
        }

    def _register(self, request: Register) -> Registered | ChatError:
        if request.code == "ADMIN" or self.mode == "open":
            return Registered(request.user)
        if request.code is not None:
            return WRONG
        if self.mode == "closed" or request.invitation is None:
            return ChatError(ErrorCode.FORBIDDEN, "Not so")
        return Registered(request.user) if request.invitation == "RIGHT" else WRONG


async def fill(w: Any) -> None:
    for label, text in NEW.items():
        w.field(label).value = text


async def submit(w: Any) -> None:
    button = [c for c in w.unseen.shown() if getattr(c, "content", "") == "Create account"][-1]
    await w.unseen.fire(button, "click")


def fields(w: Any) -> set[str]:
    return {c.label for c in w.unseen.shown() if isinstance(c, ft.TextField)}


def registered(w: Any) -> list[tuple[str | None, str | None]]:
    heard = [request for client in w.host.clients for request in client.heard_of(Register)]
    return [(request.code, request.invitation) for request in heard]


async def test_an_open_realm_asks_for_no_invitation(window: Open) -> None:
    w = await window(Realm("open").script, token="")
    await w.press("Create account")
    assert fields(w) >= set(NEW) and "Invitation" not in fields(w)
    assert CLOSED not in w.unseen.texts()


async def test_an_invitation_is_asked_for_where_the_realm_is_by_invitation(window: Open) -> None:
    w = await window(Realm("invite").script, token="")
    assert "Invitation" not in fields(w)
    await w.press("Create account")
    await fill(w)
    await submit(w)
    assert w.field("Invitation").error == "This is required" and registered(w) == []
    w.field("Invitation").value = "WRONG"
    await submit(w)
    # What is under a box has one line.
    assert (
        w.field("Invitation").error
        == "This code is wrong, used up or expired. Ask for another one."
    )
    w.field("Invitation").value = " RIGHT "
    await submit(w)
    assert registered(w) == [(None, "WRONG"), (None, "RIGHT")]
    assert w.host.last.heard_of(Auth) == [Auth("bob", "secret1")]


async def test_the_first_admin_needs_no_invitation(window: Open) -> None:
    w = await window(Realm("invite", wants_admin=True).script, token="")
    await w.press("Create account")
    await fill(w)
    w.field("Admin code").value = "OLD"
    await submit(w)
    assert w.field("Admin code").error and not w.field("Invitation").error
    w.field("Admin code").value = "ADMIN"
    await submit(w)
    assert registered(w) == [("OLD", None), ("ADMIN", None)]


@pytest.mark.parametrize("wants_admin", [False, True], ids=["", "without an admin"])
async def test_a_closed_realm_says_so_before_anything_is_filled_in(
    window: Open, wants_admin: bool
) -> None:
    w = await window(Realm("closed", wants_admin=wants_admin).script, token="")
    await w.press("Create account")
    await w.sees(CLOSED)
    assert fields(w) == ({*NEW, "Admin code"} if wants_admin else set())
    await w.press("I already have an account")
    assert fields(w) == {"Username", "Password"} and CLOSED not in w.unseen.texts()


async def test_the_form_follows_a_realm_that_is_changed_meanwhile(window: Open) -> None:
    realm = Realm("open")
    w = await window(realm.script, token="")
    await w.press("Create account")
    await fill(w)
    realm.mode = "invite"
    await submit(w)
    assert w.field("Username").value == "bob"
    w.field("Invitation").value = "RIGHT"
    realm.mode = "closed"
    await submit(w)
    await w.sees(CLOSED)
    await w.press("I already have an account")
    realm.mode = "invite"
    await w.press("Create account")
    await submit(w)
    assert registered(w) == [(None, None), (None, "RIGHT"), (None, "RIGHT")]
