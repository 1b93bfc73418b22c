"""Faulty servers: garbage, silence, and every way to close a connection."""

from __future__ import annotations

import asyncio
import logging

import orjson
import pytest
from websockets.asyncio.server import ServerConnection

from shared.client import (
    ChatClient,
    HistoryChanged,
    NoAnswer,
    NotSent,
    Offline,
    Online,
    OutcomeUnknown,
    SignedOut,
    exchange,
)
from shared.protocol.commands.groups import GroupChanged
from tests.client.people import Told
from tests.client.scripted import (
    Body,
    Scripted,
    answer,
    nothing_special,
    quick,
    signed_in,
)

MESSAGE = (
    '{"event":"message","id":"m1","conversation":"bob","seq":1,"from":"bob","time":1,"text":"hi",'
    '"new":{"a":[1]}}'
)
GARBAGE = [
    "",
    "OK hi",
    "{",
    "[]",
    "null",
    "7",
    '"message"',
    "{}",
    '{"event":"new","x":1}',
    '{"event":["message"]}',
    '{"event":"message"}',
    '{"event":"message","id":1,"conversation":"bob","seq":"1","from":"bob","time":1,"text":"x"}',
    '{"event":"message","id":"m","conversation":"bob","seq":true,"from":"b","time":1,"text":"x"}',
    '{"event":"message","id":"m","conversation":[],"seq":1,"from":"b","time":1,"text":"x"}',
    MESSAGE.replace("bob", "b" * 66),
    MESSAGE.replace("hi", "x" * 200_000),
    '{"event":"file","file":"f","offset":0,"data":"%%%","last":false}',
    '{"event":"group","group":"#1","name":"x","user":7,"change":"left"}',
    '{"status":"OK"}',
    '{"status":"OK","id":"999"}',
    '{"status":"OK","id":["1"]}',
    '{"status":"ERROR","id":7}',
    "[" * 2000,
    b"\x00\x01",
    "\ud7ff\U0001f4a9" * 1000,
]


async def test_garbage_is_skipped_and_what_follows_is_told() -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            for frame in GARBAGE:
                await socket.send(frame)
            await socket.send(MESSAGE)
        return False

    async with Scripted(script) as server, quick(server.url) as client:
        told = await signed_in(client)
        assert (await client.ping()).time == 1
        await told.until(lambda: told.texts == ["hi"])
        assert told.of(Offline) == []
        told.stop()


async def test_a_server_that_says_only_garbage_is_given_up_for_a_while() -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            for _ in range(300):
                await socket.send("garbage")
        return False

    async with Scripted(script) as server, quick(server.url, timeout=0.5) as client:
        told = await signed_in(client)
        with pytest.raises(NoAnswer):
            await client.ping()
        await told.until(lambda: told.of(Offline))
        assert "does not understand" in told.of(Offline)[0].reason
        told.stop()


@pytest.mark.parametrize("strange", [{"time": "soon"}, {"time": None}, {"status": "MAYBE"}])
async def test_an_answer_that_cannot_be_read_is_an_unknown_outcome(strange: Body) -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            await answer(socket, body, **strange)
        return body["command"] == "ping"

    async with Scripted(script) as server, quick(server.url) as client:
        with pytest.raises(OutcomeUnknown, match="could not be understood"):
            await client.ping()


async def test_fields_and_codes_of_a_newer_server_do_no_harm() -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            await answer(socket, body, time=5, new={"deep": [1, {}]})
        elif body["command"] == "whoami":
            refusal = {"status": "ERROR", "id": body["id"], "code": "newer", "message": "No"}
            await socket.send(orjson.dumps(refusal).decode())
        return body["command"] in ("ping", "whoami")

    async with Scripted(script) as server, quick(server.url) as client:
        assert (await client.ping()).time == 5
        with pytest.raises(OutcomeUnknown):
            await client.whoami()


async def test_a_change_of_oneself_that_a_newer_server_names_was_taken_as_having_left() -> None:
    changes = iter(("renamed", "left"))

    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            await socket.send(
                orjson.dumps(
                    {"event": "group", "group": "#1", "name": "x", "user": "ana"}
                    | {"change": next(changes)}
                ).decode()
            )
        return False

    known = {"#1": 5}
    async with Scripted(script) as server, quick(server.url, positions=known) as client:
        told = await signed_in(client)
        await client.ping()
        await told.until(lambda: len(told.of(GroupChanged)) == 1)
        assert client.positions == known
        await client.ping()
        await told.until(lambda: len(told.of(GroupChanged)) == 2)
        assert client.positions == {}
        told.stop()


async def test_a_reply_that_never_comes_ends_with_the_timeout_and_is_ignored_later() -> None:
    held: list[Body] = []

    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "whoami":
            held.append(body)
            return True
        if held:
            await answer(socket, held.pop())  # late, and with fields missing
        return False

    async with Scripted(script) as server, quick(server.url, timeout=0.2) as client:
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await client.whoami()
        assert (await client.ping()).time == 1
        assert (await client.ping()).time == 1


@pytest.mark.parametrize("code", [1000, 1001, 1011, 4000, 4499])
async def test_after_these_codes_the_client_comes_back(code: int) -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            await answer(socket, body)
            await socket.close(code, "as you wish")
        return body["command"] == "ping"

    async with Scripted(script) as server, quick(server.url) as client:
        told = await signed_in(client)
        await client.ping()
        await told.until(lambda: len(told.of(Online)) == 2)
        assert str(code) in told.of(Offline)[0].reason
        assert server.commands("resume")[0]["token"] == "a-token"
        told.stop()


