"""Rules of what people read in the text dialect; sections 3 and 7 of the contract."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol import text_dialect
from shared.protocol.commands.accounts import Limits, Me, SignedIn
from shared.protocol.commands.files import FileChunk, UploadOpened
from shared.protocol.commands.groups import GroupChanged, GroupChat, GroupChats
from shared.protocol.commands.messages import (
    Delivery,
    FileInfo,
    Message,
    MessageArrived,
    Page,
    Receipt,
    Sent,
    size_in_words,
)
from shared.protocol.commands.private import PrivateChat, PrivateChats
from shared.protocol.commands.realms import Realm, RealmLink, Realms
from shared.protocol.records import EVENTS, Event, Reply
from shared.protocol.spec import specs
from tests.protocol.strategies import records

PHOTO = FileInfo("f_1", "photo.png", 1_234_567, "image/png", "ab" * 32)
REPLIES = sorted({spec.reply for spec in specs()}, key=lambda reply: reply.__name__)
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
TIME = 1_700_000_000_000
SHOWN_TIME = "2023-11-14 22:13"


def arrived(**changes: Any) -> MessageArrived:
    """Return bob's `hi` as it is pushed to alice, changed."""
    fields: dict[str, Any] = {
        **{"id": "m_1", "conversation": "bob", "seq": 1, "sender": "bob", "time": TIME},
        **{"text": "hi", "file": None, "state": None, "group_name": None},
    }
    return MessageArrived(**(fields | changes))


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (arrived(), "[bob] hi"),
        (arrived(conversation="bob@beta", sender="bob@beta"), "[bob@beta] hi"),
        (arrived(conversation="#12", group_name="team"), "[#12 team | bob] hi"),
        (arrived(conversation="#1@beta", group_name="a b"), "[#1@beta a b | bob] hi"),
        (arrived(text="", file=PHOTO), "[bob] photo.png (1.2 MB) file f_1"),
        (
            arrived(conversation="#12", group_name="team", text="", file=PHOTO),
            "[#12 team | bob] photo.png (1.2 MB) file f_1",
        ),
        (arrived(sender="alice", state="stored"), "[me > bob] hi"),
        (
            arrived(sender="alice", state="stored", text="", file=PHOTO),
            "[me > bob] photo.png (1.2 MB) file f_1",
        ),
        # A text that reads as a file, and one that says of itself that it is such a text.
        (
            arrived(text="photo.png (1.2 MB) file f_1"),
            '[bob] "photo.png (1.2 MB) file f_1"',
        ),
        (
            arrived(text='"photo.png (1.2 MB) file f_1"'),
            '[bob] ""photo.png (1.2 MB) file f_1""',
        ),
        (arrived(text="x (5 bytes)\tfile f_1"), '[bob] "x (5 bytes)\tfile f_1"'),
        (arrived(text="the file (1.2 MB) is large"), "[bob] the file (1.2 MB) is large"),
        (arrived(text="a\nb"), "[bob] a\n  b"),
        (arrived(text="a\n[eve] b"), "[bob] a\n  [eve] b"),
        (arrived(text="\x1b[2J"), r"[bob] \x1b[2J"),
        (arrived(conversation="#12", group_name="a\n[eve] b"), "[#12 a\n  (eve) b | bob] hi"),
        (FileChunk("f_1", 49_152, "aGk=", True), "FILE f_1 49152 aGk="),
        (GroupChanged("#12", "team", "bob", "joined"), "(bob joined: #12 team)"),
        (GroupChanged("#12", "team", "bob", "left"), "(bob left: #12 team)"),
        (GroupChanged("#12", "team", "bob", "removed"), "(bob was removed: #12 team)"),
        (
            GroupChanged("#12", "team", "bob", "history", "joining"),
            "(bob chose: Who joins #12 team reads what is written from then on)",
        ),
        (RealmLink("beta", "down"), "(realm beta is down)"),
        (Delivery("bob@beta", "m_1", 3, "delivered"), "(message 3 to bob@beta was delivered)"),
        (
            Delivery("bob@beta", "m_1", 3, "refused", "unknown_user"),
            "(message 3 to bob@beta was refused: unknown_user)",
        ),
        (Receipt("bob", "bob", 4, 4), "(bob has read up to message 4)"),
        (Receipt("bob", "bob", 5, 4), "(bob has read up to message 4, received up to 5)"),
        (Receipt("bob", "bob", 5, 0), "(bob has received up to message 5)"),
        (Receipt("#1", "alice", 4, 4), "(you have read #1 up to message 4)"),
    ],
)
def test_an_event_in_words(event: Event, line: str) -> None:
    assert text_dialect.format_event(event) == line


