"""Completion of commands, names and paths, derived from the command table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from shared.folding import begins, fold_text
from shared.protocol.commands.files import GetFile, SendFile, SendGroupFile
from shared.protocol.commands.meta import Help
from shared.protocol.kinds import ConversationKind, GroupKind, RealmName, UserKind
from shared.protocol.reference import for_people
from shared.protocol.spec import TABLE, Arg, Spec
from shared.protocol.values import in_words
from shared.protocol.words import BLANK, first_word, in_quotes, words_of
from terminal_app.commands import NEEDLESS, OWN, summary
from terminal_app.names import KnownNames

Candidate = tuple[str, str]
"""A completion, and its description."""
FOR_FILES = (SendFile, SendGroupFile)


def spellings() -> list[str]:
    """Return every command that people can type, including realm spellings and this client's
    own."""
    typed = [
        spec
        for spec in for_people()
        if spec.request not in NEEDLESS and not any(a.required and a.json_only for a in spec.args)
    ]
    names = [name for spec in typed for name in (spec.name, spec.realm_name) if name]
    return sorted([*names, *OWN])


def candidates(line: str, names: KnownNames) -> list[Candidate]:
    """Return completions of the last word of `line`, the text after the last blank.

    Groups and files are also found by name, ignoring case and accents.
    """
    start_at = line.rfind(" ") + 1
    before = [word.text for word in words_of(line[:start_at])]
    word = line[start_at:].lstrip(BLANK)
    if not before:
        found = [(name, summary(name)) for name in spellings()]
    else:
        found = _of_argument(before[0].lower(), before[1:], names)
    start = word.lower()
    called = fold_text(word)
    titled = names.groups.latest_first() + names.files.latest_first()
    titles = {about for _, about in titled} if before and word else set()
    return [
        (name, about)
        for name, about in found
        if name.lower().startswith(start) or (about in titles and begins(called, fold_text(about)))
    ]


def path_start(line: str) -> str | None:
    """Return the path at the end of `line`; None if there is no path."""
    name, rest = first_word(line)
    spec = TABLE.get(name.lower())
    if name.lower() == "save":
        return first_word(rest)[1] if " " in rest else None
    if spec is None or spec.request not in FOR_FILES:
        return None
    for _ in range(2 if name.lower() == spec.realm_name else 1):
        if " " not in rest:
            return None
        _, rest = first_word(rest)
    return rest


def _of_argument(name: str, before: list[str], names: KnownNames) -> list[Candidate]:
    """Return completions of the next argument of a command."""
    if name == "save":
        return names.files.latest_first() if not before else []
    spec = TABLE.get(name)
    if spec is None:
        return []
    realm = ""
    words = list(spec.words)
    if name == spec.realm_name:
        if not before:
            return names.realms.latest_first()
        realm, *before = before
        words = [a for a in words if a.name != "realm"]
    if len(before) >= len(words):
        return []
    found = _known(spec, words[len(before)], names)
    return _within(found, realm) if realm else found


def _known(spec: Spec, arg: Arg, names: KnownNames) -> list[Candidate]:
    if spec.request is Help:
        return [(one, summary(one)) for one in spellings()]
    if spec.request is GetFile:
        return names.files.latest_first() if arg.name == "file" else []
    match arg.kind:
        case UserKind():
            return names.people.latest_first()
        case GroupKind():
            return names.groups.latest_first()
        case ConversationKind():
            return names.people.latest_first() + names.groups.latest_first()
        case RealmName():
            return names.realms.latest_first()
    return []


def _within(found: list[Candidate], realm: str) -> list[Candidate]:
    """Return the names of one realm without the realm, as a realm spelling needs them."""
    tail = f"@{realm.lower()}"
    return [(n[: -len(tail)], about) for n, about in found if n.lower().endswith(tail)]


class LineCompleter(Completer):
    """Completes the line being typed."""

    def __init__(self, names: KnownNames) -> None:
        self._names = names
        self._paths = PathCompleter(expanduser=True, file_filter=_is_shown)

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        line = document.text_before_cursor
        path = path_start(line)
        if path is not None:
            yield from self._of_path(path, event)
            return
        typed = line.rpartition(" ")[2]
        for name, about in candidates(line, self._names):
            yield Completion(name, -len(typed), display_meta=in_words(about))

    def _of_path(self, typed: str, event: CompleteEvent) -> Iterator[Completion]:
        """Complete a path, which may begin with a quote; in double quotes it is escaped."""
        quote = typed[:1] if typed[:1] in "'\"" else ""
        path = typed.removeprefix(quote)
        if quote == '"':
            path = re.sub(r'\\(["\\])', r"\1", path)
        if path and not path.startswith(("/", "~")):
            return
        for found in self._paths.get_completions(Document(path), event):
            if quote == '"':
                shown = found.display_text
                escaped = in_quotes(found.text)[1:-1]
                found = Completion(escaped, found.start_position, display=shown)
            yield found


def _is_shown(name: str) -> bool:
    return not Path(name).name.startswith(".")
