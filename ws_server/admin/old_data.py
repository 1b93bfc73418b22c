"""The files of the old Simple-Chatting: their format, and whether this realm accepts their content.

`users/NAME.json` has `nama`, `negara` and `password` in plain text, `groups/ID.json` has `nama`,
`members` and `message_history`, `privates/A_B.json` is a list of messages. A message is
`{sender, message}` or `{sender, filename, file}` with the file in base64; `mesasge` occurs too.
"""

from __future__ import annotations

import codecs
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from shared.faults import shown
from shared.protocol.commands.accounts import Register
from shared.protocol.commands.groups import CreateGroup
from shared.protocol.kinds import BASE64, FILE_NAME, LOCAL_NAME, MESSAGE_TEXT, PASSWORD, Kind
from shared.protocol.values import BIDIRECTIONAL, CONTROLS, BadValue, fold
from shared.text_files import decoded

FOLDERS = ("users", "groups", "privates")
UNKNOWN = "-"
"""The default for a missing country."""
TEXT = ("message", "mesasge")

_REAL_NAME = Register.spec.by_name["real_name"].kind
_COUNTRY = Register.spec.by_name["country"].kind
_GROUP_NAME = CreateGroup.spec.by_name["name"].kind


@dataclass(slots=True)
class OldUser:
    """One file of `users`; `faults` lists the values that were replaced by defaults."""

    name: str
    real_name: str
    country: str
    password: str = field(repr=False)
    """Plain text; empty if it is missing or cannot be typed."""
    faults: list[str]


@dataclass(slots=True)
class OldGroup:
    """One file of `groups`."""

    name: str
    members: list[object]
    history: list[object]
    faults: list[str]


@dataclass(frozen=True, slots=True)
class OldFile:
    """A file in a message; `data` is its content in base64."""

    name: str
    known_as: str
    """The name used in the message's idempotency key, as imports of earlier versions made it."""
    data: str = field(repr=False)
    size: int
    sha256: str

    def content(self) -> bytes:
        """Return the content."""
        return _decoded(self.data)


@dataclass(slots=True)
class OldMessage:
    """One message; all but its sender, the name in the old data, obeys the protocol's rules."""

    sender: str
    text: str
    file: OldFile | None = None

    def digest(self, place: str) -> bytes:
        """Return a digest that distinguishes a message from every different one of a place.

        Args:
            place: The file that contains it.
        """
        what = [self.file.known_as, self.file.sha256] if self.file else [self.text]
        return hashlib.sha256(orjson.dumps([place, fold(self.sender), *what])).digest()


def load(content: bytes | bytearray) -> object:
    """Return the JSON in a file.

    BadValue: the file is not JSON.
        BadValue: there is none.
    """
    if content.startswith(codecs.BOM_UTF8):
        content = content[len(codecs.BOM_UTF8) :]
    try:
        return orjson.loads(content)
    except ValueError:
        pass
    # Lenient, so that a lone surrogate costs one message and not its whole conversation.
    try:
        text = decoded(content)
    except ValueError as why:
        raise BadValue(str(why)) from None
    try:
        return json.loads(text, parse_int=float)  # Python refuses to parse very long integers
    except json.JSONDecodeError as error:
        raise BadValue(f"is not JSON (line {error.lineno:,}, column {error.colno:,})") from None
    except RecursionError:
        raise BadValue("is nested too deeply") from None


def name(word: str) -> str:
    """Return the name of an account.

    BadValue: the name is invalid here.
        BadValue: accounts here cannot have it.
    """
    if fold(LOCAL_NAME.from_word(word)) == "me":
        raise BadValue("nobody can be called me")
    return word


def user(name: str, body: object) -> OldUser:
    """Return the account in a file of `users`.

    Raises:
        BadValue: the file holds no account.
    """
    if not isinstance(body, dict):
        raise BadValue("is not an object with nama, negara and password")
    faults: list[str] = []
    password = body.get("password")
    try:
        password = PASSWORD.from_json(password)
    except BadValue:
        password = ""
        faults.append(
            "has no password that can be used, so nobody can sign in as this account; "
            f"give it one with: admin user password {name}"
        )
    return OldUser(
        name,
        _or_else(body, "nama", _REAL_NAME, name, faults),
        _or_else(body, "negara", _COUNTRY, UNKNOWN, faults),
        password,
        faults,
    )


