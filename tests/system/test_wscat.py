r"""Everything a person can type into `npx wscat -c ws://localhost:8765`, and what it answers."""

from __future__ import annotations

import hashlib
import re

import pytest

from shared.protocol.reference import for_people
from tests.realserver import RealServer
from tests.system.wscat import Terminals, needs_wscat

pytestmark = [
    pytest.mark.system,
    needs_wscat,
    # A pseudo-terminal needs a fork, which Python 3.12 warns of in processes with threads.
    pytest.mark.filterwarnings("ignore:.*forkpty:DeprecationWarning"),
]

TOKEN = re.compile(r"^token (\S+) \(to resume; keep it secret\)$", re.MULTILINE)
FILE = re.compile(r"file (f_\w+)$")


def found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    assert match, text
    return match[1]


# Signing in


def test_a_person_registers_signs_in_and_out(terminal: Terminals) -> None:
    bob = terminal()
    assert bob.say("whoami").startswith("ERROR not_authenticated ")
    assert bob.say("register Bob Bob secret1 Côte d'Ivoire").startswith(
        "OK Welcome Bob. Sign in with: auth Bob"
    )
    assert bob.say("whoami").startswith("ERROR not_authenticated ")
    assert bob.say("register bob Bobby secret2 Chad").startswith("ERROR user_exists ")
    assert bob.say("auth bob wrong-one").startswith("ERROR bad_credentials ")
    assert bob.say("auth nobody secret1").startswith("ERROR bad_credentials ")
    assert bob.say("auth bob secret1").startswith("OK Signed in as Bob on alpha; nothing unread\n")
    assert bob.say("whoami") == "OK Bob on alpha: Bob, Côte d'Ivoire, admin"
    assert bob.say("logout") == "OK Signed out"
    assert bob.say("whoami").startswith("ERROR not_authenticated ")


def test_a_token_resumes_until_its_session_is_signed_out(terminal: Terminals) -> None:
    bob, again = terminal("bob"), terminal()
    token = found(TOKEN, bob.say("auth bob secret-bob"))
    assert found(TOKEN, again.say(f"resume {token}")) == token
    assert again.say("whoami").startswith("OK bob ")
    assert bob.say("logout") == "OK Signed out"
    assert again.ended() == 4501
    assert bob.say(f"resume {token}").startswith("ERROR bad_credentials ")


def test_a_new_password_ends_the_other_sessions(terminal: Terminals) -> None:
    here, there = terminal("bob"), terminal("bob")
    assert here.say("passwd wrong-one secret-new").startswith("ERROR bad_credentials ")
    assert here.say("passwd secret-bob short").startswith("ERROR bad_arguments ")
    assert here.say("passwd secret-bob secret-new").startswith("OK ")
    assert there.ended() == 4501
    assert here.say("whoami").startswith("OK bob ")
    assert here.say("auth bob secret-bob").startswith("ERROR bad_credentials ")
    assert here.say("auth bob secret-new").startswith("OK ")


# Private chats


def test_two_terminals_see_each_others_messages_at_once(terminal: Terminals) -> None:
    alice, bob, bob_at_work = terminal("alice"), terminal("bob"), terminal("bob")
    assert alice.say("send bob hi {there}  bob") == "OK Sent to bob as message 1"
    assert bob.hear() == "[alice] hi {there}  bob"
    assert bob_at_work.hear() == "[alice] hi {there}  bob"
    assert bob.say("send Alice hello") == "OK Sent to alice as message 2"
    assert alice.hear() == "[bob] hello"
    assert bob_at_work.hear() == "[me > alice] hello"
    assert alice.say("send alice buy rice") == "OK Sent to alice as message 1"
    assert alice.say("send carol hi").startswith("ERROR unknown_user ")


SCRIPTS = [
    "😀 👩‍👩‍👧‍👦 🇮🇩 👍🏽",
    "Привет, мир",
    "你好，世界",
    "こんにちは",
    "안녕하세요",
    "สวัสดีชาวโลก",
    "नमस्ते दुनिया",
    "مرحبا שלום",
    "ꦱꦸꦒꦼꦁ",
]