def test_a_receipt_of_what_was_not_read_does_not_say_read() -> None:
    assert "has read" not in text_dialect.format_event(Receipt("bob", "bob", 5, 0))


AS_FILES = [
    "photo.png (1.2 MB) file f_1",
    "photo.png (1.2\u00a0MB)\u3000file\u2003f_1",
    "photo.png (1.2MB)file f_1",
    "PHOTO.PNG (1,2 mb) FILE F_1",
    "photo.png (1.2 MB)\nfile f_1",
    "photo.png (1.2\u2800MB)\u2800file\u2800f_1",
    "photo.png （１.２ ＭＢ） ｆｉｌｅ f_1",
    "photo.png ⁽1.2 MB⁾ file f_1",
    "photo.png ❨1.2 MB❩ file f_1",
    "photo.png (1.2 ㎆) file f_1",
    "photo.png (1.2 МВ) fіlе f_1",  # Cyrillic
    "photo.png (٣ bytes) file f_1",
    "hi\n[eve] photo.png (1.2 MB) file f_1",
]


@pytest.mark.parametrize("text", AS_FILES, ids=ascii)
def test_a_text_that_reads_as_a_file_is_quoted_wherever_it_is_shown(text: str) -> None:
    said = f'"{text}"'.replace("\n", "\n  ")
    private = Message("m_1", "bob", 7, "bob", TIME, text)
    away = Message("m_1", "bob@beta", 7, "bob@beta", TIME, text)
    group = Message("m_1", "#1@beta", 7, "bob@beta", TIME, text)
    own = Message("m_1", "bob", 7, "alice", TIME, text, state="refused")
    for message in (private, away, group, own):
        assert f"[{message.sender}] {said}" in message.row()
    for event in (
        arrived(text=text),
        arrived(text=text, state="stored"),
        arrived(text=text, conversation="#1@beta", sender="bob@beta", group_name="team"),
    ):
        assert text_dialect.format_event(event).endswith(f"] {said}")
    for chats in (
        PrivateChats([PrivateChat("bob@beta", 2, 1, 1, 0, 0, away)]),
        GroupChats([GroupChat("#1@beta", "team", "owner", 3, 7, 0, 0, group)]),
    ):
        assert text_dialect.format_reply(chats).endswith(f"bob@beta: {said}")


@pytest.mark.parametrize(
    "text",
    ["the file (1.2 MB) is large", "call open(path) on file f", "see (1) and (2)", "f_1 (3 MB)"],
)
def test_other_texts_are_not_quoted(text: str) -> None:
    assert text_dialect.format_event(arrived(text=text)) == f"[bob] {text}"


@pytest.mark.parametrize("hidden", ["\u200b", "\u2060", "\ufeff", "\U000e0020"], ids=ascii)
def test_what_nobody_sees_hides_no_file_and_no_word(hidden: str) -> None:
    line = text_dialect.format_event(arrived(text=f"photo.png (1.2 MB){hidden} file f_1"))
    assert hidden not in line and rf"MB)\{ascii(hidden)[2:-1]} file" in line
    named = arrived(conversation="#12", group_name=f"te{hidden}am")
    assert hidden not in text_dialect.format_event(named)


