"""Completion by the command table and by the names that were heard of."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

from shared.client import GroupChanged, MessageArrived
from shared.protocol.commands.groups import GroupChat, GroupChats
from shared.protocol.commands.messages import FileInfo, Message
from shared.protocol.commands.private import PrivateChat, PrivateChats
from shared.protocol.commands.realms import Realm, Realms
from shared.protocol.spec import TABLE
from terminal_app.completion import LineCompleter, candidates, spellings
from terminal_app.names import MAX_NAMES, KnownNames, RecentNames
from terminal_app.toolbar import hint_of


@pytest.fixture
def names() -> KnownNames:
    known = KnownNames()
    chats = [PrivateChat(who, 1, 0, 0, 0, 0, None) for who in ("bob", "Ana", "eve@beta")]
    known.learn(PrivateChats(chats))
    known.learn(GroupChats([GroupChat("#12", "team", "owner", 1, 0, 0, 0, None)]))
    known.learn(GroupChanged("#3@beta", "far", "zed@beta", "joined"))
    known.learn(Realms([Realm("beta", "localhost", 1, "f", "active", "up", 0)]))
    file = FileInfo("f_1", "a.txt", 1, "text/plain", "0" * 64)
    known.learn(Message("m", "bob", 1, "bob", 0, "", file))
    return known


@pytest.mark.parametrize(
    "line, found",
    [
        ("sendpc", ["sendpcrealm"]),
        ("ex", ["exit"]),
        ("send ", ["bob", "zed@beta", "Ana", "eve@beta"]),
        ("send a", ["Ana"]),
        ("SEND a", ["Ana"]),
        ("send bob ", []),
        ("sendg ", ["#3@beta", "#12"]),
        ("history ", ["bob", "zed@beta", "Ana", "eve@beta", "#3@beta", "#12"]),
        ("invitegroup 12 b", ["bob"]),
        ('invitegroup "12" b', ["bob"]),
        ('sendfile "my friend" b', []),
        ("sendpcrealm ", ["beta"]),
        ("sendpcrealm beta ", ["zed", "eve"]),
        ("sendgrouprealm beta ", ["#3"]),
        ("listpc ", ["beta"]),
        ("help sendg", ["sendgroupfile", "sendgroupfilerealm", "sendgrouprealm", "sendg"]),
        ("save ", ["f_1"]),
        ("getfile f", ["f_1"]),
        ("nothing ", []),
        ("auth ", []),
    ],
)
def test_candidates_follow_from_the_kind_of_argument(
    names: KnownNames, line: str, found: list[str]
) -> None:
    assert sorted(name for name, _ in candidates(line, names)) == sorted(found)


@pytest.mark.parametrize("typed", ["cafe", "grand", "GRAND", "café"])
def test_a_group_was_not_found_by_what_it_is_called(names: KnownNames, typed: str) -> None:
    names.learn(GroupChanged("#7", "Grand Cafe\u0301", "ana", "joined"))
    names.learn(GroupChanged("#8@beta", "Grand Café", "ana", "joined"))
    assert [name for name, _ in candidates(f"sendg {typed}", names)] == ["#8@beta", "#7"]
    assert [name for name, _ in candidates(f"sendgrouprealm beta {typed}", names)] == ["#8"]
    assert candidates(f"send {typed}", names) == candidates(typed, names) == []


def test_every_command_that_can_be_typed_is_offered_and_none_of_realms() -> None:
    offered = set(spellings())
    assert {"send", "sendpcrealm", "save", "quit"} <= offered
    assert not {"link", "linkproof", "sync", "format", "files"} & offered
    assert offered - set(TABLE) == {"save", "exit", "quit"}


@pytest.mark.parametrize("head", ["sendfile bob ", "sendgroupfilerealm beta 12 ", "save f_1 "])
def test_paths_are_completed_where_a_path_is_typed(
    names: KnownNames, tmp_path: Path, head: str
) -> None:
    (tmp_path / "my photo.png").touch()
    (tmp_path / ".hidden").touch()
    document = Document(f"{head}{tmp_path}/")
    found = LineCompleter(names).get_completions(document, CompleteEvent(completion_requested=True))
    assert [one.text for one in found] == ["my photo.png"]


def test_a_path_in_double_quotes_is_completed_as_quoted(names: KnownNames, tmp_path: Path) -> None:
    (tmp_path / 'a "b" c.txt').touch()
    document = Document(f'sendfile bob "{tmp_path}/a \\"')
    found = LineCompleter(names).get_completions(document, CompleteEvent(completion_requested=True))
    assert [one.text for one in found] == ['b\\" c.txt']


def test_a_name_that_others_gave_is_shown_safely(names: KnownNames) -> None:
    names.learn(GroupChanged("#9", "x\x1b[2J", "bob", "joined"))
    completions = LineCompleter(names).get_completions(Document("sendg #9"), CompleteEvent())
    assert [one.display_meta_text for one in completions] == ["x\\x1b[2J"]


def test_a_message_in_a_group_gets_the_name_of_the_group(names: KnownNames) -> None:
    arrived = MessageArrived("m", "#12", 1, "bob", 0, "hi")
    names.name_group(arrived)
    assert arrived.line() == "[#12 team | bob] hi"
    names.clear()
    assert candidates("send ", names) == []


def test_no_more_names_are_kept_than_are_needed() -> None:
    known = RecentNames()
    for number in range(MAX_NAMES + 10):
        known.add(f"person{number}")
    latest = known.latest_first()
    assert (len(latest), latest[0][0]) == (MAX_NAMES, f"person{MAX_NAMES + 9}")


def test_the_hint_is_the_usage_of_what_is_being_typed() -> None:
    assert hint_of("sendgrouprealm b", transfers=False) == (
        "sendgrouprealm <realm> <group> <text...>  Send a text to a group."
    )
    assert hint_of("", transfers=True) == "Ctrl+C cancels"
    assert hint_of("nothing x", transfers=False) == "not a command; Tab completes, help lists them"
