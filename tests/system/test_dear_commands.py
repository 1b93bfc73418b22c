"""Accounts of one address ask for what is dear, and nobody at another address notices."""

from __future__ import annotations

import pytest

from tests.realserver import RealServer
from tests.system.bystanders import QUIET_SECONDS, Chat, beside, felt, known
from tests.system.wire import TEXT, frame, say

EVES = [f"eve{number}" for number in range(8)]
CONNECTIONS = 32
NOTICED = 0.04
"""Seconds of a median that nobody notices, whatever the quiet figure was. Before, it was 0.06 to
0.6, for minutes after the last frame."""
DEAR = {
    "sync-all": say("sync", have={}),
    "sync-names": say("sync", have={f"u{number}": 0 for number in range(4_900)}),
    "keys": frame(
        TEXT, b'{"command":"ping"' + b"".join(b',"%d":1' % n for n in range(90_000)) + b"}"
    ),
    "markers-of-nobody": say("read", conversation="nobody", seq=1) * 50,
    "repeats": say("send", to="eve0", text="x", idempotency_key="same") * 50,
    "nan": frame(TEXT, b'{"command":"ping","a":[' + b"1," * 120_000 + b"NaN]}"),
}


@pytest.mark.parametrize("what", DEAR)
async def test_dear_commands_of_many_accounts_of_one_address_are_not_felt_at_another(
    limited: RealServer, what: str
) -> None:
    """`sync` of everything in 64 connections took others' sends from 2 ms to 57 and 570."""
    for name in EVES:
        await (await known(limited.url, name)).close()
    for name, to in zip(EVES, reversed(EVES), strict=True):
        eve = await known(limited.url, name)  # alone, so that nothing is pushed
        for _ in range(100):
            await eve.ask("send", to=to, text='"\n' * 8_000)
        await eve.close()
    chat = Chat(await known(limited.url, "carol"), await known(limited.url, "dave"))
    quiet, _ = await felt(chat, QUIET_SECONDS)
    found, _ = await beside(
        limited, chat, [(EVES[number % len(EVES)], DEAR[what]) for number in range(CONNECTIONS)]
    )
    print(f"quiet {quiet * 1000:.1f} ms, beside it {found * 1000:.1f}")
    assert found < max(3 * quiet, NOTICED)
    assert "Traceback" not in limited.log
    await chat.carol.close()
    await chat.dave.close()
