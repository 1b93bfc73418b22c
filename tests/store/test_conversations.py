"""Rules of private chats and groups: their members, their addresses, and changes of both."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, GroupAddress
from ws_server.store import conversations, recipients
from ws_server.store.accounts import users
from ws_server.store.conversations import Conversation
from ws_server.store.groups import group_members

ALICE, BOB, CAROL = 1, 2, 3


@pytest.fixture(autouse=True)
def people(tx: Connection) -> None:
    """Three accounts."""
    for name in ("Alice", "bob", "carol"):
        users.create(tx, name, name, "Indonesia", "hash", 1)


@pytest.fixture
def group(tx: Connection) -> Conversation:
    """A group of alice, its owner, and bob."""
    made = group_members.create_group(tx, ALICE, "team", 1)
    return group_members.join(tx, made, users.existing(tx, "bob"))


def open_private(tx: Any, user_id: int, name: str) -> Conversation:
    """Return a user's chat with another local user."""
    place = (user_id, Address(name))
    found = tx.run(lambda tx: recipients.open_all(tx, [place], 1))[place]
    assert isinstance(found, Conversation)
    return found


def roles(group: Conversation) -> dict[str, bool]:
    return {member.name: member.owner for member in group.members.values()}


def test_a_private_chat_is_one_for_both_people_whatever_case_they_write(tx: Connection) -> None:
    made = open_private(tx, ALICE, "BOB")
    assert conversations.find(tx, BOB, Address("aLiCe")) == made
    assert open_private(tx, BOB, "alice") == made
    assert (made.address(ALICE), made.address(BOB)) == ("bob", "Alice")


def test_a_chat_with_oneself_has_one_member(tx: Connection) -> None:
    notes = open_private(tx, ALICE, "alice")
    assert (list(notes.members), notes.address(ALICE)) == ([ALICE], "Alice")


def test_a_chat_that_was_not_begun_is_none_and_an_unknown_person_an_error(tx: Connection) -> None:
    assert conversations.find(tx, ALICE, Address("bob")) is None
    assert conversations.known_as(tx, Address("BOB")) == "bob"
    with pytest.raises(ChatError) as refused:
        conversations.find(tx, ALICE, Address("nobody"))
    assert refused.value.code is ErrorCode.UNKNOWN_USER


def test_group_numbers_are_unique_and_names_may_repeat(tx: Connection) -> None:
    numbers = [group_members.create_group(tx, ALICE, "team", 1).number for _ in range(3)]
    assert numbers == [1, 2, 3]


def test_the_number_of_an_abandoned_group_is_not_given_again(tx: Connection) -> None:
    made = group_members.create_group(tx, ALICE, "team", 1)
    group_members.leave(tx, made, ALICE)
    assert group_members.create_group(tx, BOB, "team", 1).number == 2


def test_members_come_in_the_order_they_joined(tx: Connection, group: Conversation) -> None:
    group = group_members.join(tx, group, users.existing(tx, "carol"))
    assert list(group.members) == [ALICE, BOB, CAROL]
    group = group_members.leave(tx, group, BOB)
    group = group_members.join(tx, group, users.existing(tx, "bob"))
    assert list(group.members) == [ALICE, CAROL, BOB]


def test_the_owner_leaving_hands_the_group_to_the_oldest_member(
    tx: Connection, group: Conversation
) -> None:
    group = group_members.join(tx, group, users.existing(tx, "carol"))
    group = group_members.leave(tx, group, ALICE)
    assert roles(group) == {"bob": True, "carol": False}
    group = group_members.join(tx, group, users.existing(tx, "Alice"))
    assert roles(group) == {"bob": True, "carol": False, "Alice": False}


def test_a_member_leaving_changes_no_role(tx: Connection, group: Conversation) -> None:
    assert roles(group_members.leave(tx, group, BOB)) == {"Alice": True}


def test_the_last_one_leaving_leaves_nobody(tx: Connection, group: Conversation) -> None:
    group = group_members.leave(tx, group_members.leave(tx, group, ALICE), BOB)
    assert group.members == {}
    with pytest.raises(ChatError):
        conversations.group(tx, ALICE, GroupAddress(1))


def test_every_change_of_membership_is_a_new_version(tx: Connection, group: Conversation) -> None:
    joined = group_members.join(tx, group, users.existing(tx, "carol"))
    left = group_members.leave(tx, joined, CAROL)
    assert (joined.version, left.version) == (group.version + 1, group.version + 2)


@pytest.mark.parametrize("number", [1, 2])
def test_a_group_one_is_not_in_is_as_unknown_as_one_that_does_not_exist(
    tx: Connection, group: Conversation, number: int
) -> None:
    with pytest.raises(ChatError) as refused:
        conversations.find(tx, CAROL, GroupAddress(number))
    assert refused.value.code is ErrorCode.UNKNOWN_GROUP
    assert refused.value.message == f"You are in no group #{number}; listgroup shows yours"


def test_a_group_is_bounded(
    tx: Connection, group: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_members, "MAX_MEMBERS", 2)
    with pytest.raises(ChatError) as refused:
        group_members.join(tx, group, users.existing(tx, "carol"))
    assert refused.value.code is ErrorCode.TOO_LARGE


def test_reload_sees_what_changed_and_keeps_what_did_not(
    tx: Connection, group: Conversation
) -> None:
    chat = open_private(tx, ALICE, "bob")
    now = group_members.join(tx, group, users.existing(tx, "carol"))
    fresh = conversations.reload(tx, {group.id: group, chat.id: chat})
    assert fresh == {group.id: now, chat.id: chat}
    assert fresh[chat.id].members is chat.members
