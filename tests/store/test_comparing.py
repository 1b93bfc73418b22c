"""Groups of two realms that swap keys: each follows its host's key, whatever its number."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select

from ws_server.store.federation import realms, replica_repair
from ws_server.store.schema import conversations

HIGHEST = 10**15 - 1
"""The highest number of 15 digits."""


def test_groups_with_the_highest_numbers_change_hosts_too(tx: Any) -> None:
    """Fixed bug: groups numbered above 2^39 were assigned to the wrong realm."""
    ids = [realm_of(tx, name) for name in ("beta", "beta-2")]
    for realm_id, name in zip(ids, ("old", "new"), strict=True):
        for number in (1, HIGHEST):
            tx.execute(
                insert(conversations).values(
                    realm_id=realm_id, number=number, name=name, last_seq=0, version=3, created=1
                )
            )
    replica_repair.change_hosts(tx, *ids)
    c = conversations.c
    found = tx.execute(select(c.realm_id, c.name, c.number, c.version)).all()
    assert sorted(map(tuple, found)) == sorted(
        [(ids[0], "new", number, 0) for number in (1, HIGHEST)]
        + [(ids[1], "old", number, 3) for number in (1, HIGHEST)]
    )


def realm_of(tx: Any, name: str) -> int:
    made = realms.add(
        tx,
        name=name,
        public_key=name.encode(),
        own_name=name,
        address=None,
        port=None,
        tls=False,
        state=realms.ACTIVE,
        now=1,
    )
    return made.id
