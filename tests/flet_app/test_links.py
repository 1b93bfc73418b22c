"""The links of a message, and their targets."""

from __future__ import annotations

import time

import pytest

from flet_app.links import MAX_LINKS, links
from shared.protocol.values import MAX_TEXT


def found(text: str) -> list[tuple[str, str]]:
    return [(text[link.start : link.end], link.url) for link in links(text)]


@pytest.mark.parametrize(
    "text, address",
    [
        ("https://en.wikipedia.org/wiki/Blur_(band)", "https://en.wikipedia.org/wiki/Blur_(band)"),
        ("(see https://x.org/a_(b)).", "https://x.org/a_(b)"),
        ("https://example.com/b，然后", "https://example.com/b"),
        ("请看https://example.com/b。谢谢", "https://example.com/b"),
        ("「https://x.org/a」", "https://x.org/a"),
        ("https://x.org/a؟", "https://x.org/a"),
        ("https://x.org/a।", "https://x.org/a"),
        ("“https://x.org/a”…", "https://x.org/a"),
        ("«https://x.org/a».", "https://x.org/a"),
        ("**https://x.org/a**", "https://x.org/a"),
        ("**see https://x.org/a**", "https://x.org/a"),
        ("_https://x.org/a_", "https://x.org/a"),
        ("`https://x.org/a`", "https://x.org/a"),
        ("~~https://x.org/a~~", "https://x.org/a"),
        ("[x](https://x.org/a)", "https://x.org/a"),
        ("<https://x.org/a>", "https://x.org/a"),
        ("https://x.org/a_b_", "https://x.org/a_b_"),
        ("https://x.org/Cauchy–Schwarz_l’été", "https://x.org/Cauchy–Schwarz_l’été"),
        ("https://x.org/a?b=[1]#e:~:text=x!", "https://x.org/a?b=[1]#e:~:text=x"),
        ("http://localhost:8550/c/bob", "http://localhost:8550/c/bob"),
        ("http://192.168.0.1/x.", "http://192.168.0.1/x"),
        ("https://chat/#/x", "https://chat/#/x"),
        ("mailto:ana@x.org?", "mailto:ana@x.org"),
        ("https://x.org/a\u202egpj.exe", "https://x.org/a"),
        ("https://x.org/\u200bhidden", "https://x.org/"),
    ],
)
def test_an_address_ends_where_a_person_ends_it(text: str, address: str) -> None:
    assert found(text) == [(address, address)]


@pytest.mark.parametrize(
    "text, shown, url",
    [
        ("HTTPS://X", "HTTPS://X", "https://x"),
        ("www.x.org", "www.x.org", "http://www.x.org"),
        ("on example.com.", "example.com", "http://example.com"),
        ("youtu.be/x", "youtu.be/x", "http://youtu.be/x"),
        ("https://münchen.de/ä", "https://münchen.de/ä", "https://xn--mnchen-3ya.de/ä"),
    ],
)
def test_what_has_no_scheme_or_other_letters_leads_somewhere_too(
    text: str, shown: str, url: str
) -> None:
    assert found(text) == [(shown, url)]


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "javascript://x.org/%0aalert(1)",
        "JaVaScRiPt:x",
        "data:text/html,<script>",
        "vbscript:x",
        "file:///etc/passwd",
        "intent://x",
        "ftp://x.org",
        "//x.org/a",
        "https://paypal.com@evil.example/",
        "https://paypal.com\\@evil.example/",
        "https://x.org:99999/",
        "readme.md main.rs setup.py v1.2.3 1.2.3.4 e.g. this A.B. Smith",
        "bob@x.org bob.com@beta.org",
        "https:// http://. www. https://🎉.org/",
        "http://x.org/" + "a" * 3000,
        "",
    ],
)
def test_what_is_no_address_or_leads_elsewhere_than_it_says_is_text(text: str) -> None:
    assert found(text) == []


def test_letters_that_look_like_others_are_told() -> None:
    (link,) = links("https://p\u0430ypal.com/x")
    assert link.url == f"https://{link.host}/x" and link.host == "xn--pypal-4ve.com"
    assert [link.host for link in links("https://münchen.de https://пример.рф https://x.org")] == (
        ["", "", ""]
    )


HOSTILE = (
    *("http://", "http://a.b/(", "http://a.b/[(", "http://ä.b/", "www.", "www.a.b/[", "a.com/("),
    *("mailto:", "mailto:a@b.c,", "a@b.com:", "x-a.b.c.d.e.com/", "a.", "рф.", "_.", "(", "**"),
    *("http://a:a@", "http://a.b/'", 'http://a.b/"', "a-.com", "xn--", "//", "http://a.b "),
)


@pytest.mark.parametrize("length", [MAX_TEXT, 2_047, 999], ids=["whole", "long", "short"])
def test_no_text_takes_long_or_makes_many_links(length: int) -> None:
    """In processor time, beside what it costs to go through the same texts letter by letter."""
    texts = []
    for part in HOSTILE:
        word = (part * (length // len(part) + 1))[:length]
        texts.append(((word + " ") * (MAX_TEXT // len(word)))[:MAX_TEXT])
    begin = time.thread_time()
    for text in texts:
        assert sum(letter.isalnum() for letter in text) < MAX_TEXT
    plain = time.thread_time() - begin
    begin = time.thread_time()
    assert all(len(links(text)) <= MAX_LINKS for text in texts)
    assert time.thread_time() - begin < 30 * plain
