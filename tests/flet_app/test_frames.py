"""Frames of a hostile browser do not reach Flet."""

from __future__ import annotations

import asyncio
from typing import Any

import msgpack  # type: ignore[import-untyped]
import orjson
import pytest

from flet_app import frame_filter
from flet_app.frame_filter import MAX_FRAMES_AT_ONCE, MAX_OTHER_FRAME_BYTES, Frames, InvalidFrame
from flet_app.script import (
    HEAD,
    MAX_DRAFTS,
    MAX_FRAME_BYTES,
    DraftFrame,
    HelloFrame,
    LineFrame,
    PingFrame,
    TooLongFrame,
)

REGISTER, EVENT, PROPS, RESULT = 1, 3, 4, 5
PAGE = {"route": "/", "width": 800.0, "media": {"padding": {"top": 0.0}}, "window": {}}


def frame(action: Any, body: Any) -> bytes:
    return b"\0" + bytes(msgpack.packb([action, body]))


async def begun(known: bool = False) -> Frames:
    """A page that has said what it is."""
    found = Frames()
    await found.checked(frame(REGISTER, {"session_id": "", "page_name": "", "page": PAGE}))
    found.known = known
    return found


def body(packed: Any) -> Any:
    return msgpack.unpackb(packed[1:])[1]


async def test_what_a_browser_says_passes_as_it_is() -> None:
    registered = frame(REGISTER, {"session_id": "", "page_name": "", "page": PAGE})
    assert await Frames().checked(registered) == registered
    found = await begun(known=True)
    for said in (
        frame(EVENT, {"target": 7, "name": "click", "data": None}),
        frame(EVENT, {"target": 7, "name": "paste_files", "data": {"files": [b"x" * (1 << 20)]}}),
        frame(PROPS, {"id": 7, "props": {"value": "text"}}),
        frame(RESULT, {"control_id": 7, "call_id": "1", "result": [1], "error": None}),
    ):
        assert await found.checked(said) == said


@pytest.mark.parametrize(
    "name, value",
    [
        ("views", [{}] * 1_000),
        ("on_close", None),
        ("_x1", b"x" * 1_000),
        ("controls", {}),
        ("value", ["a", "list"]),
        ("value", b"bytes"),
        ("media", {"a": {"b": {"c": {"d": 1}}}}),
        ("media", {str(n): n for n in range(100)}),
    ],
)
async def test_no_other_property_can_be_set(name: str, value: Any) -> None:
    found = await begun(known=True)
    said = frame(PROPS, {"id": 1, "props": {"route": "/c/bob", name: value}})
    assert body(await found.checked(said))["props"] == {"route": "/c/bob"}
    found = Frames()
    found.known = True
    said = frame(REGISTER, {"session_id": "", "page_name": "", "page": {**PAGE, name: value}})
    assert set(body(await found.checked(said))["page"]) <= set(PAGE)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\1abc",
        b"\0",
        b"\0\xc1",
        b"\0" + b"\x91" * 5_000,
        frame(99, {}),
        frame(EVENT, []),
        frame(REGISTER, {"page": []}),
        frame(PROPS, {"props": None}),
        frame(EVENT, {"target": 1, "name": "click", "data": [0] * 5_000}),
        frame(EVENT, {"target": 1, "name": "click", "data": "x" * MAX_OTHER_FRAME_BYTES}),
        b"\0" + bytes(msgpack.packb(7)),
    ],
    ids=lambda said: said[:8].hex(),
)
async def test_nonsense_is_refused(said: bytes) -> None:
    for found in (Frames(), await begun(), await begun(known=True)):
        with pytest.raises(InvalidFrame):
            await found.checked(said)


async def test_a_page_is_registered_once() -> None:
    found = Frames()
    said = frame(REGISTER, {"session_id": "", "page_name": "", "page": PAGE})
    await found.checked(said)
    with pytest.raises(InvalidFrame):
        await found.checked(said)


async def test_who_is_too_fast_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(frame_filter.asyncio, "sleep", sleep)
    found = await begun()
    said = frame(EVENT, {"target": 7, "name": "click", "data": None})
    for _ in range(int(MAX_FRAMES_AT_ONCE) + 49):
        await found.checked(said)
    assert 40 <= len(slept) <= 50 and slept == sorted(slept)
    assert asyncio.get_running_loop().time() > 0


@pytest.mark.parametrize(
    "said, read",
    [
        ({"kind": "hello"}, HelloFrame()),
        (
            {"kind": "hello", "session": "s", "user": "ana", "drafts": {"bob": "hi"}},
            HelloFrame("s", "ana", {"bob": "hi"}),
        ),
        ({"kind": "line", "key": "k", "to": "bob", "text": "hi"}, LineFrame("k", "bob", "hi")),
        ({"kind": "draft", "to": "bob", "text": ""}, DraftFrame("bob", "")),
        ({"kind": "long", "size": 20_000}, TooLongFrame(20_000)),
        ({"kind": "ping", "ping": 1}, PingFrame(1)),
    ],
)
async def test_what_our_script_says_is_read(said: Any, read: Any) -> None:
    assert await Frames().checked(HEAD + orjson.dumps(said)) == read


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"kind": 1}',
        b'{"kind": []}',
        b'{"kind": "line"}',
        b'{"kind": "line", "key": 1, "to": "bob", "text": "hi"}',
        b'{"kind": "line", "key": "k", "to": "bob", "text": "\\ud800"}',
        b'{"kind": "ping", "ping": true}',
        b'{"kind": "ping", "ping": 1, "more": 1}',
        b'{"kind": "hello", "drafts": {"bob": 1}}',
        b'{"kind": "hello", "drafts": []}',
        b'{"kind": "hello", "session": null}',
        orjson.dumps({"kind": "hello", "drafts": {str(n): "" for n in range(MAX_DRAFTS + 1)}}),
        orjson.dumps({"kind": "draft", "to": "bob", "text": "x" * MAX_FRAME_BYTES}),
        b"[" * 100_000,
    ],
)
async def test_what_no_script_of_ours_says_ends_the_connection(said: bytes) -> None:
    with pytest.raises(InvalidFrame):
        await Frames().checked(HEAD + said)


async def test_a_page_that_comes_back_shows_what_the_session_is_now() -> None:
    """Its script repeats what Flet's client said when it was another one."""
    found = Frames()
    found.shown = "kept"
    said = frame(REGISTER, {"session_id": "", "page_name": "", "page": PAGE})
    checked = await found.checked(said)
    assert isinstance(checked, bytes)
    assert (found.wanted, body(checked)["session_id"], body(checked)["page"]) == (
        "kept",
        "kept",
        {},
    )
