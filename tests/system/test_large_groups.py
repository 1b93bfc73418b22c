"""Churn in a group of 5,000, and its list of members, are not felt by others at another address."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.realserver import RealServer
from tests.system.bystanders import NOTICED, QUIET_SECONDS, Chat, Script, beside, felt, known
from tests.system.wire import say

CROWD = 4_900
WORST = 0.1
"""Seconds of the slowest of a hundred, that nobody notices."""
EVES = [f"eve{number}" for number in range(8)]
CHURN: Script = [
    *((eve, say("invitegroup", group="#1", user=f"mal-{eve}")) for eve in EVES),
    *((f"mal-{eve}", say("leavegroup", group="#1")) for eve in EVES),
]
KICKS: Script = [
    (
        "eve0",
        say("invitegroup", group="#1", user="mal-eve0") + say("kick", group="#1", user="mal-eve0"),
    )
]
LISTS: Script = [(eve, say("members", group="#1")) for eve in EVES]


def fill(server: RealServer) -> None:
    """Put CROWD people into group 1, who are never there."""
    with closing(sqlite3.connect(server.data / "chat.db")) as database:
        (group,) = database.execute("SELECT id FROM conversations WHERE number = 1").fetchone()
        database.executemany(
            "INSERT INTO users (id, name, key, real_name, country, password, admin, created)"
            " VALUES (?, ?, ?, 'x', 'x', '', 0, 0)",
            [(id, f"somebody-{id}", f"somebody-{id}") for id in range(1_000, 1_000 + CROWD)],
        )
        database.executemany(
            "INSERT INTO members (conversation_id, user_id, owner, place, joined_seq, read_seq,"
            " received_seq) VALUES (?, ?, 0, ?, 0, 0, 0)",
            [(group, id, id) for id in range(1_000, 1_000 + CROWD)],
        )
        database.execute("UPDATE conversations SET version = version + 1")
        database.commit()


@pytest.mark.parametrize(
    "script", [CHURN, KICKS, LISTS], ids=["invite and leave", "invite and kick", "members"]
)
async def test_what_a_large_group_costs_is_not_felt_by_others(
    limited: RealServer, script: Script
) -> None:
    """Churn took others' sends from 4 ms to 112, a list of members 41, and its first second 70."""
    names = [*EVES, *(f"mal-{eve}" for eve in EVES)]
    people = [await known(limited.url, name) for name in names]
    await people[0].ask("creategroup", name="crowd")
    for eve in EVES[1:]:
        await people[0].ask("invitegroup", group="#1", user=eve)
    for person in people:
        await person.close()
    limited.stop()
    fill(limited)
    limited.start()
    chat = Chat(await known(limited.url, "carol"), await known(limited.url, "dave"))
    quiet = await felt(chat, QUIET_SECONDS)
    found = await beside(limited, chat, script)
    print(
        f"quiet {quiet[0] * 1000:.1f} ms, p99 {quiet[1] * 1000:.1f}; "
        f"beside it {found[0] * 1000:.1f}, p99 {found[1] * 1000:.1f}"
    )
    assert found[0] < max(3 * quiet[0], NOTICED)
    assert found[1] < max(3 * quiet[1], WORST)
    assert "Traceback" not in limited.log
    await chat.carol.close()
    await chat.dave.close()
