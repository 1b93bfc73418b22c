"""Names accepted by another realm's rules are cleaned here: a refusal would repeat for ever."""

from __future__ import annotations

import pytest

from tests.federation.hostile import Hostile, change, key_of, message, relayed
from tests.rawclient import RawClient
from tests.realserver import RealServer

FILE = {"size": 5, "type": "text/html", "sha256": "ab" * 32}


@pytest.fixture
async def carol(server: RealServer) -> RawClient:
    return await RawClient.signed_in(server.url, "carol")


async def test_texts_and_names_that_nobody_sees_are_taken_and_shown(
    server: RealServer, carol: RawClient
) -> None:
    eve = await Hostile.ready(server, "eden")
    people = [
        {"name": "eve", "owner": True},
        {"name": "carol", "key": key_of(server), "realm": "alpha"},
    ]
    named = {**FILE, "name": "\u200b\u202egpj.e\u0301xe"}
    nameless = {**FILE, "name": "\u3164/\u2800"}
    ack = await eve.send(
        message(text="\u200b\u3164"),
        message(id="e2", seq=2, text="", file=named),
        message(id="e3", seq=3, text="", file=nameless),
        change(7, people, name="\u2800\u202e"),
        change(8, people, name="te\u202eam\u200b"),
        relayed(7, 1, text="\u2060"),
    )
    assert ack is not None and not ack.get("refused"), ack
    history = await carol.ask("history", conversation="eve@eden")
    texts, files = zip(*[(m["text"], m.get("file")) for m in history["messages"]], strict=True)
    assert texts == ("\u200b\u3164", "", "")
    shown = [(file["name"], file["type"]) for file in files if file]
    assert shown == [
        ("gpj.éxe", "application/octet-stream"),
        ("file", "application/octet-stream"),
    ]
    groups = {g["group"]: g["name"] for g in (await carol.ask("listgroup"))["groups"]}
    assert groups == {"#7@eden": "(no name)", "#8@eden": "team"}
    await eve.close()
    await carol.close()
