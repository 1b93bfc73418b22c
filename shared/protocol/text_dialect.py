"""The text dialect, such as `send bob hi`; see "Two dialects" in docs/protocol.md."""

from __future__ import annotations

import re
from typing import Any

from shared.protocol.call import Call, Dialect
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import Base64
from shared.protocol.nearest import unknown_command
from shared.protocol.records import Event, Reply
from shared.protocol.spec import TABLE, Arg, Request, Spec
from shared.protocol.values import BadValue, in_words
from shared.protocol.words import (
    BLANK,
    Word,
    bare_word,
    in_quotes,
    next_word,
    quoted,
    rest_of,
    rest_or_quoted,
    skip,
)

_OPTION = re.compile(r"[ \t\r\n]*+([A-Za-z_]++)=(?=\")")
"""The part before a quoted value."""
QUOTE_IT = "put values with blanks into double quotes"


def parse(line: str) -> Call:
    """Parse one typed line; never raises."""
    word = bare_word(line)
    name = word.text.lower() if word else ""
    spec = TABLE.get(name)
    call = Call(Dialect.TEXT, command=name if spec else None)
    try:
        if word is None:
            raise ChatError(ErrorCode.BAD_COMMAND, "The line is empty. Type help for the commands")
        if spec is None:
            raise unknown_command(word.text)
        call.request = _request(spec, name, line, word.end)
    except ChatError as error:
        # Drop the traceback, which would keep the whole frame alive in a cycle with the call.
        call.error = error.with_traceback(None)
    return call


def _request(spec: Spec, spelling: str, line: str, at: int) -> Request[Any]:
    try:
        return _read(spec, spelling, line, at)
    except BadValue as why:  # quotes are wrong anywhere in the line
        raise spec.refusal(spelling, None, str(why)) from None


def _read(spec: Spec, spelling: str, line: str, at: int) -> Request[Any]:
    realm: Word | None = None
    left = list(spec.words)
    if spelling == spec.realm_name:
        realm = next_word(line, at)
        if realm is None:
            raise spec.refusal(spelling, None, "<realm> is missing")
        at = realm.end
        left = [a for a in left if a.name != "realm"]
    if any(a.required and a.json_only for a in spec.args):
        raise spec.refusal(spelling, None, f"{spelling} can be sent in JSON only")
    words: dict[Arg, str] = {}
    bare: dict[str, str] = {}
    while left:
        name, word = _next(left[0], line, at)
        if word is None:
            break
        found, text = _named(spec, spelling, left[0], name, word)
        if found not in left:
            raise spec.refusal(spelling, found, "is given twice")
        left.remove(found)
        words[found] = text
        if not word.quoted:
            bare[found.name] = text
        at = word.end
    if skip(line, at) < len(line) and not left:
        raise spec.refusal(spelling, None, f"there are too many arguments; {QUOTE_IT}")
    # Before the values are checked: the assignment of words decides the error.
    if (doubt := spec.request.doubt(bare)) is not None:
        raise spec.refusal(spelling, None, doubt)
    values = {a.name: _value(spec, spelling, a, word) for a, word in words.items()}
    return spec.build(spelling, values, realm.text if realm else None)


def _next(expected: Arg, line: str, at: int) -> tuple[str, Word | None]:
    """Return the next word of a line; for a quoted `option="..."`, also the option."""
    if expected.quotable or isinstance(expected.kind, Base64):  # base64 may come in several lines
        return "", rest_or_quoted(line, at)
    if expected.rest:
        return "", rest_of(line, at)
    if not expected.required and (option := _OPTION.match(line, at)) is not None:
        return option[1], next_word(line, option.end())
    return "", next_word(line, at)


def _named(spec: Spec, spelling: str, expected: Arg, name: str, word: Word) -> tuple[Arg, str]:
    """Parse `name=value` in place of an optional argument."""
    value = word.text
    if not name and not word.quoted and not expected.required:
        before, equals, after = word.text.partition("=")
        if equals and before.isidentifier():
            name, value = before, after
    if not name:
        return expected, value
    named = spec.by_name.get(name)
    if named and not named.required and not named.json_only:
        return named, value
    there = ", ".join(a.name for a in spec.words if not a.required)
    raise spec.refusal(spelling, None, f"{name} is not an option; there is {there}")


def _value(spec: Spec, spelling: str, a: Arg, word: str) -> Any:
    try:
        return a.kind.from_word(word)
    except BadValue as why:
        raise spec.refusal(spelling, a, str(why)) from None


def format_request(request: Request[Any]) -> str:
    """Return the line that spells `request`.

    Raises:
        BadValue: an argument can be sent in JSON only.
    """
    spec = request.spec
    words = [spec.name]
    for a in spec.args:
        value = getattr(request, a.name)
        if value is None:
            continue
        word = str(a.kind.to_json(value))
        if a.json_only:
            raise BadValue(f"{a.name} can be given in JSON only")
        if a.quotable:
            word = word if word.isalpha() else in_quotes(word)
        elif not a.rest:
            word = quoted(word)
        elif word[:1] in ("", *BLANK):
            raise BadValue(f"{a.name} begins with a blank, which only JSON can carry")
        words.append(word if a.required else f"{a.name}={word}")
    return " ".join(words)


def format_reply(reply: Reply) -> str:
    """Return `OK SENTENCE` and the result, one item in each line."""
    return "\n".join([f"OK {reply.worded()}", *reply.lines()])


def format_error(error: ChatError) -> str:
    """Return `ERROR CODE SENTENCE`."""
    wait = f" (try again in {error.retry_after:g} s)" if error.retry_after is not None else ""
    return f"ERROR {error.code} {in_words(error.message)}{wait}"


def format_event(event: Event) -> str:
    """Return the event in words."""
    return event.line()