@pytest.mark.parametrize("code, token", [(4501, ""), (4502, "a-token"), (4503, "a-token")])
async def test_after_these_codes_the_session_is_over(code: int, token: str) -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "ping":
            await socket.close(code, "out")
        return body["command"] == "ping"

    async with Scripted(script) as server, quick(server.url) as client:
        told = await signed_in(client)
        with pytest.raises(NoAnswer):
            await client.ping()
        await told.until(lambda: told.of(SignedOut))
        assert str(code) in told.of(SignedOut)[0].reason
        await asyncio.sleep(0.3)
        assert (server.connections, client.token) == (1, token)
        await client.auth("ana", "secret")  # one can sign in again
        assert client.online
        told.stop()


async def test_an_ended_token_signs_out_and_lets_one_sign_in_with_the_password() -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "resume":
            refusal = {"status": "ERROR", "id": body["id"], "code": "bad_credentials"}
            await socket.send(orjson.dumps({**refusal, "message": "This has ended"}).decode())
        return body["command"] == "resume"

    async with Scripted(script) as server, quick(server.url, token="old") as client:
        told = Told(client)
        await told.until(lambda: told.of(SignedOut))
        assert (client.token, told.of(SignedOut)[0].reason) == ("", "This has ended")
        await client.auth("ana", "secret")
        assert client.token == "a-token"
        told.stop()


async def test_a_server_that_does_not_let_a_session_begin_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "ASK_SECONDS", 0.2)
    silent = True

    async def script(socket: ServerConnection, body: Body) -> bool:
        nonlocal silent
        held, silent = (
            silent and body["command"] == "listpc",
            silent and body["command"] != "listpc",
        )
        return held

    async with Scripted(script) as server, quick(server.url) as client:
        told = await signed_in(client)
        await told.until(lambda: told.of(Offline) and told.of(Online))
        assert "did not answer listpc" in told.of(Offline)[0].reason
        told.stop()


async def test_a_temporary_refusal_of_the_token_is_tried_again_later() -> None:
    refused = 0

    async def script(socket: ServerConnection, body: Body) -> bool:
        nonlocal refused
        if body["command"] != "resume" or refused == 2:
            return False
        refused += 1
        refusal = {"status": "ERROR", "id": body["id"], "code": "unavailable", "message": "Busy"}
        await socket.send(orjson.dumps(refusal).decode())
        return True

    async with Scripted(script) as server, quick(server.url, token="kept") as client:
        told = Told(client)
        await told.until(lambda: told.of(Online))
        assert [offline.reason for offline in told.of(Offline)] == ["Busy", "Busy"]
        assert client.token == "a-token"
        told.stop()


async def test_another_history_is_told_and_begun_anew() -> None:
    """A backup was restored while the client was away: another epoch, lower seqs."""
    epoch = "e1"

    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] in ("auth", "resume"):
            await answer(socket, body, epoch=epoch)
            return True
        if body["command"] == "ping":
            await socket.send(MESSAGE.replace('"seq":1', f'"seq":{2 if epoch == "e2" else 9}'))
        return False

    async with Scripted(script) as server, quick(server.url) as client:
        told = await signed_in(client)
        await client.ping()
        await told.until(lambda: told.texts == ["hi"])
        assert (client.positions, client.epoch) == ({"bob": 9}, "e1")
        epoch = "e2"
        await client.resume("a-token")
        await told.until(lambda: told.of(HistoryChanged))
        assert (client.positions, client.epoch) == ({}, "e2")
        await client.ping()
        await told.until(lambda: told.texts == ["hi", "hi"])
        assert client.positions == {"bob": 2}
        told.stop()


async def test_positions_ahead_of_the_history_are_dropped() -> None:
    async def script(socket: ServerConnection, body: Body) -> bool:
        if body["command"] == "sync":
            ahead = body["have"].get("bob", 0) > 5
            await answer(socket, body, recovered=not ahead, epoch="e1")
        return body["command"] == "sync"

    async with Scripted(script) as server, quick(server.url, positions={"bob": 9}) as client:
        told = await signed_in(client)
        await told.until(lambda: told.of(HistoryChanged))
        assert client.positions == {}
        told.stop()


async def test_the_password_and_the_token_are_in_no_log_and_no_repr(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "websockets.server")  # the scripted server's, not ours
    async with Scripted(nothing_special) as server, quick(server.url) as client:
        await client.auth("ana", "secret-word")
        assert "a-token" not in repr(client)
        await client.ping()
    assert "a-token" not in caplog.text and "secret-word" not in caplog.text


async def test_a_closed_client_says_so() -> None:
    async with Scripted(nothing_special) as server:
        client = quick(server.url)
        with pytest.raises(NotSent):
            await client.ping()
        async with client:
            waiting = asyncio.create_task(client.send("bob", "hi"))
            await asyncio.sleep(0)
        with pytest.raises(NoAnswer, match="closed"):
            await waiting
        with pytest.raises(NotSent, match="closed"):
            await client.ping()
        assert [event async for event in client.events()] == []


@pytest.mark.parametrize("url", ["", "localhost:8765", "http://localhost", "ws://"])
def test_what_is_no_address_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="ws://"):
        ChatClient(url)
