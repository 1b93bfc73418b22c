"""The form to sign in and to register, without a browser."""

from __future__ import annotations

from typing import Any

import flet as ft
import pytest

from shared.client import ChatError, ErrorCode, NotSent
from shared.client.notices import SignedOut
from shared.protocol.commands.accounts import (
    Auth,
    Code,
    CodeWanted,
    Invitation,
    Register,
    Registered,
)
from shared.protocol.commands.private import ListPc, PrivateChats
from tests.flet_app.looking import Open
from tests.flet_app.people import chat
from tests.flet_app.scripted import ScriptedHost


async def test_signing_in_shows_the_conversations(window: Open) -> None:
    rows = PrivateChats([chat("bob", 3, 1, 2)])
    w = await window({ListPc: lambda _: rows}, token="")
    w.field("Username").value, w.field("Password").value = "ana", "secret1"
    await w.press("Sign in")
    await w.sees("bob")
    assert "set" in w.unseen.calls


async def test_what_is_missing_is_said_at_its_field(window: Open) -> None:
    w = await window(token="")
    await w.press("Sign in")
    assert w.field("Username").error == w.field("Password").error == "This is required"
    assert w.host.clients == []


async def test_a_form_says_at_the_field_what_a_realm_would_not_take(window: Open) -> None:
    w = await window(token="")
    await w.press("Create account")
    for label, text in (("Username", "Bob Marley"), ("Real name", "B"), ("Country", "Peru")):
        w.field(label).value = text
    w.field("Password").value = "short"
    button = [c for c in w.unseen.shown() if getattr(c, "content", "") == "Create account"][-1]
    await w.unseen.fire(button, "click")
    assert w.field("Username").error == "1 to 32 of A-Z a-z 0-9 . _ -"
    assert w.field("Password").error == "6 to 128 characters"
    assert w.host.last.heard == [Code(), Invitation()]


async def test_the_form_asks_for_the_first_admin_s_code_where_the_realm_wants_one(
    window: Open,
) -> None:
    script = {
        Code: lambda _: CodeWanted(wanted=True, accepted=False),
        Register: lambda r: Registered("bob") if r.code == "RIGHT" else refusal,
    }
    refusal = ChatError(ErrorCode.BAD_CREDENTIALS, "no")
    w = await window(script, token="")
    await w.press("Create account")
    filled = {"Username": "bob", "Real name": "B", "Country": "Peru", "Password": "secret1"}
    for label, text in filled.items():
        w.field(label).value = text
    w.field("Admin code").value = "WRONG"
    button = [c for c in w.unseen.shown() if getattr(c, "content", "") == "Create account"][-1]
    await w.unseen.fire(button, "click")
    assert (
        w.field("Admin code").error
        == "This is not the code that the server printed at its latest start."
    )
    w.field("Admin code").value = " RIGHT "
    await w.unseen.fire(button, "click")
    heard = [request for client in w.host.clients for request in client.heard_of(Register)]
    assert [request.code for request in heard] == ["WRONG", "RIGHT"]
    assert w.host.last.heard_of(Auth) == [Auth("bob", "secret1")]


async def test_the_form_asks_for_no_code_where_there_is_an_admin(window: Open) -> None:
    w = await window(token="")
    await w.press("Create account")
    assert not [c for c in w.unseen.shown() if getattr(c, "label", "") == "Admin code"]


@pytest.mark.parametrize(
    "refusal, sentence",
    [
        (ChatError(ErrorCode.BAD_CREDENTIALS, "x"), "The username or the password is wrong."),
        (NotSent("x"), "The server cannot be reached. Nothing was done; try again."),
    ],
)
async def test_a_refused_sign_in_says_why_and_stays(
    window: Open, refusal: Exception, sentence: str
) -> None:
    w = await window({Auth: lambda _: refusal}, token="")
    w.field("Username").value, w.field("Password").value = "ana", "wrong12"
    await w.press("Sign in")
    await w.sees(sentence)
    assert w.field("Username").value == "ana"


async def test_the_server_is_a_setting_of_a_desktop_window(
    window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedHost, "may_change_server", True)
    w = await window(token="")
    assert w.field("Server").value == ScriptedHost.server
    w.field("Username").value, w.field("Password").value = "ana", "secret1"
    w.field("Server").value = "chat.example.org"
    await w.press("Sign in")
    assert w.field("Server").error == "Enter the server as ws://host:port or wss://host"
    assert w.host.clients == []
    w.field("Server").value = "wss://chat.example.org"
    await w.press("Sign in")
    await w.sees("ana on alpha")
    assert w.host.servers == ["wss://chat.example.org"]


async def test_the_token_of_one_server_is_not_told_to_another(
    window: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There was one token: who chose another server sent it the first one's."""
    monkeypatch.setattr(ScriptedHost, "may_change_server", True)
    kept: dict[str, str] = {}

    async def get(_: Any, key: str) -> str:
        return kept.get(key, "")

    async def put(_: Any, key: str, value: str) -> None:
        kept[key] = value

    monkeypatch.setattr(ft.SharedPreferences, "get", get)
    monkeypatch.setattr(ft.SharedPreferences, "set", put)
    kept["chat.token"] = "of an earlier version, and of nobody knows which server"
    first = await window(signs_in=False)
    assert first.host.clients == []
    first.field("Username").value, first.field("Password").value = "ana", "secret1"
    first.field("Server").value = "wss://a.example"
    await first.press("Sign in")
    await first.sees("ana on alpha")
    kept["chat.server"] = "wss://b.example"
    second = await window(signs_in=False)
    assert second.field("Server").value == "wss://b.example"
    assert second.host.clients == []
    kept["chat.server"] = "wss://a.example"
    third = await window(signs_in=False)
    assert (third.host.servers, third.host.last.token) == (["wss://a.example"], "t")


async def test_in_a_browser_the_server_is_no_setting(window: Open) -> None:
    w = await window(token="")
    assert "Server" not in [c.label for c in w.unseen.shown() if isinstance(c, ft.TextField)]


async def test_an_ended_session_says_why_and_lets_sign_in(window: Open) -> None:
    w = await window()
    w.tell(SignedOut("session ended (4501)"))
    await w.unseen.until(lambda: any("session ended" in text for text in w.unseen.texts()))
    assert w.field("Username")
