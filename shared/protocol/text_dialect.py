"""`send bob hi` and its answers in words; see "Two dialects" in docs/protocol.md."""

from __future__ import annotations

import re
from typing import Any

from shared.protocol.call import Call, Dialect
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.kinds import Text
from shared.protocol.spec import TABLE, Arg, Event, Reply, Request, Spec, unknown_command
from shared.protocol.values import BadValue, in_words

BLANK = " \t\r\n"
_GAP = re.compile(r"[ \t\r\n]+")


def parse(line: str) -> Call:
    """Read one typed line; never raises."""
    word, rest = first_word(line)
    name = word.lower()
    spec = TABLE.get(name)
    call = Call(Dialect.TEXT, command=name if spec else None)
    try:
        if not word:
            raise ChatError(ErrorCode.BAD_COMMAND, "The line is empty. Type help for the commands")
        if spec is None:
            raise unknown_command(word)
        call.request = _request(spec, name, rest)
    except ChatError as error:
        # Without its traceback, which would keep the whole frame in a cycle with the call.
        call.error = error.with_traceback(None)
    return call


def first_word(line: str) -> tuple[str, str]:
    """Return the first word and what follows the blanks behind it."""
    line = line.lstrip(BLANK)
    gap = _GAP.search(line)
    return (line[: gap.start()], line[gap.end() :]) if gap else (line, "")


def _request(spec: Spec, spelling: str, rest: str) -> Request[Any]:
    realm: str | None = None
    left = list(spec.words)
    if spelling == spec.realm_name:
        realm, rest = first_word(rest)
        if not realm:
            raise spec.refusal(spelling, None, "realm is missing")
        left = [a for a in left if a.name != "realm"]
    if any(a.required and a.json_only for a in spec.args):
        raise spec.refusal(spelling, None, f"{spelling} can be sent in JSON only")
    values: dict[str, Any] = {}
    while left:
        expected = left[0]
        word, after = (rest, "") if expected.rest else first_word(rest)
        if isinstance(expected.kind, Text) and expected.kind.one_line:
            word = word.rstrip("\r\n")  # some terminals send the end of the line too
        if not word:
            break
        found, word = _named(spec, spelling, expected, word)
        if found not in left:
            raise spec.refusal(spelling, found, "is given twice")
        left.remove(found)
        values[found.name] = _value(spec, spelling, found, word)
        rest = after
    if rest and not left:
        raise spec.refusal(spelling, None, "there are too many words")
    return spec.build(spelling, values, realm)


def _named(spec: Spec, spelling: str, expected: Arg, word: str) -> tuple[Arg, str]:
    """Read `name=value` where an optional argument may stand."""
    if not expected.required and not expected.rest:
        name, equals, value = word.partition("=")
        named = spec.by_name.get(name)
        if equals and named and not named.required and not named.json_only:
            return named, value
        if equals and name.isidentifier():
            there = ", ".join(a.name for a in spec.words if not a.required)
            raise spec.refusal(spelling, None, f"{name} is not an option; there is {there}")
    return expected, word


def _value(spec: Spec, spelling: str, a: Arg, word: str) -> Any:
    try:
        return a.kind.from_word(word)
    except BadValue as why:
        raise spec.refusal(spelling, a, str(why)) from None


def format_request(request: Request[Any]) -> str:
    """Return the line that spells `request`.

    Raises:
        BadValue: it holds an argument that only JSON can carry.
    """
    spec = request.spec
    words = [spec.name]
    for a in spec.args:
        value = getattr(request, a.name)
        if value is None:
            continue
        word = str(a.kind.to_json(value))
        if a.json_only or not word or (not a.rest and any(c in word for c in BLANK)):
            raise BadValue(f"{a.name} can be given in JSON only")
        if a.rest and word[0] in BLANK:
            raise BadValue(f"{a.name} begins with a blank, which only JSON can carry")
        words.append(word if a.required else f"{a.name}={word}")
    return " ".join(words)


def format_reply(reply: Reply) -> str:
    """Return `OK SENTENCE` and the result, one item a line."""
    return "\n".join([f"OK {reply.worded()}", *reply.lines()])


def format_error(error: ChatError) -> str:
    """Return `ERROR CODE SENTENCE`."""
    wait = f" (try again in {error.retry_after:g} s)" if error.retry_after is not None else ""
    return f"ERROR {error.code} {in_words(error.message)}{wait}"


def format_event(event: Event) -> str:
    """Return the event as a person reads it."""
    return event.line()
