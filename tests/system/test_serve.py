"""What an operator meets: `./chat serve`, its settings, its refusals and its end."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from tests.handlers.test_crowds import add_conversations
from tests.rawclient import RawClient
from tests.realserver import EXECUTED, RealServer
from tests.system.product import Served, copy_product, run_chat
from tests.system.wire import HANDSHAKE
from ws_server.settings import Settings

pytestmark = [
    pytest.mark.system,
    # A pseudo-terminal needs a fork, which Python 3.12 warns of in processes with threads.
    pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_product(tmp_path_factory.mktemp("product")) / "chat"


@pytest.fixture
def free_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    yield port


@pytest.fixture
def real_server(tmp_path: Path) -> Iterator[RealServer]:
    """A server that is no fork: how a process ends is part of what is tested here."""
    server = RealServer(tmp_path)
    server.program = EXECUTED
    server.start()
    yield server
    server.kill()


# Starting


async def test_it_starts_and_prints_lines_that_work(chat: Path, tmp_path: Path) -> None:
    with Served(chat, "--port", "0", "--data", "X", "--realm", "alpha", cwd=tmp_path) as served:
        url = f"ws://localhost:{served.port}"
        assert f"npx wscat -c {url}\n" in served.welcome
        assert (tmp_path / "X" / "chat.db").exists()
        lines = [line.strip()[2:] for line in served.welcome.splitlines() if "    > " in line]
        first, second = lines[:3], lines[3:]
        assert [line.split(" ")[0] for line in first] == ["register", "auth", "help"]
        assert [line.split(" ")[0] for line in second] == ["register", "auth", "send"]
        for typed in (first, second):
            client = await RawClient.open(url)
            for line in typed:
                await client.socket.send(line)
                assert str(await client.socket.recv()).startswith("OK ")
            await client.close()


def test_it_works_from_another_folder_and_through_a_link(chat: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(chat)
    (tmp_path / "shared").mkdir()  # must not be taken for the product's
    with Served(tmp_path / "link", "--port", "0", "--data", "here", cwd=tmp_path) as served:
        assert (tmp_path / "here" / "chat.db").exists()
        served.terminal.sendintr()
        assert served.ended() == 0
        assert "Traceback" not in served.last_words


def test_localhost_means_both_kinds_of_addresses(chat: Path, tmp_path: Path) -> None:
    with Served(chat, "--port", "0", cwd=tmp_path) as served:
        assert served.host == "localhost"
        for host in ("127.0.0.1", "::1"):
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            with socket.socket(family) as probe:
                try:
                    probe.bind((host, 0))
                except OSError:
                    assert host == "::1"  # a machine without IPv6
                else:
                    socket.create_connection((host, served.port), 5).close()


def test_help_lists_every_setting(chat: Path, tmp_path: Path) -> None:
    told = run_chat(chat, "serve", "--help", cwd=tmp_path)
    assert told.returncode == 0
    for name, field in Settings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in told.stdout
        assert field.description
    assert "CHAT_" in told.stdout


@pytest.mark.parametrize("command", ["serve", "app", "terminal", "admin"])
def test_usage_names_the_program_as_the_user_started_it(
    chat: Path, command: str, tmp_path: Path
) -> None:
    shown = run_chat(chat, command, "--help", cwd=tmp_path)
    assert shown.stdout.split()[:4] == ["usage:", str(chat), command, "[-h]"]


def test_the_command_line_goes_before_the_environment_before_the_file(
    chat: Path, tmp_path: Path, free_port: int
) -> None:
    file = tmp_path / "chat.toml"
    file.write_text('realm = "from-file"\nport = 1\nrate-limits = "off"\ndata = "d"\n')
    port = {"CHAT_PORT": str(free_port)}
    config = ("--config", str(file))
    with Served(chat, *config, cwd=tmp_path, **port) as served:
        assert (served.realm, served.port) == ("from-file", free_port)
        assert (tmp_path / "d" / "chat.db").exists()
    # A realm keeps its name, so each has a folder of its own.
    of_file = {"CHAT_CONFIG": str(file), "CHAT_DATA": "e"}
    with Served(chat, cwd=tmp_path, CHAT_REALM="from-env", **of_file, **port) as served:
        assert (served.realm, served.port) == ("from-env", free_port)
    flags = ("--realm", "from-flag", "--port", "0", "--data", "f")
    with Served(chat, *config, *flags, cwd=tmp_path, CHAT_REALM="from-env", **port) as served:
        assert served.realm == "from-flag"
        assert served.port != free_port


# Refusing


def refusal(chat: Path, *flags: str, cwd: Path, **changes: str) -> str:
    """Return the one sentence with which it refuses to start."""
    refused = run_chat(chat, "serve", *flags, cwd=cwd, **changes)
    assert refused.returncode in (1, 2), refused
    assert refused.stdout == ""
    assert "Traceback" not in refused.stderr
    lines = refused.stderr.splitlines()
    # The parser of the command line shows the usage before its sentence.
    sentences = lines[-1:] if lines[0].startswith("usage: ") else lines
    assert len(sentences) == 1, refused.stderr
    return sentences[0]


@pytest.mark.parametrize(
    "flags, named",
    [
        ("--port 65536", "--port"),
        ("--port http", "--port"),
        ("--port -1", "--port"),
        ("--realm two/words", "--realm"),
        ("--realm=", "--realm"),
        ("--registration perhaps", "--registration"),
        ("--rate-limits maybe", "--rate-limits"),
        ("--realms some", "--realms"),
        ("--log-level loud", "--log-level"),
        ("--trusted-proxies 10.0.0.0/33", "--trusted-proxies"),
        ("--database mysql://localhost/chat", "--database"),
        ("--tls-cert cert.pem", "--tls-key"),
        ("--tls-key key.pem", "--tls-cert"),
        ("--tls-cert cert.pem --tls-key key.pem", "cert.pem"),
        ("--tls-cert note.txt --tls-key note.txt", "note.txt"),
        ("--config missing.toml", "missing.toml"),
        ("--config .", "--config"),
        ("--data note.txt", "note.txt"),
        ("--data note.txt/data", "note.txt"),
        ("--host 192.0.2.1", "192.0.2.1"),
        ("--host no.such.host.invalid", "no.such.host.invalid"),
        ("--prot 8765", "--prot"),
        ("8765", "8765"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_sentence(
    chat: Path, tmp_path: Path, flags: str, named: str
) -> None:
    (tmp_path / "note.txt").write_text("no certificate\n")
    port = () if "--port" in flags else ("--port", "0")
    assert named in refusal(chat, *port, *flags.split(), cwd=tmp_path)


@pytest.mark.parametrize(
    "text, named",
    [
        ("prot = 1", "prot"),
        ("port = ", "chat.toml"),
        ('port = "many"', "port"),
        ("[realm]\nname = 'alpha'", "realm"),
        ("realm = '\udcff'", "chat.toml"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(
    chat: Path, tmp_path: Path, text: str, named: str
) -> None:
    (tmp_path / "chat.toml").write_bytes(text.encode(errors="surrogateescape"))
    assert named in refusal(chat, "--config", "chat.toml", cwd=tmp_path)


def test_a_wrong_environment_is_refused_in_one_sentence(chat: Path, tmp_path: Path) -> None:
    assert "port" in refusal(chat, cwd=tmp_path, CHAT_PORT="many").lower()


def test_a_second_server_on_one_data_folder_is_refused(chat: Path, tmp_path: Path) -> None:
    with Served(chat, "--port", "0", "--data", "one", cwd=tmp_path):
        second = run_chat(chat, "serve", "--port", "0", "--data", "one", cwd=tmp_path)
    assert second.returncode == 1
    assert second.stderr.startswith(f"Another server uses {tmp_path / 'one'}.")
    assert len(second.stderr.splitlines()) == 1


def test_a_port_that_is_taken_is_refused(chat: Path, tmp_path: Path) -> None:
    with Served(chat, "--port", "0", "--data", "one", cwd=tmp_path) as first:
        sentence = refusal(chat, "--port", str(first.port), "--data", "two", cwd=tmp_path)
    assert str(first.port) in sentence and "--port" in sentence


# Ending


def end_with(server: RealServer, *silent: bytes) -> float:
    """Ask it to end while clients that sent this say no more; return the seconds it took."""
    with ExitStack() as stack:
        for sent in silent:
            client = socket.create_connection(("127.0.0.1", server.port), 10)
            stack.enter_context(client).sendall(sent)
            if sent == HANDSHAKE:
                assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        began = time.monotonic()
        assert server.stop(limit=15) == 0
        assert "Traceback" not in server.log
        return time.monotonic() - began


def test_it_ends_within_5_seconds_though_clients_do_not_answer(real_server: RealServer) -> None:
    assert end_with(real_server, HANDSHAKE, HANDSHAKE) < 5


def test_it_ends_within_5_seconds_though_a_handshake_is_half_done(real_server: RealServer) -> None:
    assert end_with(real_server, b"", HANDSHAKE[:40]) < 5


async def test_it_ends_within_5_seconds_though_a_client_reads_no_more(
    real_server: RealServer,
) -> None:
    alice = await RawClient.signed_in(real_server.url, "alice")
    await alice.ask("register", user="bob", real_name="Bob", password="secret-bob", country="Chad")
    with socket.create_connection(("127.0.0.1", real_server.port), 10) as bob:
        bob.sendall(HANDSHAKE)
        assert bob.recv(4096).startswith(b"HTTP/1.1 101 ")
        line = b"auth bob secret-bob"
        bob.sendall(bytes((0x81, 0x80 | len(line), 0, 0, 0, 0)) + line)
        assert b"OK Signed in" in bob.recv(4096)
        for _ in range(450):
            await alice.ask("send", to="bob", text="x" * 16_000)
        await alice.close()
        began = time.monotonic()
        assert real_server.stop(limit=15) == 0
        assert time.monotonic() - began < 5


@pytest.mark.parametrize("answering", [True, False], ids=["answering", "silent"])
async def test_it_waited_for_all_questions_to_the_store_before_it_ended(
    real_server: RealServer, answering: bool
) -> None:
    """Section 8: it ends within 5 s of SIGTERM, however many reads wait, whoever answers."""
    bob = await RawClient.signed_in(real_server.url, "bob")
    token = (await bob.ask("auth", user="bob", password="secret-bob"))["token"]
    engine = create_engine(f"sqlite:///{real_server.data / 'chat.db'}")
    with engine.begin() as tx:
        add_conversations(tx, "groups", me=1, name="x")
    engine.dispose()
    # Each counts what is unread in all those groups, which takes a while.
    sessions = [await RawClient.open(real_server.url) for _ in range(300)]
    for session in sessions:
        await session.send("resume", token=token)
    assert (await sessions[0].reply())["status"] == "OK"
    began = time.monotonic()
    if answering:
        code = await asyncio.to_thread(real_server.stop, 60)
    else:
        code = real_server.stop(60)  # nobody runs meanwhile who could answer a close
    taken = time.monotonic() - began
    print(f"ended after {taken:.2f} s")
    assert code == 0
    assert taken < 5
    assert "Traceback" not in real_server.log
    for client in (bob, *sessions):
        client.socket.transport.abort()


def test_a_second_signal_does_not_spoil_the_end(chat: Path, tmp_path: Path) -> None:
    with Served(chat, "--port", "0", cwd=tmp_path) as served:
        with socket.create_connection(("127.0.0.1", served.port), 10) as silent:
            silent.sendall(HANDSHAKE)
            assert silent.recv(4096).startswith(b"HTTP/1.1 101 ")
            served.terminal.kill(signal.SIGTERM)
            served.terminal.expect_exact("event=stopping")
            served.terminal.kill(signal.SIGINT)
            assert served.ended() == 0
            assert "Traceback" not in served.last_words
