"""Rules of the mark that programs put on what they write; see docs/protocol.md, "Messages"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.test_files import begin, push_rest, some
from tests.world import Person, World


async def group_of(alice: Person) -> str:
    group = str((await alice.ask("creategroup", name="team"))["group"])
    await alice.ask("invitegroup", group=group, user="bob")
    return group


async def send(person: Person, command: str, group: str, bot: Any) -> dict[str, Any]:
    """Send a message by any command, marked or not."""
    match command:
        case "send":
            return await person.ask("send", to="bob", text="hi", bot=bot)
        case "sendg":
            return await person.ask("sendg", group=group, text="hi", bot=bot)
        case "sendfile":
            return await person.ask("sendfile", to="bob", name="a", data="aGk=", bot=bot)
        case "sendgroupfile":
            return await person.ask("sendgroupfile", group=group, name="a", data="aGk=", bot=bot)
    whole = some(1_000)
    return await push_rest(person, await begin(person, whole, bot=bot), whole)


COMMANDS = ["send", "sendg", "sendfile", "sendgroupfile", "upload"]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_marked_message_is_marked_wherever_it_is_read(world: World, command: str) -> None:
    alice, again, bob = await world.log_in("alice", "alice", "bob")
    group = await group_of(alice)
    await bob.ask("files", mode="offer")
    await again.ask("files", mode="offer")
    await bob.pushes()
    await again.pushes()
    sent = await send(alice, command, group, True)
    place = sent["conversation"]
    conversation = place if place.startswith("#") else "alice"
    assert [push["bot"] for push in await bob.pushes() + await again.pushes()] == [True, True]
    pages = [
        await bob.ask("history", conversation=conversation),
        await bob.ask("sync", have={}),
        await bob.ask("inboxgroup", group=group)
        if place == group
        else await bob.ask("inbox", user="alice"),
        await alice.ask("history", conversation=place),
    ]
    assert [[m["bot"] for m in page["messages"]] for page in pages] == [[True]] * 4
    chats = (await bob.ask("listpc"))["conversations"] + (await bob.ask("listgroup"))["groups"]
    assert [chat["last"]["bot"] for chat in chats if chat["last"]] == [True]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("bot", [None, False])
async def test_what_people_write_has_no_mark(world: World, command: str, bot: Any) -> None:
    alice, bob = await world.log_in("alice", "bob")
    group = await group_of(alice)
    await bob.ask("files", mode="offer")
    await send(alice, command, group, bot)
    assert [push for push in await bob.pushes() if "bot" in push] == []
    missed = (await bob.ask("sync", have={}))["messages"]
    assert ["bot" in message for message in missed] == [False]


@pytest.mark.parametrize("bot", ["true", 1, 0, [], {}])
async def test_the_mark_is_true_or_false_and_nothing_else(world: World, bot: Any) -> None:
    alice, _ = await world.log_in("alice", "bob")
    assert await alice.refused("send", to="bob", text="hi", bot=bot) == "bad_arguments"


async def test_in_words_a_marked_message_looks_like_any_other(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    await bob.say("format text")
    await alice.ask("send", to="bob", text="hi", bot=True)
    assert await bob.push() == "[alice] hi"


async def test_a_repeated_key_keeps_the_first_mark(world: World) -> None:
    alice, bob = await world.log_in("alice", "bob")
    for bot in (True, False):
        await alice.ask("send", to="bob", text="hi", bot=bot, idempotency_key="k")
    (message,) = (await bob.ask("history", conversation="alice"))["messages"]
    assert message["bot"] is True
