"""The realm's socket in its data folder, for the web app, which acts for many people."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import pytest

from shared.client import ChatClient, ChatError
from tests.realserver import RealServer

pytestmark = pytest.mark.system
AT_ONCE = 5
"""Wrong passwords that one address may try for one account."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealServer]:
    """A server with limits, behind a path that is longer than the system takes for a socket."""
    folder = tmp_path_factory.mktemp("limited") / ("long" * 30)
    folder.mkdir()
    server = RealServer(folder, "--rate-limits", "on", "--web-port", "0")
    server.start()
    yield server
    server.kill()


def through_socket(server: RealServer, person: str) -> ChatClient:
    return ChatClient(server.url, unix=server.data / "web.sock", forwarded_for=person)


async def guess(client: ChatClient, user: str, times: int) -> list[str]:
    codes = []
    for _ in range(times):
        with pytest.raises(ChatError) as refused:
            await client.auth(user, "wrong-password")
        codes.append(refused.value.code.value)
    return codes


async def test_the_limits_count_whom_the_app_speaks_for(limited: RealServer) -> None:
    async with through_socket(limited, "203.0.113.7") as guesser:
        assert (await guess(guesser, "eve", AT_ONCE + 1))[-1] == "rate_limited"
    async with through_socket(limited, "2001:db8::8") as other:
        assert await guess(other, "eve", 1) == ["bad_credentials"]
    async with through_socket(limited, "203.0.113.7") as again:
        assert await guess(again, "eve", 1) == ["rate_limited"]


async def test_wrong_invitations_count_for_the_browser_and_not_for_the_app(
    limited: RealServer,
) -> None:
    codes = []
    async with through_socket(limited, "203.0.113.90") as guesser:
        for number in range(60):
            with pytest.raises(ChatError) as refused:
                await guesser.invitation(f"GUESS-{number}")
            codes.append(refused.value.code.value)
    assert codes[0] == "bad_credentials" and codes[-1] == "rate_limited"
    async with through_socket(limited, "203.0.113.91") as other:
        with pytest.raises(ChatError) as refused:
            await other.invitation("GUESS")
        assert refused.value.code.value == "bad_credentials"


async def test_over_the_port_nobody_speaks_for_others(limited: RealServer) -> None:
    codes = []
    for person in range(AT_ONCE + 1):
        async with ChatClient(limited.url, forwarded_for=f"203.0.113.{person}") as client:
            codes += await guess(client, "bob", 1)
    assert codes[-1] == "rate_limited"


def test_the_socket_is_for_the_realms_own_account(limited: RealServer) -> None:
    mode = (limited.data / "web.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("person", ["bob", "1.2.3.4\r\nX: y", "1.2.3.4, 5.6.7.8"])
def test_what_is_no_address_is_not_sent(person: str) -> None:
    with pytest.raises(ValueError):
        ChatClient("ws://localhost", forwarded_for=person)
