"""Rules of blocking people and answering invitations in the app."""

from __future__ import annotations

from typing import Any

from shared.client import GroupChanged
from shared.protocol.commands.blocks import Block, BlockedUsers, ListBlocked, Unblock
from shared.protocol.commands.groups import (
    Accept,
    Decline,
    GroupChats,
    InvitationAccepted,
    InvitationDeclined,
    ListGroup,
)
from shared.protocol.commands.history import History
from shared.protocol.commands.messages import Page
from shared.protocol.commands.private import ListPc, PrivateChats
from tests.flet_app.looking import Open
from tests.flet_app.people import chat, group, message

HINT = "A stranger of another realm invites you. The group stays hidden until you accept."


class Realm:
    """A scripted realm in which ana is invited to a group, and knows bob."""

    def __init__(self) -> None:
        self.blocked: list[str] = []
        self.roles = {"#7@beta": "invited"}
        self.script: dict[type, Any] = {
            ListPc: lambda _: PrivateChats([chat("bob", 1, 1)]),
            ListGroup: lambda _: GroupChats(self.groups()),
            History: self.history,
            ListBlocked: lambda _: BlockedUsers(self.blocked),
            Block: lambda r: self._block([str(r.user)]),
            Unblock: lambda r: self._block([]),
            Accept: self.accept,
            Decline: self.decline,
        }
        self.read: list[str] = []

    def groups(self) -> list[Any]:
        found = []
        for address, role in self.roles.items():
            one = group(address, "offers")
            one.role = role
            found.append(one)
        return found

    def history(self, request: History) -> Page:
        self.read.append(str(request.conversation))
        texts = [message(1, text="welcome", conversation=str(request.conversation))]
        return Page(str(request.conversation), texts, False)

    def _block(self, users: list[str]) -> BlockedUsers:
        self.blocked = users
        return BlockedUsers(users)

    def accept(self, request: Accept) -> InvitationAccepted:
        self.roles["#7@beta"] = "member"
        return InvitationAccepted("#7@beta")

    def decline(self, request: Decline) -> InvitationDeclined:
        self.roles.clear()
        return InvitationDeclined("#7@beta")


async def test_an_invitation_is_accepted_and_then_read(window: Open) -> None:
    realm = Realm()
    w = await window(realm.script)
    await w.open("offers")
    await w.sees("You are invited to offers")
    assert realm.read == []
    await w.press("Accept")
    await w.sees("welcome")
    assert realm.read == ["#7@beta"]
    assert "You are invited to offers" not in w.unseen.texts()


async def test_an_invitation_is_declined_and_gone(window: Open) -> None:
    realm = Realm()
    w = await window(realm.script)
    await w.open("offers")
    await w.press("Decline")
    await w.unseen.until(lambda: "offers" not in w.unseen.texts())
    assert realm.read == []


async def test_an_invitation_comes_while_one_looks_and_another_window_accepts(
    window: Open,
) -> None:
    realm = Realm()
    realm.roles = {}
    w = await window(realm.script)
    realm.roles = {"#7@beta": "invited"}
    w.tell(GroupChanged("#7@beta", "offers", "ana", "invited"))
    await w.sees("You are invited to offers")
    await w.open("offers")
    await w.sees(HINT)
    realm.roles = {"#7@beta": "member"}
    w.tell(GroupChanged("#7@beta", "offers", "ana", "joined"))
    await w.sees("welcome")


async def test_a_person_is_blocked_and_unblocked_from_their_chat(window: Open) -> None:
    realm = Realm()
    w = await window(realm.script)
    await w.open("bob")
    for said, verb in (("bob is blocked", "Block"), ("bob is no longer blocked", "Unblock")):
        await w.press("Block or unblock")
        await w.unseen.until(lambda: any("bob" in s and "?" in s for s in w.unseen.texts()))
        await w.press(verb)
        await w.sees(said)
        assert realm.blocked == (["bob"] if verb == "Block" else [])
