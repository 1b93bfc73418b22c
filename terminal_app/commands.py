"""Typed lines as commands: of the table, or of this client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call
from shared.protocol.commands.files import Files, GetFile, SendFile, SendGroupFile
from shared.protocol.commands.meta import CommandHelp, Help, HelpPage, SetFormat
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import IDENTIFIER
from shared.protocol.nearest import unknown_command
from shared.protocol.reference import help_page
from shared.protocol.spec import TABLE, Request, Spec
from shared.protocol.values import BadValue, ConversationAddress
from shared.protocol.words import BLANK, first_word, rest_or_quoted
from terminal_app.paths import absolute, as_text, typed_path

PATH = "</absolute/path>"
CONTENT = "<name> <data>"
"""The end of the table's usage of file commands, which this client replaces by a path."""


SUMMARIES: dict[type[Request[Any]], str] = {
    SendFile: "Send a file on this disk to one person.",
    SendGroupFile: "Send a file on this disk to a group.",
    GetFile: "The same as save, into the downloads.",
}
"""Descriptions of commands that this client performs differently from the server."""
NEEDLESS = (SetFormat, Files)
"""Refusals of commands that this client sends by itself."""


@dataclass(frozen=True, slots=True)
class TerminalCommand:
    """A command of this client that the server does not have."""

    usage: str
    summary: str


OWN = {
    "save": TerminalCommand(
        "save <file> [folder]", "Save a file one received, by default as a download."
    ),
    "exit": TerminalCommand("exit", "Leave and stay signed in; logout ends the session."),
    "quit": TerminalCommand("quit", "The same as exit."),
}


@dataclass(frozen=True, slots=True)
class SendPath:
    """Send the local file at `path`."""

    to: ConversationAddress
    path: Path


@dataclass(frozen=True, slots=True)
class SaveFile:
    """Save the file with this id, into `folder` or the downloads."""

    file: str
    folder: Path | None


@dataclass(frozen=True, slots=True)
class ExitApp:
    """End this client."""


What = Request[Any] | SendPath | SaveFile | HelpPage | ExitApp | ChatError


@dataclass(frozen=True, slots=True)
class TypedCommand:
    """One parsed line: the action, or the refusal.

    `spelling` is the command as typed, None for an unknown one; `label` is the `id` of a JSON
    frame.
    """

    what: What
    spelling: str | None = None
    label: str | None = None


def read(line: str, here: Path) -> TypedCommand:
    """Parse one line of either dialect; never raises.

    Args:
        here: The folder to show for a relative path, which is refused.
    """
    if line.lstrip(BLANK).startswith("{"):
        call = json_dialect.parse(line)
        return TypedCommand(_asked(call), call.command, call.label)
    word, rest = first_word(line)
    name = word.lower()
    rest = rest.rstrip(BLANK)
    try:
        if name in OWN:
            return TypedCommand(_own(name, rest), name)
        spec = TABLE.get(name)
        if word and spec is None:
            raise unknown_command(word, OWN)
        if spec is not None and spec.request in (SendFile, SendGroupFile):
            found = _send_path(spec, name, line, here)
            if found is not None:
                return TypedCommand(found, name)
        call = text_dialect.parse(line)
        return TypedCommand(_in_words(call), call.command)
    except ChatError as error:
        return TypedCommand(error, name if name in TABLE or name in OWN else None)


def usage(spelling: str) -> str:
    """Return the line to type for a command of the table or of this client."""
    own = OWN.get(spelling)
    if own is not None:
        return own.usage
    spec = TABLE[spelling]
    return spec.usage(spelling).replace(CONTENT, PATH)


def summary(spelling: str) -> str:
    """Return the one-sentence description of a command."""
    own = OWN.get(spelling)
    if own is not None:
        return own.summary
    spec = TABLE[spelling]
    return SUMMARIES.get(spec.request, spec.summary)


def _asked(call: Call) -> What:
    assert call.request is not None or call.error is not None
    what = call.request or call.error
    assert what is not None
    return what


def _in_words(call: Call) -> What:
    """Return the action of a line of the text dialect, if this client performs it."""
    request = call.request
    if isinstance(request, Help):
        return _help(request.topic)
    if isinstance(request, GetFile):
        return SaveFile(request.file, None)
    if isinstance(request, SetFormat):
        raise _refused("Answers come in words here; start with --json to get JSON")
    if isinstance(request, Files):
        raise _refused("Small files are saved automatically here, and others with save <file>")
    return _asked(call)


def _help(topic: str | None) -> HelpPage:
    if topic is not None and (own := OWN.get(topic.lower())):
        return HelpPage([CommandHelp(topic.lower(), own.usage, own.summary)])
    page = help_page(topic)
    for one in page.commands:
        one.usage, one.summary = usage(one.command), summary(one.command)
    if topic is None:
        page.commands = [c for c in page.commands if TABLE[c.command].request not in NEEDLESS]
        page.commands += [CommandHelp(name, own.usage, own.summary) for name, own in OWN.items()]
    elif TABLE[topic.lower()].request in (SendFile, SendGroupFile):
        page.details = [
            "The file may have any size that the server takes. With its content in base64:",
            TABLE[topic.lower()].usage(topic.lower()),
        ]
    return page


def _own(name: str, rest: str) -> What:
    if name != "save":
        if rest:
            raise _refused(f"{name} takes no arguments. Usage: {OWN[name].usage}")
        return ExitApp()
    file, folder = first_word(rest)
    try:
        IDENTIFIER.from_word(file)
    except BadValue:
        raise _refused(f"Give the file's id, shown after its name. Usage: {usage(name)}") from None
    if not folder:
        return SaveFile(file, None)
    path = Path(_unquoted(folder)).expanduser()
    if not path.is_dir():
        shown = as_text(path)
        raise _refused(f"There is no folder {shown}. Make it first, or leave the folder out")
    return SaveFile(file, path)


def _unquoted(folder: str) -> str:
    """Return a folder, without quotes around it.

    Raises:
        ChatError: BAD_ARGUMENTS, the quotes are not closed.
    """
    if folder[0] == folder[-1] == "'" != folder:
        return folder[1:-1]
    try:
        word = rest_or_quoted(folder, 0)
    except BadValue as why:
        raise _refused(f"{why}. Usage: {usage('save')}") from None
    return word.text if word else folder


def _send_path(spec: Spec, spelling: str, line: str, here: Path) -> What | None:
    """Return the action that sends a file by path; None if the line holds a name and content."""
    realm = None
    head = spelling
    rest = first_word(line.rstrip(BLANK))[1]
    if spelling == spec.realm_name:
        realm, rest = first_word(rest)
        head += f" {realm}"
    address, words = first_word(rest)
    if not words:
        missing = spec.words[0].name if not address else "path"
        raise _refused(f"<{missing}> is missing. Usage: {usage(spelling)}")
    to = spec.words[0]
    try:
        typed = typed_path(words, here, text_dialect.parse(line).error is None)
        if typed is None:
            return None
        place = to.kind.from_word(address)
        path = absolute(typed, here, f"{head} {address}")
        values = {to.name: place, "name": path.name, "data": b""}
        request: Any = spec.build(spelling, values, realm or None)
    except BadValue as why:
        raise _refused(str(why)) from None
    except RuntimeError:  # an unknown user, as in ~nobody
        raise _refused(f"Nobody here is called {as_text(words)}; write the whole path") from None
    return SendPath(getattr(request, to.name), path)


def _refused(why: str) -> ChatError:
    return ChatError(ErrorCode.BAD_ARGUMENTS, why)
