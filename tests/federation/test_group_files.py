"""Files in groups over realms: hosted here, hosted there, and relayed to a third realm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.federation.two_realms import TwoRealms, fetched
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.transfers import (
    MIB,
    announced,
    encoded,
    go_on,
    noise,
    received,
    sha256_of,
)


async def test_everybody_gets_every_file_whoever_hosts(tmp_path: Path) -> None:
    """The host relays a message while it downloads the content; all members get the content."""
    pair = TwoRealms(tmp_path)
    (tmp_path / "gamma").mkdir()
    gamma = RealServer(tmp_path / "gamma", "--realm", "gamma")
    pair.start()
    gamma.start()
    try:
        await pair.link()
        ana = await pair.sign_in(pair.alpha, "ana")
        bea = await pair.sign_in(pair.beta, "bea")
        cid = await pair.sign_in(gamma, "cid")
        await cid.ask("addrealm", name="beta", address="127.0.0.1", port=pair.beta.port)
        group = (await bea.ask("creategroup", name="photos"))["group"]
        for user in ("ana@alpha", "cid@gamma"):
            await bea.ask("invitegroup", group=group, user=user)
        everybody = {ana: f"{group}@beta", bea: group, cid: f"{group}@beta"}
        for person in (ana, cid):
            await person.event("group")
        for sender, address in everybody.items():
            content = noise(300_000)
            sent = await sender.ask(
                "sendgroupfile", group=address, name="p.png", data=encoded(content)
            )
            assert sent["file"]["sha256"] == sha256_of(content)
            for person in everybody:
                if person is not sender:
                    file = (await person.event("message"))["file"]
                    assert await received(person, file) == content
            assert await fetched(sender, sent["file"]) == content
        content = noise(9 * MIB)
        await go_on(cid, announced(f"{group}@beta", content), content)
        for person in (ana, bea):
            file = (await person.event("message"))["file"]
            assert sha256_of(await fetched(person, file)) == sha256_of(content)
        await pair.leave()
    finally:
        pair.kill()
        gamma.kill()


@pytest.mark.parametrize("limit", ["--max-file", "--max-realm-files"])
async def test_what_a_member_realm_has_no_room_for_is_shown_and_not_fetched(
    tmp_path: Path, limit: str
) -> None:
    """The host has assigned a seq to the message, so the member's realm does not refuse it."""
    pair = TwoRealms(tmp_path, limit, "1")
    pair.start()
    try:
        await pair.link()
        ana = await pair.sign_in(pair.alpha, "ana")
        bea = await pair.sign_in(pair.beta, "bea")
        group = (await ana.ask("creategroup", name="photos"))["group"]
        await ana.ask("invitegroup", group=group, user="bea@beta")
        await bea.event("group")
        large, small = noise(MIB + 1), noise(1_000)
        await go_on(ana, announced(group, large), large)
        await ana.ask("sendgroupfile", group=group, name="s", data=encoded(small))
        file = (await bea.event("message"))["file"]
        assert (file["size"], file["sha256"]) == (len(large), sha256_of(large))
        assert (await refused(bea, file["id"])) == "unknown_file"
        file = (await bea.event("message"))["file"]
        assert await received(bea, file) == small
        await pair.leave()
    finally:
        pair.kill()


async def refused(client: RawClient, file: str) -> str:
    return str((await client.say("getfile", file=file))["code"])
