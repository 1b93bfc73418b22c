"""A realm behind the reverse proxies of docs/deploy, set as its environment file says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.proxies import DEPLOY, HOST, Proxy
from tests.world import World
from ws_server.net import listener as listener_module
from ws_server.settings import Settings

pytestmark = pytest.mark.system
SETTINGS = dict(
    re.findall(r"^#?(CHAT_\w+)=(.*)$", (DEPLOY / "simple-chatting.env").read_text(), re.MULTILINE)
)
WRONG_AT_ONCE = 5


def settings(*names: str) -> dict[str, str]:
    """Return these settings of the environment file."""
    return {name: SETTINGS[name] for name in names}


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def behind(folder: Path, name: str, **environment: str) -> Iterator[Proxy]:
    server = RealServer(folder, "--rate-limits", "on", environment=environment)
    server.start()
    try:
        proxy = Proxy(folder / name, server.port, name)
        yield proxy
        proxy.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module")
def proxy(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    wanted = settings("CHAT_TRUSTED_PROXIES", "CHAT_ORIGINS")
    yield from behind(tmp_path_factory.mktemp("realm"), name, **wanted)


@pytest.fixture(scope="module")
def distrusted(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The same without --trusted-proxies."""
    yield from behind(tmp_path_factory.mktemp("distrusted"), name)


async def through(
    proxy: Proxy, person: str = "127.0.0.1", url: str = "", **options: Any
) -> RawClient:
    """Connect over TLS from an address of this machine, which stands for a person's."""
    return RawClient(
        await connect(
            url or f"wss://{HOST}:{proxy.port}/",
            host="127.0.0.1",
            local_addr=(person, 0),
            ssl=proxy.tls,
            proxy=None,
            ping_interval=None,
            max_size=None,
            **options,
        )
    )


async def get(proxy: Proxy, path: str, *, tls: bool = True) -> tuple[int, str]:
    return await ask(proxy, f"GET {path} HTTP/1.1\r\n", b"", tls)


async def put(proxy: Proxy, path: str, body: bytes) -> tuple[int, str]:
    return await ask(proxy, f"PUT {path} HTTP/1.1\r\nContent-Length: {len(body)}\r\n", body, True)


async def ask(proxy: Proxy, head: str, body: bytes, tls: bool) -> tuple[int, str]:
    """Return status and all the rest of an HTTP answer."""
    port = proxy.port if tls else proxy.plain_port
    context, name = (proxy.tls, HOST) if tls else (None, None)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name
    )
    writer.write(f"{head}Host: {HOST}\r\nConnection: close\r\n\r\n".encode() + body)
    async with asyncio.timeout(20):
        answer = (await reader.read()).decode()
    writer.close()
    return int(answer.split(" ")[1]), answer


async def register(client: RawClient, name: str) -> None:
    await client.ask(
        "register", user=name, real_name=name, password=f"secret-{name}", country="Peru"
    )


async def test_people_sign_in_and_messages_pass_both_ways(proxy: Proxy) -> None:
    people = [await through(proxy), await through(proxy)]
    for client, name in zip(people, ("ana", "bob"), strict=True):
        await register(client, name)
        await client.ask("auth", user=name, password=f"secret-{name}")
    ana, bob = people
    long = "x" * 16_000
    await ana.ask("send", to="bob", text=long)
    assert (await bob.event("message"))["text"] == long
    await bob.ask("send", to="ana", text="yes")
    assert (await ana.event("message"))["text"] == "yes"
    for client in people:
        await client.close()


async def guess(client: RawClient, times: int) -> list[str]:
    """Try a wrong password and return what was answered."""
    replies = [await client.say("auth", user="eve", password="wrong1") for _ in range(times)]
    return [str(reply["code"]) for reply in replies]


async def test_limits_count_the_person_and_not_the_proxy(proxy: Proxy) -> None:
    guesser, forger, eve = [
        await through(proxy, "127.0.0.2"),
        await through(
            proxy, "127.0.0.2", additional_headers={"X-Forwarded-For": "203.0.113.7, 127.0.0.1"}
        ),
        await through(proxy, "127.0.0.3"),
    ]
    await register(eve, "eve")
    assert (await guess(guesser, WRONG_AT_ONCE + 1))[-1] == "rate_limited"
    assert await guess(forger, 1) == ["rate_limited"]
    await eve.ask("auth", user="eve", password="secret-eve")
    for client in (guesser, forger, eve):
        await client.close()


