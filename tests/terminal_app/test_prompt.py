"""Rules of the prompt, as a person at a terminal sees them."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from shared.client import Receipt
from tests.client.people import People, Told, new_name
from tests.proxy import Proxy
from tests.realserver import RealServer
from tests.terminal_app.terminal import Terminal

pytestmark = pytest.mark.system


async def heard(who: Told, text: str) -> None:
    """Wait until somebody was told a text."""
    await who.until(lambda: text in who.texts)


def kept_below(home: Path) -> str:
    """Return all that the client has kept, which is for its user alone."""
    found = list((home / "state" / "simple-chatting").rglob("*"))
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    return "".join(path.read_text() for path in found if path.is_file())


def tokens(home: Path) -> int:
    """Return how many sessions are kept."""
    return len(list(home.rglob("*.token")))


async def test_a_newcomer_registers_signs_in_talks_and_stays_signed_in(
    server: RealServer, home: Path, ana: Told
) -> None:
    name, other = new_name("bob"), ana.client.user
    async with Terminal(home, server.url) as terminal:
        await terminal.shows("New here? register <user> <real_name> <password> <country...>")
        await terminal.shows("Been here? auth <user> <password>")
        terminal.enter(f"register {name} Bob secret1 Indonesia")
        await terminal.shows(f"OK Welcome {name}.")
        terminal.enter(f"auth {name} secret1")
        await terminal.shows(f"OK Signed in as {name} on alpha; nothing unread")
        terminal.enter(f"send {other} hi there")
        await terminal.shows(f"OK Sent to {other} as message 1")
        await heard(ana, "hi there")
        terminal.enter("exit")
        assert await terminal.ended() == 0
    assert "secret1" not in terminal.written
    kept = kept_below(home)
    assert f"send {other} hi there" in kept and "secret1" not in kept

    await ana.client.send(name, "are you there?")
    async with Terminal(home, server.url) as terminal:
        await terminal.shows(f"OK Signed in as {name} on alpha; 1 unread")
        await terminal.shows(f"{other}: 1 unread")
        terminal.enter("logout")
        await terminal.shows("OK Signed out")
        terminal.press("\x04")
        assert await terminal.ended() == 0
    async with Terminal(home, server.url) as terminal:
        await terminal.shows("New here?")
        await terminal.shows("not signed in")


async def test_messages_come_above_the_line_being_typed(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    async with Terminal(home, server.url) as terminal:
        await terminal.signs_in(bob)
        await terminal.types(f"send {ana.client.user} half a")
        await ana.client.send(bob, "one\x1b[2J\n> forged")
        group = (await ana.client.creategroup("the [red]team")).group
        await ana.client.invitegroup(group, bob)
        await ana.client.sendg(group, "two")
        await terminal.shows(f"[{group} the (red)team | {ana.client.user}] two")
        await terminal.shows_at_cursor(f"> send {ana.client.user} half a")
        lines = terminal.page.lines
        assert lines[0].startswith("Simple Chatting, ") and not terminal.page.scrolled
        first = lines.index(f"[{ana.client.user}] one\\x1b[2J")
        assert lines[first : first + 3] == [
            f"[{ana.client.user}] one\\x1b[2J",
            "  > forged",
            f"({bob} joined: {group} the [red]team)",
        ]
        terminal.enter(" line")
        await heard(ana, "half a line")


async def test_what_comes_before_a_slow_terminal_has_answered_scrolls_nothing_away(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    async with Terminal(home, server.url, lag=0.1) as terminal:
        await terminal.signs_in(bob)
        for text in ("one", "two", "three"):
            await ana.client.send(bob, text)
            await terminal.shows(f"[{ana.client.user}] {text}")
        await terminal.shows(f"{bob} on alpha  help")  # it is drawn once the answers are there
        assert terminal.page.lines[0].startswith("Simple Chatting, ")
        assert not terminal.page.scrolled


async def test_answers_come_in_the_order_of_the_commands(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    asked = asyncio.Event()
    connections: list[asyncio.StreamWriter] = []

    def take(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        asked.set()

    far = await asyncio.start_server(take, "127.0.0.1", 0)
    port = far.sockets[0].getsockname()[1]
    async with far, Terminal(home, server.url) as terminal:
        await terminal.signs_in(bob)
        terminal.enter(f"addrealm far 127.0.0.1 {port}")
        await asked.wait()
        terminal.enter("whoami")
        terminal.enter(f"send {ana.client.user} hi")
        await heard(ana, "hi")
        await ana.client.send(bob, "both are answered")
        await terminal.shows("both are answered")  # and the first is not
        for connection in connections:
            connection.transport.abort()
        await terminal.shows(f"OK Sent to {ana.client.user}")
        lines = [line for line in terminal.page.lines if line.startswith(("OK", "ERROR"))]
        assert [line.split()[1] for line in lines] == ["Signed", "realm_unreachable", bob, "Sent"]


async def test_who_wrote_learns_that_it_arrived_and_one_sees_what_others_have_read(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    async with Terminal(home, server.url) as terminal:
        await terminal.signs_in(bob)
        sent = await ana.client.send(bob, "hi")

        def received() -> bool:
            return any(receipt.received_seq == sent.seq for receipt in ana.of(Receipt))

        await ana.until(received)
        terminal.enter(f"send {ana.client.user} and you?")
        await heard(ana, "and you?")
        await ana.client.inbox(bob)
        await terminal.shows(f"({ana.client.user} has read up to message 2)")
        assert not any("received" in line for line in terminal.page.lines)


async def test_the_terminal_is_left_as_it_was_found(server: RealServer, home: Path) -> None:
    for leave in (Terminal.terminate, lambda terminal: terminal.press("\x04")):
        async with Terminal(home, server.url) as terminal:
            assert terminal.echoes
            await terminal.begins()
            await terminal.shows_at_cursor("> ")
            assert not terminal.echoes
            leave(terminal)
            assert await terminal.ended() == 0
            assert terminal.echoes


async def test_a_password_is_asked_for_without_showing_it_and_mistakes_are_said(
    server: RealServer, home: Path
) -> None:
    name = new_name("eve")
    async with Terminal(home, server.url) as terminal:
        await terminal.begins()
        terminal.enter(f"register {name}")
        await terminal.shows_at_cursor("Real name:")
        terminal.enter("Eve of Eden")
        await terminal.shows_at_cursor("Password:")
        terminal.enter("short")
        await terminal.shows("(Password: must have 6 to 128 characters)")
        await terminal.shows_at_cursor("Password:")
        terminal.enter("hush-hush")
        await terminal.shows_at_cursor("Once more:")
        terminal.enter("hush-hash")
        await terminal.shows("(Password: the two are not the same)")
        for label in ("Password:", "Once more:"):
            await terminal.shows_at_cursor(label)
            terminal.enter("hush-hush")
        await terminal.shows_at_cursor("Country:")
        terminal.press("\x1b[A\x19")  # up, and paste what was deleted
        terminal.enter("Peru")
        await terminal.shows(f"OK Welcome {name}.")
        terminal.enter(f"auth {name}")
        await terminal.shows_at_cursor("Password:")
        terminal.press("\x03")
        await terminal.shows("(auth: given up)")
        await terminal.types("auth x")
        terminal.press(" hush-hush")
        await terminal.shows_at_cursor("> auth x *********")
        terminal.press("\x03")
        await terminal.shows_at_cursor("> ")
        terminal.press("\x1b[A")  # up
        await terminal.shows_at_cursor("> ")
        terminal.enter(f"auth {name}")
        await terminal.shows_at_cursor("Password:")
        terminal.enter("hush-hush")
        await terminal.shows(f"OK Signed in as {name}")
    assert "hush" not in terminal.written


async def test_what_is_typed_while_the_connection_is_gone_is_sent_once_it_is_back(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    async with Proxy(server.port) as proxy, Terminal(home, proxy.url) as terminal:
        await terminal.signs_in(bob)
        await proxy.refuse()
        proxy.cut()
        await terminal.shows("(no connection: ")
        terminal.enter(f"send {ana.client.user} one")
        terminal.enter("help save")
        terminal.enter(f"send {ana.client.user} two")
        await terminal.shows("(send waits for the connection)", times=2)
        await terminal.shows("OK Save a file one received")
        await ana.client.send(bob, "missed 1")
        await ana.client.send(bob, "missed 2")
        await proxy.accept()
        await terminal.shows("(connected again)")
        await terminal.shows("OK Sent to", times=2)
        await heard(ana, "two")
        assert [text for text in ana.texts if text in ("one", "two")] == ["one", "two"]
        await terminal.shows("missed 2")
        lines = [line for line in terminal.page.lines if "missed" in line]
        assert lines == [f"[{ana.client.user}] missed 1", f"[{ana.client.user}] missed 2"]
        assert sum("no connection:" in line for line in terminal.page.lines) == 1


async def test_a_server_that_is_restarted_is_found_again(
    real_server: RealServer, home: Path
) -> None:
    async with Terminal(home, real_server.url) as terminal:
        await terminal.begins()
        terminal.enter("register eve Eve secret-eve Peru")
        await terminal.shows("OK Welcome")
        await terminal.signs_in("eve")
        real_server.kill()
        await terminal.shows("(no connection: ")
        terminal.enter("whoami")
        await asyncio.to_thread(real_server.start)
        await terminal.shows("OK eve on alpha: Eve, Peru, admin")


async def test_where_no_server_is_the_client_says_so_and_leaves_when_asked(
    home: Path, unused_tcp_port: int
) -> None:
    async with Terminal(home, f"ws://127.0.0.1:{unused_tcp_port}") as terminal:
        await terminal.shows("(no connection: ")
        await terminal.shows("Is a server running there? ./chat serve starts one.")
        terminal.terminate()
        assert await terminal.ended() == 0


async def test_a_session_that_ends_elsewhere_is_told_and_one_can_sign_in_again(
    server: RealServer, home: Path, people: People, bob: str
) -> None:
    async with Terminal(home, server.url) as terminal:
        await terminal.signs_in(bob)
        elsewhere = await people.sign_in(bob)
        await elsewhere.passwd(f"secret-{bob}", "secret-2")
        await terminal.shows("sign in again with auth)")
        assert tokens(home) == 0
        terminal.enter(f"auth {bob} secret-2")
        await terminal.shows(f"OK Signed in as {bob} on alpha", times=2)
        assert tokens(home) == 1


async def test_the_line_below_shows_usage_and_tab_completes_names(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    async with Terminal(home, server.url, columns=80) as terminal:
        await terminal.signs_in(bob)
        await ana.client.send(bob, "hi")
        await terminal.shows(f"[{ana.client.user}] hi")
        terminal.press("sendpcr\t")
        await terminal.shows_at_cursor("> sendpcrealm")
        await terminal.shows(f"{bob} on alpha  sendpcrealm <realm> <to> <text...>  Send a text")
        terminal.press("\x03")
        await terminal.shows_at_cursor("> ")
        terminal.press(f"inbox {ana.client.user[:-1]}\t")
        await terminal.shows_at_cursor(f"> inbox {ana.client.user}")
        terminal.enter("")
        await terminal.shows(f"OK {ana.client.user}: message 1")
        terminal.enter("sned x y")
        await terminal.shows("sned is not a command; did you mean send?")
