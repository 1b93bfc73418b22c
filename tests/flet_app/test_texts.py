"""Every sentence exists in both languages, and every used key exists."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest

from flet_app.clock import day, moment, short
from flet_app.error_texts import WHY
from flet_app.host import LANGUAGES
from flet_app.language import Texts
from flet_app.texts import TEXTS
from shared.client import ChatError, ErrorCode, NotSent, OutcomeUnknown
from tests.realserver import ROOT


def asked() -> Iterator[tuple[str, set[str]]]:
    """Yield the key and the values of each `texts("key", value=...)` in the sources."""
    for path in (ROOT / "flet_app").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("texts"):
                keys = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
                for key in keys:
                    if isinstance(key, str) and key in TEXTS:
                        yield key, {k.arg for k in node.keywords if k.arg}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_each_text_is_in_both_languages_with_the_same_values() -> None:
    for key, translations in TEXTS.items():
        assert len(translations) == len(LANGUAGES) and all(translations), key
        assert len({frozenset(fields(text)) for text in translations}) == 1, key


def test_what_is_asked_for_gets_its_values() -> None:
    found = list(asked())
    assert len(found) > 60
    for key, values in found:
        assert values == fields(TEXTS[key][0]), key


def test_no_text_is_left_over() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "flet_app").rglob("*.py")
        if path.name not in ("texts.py", "error_texts.py")
    )
    used = {*re.findall(r'"(\w+)"', source), *WHY.values()}
    codes = {f"error_{code}" for code in ErrorCode}
    fates = {"waiting", "stored", "queued", "delivered", "read", "refused"}
    for key in TEXTS.keys() - codes - fates:
        assert key in used, key
    assert {key for key in TEXTS if key.startswith("error_")} <= codes


@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_are_explained(language: str) -> None:
    texts = Texts(language)
    limited = ChatError(ErrorCode.RATE_LIMITED, "slow down", retry_after=7.0)
    assert "7" in texts.explain(limited)
    assert texts.explain(ChatError(ErrorCode.CONFLICT, "as the realm says")) == "as the realm says"
    assert texts.explain(NotSent("x")) != texts.explain(OutcomeUnknown("x"))
    assert "KeyError" in texts.explain(KeyError("secret"))
    assert "secret" not in texts.explain(KeyError("secret"))


def test_an_unknown_language_is_english() -> None:
    assert Texts("xx")("sign_in") == "Sign in"


@pytest.mark.parametrize(
    "at, english, indonesian",
    [
        (date(2026, 11, 28), "Today", "Hari ini"),
        (date(2026, 11, 27), "Yesterday", "Kemarin"),
        (date(2026, 11, 23), "Monday, 23 November", "Senin, 23 November"),
        (date(2026, 3, 2), "2 March", "2 Maret"),
        (date(2024, 8, 17), "17 August 2024", "17 Agustus 2024"),
        (date(2026, 12, 1), "1 December", "1 Desember"),
    ],
)
def test_days_are_called_as_people_do(at: date, english: str, indonesian: str) -> None:
    today = date(2026, 11, 28)
    assert day(at, today, Texts("en")) == english
    assert day(at, today, Texts("id")) == indonesian


def test_the_list_shows_a_time_today_and_a_day_before() -> None:
    today, texts = date(2026, 11, 28), Texts("en")
    assert short(datetime(2026, 11, 28, 9, 5), today, texts) == "09:05"
    assert short(datetime(2026, 11, 27, 9, 5), today, texts) == "Yesterday"
    assert short(datetime(2026, 11, 24, 9, 5), today, texts) == "Tuesday"
    assert short(datetime(2026, 11, 1, 9, 5), today, texts) == "01.11.26"


@pytest.mark.parametrize("time", [-(2**60), 2**60, 10**18])
def test_a_time_that_no_calendar_holds_breaks_nothing(time: int) -> None:
    assert moment(time, UTC).year == 1970


@pytest.mark.parametrize("language", ["en", "id"])
@pytest.mark.parametrize(
    "reason",
    [
        "No such file or directory",
        "Connect call failed ('127.0.0.1', 8765)",
        "Connection refused",
        "Network is unreachable",
        "Name or service not known",
        "Temporary failure in name resolution",
        "nodename nor servname provided, or not known",
        "no answer within 10 s",
        "the connection broke",
    ],
)
def test_why_there_is_no_connection_was_said_in_words_of_systems(
    language: str, reason: str
) -> None:
    said = Texts(language).why(reason)
    assert said != reason and said in {pair[language == "id"] for pair in TEXTS.values()}