async def test_without_trusted_proxies_one_person_locks_out_all(distrusted: Proxy) -> None:
    """What docs/deploy says goes wrong; and the test above could fail."""
    guesser, eve = [await through(distrusted, f"127.0.0.{number}") for number in (2, 3)]
    await register(eve, "eve")
    await guess(guesser, WRONG_AT_ONCE + 1)
    assert (await eve.say("auth", user="eve", password="secret-eve"))["code"] == "rate_limited"
    for client in (guesser, eve):
        await client.close()


async def test_only_origins_that_are_listed_get_in(proxy: Proxy) -> None:
    for origin in (f"https://{HOST}", None):
        client = await through(proxy, origin=origin)
        await client.ask("ping")
        await client.close()
    with pytest.raises(InvalidStatus) as refused:
        await through(proxy, origin="https://evil.example")
    assert refused.value.response.status_code == 403


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics?x=1", "//metrics", "/./metrics", "/%6detrics", "/readyz"]
)
async def test_what_is_for_monitors_is_refused_to_the_public(proxy: Proxy, path: str) -> None:
    assert (await get(proxy, path))[0] == 403


async def test_no_other_spelling_shows_the_metrics(proxy: Proxy) -> None:
    for path in ("//x/metrics", "/metrics/", "/METRICS", "/metrics;x", f"http://{HOST}/metrics"):
        _, answer = await get(proxy, path)
        assert "chat_" not in answer, path


async def test_health_is_public(proxy: Proxy) -> None:
    status, answer = await get(proxy, "/healthz")
    assert status == 200 and answer.endswith("ok\n")


async def test_nginx_sends_browsers_to_https(proxy: Proxy, name: str) -> None:
    if name == "nginx":
        status, answer = await get(proxy, "/a?b=c", tls=False)
        assert status == 301 and f"https://{HOST}/a?b=c" in answer


async def test_browsers_get_the_app_at_the_same_name(name: str, tmp_path: Path) -> None:
    wanted = settings("CHAT_TRUSTED_PROXIES", "CHAT_ORIGINS")
    server = RealServer(tmp_path, "--web-port", "0", environment=wanted)
    server.start()
    proxy = Proxy(tmp_path / name, server.port, name, web_port=server.web_port)
    try:
        status, answer = await get(proxy, "/")
        assert status == 200 and "<title>Simple Chatting</title>" in answer
        cookie = re.findall(
            r"(?mi)^set-cookie: (__Host-chat_browser=[\w-]+);.*; Secure\r?$", answer
        )
        assert "strict-transport-security: max-age=31536000" in answer.lower()
        page = await through(
            proxy,
            "127.0.0.2",
            url=f"wss://{HOST}:{proxy.port}/ws",
            origin=f"https://{HOST}:{proxy.port}",
            additional_headers={"Cookie": cookie[0]},
        )
        await page.close()
        person = await through(proxy)
        await person.ask("ping")
        await person.close()
        # nginx takes 1 MB by itself; what the app does not expect it refuses in its own words.
        assert (await put(proxy, "/files/unknown", bytes(2 << 20)))[0] == 404
    finally:
        proxy.stop()
        server.kill()


async def is_cut(folder: Path) -> bool:
    """Tell whether a connection that says nothing for twice nginx's timeout of 2.5 s is cut."""
    async with World(folder) as world:
        assert world._server is not None
        proxy = Proxy(folder / "nginx", world._server.port, "nginx", timeout="2500ms")
        client = await through(proxy)
        try:
            async with asyncio.timeout(5):
                await client.socket.wait_closed()
            return True
        except TimeoutError:
            await client.ask("ping")
            return False
        finally:
            await client.close()
            proxy.stop()


async def test_pings_keep_a_silent_connection_that_nginx_would_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a tenth of the time: 2 s between pings, and a proxy that waits little longer."""
    monkeypatch.setattr(listener_module, "PING_INTERVAL", 2.0)
    assert not await is_cut(tmp_path / "pinged")
    monkeypatch.setattr(listener_module, "PING_INTERVAL", 1_000.0)
    assert await is_cut(tmp_path / "silent")


def test_nginx_waits_for_more_than_two_pings() -> None:
    (seconds,) = re.findall(r"proxy_read_timeout (\d+)s;", (DEPLOY / "nginx.conf").read_text())
    assert int(seconds) > 2 * listener_module.PING_INTERVAL


def test_the_environment_file_has_settings_that_exist() -> None:
    container = (DEPLOY / "Containerfile").read_text()
    named = {*SETTINGS, *re.findall(r"\b(CHAT_\w+)=", container)}
    assert {"CHAT_REALM", "CHAT_DATA"} <= named
    assert named <= {f"CHAT_{name.upper()}" for name in Settings.model_fields}
