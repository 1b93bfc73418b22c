"""Words in double quotes, and lines in which the wrong word could become a password."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocol import text_dialect, words
from shared.protocol.commands.accounts import Auth, Passwd, Register
from shared.protocol.commands.files import SendFile, Upload
from shared.protocol.commands.groups import CreateGroup, SendGroup
from shared.protocol.commands.history import History
from shared.protocol.commands.meta import Help
from shared.protocol.commands.private import Send
from shared.protocol.countries import could_hold_a_password
from shared.protocol.errors import ErrorCode
from shared.protocol.spec import Request
from shared.protocol.values import Address, GroupAddress
from tests.protocol.strategies import ANYTHING_WRITTEN

BOB = Address("bob")
REGISTERED = [
    ('rob "Robert Downey" "my pass word" USA', "Robert Downey", "my pass word", "USA"),
    ('rob "Robert Downey" hunter22 United Kingdom', "Robert Downey", "hunter22", "United Kingdom"),
    ('rob "Robert Downey" secret "United Kingdom"', "Robert Downey", "secret", "United Kingdom"),
    ('rob Rob "Downey" "a land of my own"', "Rob", "Downey", "a land of my own"),
    ("rob Rob secret1 Indonesia", "Rob", "secret1", "Indonesia"),
    ("rob Rob secret1 United Kingdom", "Rob", "secret1", "United Kingdom"),
    ("rob Rob secret united kingdom", "Rob", "secret", "united kingdom"),
    ("rob Rob Secret Bosnia and Herzegovina", "Rob", "Secret", "Bosnia and Herzegovina"),
    ("rob Rob secret Saint Vincent and the Grenadines", "Rob", "secret", None),
    ("rob Rob secret Trinidad & Tobago", "Rob", "secret", "Trinidad & Tobago"),
    ("rob Rob secret Côte d'Ivoire", "Rob", "secret", "Côte d'Ivoire"),
    ("rob Rob secret Amerika Serikat", "Rob", "secret", "Amerika Serikat"),
    ("rob Rob secret1 the land of Nod", "Rob", "secret1", "the land of Nod"),
    ("rob Rob s3cret! Elsewhere Beyond 7", "Rob", "s3cret!", "Elsewhere Beyond 7"),
    ("rob D'Artagnan secret1 France", "D'Artagnan", "secret1", "France"),
    (r'rob "a \"b\" \\ c" "C:\new\\" X', r'a "b" \ c', "C:\\new\\", "X"),
]
UNCLEAR = [
    "rob Robert Downey hunter22 USA",
    "rob Robert Downey hunter22",
    "rob Robert Downey-Smith hunter22 USA",
    "rob Robert Downey hunterpass USA",
    "rob Robert Downey my hunter22 USA",
    'rob Robert Downey "hunter22" USA',
    'rob "Robert Downey" secret hunter22 USA',
    "rob 'Robert Downey' hunter22 USA",
    "rob 'Robert Downey' USA",
    "rob “Robert Downey” hunter22 USA",
    "rob ‘Robert Downey’ hunter22 USA",
    # Doubts come before what is wrong with the word that stands where the password should.
    "rob Ana Maria hunter22 Portugal",
    "rob Jean Luc Picard hunter22 France",
]


@pytest.mark.parametrize(("line", "real_name", "password", "country"), REGISTERED)
def test_register_takes_quotes_and_countries_of_several_words(
    line: str, real_name: str, password: str, country: str | None
) -> None:
    call = text_dialect.parse(f"register {line}")
    country = country or line.partition(f"{password} ")[2]
    assert (call.request, call.error) == (Register("rob", real_name, password, country), None)


@pytest.mark.parametrize("line", UNCLEAR)
def test_a_line_that_would_make_the_wrong_word_the_password_is_refused(line: str) -> None:
    error = text_dialect.parse(f"register {line}").error
    assert error is not None and error.code is ErrorCode.BAD_ARGUMENTS
    assert "quotes" in error.message and "Usage: register" in error.message
    for word in ("hunter", "Downey hunter", "secret"):
        assert word not in error.message.replace('"Robert Downey" "<password>"', "")


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ('auth bob "my pass word"', Auth("bob", "my pass word")),
        ('auth "bob" pass"word', Auth("bob", 'pass"word')),
        ('passwd "old one" "new one"', Passwd("old one", "new one")),
        ('sendfile bob "my note.txt" aGk=', SendFile(BOB, "my note.txt", b"hi")),
        ('sendfile bob "my note.txt" "aG\nk="', SendFile(BOB, "my note.txt", b"hi")),
        ('sendfilerealm "beta" bob "a b" aGk', SendFile(Address("bob", "beta"), "a b", b"hi")),
        ('history "bob" before=5', History(BOB, before=5)),
        ('history "bob" before="5" limit=7', History(BOB, before=5, limit=7)),
        ('history bob "5"', History(BOB, before=5)),
        ('help "send"', Help("send")),
        ('help "topic=send"', Help("topic=send")),
        ('send bob "hi" there', Send(BOB, '"hi" there')),
        ('send bob "hi there"', Send(BOB, '"hi there"')),
        ('send "bob" "', Send(BOB, '"')),
        ('sendg "12" say "hi', SendGroup(GroupAddress(12), 'say "hi')),
        ('creategroup "the team"', CreateGroup('"the team"')),
    ],
)
def test_an_argument_in_quotes_is_one_word_and_a_rest_is_verbatim(
    line: str, request_: Request[object]
) -> None:
    call = text_dialect.parse(line)
    assert (call.request, call.error) == (request_, None)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('auth bob "my pass', 'a double quote (") is not closed'),
        ('auth "bob my pass', 'a double quote (") is not closed'),
        (r'auth bob "my pass\"', 'a double quote (") is not closed'),
        ('auth bob "my"pass', 'a blank is missing behind a double quote (")'),
        ("auth bob “my pass”", 'quotes are typed straight ("), not as “'),
        ("auth bob my pass word", "put values with blanks into double quotes"),
        ('history bob before="5', 'a double quote (") is not closed'),
        ('history bob befor="5"', "befor is not an option"),
        ('sendfilerealm "beta bob', 'a double quote (") is not closed'),
        ('auth bob ""', "password: must have 1"),
    ],
)
def test_quotes_that_do_not_fit_are_told_and_nothing_is_echoed(line: str, why: str) -> None:
    error = text_dialect.parse(line).error
    assert error is not None and error.code is ErrorCode.BAD_ARGUMENTS
    assert why in error.message and f"Usage: {line.split()[0]} " in error.message
    assert "my" not in error.message and "pass " not in error.message


@pytest.mark.parametrize("line", ["my note.txt aGFsbG8=", "my note aGFsbG8=", "a b c.txt aGk="])
def test_a_name_with_a_blank_is_told_to_want_quotes_and_not_taken_for_base64(line: str) -> None:
    for command in ("sendfile bob", "sendgroupfile 1"):
        error = text_dialect.parse(f"{command} {line}").error
        assert error is not None and "quotes; so must a name with blanks" in error.message


def test_no_country_of_the_world_is_taken_for_a_password() -> None:
    """Those of the time zone database (Debian: tzdata)."""
    lines = Path("/usr/share/zoneinfo/iso3166.tab").read_text(encoding="utf-8").splitlines()
    names = [line.partition("\t")[2] for line in lines if line and not line.startswith("#")]
    assert len(names) > 200
    assert [name for name in names if could_hold_a_password(name)] == []


@given(ANYTHING_WRITTEN, st.sampled_from(["", " ", "\n", " x y", ' "z"']))
def test_any_text_is_one_word_in_quotes(text: str, behind: str) -> None:
    written = words.in_quotes(text)
    word = words.next_word(f" \t{written}{behind}")
    assert word is not None
    assert (word.text, word.quoted, word.begin, word.end) == (text, True, 2, 2 + len(written))
    word = words.next_word(words.quoted(text) + behind)
    assert word is not None and word.text == text


@given(st.text("ab \"\\“'\n"))
def test_an_unfinished_line_has_words_in_their_order(line: str) -> None:
    at = 0
    for word in words.words_of(line):
        assert at <= word.begin < word.end <= len(line) and not line[at : word.begin].strip(" \n")
        at = word.end
    assert not line[at:].strip(" \n")


def test_an_upload_with_a_blank_in_its_name_can_be_typed() -> None:
    request = Upload(BOB, "my film.mkv", 5, "ab" * 32)
    line = text_dialect.format_request(request)
    assert line == f'upload bob "my film.mkv" 5 {"ab" * 32}'
    assert text_dialect.parse(line).request == request
