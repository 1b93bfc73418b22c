"""Lines that begin with a slash: completion and usage come from the command table."""

from __future__ import annotations

import pytest

from flet_app import commands
from shared.client import ChatError
from shared.protocol.commands.files import SendFile
from shared.protocol.commands.private import Send
from shared.protocol.spec import TABLE, Access
from shared.protocol.values import Address


def test_a_slash_begins_a_command_and_two_begin_a_text() -> None:
    assert commands.is_command("/help")
    assert not commands.is_command("//help") and not commands.is_command("help")


def test_the_beginning_of_a_word_suggests_the_commands_it_may_become() -> None:
    found = commands.suggestions("/sendp")
    assert [(s.line, s.usage) for s in found] == [
        ("/sendpcrealm ", "/sendpcrealm <realm> <to> <text...>")
    ]


def test_every_command_a_person_can_type_is_suggested_by_its_name() -> None:
    for spelling, spec in TABLE.items():
        lines = [s.line for s in commands.suggestions(f"/{spelling}")]
        typed = not any(a.required and a.json_only for a in spec.args)
        wanted = spec.access is not Access.REALM and typed and spelling not in commands.APP_ONLY
        assert (f"/{spelling} " in lines[:1]) == wanted, spelling


def test_after_the_word_its_usage_stays() -> None:
    (found,) = commands.suggestions("/send bob hel")
    assert (found.line, found.usage) == ("/send bob hel", "/send <to> <text...>")


@pytest.mark.parametrize("text", ["hello", "//x", "/nothing ", "/send\nx", ""])
def test_other_texts_suggest_nothing(text: str) -> None:
    assert commands.suggestions(text) == []


def test_a_line_is_parsed_as_the_server_would() -> None:
    assert commands.parse("/sendpcrealm beta bob hi  there") == Send(
        Address("bob", "beta"), "hi  there"
    )


def test_words_in_quotes_are_parsed_as_the_server_would() -> None:
    assert commands.parse('/sendfile bob "my note.txt" aGk=') == SendFile(
        Address("bob"), "my note.txt", b"hi"
    )


def test_a_wrong_line_says_the_usage() -> None:
    with pytest.raises(ChatError, match="Usage: send <to> <text...>"):
        commands.parse("/send bob")
    with pytest.raises(ChatError, match="did you mean send"):
        commands.parse("/sendd bob hi")


@pytest.mark.parametrize(
    "line, shown",
    [
        ("/auth bob secret1", "/auth bob •••"),
        ("/auth  bob   secret1", "/auth  bob   •••"),
        ("/auth bob with a blank", "/auth bob •••"),
        ("/auht bob secret1", "/auht bob •••"),
        ("/register bob Bob secret1 Indonesia", "/register bob Bob ••• Indonesia"),
        ('/register bob "Bob Marley" "my pass" Peru', '/register bob "Bob Marley" ••• Peru'),
        ("/register rob Robert Downey hunter22 USA", "/register rob Robert •••"),
        ("/passwd old1 new1", "/passwd ••• •••"),
        ("/resume a-token", "/resume •••"),
        ("/send bob secret1", "/send bob secret1"),
    ],
)
def test_no_password_is_shown_again(line: str, shown: str) -> None:
    assert commands.shown(line) == shown
