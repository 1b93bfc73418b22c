"""People with more conversations, and groups with more people, than a frame or a screen holds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import flet as ft
import pytest

from flet_app.actions import Actions
from flet_app.parts.tile import Tile
from flet_app.state import AppState
from flet_app.views.group import MAX_SHOWN_MEMBERS
from shared.client import ChatClient
from shared.protocol.commands.groups import (
    GroupChats,
    GroupMember,
    GroupMembers,
    ListGroup,
    Members,
)
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page
from tests.flet_app.looking import Open
from tests.flet_app.people import group
from tests.flet_app.scripted import ScriptedHost
from tests.realserver import RealServer

PAGE = 647
"""Groups that a frame held when somebody was in 2,700."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RealServer]:
    found = RealServer(tmp_path, "--rate-limits", "off")
    found.start()
    yield found
    found.kill()


class RealHost(ScriptedHost):
    """A window's place over a real client."""

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        return ChatClient(server, token=token, **options)


@pytest.mark.system
async def test_the_groups_behind_the_first_frame_of_the_list_were_never_found(
    server: RealServer, tmp_path: Path
) -> None:
    names = [f"{n:04} {'é' * 120}" for n in range(2100)]
    async with ChatClient(server.url) as ana:
        await ana.register("ana", "Ana", "secret12", "Peru")
        await ana.auth("ana", "secret12")
        for start in range(0, len(names), 700):
            await asyncio.gather(*map(ana.creategroup, names[start : start + 700]))
        assert (await ana.listgroup()).more
        (tmp_path / "window").mkdir()
        host = RealHost(tmp_path / "window")
        host.server = server.url
        listed = asyncio.Event()
        state = AppState(lambda _: listed.set() if state.listed else None)

        async def forget(server: str, token: str) -> None:
            pass

        actions = Actions(state, host, forget)
        try:
            await actions.sign_in("ana", "secret12")
            async with asyncio.timeout(60):
                await listed.wait()
            assert sorted(c.name for c in state.conversations.matching()) == names
            assert [c.name for c in state.conversations.matching("0007")] == [names[7]]
        finally:
            await actions.close()


def pages(groups: list[Any]) -> Any:
    """Answer as a realm whose frames hold PAGE groups."""

    def answer(request: ListGroup) -> GroupChats:
        at = [g.group for g in groups].index(str(request.after)) + 1 if request.after else 0
        more = True if at + PAGE < len(groups) else None
        return GroupChats(groups[at : at + PAGE], more)

    return answer


async def test_of_very_many_conversations_it_is_said_how_many_are_shown(window: Open) -> None:
    groups = [group(f"#{n}", f"team {n}") for n in range(1, 2701)]
    w = await window({ListGroup: pages(groups)})
    await w.sees("Showing 300 of 2,700; type to narrow")
    w.field("Filter conversations").value = "2699"
    await w.unseen.fire(w.field("Filter conversations"), "change")
    await w.unseen.until(
        lambda: [c.look.title for c in w.unseen.shown() if isinstance(c, Tile)] == ["team 2699"]
    )
    assert not [text for text in w.unseen.texts() if text.startswith("Showing")]


async def test_of_very_many_members_those_that_are_typed_are_shown(window: Open) -> None:
    people = [GroupMember(f"p{n}", "member", 0) for n in range(2000)]

    def answer(request: Members) -> GroupMembers:
        at = [m.user for m in people].index(str(request.after)) + 1 if request.after else 0
        return GroupMembers(people[at : at + 900], True if at + 900 < len(people) else None)

    script = {
        ListGroup: lambda _: GroupChats([group("#1", "cake")]),
        History: lambda _: Page("#1", [], False),
        Members: answer,
    }
    w = await window(script)
    await w.open("cake")
    await w.press("About this conversation")
    await w.sees(f"Showing {MAX_SHOWN_MEMBERS} of 2,000; type to narrow")
    await w.sees("2000 members")
    box = w.field("Person")
    box.value = "p1999"
    await w.unseen.fire(box, "change")

    def members() -> list[str]:
        shown = [c for c in w.unseen.shown() if isinstance(c, ft.Semantics)]
        return [c.content.controls[1].value for c in shown if c.identifier == "member"]

    await w.unseen.until(lambda: members() == ["p1999"])
