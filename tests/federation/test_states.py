"""Rules of blocking, removing and approving realms, and of the policies; effective at once."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.federation.conftest import Enter, Start
from tests.federation.impostor import Impostor, Refused
from tests.federation.people import add, eventually, link_is, operate, realm, texts
from tests.rawclient import RawClient
from tests.realserver import RealServer
from ws_server.admin.commands import AdminRefused


async def test_a_blocked_realm_is_cut_off_at_once_and_loses_nothing(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    await emil.ask("send", to="fay@beta", text="before")
    await operate(alpha, "realm block", name="BETA")
    await link_is(emil, "beta", "down")
    await link_is(fay, "alpha", "down")
    assert (await realm(emil, "beta"))["state"] == "blocked"
    refused = await emil.say("send", to="fay@beta", text="x")
    assert (refused["code"], "blocked" in refused["message"]) == ("forbidden", True)
    assert (await add(emil, "beta", beta))["code"] == "forbidden"
    # The peer is refused and waits; both sides can still read earlier messages.
    assert (await fay.ask("send", to="emil@alpha", text="waits"))["state"] == "queued"

    async def told() -> bool:
        return "blocked" in "".join(await operate(beta, "realm list"))

    await eventually(told)
    assert await texts(emil, "fay@beta") == ["before"]
    assert (await emil.ask("inboxrealm", realm="beta", user="fay"))["messages"]
    await operate(alpha, "realm unblock", name="beta")
    await link_is(emil, "beta", "up")
    assert (await emil.ask("send", to="fay@beta", text="after"))["status"] == "OK"

    async def all_there() -> bool:
        return sorted(await texts(emil, "fay@beta")) == ["after", "before", "waits"]

    await eventually(all_there)


async def test_what_waits_for_a_blocked_realm_waits_on(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    beta.kill()
    await link_is(emil, "beta", "down")
    await emil.ask("send", to="fay@beta", text="waits")
    await operate(alpha, "realm block", name="beta")
    beta.start()
    fay = await enter(beta, "fay", register=False)
    assert [q["realm"] for q in (await emil.ask("outbox"))["queued"]] == ["beta"]
    assert (await realm(emil, "beta"))["queued"] == 1
    await operate(alpha, "realm unblock", name="beta")
    assert (await fay.event("message"))["text"] == "waits"


async def test_a_removed_realm_leaves_its_key_and_its_conversations(
    pair: list[RealServer], start: Start, enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    await emil.ask("send", to="fay@beta", text="before")
    beta.kill()
    await link_is(emil, "beta", "down")
    waiting = await emil.ask("send", to="fay@beta", text="waits")
    said = await operate(alpha, "realm remove", name="beta")
    assert "1 messages" in said[1]
    told = await emil.event("delivery")
    assert (told["message_id"], told["state"]) == (waiting["message_id"], "refused")
    assert not await realm(emil, "beta") and (await emil.ask("outbox"))["queued"] == []
    assert await texts(emil, "fay@beta") == ["before", "waits"]
    assert (await emil.say("send", to="fay@beta", text="x"))["code"] == "unknown_realm"
    with pytest.raises(AdminRefused, match="No realm is known here as beta"):
        await operate(alpha, "realm remove", name="beta")

    # Only its key is refused, until a user adds it again under its name.
    other = await start("beta", folder="other", at=beta.port)
    assert (await add(emil, "beta", other))["code"] == "realm_exists"
    other.kill()
    beta.start()
    fay = await enter(beta, "fay", register=False)

    async def refused() -> bool:
        return "was removed" in "".join(await operate(beta, "realm list"))

    await eventually(refused)
    assert (await add(emil, "beta", beta))["link"] == "up"
    assert (await emil.ask("send", to="fay@beta", text="again"))["state"] == "delivered"
    assert await texts(fay, "emil@alpha") == ["before", "again"]


async def test_a_realm_that_is_not_known_is_no_realm_to_any_admin_command(
    server: RealServer,
) -> None:
    for verb in ("approve", "block", "unblock", "remove", "retrust"):
        with pytest.raises(AdminRefused, match="No realm is known here as nowhere"):
            await operate(server, f"realm {verb}", name="nowhere")


async def test_only_an_admin_adds_realms_and_lets_them_in_where_that_is_the_policy(
    start: Start, enter: Enter
) -> None:
    alpha, beta = await asyncio.gather(start("alpha"), start("beta", "--realms", "admin"))
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    gil = await enter(beta, "gil")
    assert (await add(gil, "alpha", alpha))["code"] == "forbidden"
    added = await add(emil, "beta", beta)
    assert (added["status"], added["link"]) == ("OK", "down")
    assert (await realm(fay, "alpha"))["state"] == "pending"
    refused = await fay.say("send", to="emil@alpha", text="x")
    assert (refused["code"], "approval" in refused["message"]) == ("forbidden", True)
    assert (await emil.ask("send", to="fay@beta", text="early"))["state"] == "queued"

    async def told() -> bool:
        return "has not approved this realm yet" in "".join(await operate(alpha, "realm list"))

    await eventually(told)
    with pytest.raises(AdminRefused, match="alpha is pending"):
        await operate(beta, "realm unblock", name="alpha")
    await operate(beta, "realm approve", name="alpha")
    assert (await fay.event("message"))["text"] == "early"
    assert (await realm(fay, "alpha"))["state"] == "active"
    with pytest.raises(AdminRefused, match="alpha is active"):
        await operate(beta, "realm approve", name="alpha")


async def test_a_closed_realm_adds_none_and_lets_none_in(start: Start, enter: Enter) -> None:
    alpha, beta = await asyncio.gather(start("alpha"), start("beta", "--realms", "closed"))
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    assert (await add(fay, "alpha", alpha))["code"] == "forbidden"
    refused = await add(emil, "beta", beta)
    assert (refused["code"], "links to no others" in refused["message"]) == ("realm_refused", True)
    assert not await realm(emil, "beta") and not await realm(fay, "alpha")


async def test_the_realms_that_wait_for_approval_are_bounded(start: Start, enter: Enter) -> None:
    alpha = await start("alpha", "--realms", "admin")
    for number in range(50):
        await (await Impostor.linked(alpha.url, f"r{number}", state="pending")).close()
    emil = await enter(alpha, "emil")
    # A known realm may dial any number of times.
    await (await Impostor.linked(alpha.url, "r0", state="pending")).close()
    assert len((await emil.ask("listrealm"))["realms"]) == 50
    # A new realm evicts the oldest one, which then counts as new.
    for name, gone in (("one-more", "r0"), ("r0", "r1")):
        await (await Impostor.linked(alpha.url, name, state="pending")).close()
        listed = (await emil.ask("listrealm"))["realms"]
        names = {one["realm"].partition("~")[0] for one in listed}
        assert len(names) == 50 and name in names and gone not in names
    with pytest.raises(AdminRefused, match="No realm is known here as r1"):
        await operate(alpha, "realm approve", name="r1")
    await operate(alpha, "realm approve", name="r0")
    await (await Impostor.linked(alpha.url, "r0")).close()


async def test_first_contacts_are_limited_for_each_address_and_each_person(
    start: Start, enter: Enter
) -> None:
    alpha = await start("alpha", "--rate-limits", "on")
    for number in range(10):
        await (await Impostor.linked(alpha.url, f"r{number}")).close()
    with pytest.raises(Refused, match="too fast"):
        await Impostor.linked(alpha.url, "one-more")
    known = await Impostor.linked(alpha.url, "r3")
    await known.close()
    emil: RawClient = await enter(alpha, "emil")

    async def added(session: RawClient) -> str:
        reply = await session.say("addrealm", name="x", address="127.0.0.1", port=1)
        return str(reply["code"])

    sessions = [emil, *[await RawClient.signed_in(alpha.url, "emil", register=False) for _ in "23"]]
    for count in (3, 3, 3, 1):  # each attempt takes five seconds
        codes = await asyncio.gather(*(added(session) for session in sessions[:count]))
        assert codes == ["realm_unreachable"] * count
    assert await added(emil) == "rate_limited"
    for session in sessions[1:]:
        await session.close()


async def test_each_realm_is_measured(pair: list[RealServer], enter: Enter) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    await emil.ask("send", to="fay@beta", text="one")
    await fay.ask("send", to="emil@alpha", text="two")
    await emil.say("send", to="nobody@beta", text="three")
    assert await metrics(alpha) == {
        "link_up": 1, "queued": 0, "sent_total": 1, "received_total": 1, "refused_total": 1,
        "attempts_total": 0,
    }  # fmt: skip
    beta.kill()
    await link_is(emil, "beta", "down")
    await emil.ask("send", to="fay@beta", text="four")

    async def tried() -> bool:
        return (await metrics(alpha))["attempts_total"] > 0

    await eventually(tried)
    found = await metrics(alpha)
    assert (found["link_up"], found["queued"]) == (0, 1)


async def metrics(server: RealServer) -> dict[str, float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    await writer.wait_closed()
    found = re.findall(r'^chat_realm_(\w+)\{realm="beta"\} (\S+)$', text, re.MULTILINE)
    return {name: float(value) for name, value in found if not name.endswith("_created")}


@pytest.mark.parametrize("verb", ["block", "remove"])
async def test_who_is_kept_out_is_closed_with_4503_and_refused_wherever_it_dials_from(
    server: RealServer, verb: str
) -> None:
    name = f"out-{verb}"
    link = await Impostor.linked(server.url, name)
    await link.open()
    await operate(server, f"realm {verb}", name=name)
    assert await link.closed_with() == 4503
    with pytest.raises(Refused, match="realm_refused: Your realm"):
        await Impostor.linked(server.url, name, port=4321)
    await link.close()
