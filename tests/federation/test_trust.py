"""Rules of the trust between keys and names of realms."""

from __future__ import annotations

import shutil

import pytest

from tests.admin.command import done
from tests.federation.conftest import Enter, Start
from tests.federation.people import (
    add,
    eventually,
    fingerprint_of,
    link_is,
    operate,
    realm,
    texts,
)
from tests.realserver import RealServer
from ws_server.admin.commands import AdminRefused


async def test_the_first_contact_pins_the_key_on_both_sides(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    added = await add(emil, "friends", beta)
    assert (added["status"], added["realm"], added["link"]) == ("OK", "friends", "up")
    assert added["fingerprint"] == fingerprint_of(beta)
    there, here = await realm(emil, "friends"), await realm(fay, "alpha")
    assert (there["fingerprint"], there["state"]) == (fingerprint_of(beta), "active")
    assert (here["fingerprint"], here["state"]) == (fingerprint_of(alpha), "active")
    assert (here["address"], here["port"]) == ("127.0.0.1", alpha.port)
    first, *others = await operate(alpha, "realm list")
    assert fingerprint_of(alpha) in first and fingerprint_of(beta) in others[0]


async def test_a_demanded_fingerprint_is_read_with_or_without_dashes_in_any_case(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    right = fingerprint_of(beta)
    wrong = await add(emil, "beta", beta, fingerprint=fingerprint_of(alpha))
    assert wrong["code"] == "realm_unreachable" and right in wrong["message"]
    # The other realm does not learn this realm's name either.
    assert not await realm(emil, "beta") and not await realm(fay, "alpha")
    plain = right.replace("-", "").lower()
    assert (await add(emil, "beta", beta, fingerprint=plain))["status"] == "OK"
    assert (await add(emil, "beta", beta, fingerprint=right))["status"] == "OK"


async def test_another_key_at_a_realms_address_gets_nothing_and_is_shown_until_its_own_returns(
    pair: list[RealServer], start: Start, enter: Enter
) -> None:
    alpha, beta = pair
    emil, _ = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    beta.kill()
    await link_is(emil, "beta", "down")
    impostor = await start("beta", folder="impostor", at=beta.port)
    eve = await enter(impostor, "fay")
    assert (await emil.ask("send", to="fay@beta", text="secret"))["state"] == "queued"

    async def changed() -> bool:
        return (await realm(emil, "beta"))["state"] == "key changed"

    await eventually(changed)
    assert (await realm(emil, "beta"))["link"] == "down"
    assert fingerprint_of(impostor) in "".join(await operate(alpha, "realm list"))
    assert alpha.log.count("another key answers") == 1
    # It learned neither the dialler's name nor its queued messages.
    assert await texts(eve, "emil@alpha") == [] and not await realm(eve, "alpha")
    impostor.kill()
    beta.start()
    await link_is(emil, "beta", "up")
    assert (await realm(emil, "beta"))["state"] == "active"
    fay = await enter(beta, "fay", register=False)

    async def arrived() -> bool:
        return await texts(fay, "emil@alpha") == ["secret"]

    await eventually(arrived)


async def test_a_name_keeps_its_key_and_a_key_its_name(
    pair: list[RealServer], start: Start, enter: Enter
) -> None:
    alpha, beta = pair
    gamma = await start("gamma")
    emil, _ = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    for refused in (
        await add(emil, "BETA", gamma),  # the name is another realm's
        await add(emil, "other", beta),  # the realm has a name
        await add(emil, "Alpha", beta),  # this realm's own name
    ):
        assert refused["code"] == "realm_exists"
    assert [one["realm"] for one in (await emil.ask("listrealm"))["realms"]] == ["beta"]


async def test_adding_a_known_realm_again_moves_it(pair: list[RealServer], enter: Enter) -> None:
    alpha, beta = pair
    emil, _ = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    beta.kill()
    await link_is(emil, "beta", "down")
    beta.port = 0
    beta.start()
    moved = await add(emil, "Beta", beta)
    assert (moved["status"], moved["realm"], moved["link"]) == ("OK", "beta", "up")
    assert (await realm(emil, "beta"))["port"] == beta.port
    # The established link stays up.
    await link_is(emil, "beta", "up")
    await emil.settled()
    again = await emil.ask("addrealm", name="beta", address="localhost", port=beta.port)
    assert again["link"] == "up"
    assert (await emil.ask("send", to="fay@beta", text="hi"))["state"] == "delivered"
    assert [e for e in await emil.settled() if e["event"] == "realm"] == []


async def test_retrust_pins_the_key_that_answers_and_what_waits_flows_to_it(
    pair: list[RealServer], start: Start, enter: Enter
) -> None:
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    assert (await emil.ask("send", to="fay@beta", text="before"))["state"] == "delivered"
    beta.kill()
    await link_is(emil, "beta", "down")
    await emil.ask("send", to="fay@beta", text="waits")
    with pytest.raises(AdminRefused, match="No realm answers"):
        await operate(alpha, "realm retrust", name="beta")
    new = await start("beta", folder="new", at=beta.port)
    fay = await enter(new, "fay")
    with pytest.raises(AdminRefused, match=fingerprint_of(new)):
        await operate(alpha, "realm retrust", name="beta", fingerprint=fingerprint_of(alpha))
    said = done("realm", "retrust", "beta", fingerprint_of(new).lower(), data=alpha.data)
    assert fingerprint_of(new) in said
    await link_is(emil, "beta", "up")

    async def arrived() -> bool:
        return await texts(fay, "emil@alpha") == ["waits"]

    await eventually(arrived)
    assert await texts(emil, "fay@beta") == ["before", "waits"]

    # The old key is refused from then on, from any address.
    beta.port = 0
    beta.start()

    async def refused() -> bool:
        return "was removed here" in "".join(await operate(beta, "realm list"))

    await eventually(refused)
    with pytest.raises(AdminRefused, match="still has the known key"):
        await operate(alpha, "realm retrust", name="beta")


async def test_a_realm_that_lost_its_key_and_dialled_as_a_stranger_gets_its_name_back(
    pair: list[RealServer], enter: Enter
) -> None:
    """Its row numbers continue those of its other name, so no row counts as sent wrongly."""
    alpha, beta = pair
    emil, fay = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    await emil.ask("send", to="fay@beta", text="one")
    beta.kill()
    await link_is(emil, "beta", "down")
    for text in ("two", "three"):
        await emil.ask("send", to="fay@beta", text=text)
    (beta.data / "realm.key").unlink()
    beta.start()
    fay = await enter(beta, "fay", register=False)
    # It dials with its new key, and counts as another realm here.
    await link_is(emil, "beta-2", "up")
    for text in ("four", "five", "six"):
        await emil.ask("send", to="fay@beta-2", text=text)

    async def taken() -> bool:
        return (
            len(await texts(fay, "emil@alpha")) == 4 and not (await realm(emil, "beta-2"))["queued"]
        )

    await eventually(taken)
    await operate(alpha, "realm retrust", name="beta", fingerprint=fingerprint_of(beta))
    await link_is(emil, "beta", "up")

    async def arrived() -> bool:
        return set(await texts(fay, "emil@alpha")) >= {"two", "three"}

    await eventually(arrived)
    there = await texts(fay, "emil@alpha")
    assert sorted(there) == ["five", "four", "one", "six", "three", "two"]
    await emil.ask("send", to="fay@beta", text="seven")
    await fay.ask("send", to="emil@alpha", text="eight")
    assert (await emil.event("message"))["text"] == "eight"
    assert await texts(emil, "fay@beta") == ["one", "two", "three", "seven", "eight"]
    assert await texts(emil, "fay@beta-2") == ["four", "five", "six"]
    assert (await emil.say("send", to="fay@beta-2", text="x"))["code"] == "unknown_realm"


async def test_a_realm_can_be_retrusted_while_no_server_runs(
    pair: list[RealServer], enter: Enter
) -> None:
    alpha, beta = pair
    emil, _ = await enter(alpha, "emil"), await enter(beta, "fay")
    await add(emil, "beta", beta)
    await emil.close()
    alpha.stop()
    beta.kill()
    shutil.rmtree(beta.data)
    beta.start()
    assert "now has the fingerprint" in done("realm", "retrust", "beta", data=alpha.data)
    alpha.start()
    emil = await enter(alpha, "emil", register=False)
    await link_is(emil, "beta", "up")
