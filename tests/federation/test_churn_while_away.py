"""Changes of a group while a realm with members in it is away."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from tests.federation.people import eventually
from tests.federation.two_realms import TwoRealms
from ws_server.store.federation.outbox import MAX_ROSTERS


async def test_churn_writes_few_rosters_for_a_realm_that_is_away(linked: TwoRealms) -> None:
    """Each change wrote all members again: 280 KB of a group of 5,000, up to 50,000 times."""
    ana, _, _, _ = await linked.two()
    group = str((await ana.ask("creategroup", name="churn"))["group"])
    bea = await linked.sign_in(linked.beta, "bea-churn")
    await ana.ask("invitegroup", group=group, user="bea-churn@beta")
    assert (await bea.event("group"))["change"] == "joined"
    cid, dan = [await linked.sign_in(linked.alpha, name) for name in ("cid-churn", "dan-churn")]
    linked.beta.stop()
    for _ in range(20):
        await ana.ask("invitegroup", group=group, user="cid-churn")
        await cid.ask("leavegroup", group=group)
    await ana.ask("invitegroup", group=group, user="dan-churn")
    query = "SELECT count(*) FROM outbox WHERE kind = 'change'"
    with closing(sqlite3.connect(linked.alpha.data / "chat.db")) as database:
        assert database.execute(query).fetchone() == (MAX_ROSTERS,)
    linked.beta.start()
    bea = await linked.sign_in(linked.beta, "bea-churn", register=False)

    async def same() -> bool:
        found = [
            [m["user"].partition("@")[0] for m in (await one.ask("members", group=at))["members"]]
            for one, at in ((bea, f"{group}@alpha"), (ana, group))
        ]
        return found[0] == found[1] and found[0][-1] == "dan-churn" and len(found[0]) == 3

    await eventually(same)
    await ana.ask("sendg", group=group, text="all here?")
    assert (await bea.event("message"))["text"] == "all here?"
    for person in (bea, cid, dan):
        await person.close()
