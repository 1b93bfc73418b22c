"""Uploads of contents: a realm gets the contents sent to it, and no information on others."""

from __future__ import annotations

from typing import Any

from tests.federation.handmade import BROKEN, PIECE, Stage, described
from tests.system.transfers import encoded, noise, sha256_of


async def test_a_realm_gets_what_it_was_sent_and_gone_for_all_else(stage: Stage) -> None:
    """The row, not the hash, grants access; a refusal does not reveal whether a content exists."""
    bob = await stage.sign_in("bob")
    mallory, eve = await stage.linked(), await stage.linked("eve")
    content, private = noise(PIECE + 10), noise(100)
    await bob.ask("sendfile", to="bob", name="diary", data=encoded(private))
    assert await mallory.send("bob", text="hi") is None
    await bob.ask("sendfile", to="eve@mallory", name="x", data=encoded(content))
    row = (await mallory.hear("batch"))["items"][0]
    assert row["file"] == described(content, name="x")
    assert row["text"] == "" and "id" not in row["file"]
    for offset in (0, 5, PIECE, PIECE + 9):
        await mallory.say(kind="want", sha256=sha256_of(content), offset=offset)
        piece = await mallory.hear("piece", "gone")
        data = encoded(content[offset : offset + PIECE])
        assert (piece["offset"], piece["data"]) == (offset, data)
        assert piece["last"] is (offset + PIECE >= len(content))
    for realm, sha256, offset in [
        (mallory, sha256_of(private), 0),
        (mallory, sha256_of(b"nothing"), 0),
        (mallory, sha256_of(content), len(content)),
        (eve, sha256_of(content), 0),
        (eve, sha256_of(private), 0),
    ]:
        await realm.say(kind="want", sha256=sha256, offset=offset)
        assert await realm.hear("piece", "later", "gone") == {"kind": "gone", "sha256": sha256}


MALFORMED: list[dict[str, Any]] = [
    {},
    {"sha256": "f" * 63, "offset": 0},
    {"sha256": "f" * 64, "offset": -1},
    {"sha256": 1, "offset": 0},
]


async def test_a_malformed_want_ends_the_link(stage: Stage) -> None:
    for number, want in enumerate(MALFORMED):
        mallory = await stage.linked(f"mallory{number}")
        await mallory.say(kind="want", **want)
        assert await mallory.closed() == BROKEN, want


async def test_more_wants_than_any_window_end_the_link(stage: Stage) -> None:
    """The open requests of one realm are bounded."""
    mallory = await stage.linked()
    for _ in range(200):
        await mallory.say(kind="want", sha256="f" * 64, offset=0)
    assert await mallory.closed() == BROKEN