def test_a_name_of_a_file_does_not_read_as_another_file() -> None:
    file = FileInfo("f_real", "a.png (1.2 MB) file f_evil", 3, "image/png", "ab" * 32)
    line = text_dialect.format_event(arrived(text="", file=file))
    assert line == '[bob] "a.png (1.2 MB) file f_evil" (3 bytes) file f_real'


@pytest.mark.parametrize(
    "shown",
    [
        text_dialect.format_reply(Sent("#1@beta", None, "m_1", TIME, "queued")),
        text_dialect.format_event(Delivery("#1@beta", "m_1", None, "refused", "unknown_group")),
    ],
)
def test_a_message_without_its_seq_is_not_called_message_none(shown: str) -> None:
    assert "None" not in shown


def test_a_queued_message_is_told_from_a_delivered_one() -> None:
    here = text_dialect.format_reply(Sent("bob@beta", 1, "m_1", TIME, "delivered"))
    assert text_dialect.format_reply(Sent("bob@beta", 1, "m_1", TIME, "queued")) != here


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (1, "1 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (1_234_567, "1.2 MB"),
        (104_857_600, "104.9 MB"),
    ],
)
def test_a_size_in_words(size: int, words: str) -> None:
    assert size_in_words(size) == words


@pytest.mark.parametrize(
    ("reply", "lines"),
    [
        (
            Page("bob", [Message("m_1", "bob", 7, "bob", TIME, "a\nb")], True),
            ["OK bob: message 7 (there are more)", f"7. {SHOWN_TIME} [bob] a", "  b"],
        ),
        (Page("bob", [], False), ["OK No message"]),
        (
            PrivateChats(
                [PrivateChat("bob", 2, 1, 1, 0, 0, Message("m", "bob", 2, "bob", TIME, "hi"))]
            ),
            ["OK 1 private chat", "bob: 2 messages, 1 unread | bob: hi"],
        ),
        (PrivateChats([]), ["OK No private chats yet"]),
        (
            GroupChats([GroupChat("#1", "team", "owner", 3, 0, 0, 0, None)]),
            ["OK 1 group", "#1 team (owner): 3 members, 0 messages, 0 unread"],
        ),
        (Me("bob", "alpha", "Bob", "Peru", True), ["OK bob on alpha: Bob, Peru, admin"]),
        (
            SignedIn("bob", "alpha", "abc", {"eve": 2}, "e", 1, Limits(1, 1, 1, 1, 1, 1)),
            [
                "OK Signed in as bob on alpha; 2 unread",
                "eve: 2 unread",
                "token abc (to resume; keep it secret)",
            ],
        ),
        (
            UploadOpened("u_1", 5, 9),
            ["OK Upload u_1 goes on at 5", "next: chunk u_1 5 <base64 of up to 9 bytes>"],
        ),
    ],
)
def test_a_reply_in_words(reply: Reply, lines: list[str]) -> None:
    assert text_dialect.format_reply(reply).split("\n") == lines


@pytest.mark.parametrize("name", EVENTS)
@given(data=st.data())
def test_nobody_forges_an_event_or_steers_a_terminal(name: str, data: st.DataObject) -> None:
    shown = text_dialect.format_event(data.draw(records(EVENTS[name], nasty=True)))
    assert not CONTROL.search(shown.replace("\n  ", ""))


@pytest.mark.parametrize("reply", REPLIES, ids=[reply.__name__ for reply in REPLIES])
@given(data=st.data())
def test_nobody_forges_a_line_of_a_reply(reply: type[Reply], data: st.DataObject) -> None:
    made = data.draw(records(reply, nasty=True))
    items = [made.sentence(), *made.lines()]
    assert text_dialect.format_reply(made) == "OK " + "\n".join(items)
    for item in items:
        assert not CONTROL.search(item.replace("\n  ", ""))


@pytest.mark.parametrize("address", ["evil\u202egro.", "\u2066host"])
def test_nobody_reorders_the_list_of_realms(address: str) -> None:
    realms = Realms([Realm("beta", address, 1, "ab", "active", "up", 0)])
    assert not CONTROL.search(text_dialect.format_reply(realms).replace("\n", ""))