def group(old_id: str, body: object) -> OldGroup:
    """Return the group in a file of `groups`.

    Raises:
        BadValue: the file holds no group.
    """
    if not isinstance(body, dict):
        raise BadValue("is not an object with nama, members and message_history")
    members = body.get("members")
    if not isinstance(members, list):
        raise BadValue("members must be a list of names")
    faults: list[str] = []
    found = _or_else(body, "nama", _GROUP_NAME, f"group {shown(old_id)}"[:128], faults)
    history = body.get("message_history")
    if history is None:
        faults.append("message_history is missing, so no message is imported")
        history = []
    elif not isinstance(history, list):
        faults.append("message_history must be a list, so no message is imported")
        history = []
    return OldGroup(found, members, history, faults)


def chat(body: object) -> list[object]:
    """Return the messages in a file of `privates`.

    Raises:
        BadValue: the file holds no list of messages.
    """
    if not isinstance(body, list):
        raise BadValue("is not a list of messages")
    return body


def messages(entry: object, max_file: int) -> Iterator[OldMessage]:
    """Yield the messages of one entry of a history: a text, a file, or both in turn.

    Args:
        max_file: Maximum size of a file in bytes.

    Raises:
        BadValue: the entry has no content, or breaks a rule.
    """
    if not isinstance(entry, dict):
        raise BadValue("is not an object with sender and message")
    if not entry:
        raise BadValue("is empty")
    sender = entry.get("sender")
    if not isinstance(sender, str):
        raise BadValue("sender must be a name")
    carries_file = "file" in entry or "filename" in entry
    text = next((entry[key] for key in TEXT if entry.get(key) is not None), None)
    if text is not None and not (carries_file and text == ""):
        yield OldMessage(sender, _checked("message", MESSAGE_TEXT, text))
    if carries_file:
        file_name = _checked("filename", FILE_NAME, entry.get("filename"))
        known_as = _known_as(entry["filename"])
        yield OldMessage(sender, "", _file(file_name, known_as, entry.get("file"), max_file))
    elif text is None:
        raise BadValue("has neither message nor file")


def _known_as(name: str) -> str:
    """Return a file's name as it was cleaned before names were normalised."""
    bare = re.split(r"[/\\]", name)[-1]
    return BIDIRECTIONAL.sub("", CONTROLS.sub("", bare)).strip()


def _file(name: str, known_as: str, data: object, max_file: int) -> OldFile:
    if not isinstance(data, str):
        raise BadValue("file must be its content in base64")
    if len(data) > max_file * 2 + 4:  # before memory is allocated; line breaks included
        raise _too_large(max_file)
    try:
        content = _decoded(data)
    except BadValue as why:
        raise BadValue(f"file {why}") from None
    if len(content) > max_file:
        raise _too_large(max_file)
    return OldFile(name, known_as, data, len(content), hashlib.sha256(content).hexdigest())


def _too_large(max_file: int) -> BadValue:
    return BadValue(f"file has more than the {max_file >> 20:,} MiB of --max-file")


def _decoded(data: str) -> bytes:
    return bytes(BASE64.from_word(data))


def _checked(key: str, kind: Kind, value: object) -> Any:
    try:
        return kind.from_json(value)
    except BadValue as why:
        raise BadValue(f"{key} {why}") from None


def _or_else(body: dict[str, object], key: str, kind: Kind, instead: str, faults: list[str]) -> str:
    """Return a valid value of a file, or a default if it is missing or invalid."""
    try:
        return str(_checked(key, kind, body.get(key)))
    except BadValue as why:
        faults.append(f'{why}; "{instead}" stands in for it')
        return instead


def key(digest: bytes, repetition: int) -> str:
    """Return a message's idempotency key.

    Repetitions are counted, not positions, so keys stay equal if earlier entries change or go.
    """
    return "import-" + hashlib.sha256(digest + repetition.to_bytes(8)).hexdigest()[:48]


def pairs(stem: str) -> Iterator[tuple[str, str]]:
    """Yield the pairs of names that the file name of a private chat may mean."""
    for at, letter in enumerate(stem):
        if letter == "_" and 0 < at < len(stem) - 1:
            yield stem[:at], stem[at + 1 :]
