"""The client without a prompt: --execute, --json and lines of standard input."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.client.people import Told
from tests.realserver import RealServer
from tests.terminal_app.terminal import Terminal, environment

pytestmark = pytest.mark.system


@dataclass
class Run:
    """How a run of the client ended."""

    code: int
    out: str
    err: str

    @property
    def frames(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


async def start(home: Path, *arguments: str, **changes: str) -> asyncio.subprocess.Process:
    command = (sys.executable, "-m", "terminal_app", *arguments)
    return await asyncio.create_subprocess_exec(
        *command, cwd=home, env=environment(home, **changes), stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def run(home: Path, *arguments: str, typed: str = "", **changes: str) -> Run:
    process = await start(home, *arguments, **changes)
    out, err = await process.communicate(typed.encode("utf-8", "surrogateescape"))
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return Run(process.returncode, out.decode(), err.decode())


def as_user(name: str) -> dict[str, str]:
    """Return the variables by which a script signs somebody in."""
    return {"CHAT_TERMINAL_USER": name, "CHAT_TERMINAL_PASSWORD": f"secret-{name}"}


async def test_commands_run_one_after_the_other_up_to_the_first_that_is_refused(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    other = ana.client.user
    sends = ("--execute", f"send {other} hi", "--execute", f"send {other} there")
    done = await run(home, server.url, *sends, **as_user(bob))
    assert (done.code, done.err) == (0, "")
    assert done.out == f"OK Sent to {other} as message 1\nOK Sent to {other} as message 2\n"
    await ana.until(lambda: ana.texts == ["hi", "there"])
    # The session is kept, so the password is needed no more; each user has one of their own.
    again = await run(home, server.url, "--execute", "send nobody hi", *sends, "--user", bob)
    assert (again.code, again.out) == (1, "ERROR unknown_user Nobody here is called nobody\n")
    stranger = await run(home, server.url, *sends, "--user", other)
    assert stranger.code == 1
    assert stranger.out == (
        f"ERROR not_authenticated Password of {other} is not known: "
        "set CHAT_TERMINAL_PASSWORD, or sign in at a terminal first\n"
    )
    wrong = await run(home, server.url, *sends, **as_user(other) | {"CHAT_TERMINAL_PASSWORD": "x"})
    assert (wrong.code, wrong.out[:22]) == (1, "ERROR bad_credentials ")


async def test_a_password_that_is_missing_is_asked_for_at_a_terminal(
    server: RealServer, home: Path, bob: str
) -> None:
    whoami = (server.url, "--user", bob, "--execute", "whoami")
    async with Terminal(home, *whoami) as terminal:
        await terminal.shows(f"Password of {bob}:")
        terminal.enter(f"secret-{bob}")
        await terminal.shows(f"OK {bob} on alpha")
        assert await terminal.ended() == 0
    assert f"secret-{bob}" not in terminal.written


async def test_json_frames_and_lines_are_answered_in_order_as_the_contract_has_it(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    other = ana.client.user
    path = home / "note.txt"
    path.write_text("hallo")
    lines = [
        json.dumps({"command": "send", "id": "1", "to": other, "text": "hi"}),
        f"sendfile {other} {path}",
        "sendfile " + other + " note.txt",
        '{"command":"nothing","id":"4"}',
        "inbox " + other + " limit=1",
        "x\udcff",
        "help exit",
    ]
    done = await run(home, server.url, "--json", typed="\n".join(lines), **as_user(bob))
    assert (done.code, done.err) == (1, "")
    sent, file, relative, nothing, page, not_text, help = done.frames
    assert list(sent)[:5] == ["status", "command", "id", "message", "conversation"]
    assert (sent["id"], sent["seq"], sent["message"]) == ("1", 1, f"Sent to {other} as message 1")
    assert (file["command"], file["seq"], file["file"]["name"]) == ("sendfile", 2, "note.txt")
    assert str(path) in relative["message"] and relative["code"] == "bad_arguments"
    assert (nothing["id"], nothing["code"]) == ("4", "bad_command")
    assert [message["seq"] for message in page["messages"]] == [2]
    assert not_text["message"] == "This line is not UTF-8"
    assert help["commands"] == [{"command": "exit", "usage": "exit", "summary": help["message"]}]


async def test_events_are_printed_as_json_while_the_input_lasts(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    process = await start(home, server.url, "--json", **as_user(bob))
    assert process.stdin and process.stdout
    process.stdin.write(b"ping\n")
    assert json.loads(await process.stdout.readline())["message"] == "Pong"
    await ana.client.send(bob, "hi")
    event = json.loads(await process.stdout.readline())
    assert (event["event"], event["from"], event["text"]) == ("message", ana.client.user, "hi")
    process.stdin.close()
    assert await process.wait() == 0


async def test_lines_of_a_pipe_are_answered_in_words(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    lines = [f"auth {bob} secret-{bob}", *(f"send {ana.client.user} {n}" for n in range(200))]
    done = await run(home, server.url, typed="\n".join(lines) + "\nexit\nwhoami\n")
    assert done.code == 0 and "token" not in done.out
    first, *rest = done.out.splitlines()
    assert first == f"OK Signed in as {bob} on alpha; nothing unread"
    assert rest == [f"OK Sent to {ana.client.user} as message {n + 1}" for n in range(200)]


@pytest.mark.parametrize("size, code", [(1 << 20, 1), (3 << 20, 1)])
async def test_a_line_that_is_too_long_is_refused_and_the_next_one_answered(
    server: RealServer, home: Path, size: int, code: int
) -> None:
    done = await run(home, server.url, "--json", typed="ping " + "x" * size + "\nping\n")
    assert done.code == code
    refused, pong = done.frames
    assert refused["code"] in ("too_large", "bad_arguments") and pong["message"] == "Pong"


async def test_without_a_server_the_exit_code_says_so(home: Path, unused_tcp_port: int) -> None:
    url = f"ws://127.0.0.1:{unused_tcp_port}"
    done = await run(home, url, "--json", "--timeout", "0.3", "--execute", "ping")
    assert done.code == 3
    (frame,) = done.frames
    assert (frame["code"], frame["temporary"]) == ("unavailable", True)
    assert "there is no connection: " in frame["message"] and "was not sent" in frame["message"]


@pytest.mark.parametrize(
    "arguments, changes, why",
    [
        (
            ["http://localhost"],
            {},
            "is not a ws:// or wss:// address; it looks like ws://localhost",
        ),
        (["--save-up-to", "-1"], {}, "must be a whole number of MiB, 0 for none"),
        (["--timeout", "nan"], {}, "must be a number of seconds above 0"),
        ([], {"CHAT_TERMINAL_PASSWORD": "x"}, "needs CHAT_TERMINAL_USER or --user: whose is it?"),
        (["ws://a", "--server", "ws://b"], {}, "the server is given twice; leave one out"),
    ],
)
async def test_wrong_usage_is_refused_before_anything_is_sent(
    home: Path, arguments: list[str], changes: dict[str, str], why: str
) -> None:
    done = await run(home, *arguments, typed="ping", **changes)
    assert done.code == 2 and why in done.err and not done.out


async def test_a_script_that_is_stopped_does_not_pass_for_one_that_is_done(
    server: RealServer, home: Path
) -> None:
    process = await start(home, server.url)
    assert process.stdin and process.stdout
    process.stdin.write(b"ping\n")
    await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 128 + signal.SIGTERM
    process.stdin.close()


async def test_nobody_who_reads_the_answers_is_no_traceback(server: RealServer, home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "terminal_app", server.url, "--execute", "ping"),
        cwd=home,
        env=environment(home),
        stdout=writing,
        stderr=PIPE,
    )
    os.close(writing)
    _, err = await process.communicate()
    assert (process.returncode, err) == (128 + signal.SIGPIPE, b"")


async def test_a_pipe_that_nobody_reads_any_more_ends_the_client(
    server: RealServer, home: Path
) -> None:
    process = await start(home, server.url)
    assert process.stdin and process.stdout
    for _ in range(3):
        process.stdin.write(b"ping\n")
        await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]
    process.stdin.write(b"ping\n" * 1000)  # and the input goes on
    assert await process.wait() == 128 + signal.SIGPIPE


async def test_what_cannot_be_written_in_the_encoding_of_the_output_is_escaped(
    server: RealServer, home: Path, ana: Told, bob: str
) -> None:
    await ana.client.send(bob, "caf\u00e9 \U0001f600")
    inbox = (server.url, "--execute", f"inbox {ana.client.user}")
    done = await run(home, *inbox, PYTHONIOENCODING="ascii", **as_user(bob))
    assert done.code == 0 and done.out.endswith("caf\\xe9 \\U0001f600\n")
    path = os.fsdecode(b"/nothing\xff")
    refused = await run(home, server.url, "--json", "--execute", f"sendfile {bob} {path}")
    assert refused.code == 1 and refused.frames[0]["code"] == "bad_arguments"
