"""Declarations of the frames, rows and questions of a link; see `ws_server/federation/frames`."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shared.protocol.values import BadValue
from tests.realserver import ROOT
from ws_server.federation.frames import link_frames, questions, reference, rows
from ws_server.federation.frames.declaring import REQUIRED, Shape
from ws_server.federation.frames.link_frames import (
    FRAMES,
    Ack,
    Answer,
    Ask,
    Copies,
    Frame,
    Have,
    Here,
    Later,
    Open,
    Overrun,
    Piece,
    Still,
    Want,
)
from ws_server.federation.frames.questions import QUESTIONS, InviteQuestion, NamedUser
from ws_server.federation.frames.rows import ROWS, MessageRow
from ws_server.federation.inbound.question_handlers import ANSWERS

HASH = "9f" * 32
MESSAGE = {"number": 1, "kind": "message", "from": "eve", "to": "bob", "id": "m", "seq": 1}
ALL_SHAPES: list[Shape[Any]] = [
    *(kind.shape for kind in FRAMES.values()),
    *(declared.shape for declared in ROWS.values()),
    *(kind.shape for kind in QUESTIONS.values()),
    *(kind.answer.shape for kind in QUESTIONS.values()),
]


def test_the_document_has_every_declared_kind() -> None:
    assert reference.written(ROOT) == reference.markdown(), "run ./chat reference"


def test_every_question_has_its_answerer() -> None:
    assert set(ANSWERS) == set(QUESTIONS.values())


def test_a_field_without_a_value_for_its_absence_takes_no_null() -> None:
    """The decoder reads a field that is left out as null."""
    for shape in ALL_SHAPES:
        for f in shape.fields:
            if f.absent is REQUIRED and f.wire is not None:
                with pytest.raises(BadValue):
                    f.kind.from_json(None)


@pytest.mark.parametrize(
    "frame, body",
    [
        (
            Open("h.1", "i", Have("", 0), {"3": "internal"}),
            b'{"kind":"open","log":"h.1","instance":"i","have":{"log":"","number":0},'
            b'"refused":{"3":"internal"}}',
        ),
        (Ack(7, {}), b'{"kind":"ack","up_to":7,"refused":{}}'),
        (Want(HASH, 5), b'{"kind":"want","sha256":"%b","offset":5}' % HASH.encode()),
        (
            Piece(HASH, 5, b"hi", True),
            b'{"kind":"piece","sha256":"%b","offset":5,"data":"aGk=","last":true}' % HASH.encode(),
        ),
        (Later(HASH), b'{"kind":"later","sha256":"%b"}' % HASH.encode()),
        (
            Ask(2, "invite", InviteQuestion("eve", 1, NamedUser("bob", None)).fields()),
            b'{"kind":"ask","id":2,"what":"invite","by":"eve","group":1,"user":{"name":"bob"}}',
        ),
        (Answer(2, {"name": "bob"}, None, None), b'{"kind":"answer","id":2,"ok":{"name":"bob"}}'),
        (
            Answer(2, None, "forbidden", "No"),
            b'{"kind":"answer","id":2,"code":"forbidden","message":"No"}',
        ),
        (Still(), b'{"kind":"still"}'),
        (Here(), b'{"kind":"here"}'),
        (Copies(), b'{"kind":"copies"}'),
    ],
)
def test_frames_have_the_bytes_of_earlier_versions(frame: Frame, body: bytes) -> None:
    assert frame.body() == body
    decoded = link_frames.decode(orjson.loads(body), begun=not isinstance(frame, Open))
    if isinstance(frame, Here):
        assert decoded is None
    elif isinstance(frame, Ask):
        # Its fields are those of the whole frame; the question reads its own.
        assert isinstance(decoded, Ask) and (decoded.id, decoded.what) == (2, "invite")
        asked = questions.read("invite", decoded.fields)
        assert asked == InviteQuestion("eve", 1, NamedUser("bob", None))
    else:
        assert decoded == frame


@pytest.mark.parametrize(
    "body, why",
    [
        ([], "a frame must be an object"),
        ({"kind": "ack", "refused": {}}, "ack: up_to: is missing"),
        ({"kind": "ack", "up_to": -1, "refused": {}}, "ack: up_to: must be from 0"),
        ({"kind": "ack", "up_to": True, "refused": {}}, "ack: up_to: must be a whole number"),
        ({"kind": "batch", "items": []}, "batch: items: must be a list of rows"),
        ({"kind": "want", "sha256": HASH.upper(), "offset": 0}, "want: sha256: must be 64"),
        ({"kind": "piece", "sha256": HASH, "offset": 0, "data": "?"}, "piece: data: must be base"),
    ],
)
def test_an_error_names_the_kind_and_the_field(body: Any, why: str) -> None:
    with pytest.raises(BadValue, match=why):
        link_frames.decode(body, begun=True)


def test_an_error_inside_an_object_names_its_place() -> None:
    with pytest.raises(BadValue, match="user: name: must be a string"):
        questions.read("invite", {"by": "eve", "group": 1, "user": {"name": 7}})


@pytest.mark.parametrize("kind", ["news", "", None, 7, [], {}, "here", "open"])
def test_a_kind_that_is_unknown_or_not_expected_is_ignored(kind: Any) -> None:
    assert link_frames.decode({"kind": kind}, begun=True) is None


def test_a_link_begins_with_open() -> None:
    with pytest.raises(Overrun):
        link_frames.decode({"kind": "ack", "up_to": 0, "refused": {}}, begun=False)


def test_unknown_fields_are_ignored() -> None:
    body = {"kind": "ack", "up_to": 1, "refused": {}, "": 1, "mood": [1]}
    assert link_frames.decode(body, begun=True) == Ack(1, {})
    ((number, row),) = rows.decode([{**MESSAGE, "text": "hi", "mood": "good", "": 5}])
    assert number == 1 and isinstance(row, MessageRow) and row.content.text == "hi"


def test_a_malformed_row_and_one_of_an_unknown_kind_leave_the_others() -> None:
    good = {**MESSAGE, "text": "hi"}
    batch = [good, {**good, "number": 2, "to": 7}, {"number": 5, "kind": "poll"}, {"number": 6}]
    assert [(n, row is None) for n, row in rows.decode(batch)] == [
        *((1, False), (2, True), (5, True), (6, True)),
    ]


@pytest.mark.parametrize("number", [0, -1, True, "2", 2**53, None, 1])
def test_row_numbers_rise(number: Any) -> None:
    with pytest.raises(Overrun):
        rows.decode([{**MESSAGE, "text": "hi"}, {**MESSAGE, "number": number}])
