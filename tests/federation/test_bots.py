"""The bot mark of a message is sent to other realms and to replicas of groups."""

from __future__ import annotations

from tests.federation.conftest import Enter
from tests.federation.handmade import HandmadeRealm
from tests.rawclient import RawClient
from tests.realserver import RealServer


async def linked(pair: list[RealServer], enter: Enter) -> tuple[RawClient, RawClient]:
    alpha, beta = pair
    ana, bea = await enter(alpha, "ana"), await enter(beta, "bea")
    await ana.ask("addrealm", name="beta", address="127.0.0.1", port=beta.port)
    return ana, bea


async def marks(person: RawClient, conversation: str) -> list[bool | None]:
    page = await person.ask("history", conversation=conversation)
    return [message.get("bot") for message in page["messages"]]


async def test_a_program_is_known_as_one_in_the_other_realm(
    pair: list[RealServer], enter: Enter
) -> None:
    ana, bea = await linked(pair, enter)
    await ana.ask("send", to="bea@beta", text="one", bot=True)
    await ana.ask("send", to="bea@beta", text="two")
    await ana.ask("sendfile", to="bea@beta", name="a", data="aGk=", bot=True)
    told = [await bea.event("message") for _ in range(3)]
    assert [message.get("bot") for message in told] == [True, None, True]
    assert await marks(bea, "ana@alpha") == [True, None, True]


async def test_what_waited_for_a_realm_is_marked_when_it_comes(
    pair: list[RealServer], enter: Enter
) -> None:
    """The message is read from the outbox, not passed on by its commit."""
    ana, bea = await linked(pair, enter)
    group = (await bea.ask("creategroup", name="team"))["group"]
    await bea.ask("invitegroup", group=group, user="ana@alpha")
    await ana.event("group")
    alpha, beta = pair
    beta.kill()
    for bot in (True, False):
        sent = await ana.ask("send", to="bea@beta", text="private", bot=bot)
        assert sent["state"] == "queued"
        sent = await ana.ask("sendg", group=f"{group}@beta", text="posted", bot=bot)
        assert sent["state"] == "queued"
    alpha.kill()
    beta.start()
    alpha.start()
    bea = await enter(beta, "bea", register=False)
    while len(await marks(bea, "ana@alpha")) < 2 or len(await marks(bea, group)) < 2:
        await bea.event("message")
    assert await marks(bea, "ana@alpha") == await marks(bea, group) == [True, None]
    ana = await enter(alpha, "ana", register=False)
    while len(await marks(ana, f"{group}@beta")) < 2:
        await ana.event()
    assert await marks(ana, f"{group}@beta") == [True, None]


async def test_every_replica_of_a_group_has_the_mark_whoever_wrote_and_whenever_it_came(
    pair: list[RealServer], enter: Enter
) -> None:
    ana, bea = await linked(pair, enter)
    group = (await bea.ask("creategroup", name="team"))["group"]
    await bea.ask("sendg", group=group, text="before ana", bot=True)
    await bea.ask("invitegroup", group=group, user="ana@alpha")
    await ana.event("group")
    away = f"{group}@beta"
    await ana.ask("sendg", group=away, text="by ana's program", bot=True)
    await bea.ask("sendg", group=group, text="by bea's program", bot=True)
    await bea.ask("sendg", group=group, text="by bea")
    while len(await marks(ana, away)) < 4:
        await ana.event("message")
    assert await marks(ana, away) == await marks(bea, group) == [True, True, True, None]


async def test_a_row_without_the_mark_or_with_a_strange_one_is_of_a_person(
    pair: list[RealServer], enter: Enter
) -> None:
    """Older realms do not support the mark."""
    ana = await enter(pair[0], "ana")
    mallory = HandmadeRealm()
    await mallory.dial(pair[0])
    for row in ({}, {"bot": False}, {"bot": "yes"}, {"bot": 1}, {"bot": None}, {"bot": True}):
        assert await mallory.send("ana", text="hi", **row) is None
    assert await marks(ana, "eve@mallory") == [None] * 5 + [True]
    await mallory.hang_up()
