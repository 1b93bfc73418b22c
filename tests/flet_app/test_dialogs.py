"""Errors of the dialogs: a refused or unanswered command keeps them open and shows the reason."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import flet as ft
import pytest

from shared.client import ChatError, ErrorCode, GroupChanged, NotSent
from shared.protocol.commands.groups import (
    ChooseGroupHistory,
    CreateGroup,
    GroupChats,
    GroupCreated,
    GroupHistoryChosen,
    GroupLeft,
    GroupMember,
    GroupMembers,
    GroupPerson,
    InviteGroup,
    Kick,
    LeaveGroup,
    ListGroup,
    Members,
)
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page
from shared.protocol.commands.realms import AddRealm, ListRealm, Realm, RealmAdded, Realms
from tests.flet_app.looking import Open, Window
from tests.flet_app.people import group

NOBODY = ChatError(ErrorCode.UNKNOWN_USER, "Nobody is called bbo")
SPELLING = "There is no person with this name. Check the spelling."
UNREACHABLE = "The server cannot be reached. Nothing was done; try again."
REQUIRED = "This is required"


class Cake:
    """A scripted realm with a group that ana owns; `refusal` is the answer to the next change."""

    def __init__(self) -> None:
        self.members = ["ana", "bob"]
        self.refusal: Exception | None = None
        self.script: dict[type, Any] = {
            ListGroup: lambda _: GroupChats([group("#1", "cake")]),
            History: lambda _: Page("#1", [], False),
            Members: self._listed,
            InviteGroup: lambda r: self.refusal or self._changed(self.members.append, r.user),
            Kick: lambda r: self.refusal or self._changed(self.members.remove, r.user),
            LeaveGroup: lambda _: self.refusal or GroupLeft("#1"),
        }

    def _listed(self, _: Members) -> GroupMembers:
        owner, *others = self.members
        rows = [GroupMember(owner, "owner", 0), *(GroupMember(m, "member", 0) for m in others)]
        return GroupMembers(rows)

    def _changed(self, change: Any, user: Any) -> GroupPerson:
        change(str(user))
        return GroupPerson("#1", str(user))

    async def opened(self, window: Open) -> Window:
        """Open the dialog of the group."""
        w: Window = await window(self.script)
        await w.open("cake")
        await w.press("About this conversation")
        await w.sees_in_dialog("bob")
        return w


async def fill(w: Window, **entries: str) -> None:
    for label, value in entries.items():
        w.entry(label.replace("_", " ")).value = value


async def test_inviting_nobody_marks_the_box_as_required(window: Open) -> None:
    w = await Cake().opened(window)
    await fill(w, Person="  ")
    await w.answer("Invite")
    assert w.entry("Person").error == REQUIRED
    assert w.host.last.heard_of(InviteGroup) == []


async def test_inviting_a_misspelt_person_says_so_and_keeps_the_name(window: Open) -> None:
    cake = Cake()
    w = await cake.opened(window)
    cake.refusal = NOBODY
    await fill(w, Person="bbo")
    await w.answer("Invite")
    await w.sees_in_dialog(SPELLING)
    assert w.entry("Person").value == "bbo"
    cake.refusal = None
    await fill(w, Person="cleo")
    await w.answer("Invite")
    await w.sees_in_dialog("cleo")
    assert w.entry("Person").value == ""
    assert SPELLING not in w.dialog_texts()


async def test_a_member_is_removed_only_after_the_question(window: Open) -> None:
    cake = Cake()
    w = await cake.opened(window)
    await w.answer("Remove bob")
    await w.sees_in_dialog("Remove bob from cake? Only the owner can invite them again.")
    await w.answer("Cancel")
    await w.sees_in_dialog("bob")
    assert w.host.last.heard_of(Kick) == []
    await w.answer("Remove bob")
    await w.answer("Remove")
    await w.unseen.until(lambda: "ana" in w.dialog_texts() and "bob" not in w.dialog_texts())


async def test_a_refused_removal_is_shown_below_the_members(window: Open) -> None:
    cake = Cake()
    w = await cake.opened(window)
    cake.refusal = ChatError(ErrorCode.FORBIDDEN, "Only the owner can remove people")
    await w.answer("Remove bob")
    await w.answer("Remove")
    await w.sees_in_dialog("Only the owner can remove people")
    assert "bob" in w.dialog_texts()


def switches(w: Window) -> list[ft.Switch]:
    return [one for one in w.dialog() if isinstance(one, ft.Switch)]


def switch(w: Window) -> ft.Switch:
    (found,) = switches(w)
    return found


async def turn(w: Window, on: bool) -> None:
    control = switch(w)
    control.value = on
    assert control.on_change is not None
    await control.on_change(None)  # type: ignore[misc, call-arg, arg-type]


async def test_the_owner_chooses_whether_new_members_read_earlier_messages(window: Open) -> None:
    cake = Cake()
    cake.script[ChooseGroupHistory] = lambda r: cake.refusal or GroupHistoryChosen("#1", r.history)
    w = await cake.opened(window)
    assert switch(w).label == "New members can read earlier messages"
    assert switch(w).value
    await turn(w, on=False)
    await w.unseen.until(lambda: bool(w.host.last.heard_of(ChooseGroupHistory)))
    assert [r.history for r in w.host.last.heard_of(ChooseGroupHistory)] == ["joining"]
    # A refusal is shown, and the switch goes back.
    cake.refusal = ChatError(ErrorCode.FORBIDDEN, "Only the owner may do this")
    await turn(w, on=True)
    await w.sees_in_dialog("Only the owner may do this")
    assert not switch(w).value


async def test_members_see_what_the_owner_chose_for_new_ones(window: Open) -> None:
    cake = Cake()
    cake.members = ["bob", "ana"]
    w = await cake.opened(window)
    words = "New members read only what is written after they join"
    assert not switches(w) and words not in w.dialog_texts()
    await w.answer("Close")
    chosen = GroupChats([replace(group("#1", "cake"), history="joining")])
    cake.script[ListGroup] = lambda _: chosen
    w.tell(GroupChanged("#1", "cake", "bob", "history", "joining"))
    await w.sees("bob chose that new members read only what is written after they join")
    # A group is not left because its owner chose something, here in another window.
    w.tell(GroupChanged("#1", "cake", "ana", "history", "joining"))
    w.tell(GroupChanged("#1", "cake", "cleo", "joined"))
    await w.sees("cleo joined")
    await w.press("About this conversation")
    await w.sees_in_dialog(words)


async def test_members_that_cannot_be_fetched_open_no_dialog(window: Open) -> None:
    cake = Cake()
    w = await window({**cake.script, Members: lambda _: NotSent("x")})
    await w.open("cake")
    await w.press("About this conversation")
    await w.sees(UNREACHABLE)
    assert w.dialog() == []


async def test_a_group_that_could_not_be_left_stays_in_the_list(window: Open) -> None:
    cake = Cake()
    w = await cake.opened(window)
    cake.refusal = NotSent("x")
    await w.answer("Leave group")
    await w.answer("Leave group")
    await w.sees(UNREACHABLE)
    assert "cake" in w.unseen.texts()
    cake.refusal = None
    await w.press("About this conversation")
    await w.answer("Leave group")
    await w.answer("Leave group")
    await w.unseen.until(lambda: "cake" not in w.unseen.texts())


async def choose(w: Window, item: str) -> None:
    """Choose an item of the menu."""
    found = w.unseen.find(ft.PopupMenuItem, lambda c: c.content == item)
    await w.unseen.fire(found, "click")


async def test_realms_show_their_links_states_and_queues(window: Open) -> None:
    realms = [
        Realm("beta", "beta.example.org", 8765, "AAAA BBBB", "active", "up", 0),
        Realm("gamma", "10.0.0.3", 8766, "CCCC DDDD", "pending", "down", 3),
    ]
    w = await window({ListRealm: lambda _: Realms(realms)})
    await choose(w, "Realms")
    await w.sees_in_dialog("connected")
    shown = w.dialog_texts()
    for text in ("not connected, pending, 3 deliveries are waiting", "10.0.0.3:8766", "AAAA BBBB"):
        assert text in shown
    await w.answer("Close")
    await w.unseen.until(lambda: w.dialog() == [])


async def test_without_other_realms_the_dialog_offers_to_add_one(window: Open) -> None:
    w = await window()
    await choose(w, "Realms")
    await w.sees_in_dialog("No other realm has been added yet. Add one to write to its people.")
    await w.answer("Add realm")
    await w.unseen.until(lambda: any(isinstance(c, ft.TextField) for c in w.dialog()))
    assert w.entry("Port").value == "8765"


async def test_realms_that_cannot_be_fetched_are_reported_without_a_dialog(window: Open) -> None:
    away = False
    w = await window({ListRealm: lambda _: NotSent("x") if away else Realms([])})
    await w.unseen.until(lambda: bool(w.host.last.heard_of(ListRealm)))
    away = True
    await choose(w, "Realms")
    await w.sees(UNREACHABLE)
    assert w.dialog() == []


@pytest.mark.parametrize("port", ["0", "65536", "abc", "-1", "٣"])
async def test_a_port_that_is_none_is_refused_before_anything_is_sent(
    window: Open, port: str
) -> None:
    w = await window()
    await w.press("Add realm")
    await fill(w, Name="beta", Address="localhost", Port=port)
    await w.answer("Add")
    await w.sees_in_dialog("The port must be a number from 1 to 65535")
    assert w.host.last.heard_of(AddRealm) == []


async def test_a_realm_that_does_not_answer_is_added_by_the_next_try(window: Open) -> None:
    answers: list[Any] = [
        ChatError(ErrorCode.REALM_UNREACHABLE, "beta does not answer"),
        RealmAdded("beta", "AAAA BBBB", "up"),
    ]
    w = await window({AddRealm: lambda _: answers.pop(0)})
    await w.press("Add realm")
    await w.answer("Add")
    await w.sees_in_dialog(REQUIRED)
    assert w.entry("Name").error == w.entry("Address").error == REQUIRED
    await fill(w, Name="beta", Address="localhost")
    await w.answer("Add")
    await w.sees_in_dialog(
        "The realm does not answer. Check its address and port, and whether it is running."
    )
    await w.answer("Add")
    await w.sees(
        "beta was added. Compare this fingerprint with the one its operator gives: AAAA BBBB"
    )
    await w.unseen.until(lambda: w.dialog() == [])


async def test_a_chat_with_a_misspelt_person_asks_for_the_spelling(window: Open) -> None:
    def answer(request: History) -> Any:
        return NOBODY if str(request.conversation) == "bbo" else Page("bob", [], False)

    w = await window({History: answer})
    await w.press("New chat")
    await fill(w, Person="bbo")
    await w.answer("Open")
    await w.sees_in_dialog(SPELLING)
    await fill(w, Person="bob")
    await w.answer("Open")
    await w.unseen.until(lambda: w.dialog() == [])
    await w.sees("No messages yet. Say hello!")


async def test_a_second_press_while_a_group_is_created_creates_one_group(window: Open) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    w = await window({CreateGroup: lambda _: answer, History: lambda _: Page("#1", [], False)})
    await w.press("New group")
    await fill(w, Group_name="cake")
    creating = [asyncio.create_task(w.answer("Create")) for _ in range(2)]
    await w.unseen.until(lambda: bool(w.host.last.heard_of(CreateGroup)))
    answer.set_result(GroupCreated("#1", "cake"))
    await asyncio.gather(*creating)
    await w.unseen.until(lambda: w.dialog() == [])
    assert len(w.host.last.heard_of(CreateGroup)) == 1
    await w.sees("cake")


async def test_a_chat_whose_dialog_was_cancelled_does_not_open_later(window: Open) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    w = await window({History: lambda _: answer})
    await w.press("New chat")
    await fill(w, Person="bob")
    opening = asyncio.create_task(w.answer("Open"))
    await w.unseen.until(lambda: bool(w.host.last.heard_of(History)))
    await w.answer("Cancel")
    answer.set_result(Page("bob", [], False))
    await opening
    assert "Choose a conversation, or start one with New chat" in w.unseen.texts()