def test_every_script_and_emoji_arrives_as_typed(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    for text in SCRIPTS:
        assert alice.say(f"send bob {text}").startswith("OK ")
        assert bob.hear() == f"[alice] {text}"
        assert bob.say("inbox alice limit=1").endswith(f"[alice] {text}")


def test_inbox_marks_messages_read_and_history_does_not(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    assert bob.say("listpc") == "OK No private chats yet"
    assert bob.say("inbox alice") == "OK No message"
    assert bob.say("inbox carol").startswith("ERROR unknown_user ")
    for text in ("one", "two", "three"):
        alice.say(f"send bob {text}")
    assert bob.say("listpc") == "OK 1 private chat\nalice: 3 messages, 3 unread | alice: three"
    page = bob.say("history alice")
    assert re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d ", "", page) == (
        "OK alice: messages 1 to 3\n1. [alice] one\n2. [alice] two\n3. [alice] three"
    )
    assert bob.say("history alice before=3 limit=1").endswith("[alice] two")
    assert bob.say("history alice limit=1 after=0").endswith("[alice] one")
    assert bob.say("history alice 3 limit=1").endswith("[alice] two")
    assert "3 unread" in bob.say("listpc")
    assert "alice: 3 unread" in bob.say("auth bob secret-bob")
    assert bob.say("received alice 3") == "OK You have received alice up to 3"
    assert bob.say("read alice 2") == "OK You have read alice up to 2"
    assert "1 unread" in bob.say("listpc")
    assert bob.say("read alice 1") == "OK You have read alice up to 2"
    assert bob.say("inbox alice 3 limit=2").endswith("[alice] two")
    assert "1 unread" in bob.say("listpc")
    assert bob.say("inbox alice").startswith("OK alice: messages 1 to 3\n")
    assert "0 unread" in bob.say("listpc")


# Files


def test_a_file_is_offered_and_comes_when_asked_for(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    sent = alice.say("sendfile bob note.txt aGFsbG8=")
    file = found(FILE, sent)
    assert sent == f"OK Sent to bob as message 1\nfile {file}"
    assert bob.hear() == f"[alice] note.txt (5 bytes) file {file}"
    assert bob.say(f"getfile {file}").startswith(f"OK {file} follows")
    assert bob.hear() == f"FILE {file} 0 aGFsbG8="
    assert bob.say(f"getfile {file} 3").startswith("OK ")
    assert bob.hear() == f"FILE {file} 3 bG8="
    assert terminal("carol").say(f"getfile {file}").startswith("ERROR unknown_file ")


def test_a_file_follows_its_message_where_files_are_pushed(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    assert bob.say("files push") == "OK Files: push"
    file = found(FILE, alice.say("sendfile bob note.txt aGFsbG8="))
    assert bob.hear() == f"[alice] note.txt (5 bytes) file {file}"
    assert bob.hear() == f"FILE {file} 0 aGFsbG8="


def test_a_larger_file_is_typed_in_chunks(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    sha256 = hashlib.sha256(b"hallo").hexdigest()
    opened = alice.say(f"upload bob note.txt 5 {sha256}")
    upload = found(re.compile(r"(u_\w+) begins at 0\n"), opened)
    assert alice.say(f"chunk {upload} 0 aGFs") == "OK 3 bytes received"
    assert alice.say(f"chunk {upload} 4 bG8=").startswith("ERROR conflict ")
    assert alice.say(f"upload bob note.txt 5 {sha256}").startswith(
        f"OK Upload {upload} goes on at 3"
    )
    assert alice.say(f"chunk {upload} 3 bG8=").startswith("OK Sent to bob as message 1\nfile f_")
    assert bob.hear().startswith("[alice] note.txt (5 bytes) file f_")


def test_the_server_opens_no_path(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    refused = alice.say("sendfile bob /etc/hostname")
    assert refused.startswith("ERROR bad_arguments ") and "opens no files" in refused
    assert alice.say("sendfile bob /etc/hostname aGFsbG8=").startswith("OK ")
    assert bob.hear().startswith("[alice] hostname (5 bytes) file f_")


# Groups


def test_a_group_from_its_creation_to_its_end(terminal: Terminals) -> None:
    alice, bob, carol = terminal("alice"), terminal("bob"), terminal("carol")
    assert alice.say("listgroup") == "OK No groups yet"
    assert alice.say("creategroup Keluarga besar 👪") == "OK Created #1 Keluarga besar 👪"
    assert alice.say("invitegroup 1 bob") == "OK bob is now in #1"
    assert bob.hear() == "(bob joined: #1 Keluarga besar 👪)"
    assert bob.say("invitegroup #1 carol") == "OK carol is now in #1"
    for one in (alice, carol):
        assert one.hear() == "(carol joined: #1 Keluarga besar 👪)"
    assert alice.say("members 1") == "OK 3 members\nalice (owner)\nbob (member)\ncarol (member)"

    assert bob.say("sendg 1 selamat pagi") == "OK Sent to #1 as message 1"
    for one in (alice, carol):
        assert one.hear() == "[#1 Keluarga besar 👪 | bob] selamat pagi"
    sent = carol.say("sendgroupfile #1 note.txt aGFsbG8=")
    assert sent.startswith("OK Sent to #1 as message 2\nfile f_")
    assert "Keluarga besar 👪 | carol] note.txt (5 bytes) file f_" in alice.hear()
    assert "2 unread | carol: note.txt" in alice.say("listgroup")
    assert "[bob] selamat pagi" in alice.say("history #1 limit=1 after=0")
    assert "[bob] selamat pagi\n2. " in alice.say("inboxgroup 1")
    assert "#1 Keluarga besar 👪 (owner): 3 members, 2 messages, 0 unread" in alice.say("listgroup")

    assert bob.say("kick 1 carol").startswith("ERROR forbidden ")
    assert alice.say("kick 1 carol") == "OK carol is no longer in #1"
    assert carol.hear() == "(carol was removed: #1 Keluarga besar 👪)"
    assert carol.say("sendg 1 hello?").startswith("ERROR unknown_group ")
    assert alice.say("leavegroup 1") == "OK You left #1"
    assert alice.say("inboxgroup 1").startswith("ERROR unknown_group ")
    assert bob.say("members #1") == "OK 1 member\nbob (owner)"


# Talking with the server itself


def test_help_shows_every_command(terminal: Terminals) -> None:
    anyone = terminal()
    first, *lines = anyone.say("help").split("\n")
    assert first.startswith("OK ")
    assert [line.split(" ")[0] for line in lines] == [spec.name for spec in for_people()]
    assert "send <to> <text...>" in anyone.say("help send")
    assert "sendpcrealm <realm> <to> <text...>" in anyone.say("HELP sendpcrealm")


def test_format_pins_how_this_terminal_is_answered(terminal: Terminals) -> None:
    alice, bob = terminal("alice"), terminal("bob")
    assert bob.say("format json").startswith('{"status":"OK","command":"format"')
    assert bob.say("ping").startswith('{"status":"OK","command":"ping"')
    alice.say("send bob hi")
    assert bob.hear().startswith('{"event":"message"')
    assert bob.say("format text").startswith("OK ")
    assert bob.say('{"command":"ping","id":"7"}') == "OK Pong"
    alice.say("send bob ho")
    assert bob.hear() == "[alice] ho"


def test_a_json_line_is_answered_in_json(terminal: Terminals) -> None:
    reply = terminal().say('  {"command": "ping", "id": "é"}')
    assert reply.startswith('{"status":"OK","command":"ping","id":"é","message":"Pong","time":')


def test_realms_and_what_waits_for_them_can_be_listed(terminal: Terminals) -> None:
    bob = terminal("bob")
    assert bob.say("listrealm").startswith("OK ")
    assert bob.say("outbox").startswith("OK ")
    assert bob.say("sendpcrealm beta bob hi").startswith("ERROR unknown_realm ")
    assert bob.say("sendpcrealm alpha bob hi") == "OK Sent to bob as message 1"
    assert bob.say("send bob@ALPHA hi") == "OK Sent to bob as message 2"


def test_a_wrong_line_is_told_what_would_be_right(terminal: Terminals) -> None:
    bob = terminal("bob")
    for line, code, shown in [
        ("", "bad_command", "help"),
        ("   ", "bad_command", "help"),
        ("sned bob hi", "bad_command", "send"),
        ("hello", "bad_command", "help"),
        ("{bad json", "bad_command", ""),
        ("send bob", "bad_arguments", "send <to> <text...>"),
        ("send b!b hi", "bad_arguments", "send <to> <text...>"),
        ("sendpcrealm", "bad_arguments", "sendpcrealm <realm> <to> <text...>"),
        ("whoami now", "bad_arguments", "whoami"),
        ("inbox bob limit=201", "bad_arguments", "inbox <user> [before] [limit]"),
        ("inbox bob limit=2 limit=3", "bad_arguments", "twice"),
        ("history bob before=3 after=1", "bad_arguments", "exclude each other"),
        ("sendg team hi", "bad_arguments", "#12"),
        ("sendfile bob note.txt !!!", "bad_arguments", "base64"),
        ("format xml", "bad_arguments", "json or text"),
        ("help sned", "bad_arguments", "send"),
    ]:
        reply = bob.say(line)
        # A line that begins with a brace is JSON, and so is its answer.
        assert f"ERROR {code} " in reply or f'"code":"{code}"' in reply, (line, reply)
        assert shown in reply, (line, reply)
    assert bob.say("ping") == "OK Pong"


def test_a_command_that_only_json_can_carry_is_refused_when_typed(terminal: Terminals) -> None:
    bob = terminal("bob")
    assert bob.say("sync").startswith("ERROR bad_arguments ")
    assert bob.say("ping") == "OK Pong"


def test_a_terminal_is_told_that_the_server_goes_away(
    real_server: RealServer, terminal: Terminals
) -> None:
    bob = terminal("bob")
    assert real_server.stop() == 0
    assert bob.ended() == 1001
