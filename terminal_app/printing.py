"""Replies, events and notices as lines for people, in the words of the text dialect."""

from __future__ import annotations

from shared.client import (
    ChatError,
    ErrorCode,
    FileChunk,
    HistoryChanged,
    MessageArrived,
    NoAnswer,
    Offline,
    Receipt,
    SignedOut,
)
from shared.client.notices import Notice
from shared.protocol import text_dialect
from shared.protocol.commands.accounts import SignedIn
from shared.protocol.records import Event, Reply
from shared.protocol.values import in_words

Line = tuple[str, str]
"""The style of a line (`message`, `done`, `error`, `notice` or empty), and its text."""


def answer_lines(answer: Reply | ChatError | NoAnswer) -> list[Line]:
    """Return the lines of a command's outcome."""
    return _reply_lines(answer) if isinstance(answer, Reply) else _error_lines(answer)


def _reply_lines(reply: Reply) -> list[Line]:
    """Return `OK SENTENCE` in the server's words, and the result, one item in each line."""
    first, *rest = text_dialect.format_reply(reply).split("\n")
    if isinstance(reply, SignedIn):
        del rest[-1]  # the token, which this client stores itself
    return [("done", shown(first)), *(("", shown(line)) for line in rest)]


def _error_lines(error: ChatError | NoAnswer) -> list[Line]:
    """Return the lines of a refusal or a missing answer."""
    lines = text_dialect.format_error(as_refusal(error)).split("\n")
    return [("error", shown(line)) for line in lines]


def as_refusal(error: ChatError | NoAnswer) -> ChatError:
    """Return the missing answer of a server as a refusal."""
    if isinstance(error, ChatError):
        return error
    sentence = str(error)
    return ChatError(ErrorCode.UNAVAILABLE, sentence[:1].upper() + sentence[1:])


def event_lines(event: Event | Notice) -> list[Line]:
    """Return the lines of an event; none for events that people need not see."""
    match event:
        case MessageArrived():
            return [
                ("message", shown(line)) for line in text_dialect.format_event(event).split("\n")
            ]
        case FileChunk() | Receipt(read_seq=0):
            return []
        case Event():
            return [("notice", shown(text_dialect.format_event(event)))]
        case Offline():
            return [notice(f"no connection: {event.reason}; trying again")]
        case SignedOut():
            return [notice(f"signed out: {event.reason}; sign in again with auth")]
        case HistoryChanged():
            return []
    return []


def notice(text: str) -> Line:
    """Return the line of one of the client's own notices."""
    return ("notice", shown(f"({text})"))


def shown(line: str) -> str:
    """Return one line of any origin, safe for a terminal."""
    return in_words(line.replace("\n", " "))
