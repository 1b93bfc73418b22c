"""Lists that do not fit one frame are read page by page; docs/protocol.md, "Lists"."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from tests.handlers.test_crowds import MANY, add_conversations, crowd
from tests.world import Person, World

pytestmark = pytest.mark.slow

ROWS = {"listpc": "conversations", "listgroup": "groups", "members": "members"}
ADDRESS = {"listpc": "conversation", "listgroup": "group", "members": "user"}
COMMANDS = {"chats": "listpc", "groups": "listgroup"}

Between = Callable[[int, str], Awaitable[None]]
"""Called between two pages, with how many there were and the last address."""


async def many(world: World, kind: str, name: str = "team") -> Person:
    """Return bob, who has MANY conversations."""
    (bob,) = await world.log_in("bob")
    assert bob.session.account is not None
    me = bob.session.account.id
    await world.realm.journal.write(lambda tx, now: add_conversations(tx, kind, me, name))
    return bob


async def page_by_page(
    person: Person, command: str, between: Between | None = None, **arguments: Any
) -> list[list[str]]:
    """Read a list to its end, as a program does, and return the addresses on each page."""
    found: list[list[str]] = []
    after = {}
    while True:
        reply = await person.ask(command, **arguments, **after)
        assert len(orjson.dumps(reply)) < 2**20
        found.append([row[ADDRESS[command]] for row in reply[ROWS[command]]])
        if not reply.get("more"):
            return found
        after = {"after": found[-1][-1]}
        if between is not None:
            await between(len(found), found[-1][-1])


def once(pages: list[list[str]]) -> list[str]:
    """Return all addresses, checking that none came twice."""
    every = [address for page in pages for address in page]
    assert len(every) == len(set(every))
    return every


@pytest.mark.parametrize("kind", ["chats", "groups"])
async def test_listgroup_of_2700_groups_ended_after_647_with_no_way_to_ask_on(
    world: World, kind: str
) -> None:
    bob = await many(world, kind)
    pages = await page_by_page(bob, COMMANDS[kind])
    every = once(pages)
    assert len(every) == MANY and len(pages) > 3
    # The newest first, over all pages.
    newest = (await bob.ask("sync", have={}))["conversations"][0]["conversation"]
    assert every[0] == newest
    assert len(bob.session.ensure_partial_answers().lists) == 1  # that of sync


@pytest.mark.parametrize("kind", ["chats", "groups"])
async def test_what_moves_while_one_reads_neither_is_lost_nor_comes_twice(
    world: World, kind: str
) -> None:
    bob = await many(world, kind)
    order = once(await page_by_page(bob, COMMANDS[kind]))

    async def write(page: int, last: str) -> None:
        # The last one of the page, one that was read, and one that comes only on the last page.
        for address in (last, order[3], order[-page]):
            if kind == "chats":
                await bob.ask("send", to=address, text="moved")
            else:
                await bob.ask("sendg", group=address, text="moved")

    assert once(await page_by_page(bob, COMMANDS[kind], write)) == order


async def test_leaving_the_group_a_page_ended_with_loses_no_other(world: World) -> None:
    bob = await many(world, "groups")
    order = once(await page_by_page(bob, "listgroup"))
    left: list[str] = []

    async def leave(page: int, last: str) -> None:
        for group in (last, order[-page]):
            await bob.ask("leavegroup", group=group)
            left.append(group)

    found = once(await page_by_page(bob, "listgroup", leave))
    assert set(order) - set(found) == set(left[1::2])


async def test_a_page_goes_on_from_any_address_and_on_another_connection(world: World) -> None:
    bob = await many(world, "chats")
    order = once(await page_by_page(bob, "listpc"))
    again = world.connect()
    await again.ask("resume", token=bob.token)
    for person in (bob, again):
        reply = await person.ask("listpc", after=order[1_000].lower())
        assert [row["conversation"] for row in reply["conversations"][:2]] == order[1_001:1_003]
        assert reply["more"] is True
    last = await again.ask("listpc", after=order[-1])
    assert last["conversations"] == [] and "more" not in last


async def test_an_address_that_is_not_in_the_list_begins_it_anew_and_says_so(world: World) -> None:
    alice, bob, _ = await world.log_in("alice", "bob", "carol")
    await bob.ask("send", to="alice", text="hi")
    group = (await bob.ask("creategroup", name="team"))["group"]
    for command, after, rows in [
        ("listpc", "carol", ["alice"]),
        ("listpc", "nobody", ["alice"]),
        ("listgroup", "#99", [group]),
        ("members", "alice", ["bob"]),
    ]:
        asked = {"group": group} if command == "members" else {}
        reply = await bob.ask(command, after=after, **asked)
        assert [row[ADDRESS[command]] for row in reply[ROWS[command]]] == rows
        assert reply["message"].startswith(f"{after} is not in this list; from its beginning: 1 ")
    assert await bob.refused("listpc", after="nobody@nowhere") == "unknown_realm"
    for command, after in [("listpc", "#1"), ("listgroup", "alice"), ("members", "")]:
        asked = {"group": group} if command == "members" else {}
        assert await bob.refused(command, after=after, **asked) == "bad_arguments"


async def test_words_tell_how_to_go_on(world: World) -> None:
    bob = await many(world, "groups")
    first = str(await bob.say("listgroup"))
    sentence, _, rows = first.partition("\n")
    last = rows.splitlines()[-1].partition(" ")[0]
    assert sentence.endswith(f"groups (there are more: ask again with after={last})")
    second = str(await bob.say(f"listgroup after={last}"))
    assert second.startswith("OK ") and f"\n{last} " not in second
    assert str(await bob.say("listgroup")) == first


async def test_another_list_in_between_changes_nothing(world: World) -> None:
    bob = await many(world, "groups")
    order = once(await page_by_page(bob, "listgroup"))

    async def look_elsewhere(page: int, last: str) -> None:
        await bob.ask("listpc")
        await bob.ask("members", group=order[0])
        await bob.ask("listgroup", realm="alpha", after=order[5])
        await bob.ask("sync", have={})

    assert once(await page_by_page(bob, "listgroup", look_elsewhere)) == order


async def test_a_list_that_was_begun_ends_with_the_session(world: World) -> None:
    bob = await many(world, "groups")
    first = await bob.ask("listgroup")
    assert bob.session.ensure_partial_answers().lists
    await bob.ask("logout")
    assert bob.session.partial_answers is None
    (alice,) = await world.log_in("alice")
    await bob.ask("resume", token=alice.token)
    reply = await bob.ask("listgroup", after=first["groups"][-1]["group"])
    assert reply["groups"] == []


async def test_members_of_a_large_group_come_in_the_order_of_joining(world: World) -> None:
    """A page had all 5,000, which kept the event loop and a reader from others for 15 ms."""
    alice, _ = await world.log_in("alice", "bob")
    group = await crowd(world, alice, 2_000, 4_000)
    pages = await page_by_page(alice, "members", group=group)
    whole = once(pages)
    assert len(whole) == 4_002 and whole[:2] == ["alice", "bob"]
    assert [len(page) for page in pages] == [500] * 8 + [2]
    # Also on another connection, which knows of no earlier page.
    again = world.connect()
    await again.ask("resume", token=alice.token)
    later = await again.ask("members", group=group, after=whole[3_499].upper())
    assert [row["user"] for row in later["members"]] == whole[3_500:4_000]

    async def kick(page: int, last: str) -> None:
        await alice.ask("kick", group=group, user=last)

    pages = await page_by_page(alice, "members", kick, group=group)
    assert len(pages) > 5 and once(pages) == whole


@pytest.mark.parametrize("kind", ["chats", "groups"])
async def test_sync_named_1787_conversations_and_none_of_the_others_ever(
    world: World, kind: str
) -> None:
    bob = await many(world, kind, '"' * 128)
    have: dict[str, int] = {}
    found: list[str] = []
    after: dict[str, str] = {}
    for row in once(await page_by_page(bob, COMMANDS[kind])):
        have[row] = 1
    while True:
        reply = await bob.ask("sync", have=have, **after)
        assert reply["recovered"] is True and reply["messages"] == [] and reply["more"] is False
        found += [row["conversation"] for row in reply["conversations"]]
        if not reply.get("more_conversations"):
            break
        after = {"after": found[-1]}
    assert found == list(have)


async def test_sync_names_the_conversations_of_its_messages_whatever_else_there_is(
    world: World,
) -> None:
    bob = await many(world, "groups", '"' * 128)
    order = once(await page_by_page(bob, "listgroup"))
    have = dict.fromkeys(order, 1)
    for oldest in order[-3:]:
        have[oldest] = 0
    reply = await bob.ask("sync", have=have)
    assert [m["conversation"] for m in reply["messages"]] == list(reversed(order[-3:]))
    assert [row["conversation"] for row in reply["conversations"][:4]] == [*order[-3:], order[0]]
