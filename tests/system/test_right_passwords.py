"""Right passwords are not counted, but whoever signs in for ever is not felt by others."""

from __future__ import annotations

import time

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.bystanders import NOTICED, QUIET_SECONDS, WORST, Chat, Script, beside, felt, known
from tests.system.wire import say

NAMES = [f"eve{number}" for number in range(8)]
LOOP: Script = [
    (name, say("auth", user=name, password=f"secret-{name}")) for name in NAMES for _ in range(4)
]


async def test_right_passwords_in_a_loop_of_one_address_are_not_felt_at_another(
    limited: RealServer,
) -> None:
    for name in NAMES:
        await (await known(limited.url, name)).close()
    chat = Chat(await known(limited.url, "carol"), await known(limited.url, "dave"))
    quiet = await felt(chat, QUIET_SECONDS)
    found = await beside(limited, chat, LOOP)
    print(
        f"quiet {quiet[0] * 1000:.1f} ms, p99 {quiet[1] * 1000:.1f}; "
        f"beside it {found[0] * 1000:.1f}, p99 {found[1] * 1000:.1f}"
    )
    assert found[0] < max(3 * quiet[0], NOTICED)
    assert found[1] < max(3 * quiet[1], WORST)
    await chat.carol.close()
    await chat.dave.close()


async def test_others_sign_in_meanwhile(limited: RealServer) -> None:
    for name in (*NAMES, "frank"):
        await (await known(limited.url, name)).close()

    class SignIns(Chat):
        """Somebody who signs in again and again."""

        def __init__(self) -> None:
            self.seconds = []

        async def talk(self) -> None:
            begun = time.monotonic()
            client = await RawClient.signed_in(limited.url, "frank", register=False)
            self.seconds.append(time.monotonic() - begun)
            await client.close()

    quiet = await felt(SignIns(), QUIET_SECONDS)
    found = await beside(limited, SignIns(), LOOP)
    print(f"a sign-in: quiet {quiet[0] * 1000:.0f} ms, beside it {found[0] * 1000:.0f}")
    assert found[0] < max(4 * quiet[0], 0.3)
