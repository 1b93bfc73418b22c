"""Messages, and the replies and events of sending one; shared by all features."""

from __future__ import annotations

import re
import time as clock
from unicodedata import normalize

from shared.protocol.kinds import FLAG, KEY
from shared.protocol.records import Event, Record, Reply, event, record, result, unsent
from shared.protocol.spec import arg
from shared.protocol.values import in_words


def idempotency_key() -> str | None:
    """Declare the key that makes it safe to repeat a sending command."""
    key: str | None = arg(
        "up to 64 bytes, kept for good: a repeat by the same user sends nothing and returns "
        "the first result with `duplicate`",
        KEY,
        json_only=True,
        default=None,
    )
    return key


def bot_mark() -> bool | None:
    """Declare the mark that keeps programs from answering each other."""
    mark: bool | None = arg(
        "true: a program writes this, so other programs do not answer it",
        FLAG,
        json_only=True,
        default=None,
    )
    return mark


def size_in_words(size: int) -> str:
    """Return `1.2 MB` for 1,234,567 bytes."""
    if size < 1000:
        return f"{size} bytes"
    for unit in ("kB", "MB"):
        size_in_unit = size / 1000 if unit == "kB" else size / 1_000_000
        if size_in_unit < 999.95 or unit == "MB":
            return f"{size_in_unit:.1f} {unit}"
    raise AssertionError


_BLANK = r"[\s\u1160\u2800]"
_OPEN, _CLOSE = "[(❨❪⟮⸨⦅﴾﴿]", "[)❩❫⟯⸩⦆﴿﴾]"
READS_AS_FILE = re.compile(
    rf"{_OPEN}{_BLANK}*[\d.,٫٬]+{_BLANK}*(?:bytes?|[kMG]i?B){_BLANK}*{_CLOSE}{_BLANK}*file{_BLANK}"
    # Whatever the letters are that look like these.
    rf"|{_OPEN}[^()]{{0,24}}\d[^()]{{0,24}}{_CLOSE}{_BLANK}*\S{{1,16}}{_BLANK}+f_",
    re.IGNORECASE,
)
"""A form that only the line of a file has: `(1.2 MB) file f_...`."""

FRAME = str.maketrans("[]|", "()/")
"""Characters that structure a line: in a group's name they could forge a sender."""


def counted(count: int, thing: str) -> str:
    """Return `1 message` or `2 messages`."""
    return f"{count} {thing}{'s' * (count != 1)}"


def clock_in_words(milliseconds: int) -> str:
    """Return a time of day with its date, in UTC."""
    return clock.strftime("%Y-%m-%d %H:%M", clock.gmtime(milliseconds / 1000))


@record
class FileInfo(Record):
    """The file that a message carries."""

    id: str = result("its name for getfile, `f_...`")
    name: str = result("file name without a path, up to 255 bytes")
    size: int = result("bytes")
    type: str = result("media type, guessed from the name")
    sha256: str = result("hash of the content, 64 hexadecimal digits")


@record
class Message(Record):
    """One message from its reader's point of view."""

    id: str = result("unique over all realms")
    conversation: str = result("the other person's address, or the group's")
    seq: int = result("1, 2, 3 ... in the conversation, without gaps; the only order")
    sender: str = result("who wrote it", wire="from")
    time: int = result("Unix milliseconds")
    text: str = result("what was written; empty when it carries a file")
    file: FileInfo | None = result("the file it carries", default=None)
    state: str | None = result(
        "of an own message: stored, queued (waits for another realm), delivered, refused",
        default=None,
    )
    bot: bool | None = result("true: a program wrote it", default=None)

    def content(self) -> str:
        """Return the text, or the file's name and size, safe for a terminal.

        A text that looks like a file is quoted; the line of a file never ends with a quote. So is
        a file's name that looks like a file with another id.
        """
        if self.file is None:
            return _quoted_as_file(self.text)
        size = size_in_words(self.file.size)
        return f"{_quoted_as_file(self.file.name)} ({size}) file {self.file.id}"

    def row(self) -> str:
        """Return the line of this message in a history."""
        fate = f" ({self.state})" if self.state in ("queued", "refused") else ""
        return f"{self.seq}. {clock_in_words(self.time)} [{self.sender}] {self.content()}{fate}"


def _quoted_as_file(text: str) -> str:
    """Return a text in words, in double quotes if it reads as the line of a file."""
    shown = in_words(text)
    plain = shown if shown.isascii() else normalize("NFKC", shown)  # of full width, superscript
    return f'"{shown}"' if READS_AS_FILE.search(plain) else shown


def summary(last: Message | None) -> str:
    """Return the newest message for the end of a line of a list."""
    return f" | {last.sender}: {last.content()}" if last else ""


@event("message")
class MessageArrived(Message, Event):
    """A message, sent to its recipients and the sender's other sessions once it is durable."""

    group_name: str | None = unsent(default=None)

    def line(self) -> str:
        own = self.state is not None
        if self.group_name is not None:
            sender = "me" if own else self.sender
            group = in_words(self.group_name).translate(FRAME)
            return f"[{self.conversation} {group} | {sender}] {self.content()}"
        sender = f"me > {self.conversation}" if own else self.sender
        return f"[{sender}] {self.content()}"


def sent_in_words(
    conversation: str | None, seq: int | None, state: str | None, duplicate: bool | None
) -> str:
    """Return the outcome of sending a message."""
    done = "Queued for" if state == "queued" else "Sent before to" if duplicate else "Sent to"
    return f"{done} {conversation}" + (f" as message {seq}" if seq is not None else "")


@record
class Sent(Reply):
    """The message is durable on disk."""

    conversation: str = result("where it went")
    seq: int | None = result("its place there; null while a remote host has not given one")
    message_id: str = result("its id")
    time: int = result("Unix milliseconds")
    state: str = result("stored, queued or delivered")
    duplicate: bool | None = result(
        "true: this key was used before, and this is the first result", default=None
    )
    file: FileInfo | None = result("the file, if it carries one", default=None)

    def sentence(self) -> str:
        return sent_in_words(self.conversation, self.seq, self.state, self.duplicate)

    def lines(self) -> list[str]:
        return [f"file {self.file.id}"] if self.file else []


@record
class Page(Reply):
    """Messages of one conversation."""

    conversation: str = result("the other person's address, or the group's")
    messages: list[Message] = result("oldest first")
    more: bool = result("there are more in the direction asked")

    def sentence(self) -> str:
        if not self.messages:
            return "No message"
        first, last = self.messages[0].seq, self.messages[-1].seq
        which = f"message {first}" if first == last else f"messages {first} to {last}"
        return f"{self.conversation}: {which}{' (there are more)' * self.more}"

    def lines(self) -> list[str]:
        return [message.row() for message in self.messages]


@event("receipt")
class Receipt(Event):
    """A person has received or read messages; in private chats sent to the other person and to the
    person's own other sessions.

    In groups the event goes only to the person's own other sessions.
    """

    conversation: str = result("the conversation, as the reader of this event sees it")
    user: str = result("who received or read")
    received_seq: int = result("received up to here")
    read_seq: int = result("read up to here")

    def line(self) -> str:
        # In groups, and for messages of others, only the reader's own markers are sent.
        if self.conversation == self.user:
            who, what = f"{self.user} has", ""
        else:
            who, what = "you have", f" {self.conversation}"
        if self.read_seq == 0:
            return f"({who} received{what} up to message {self.received_seq})"
        ahead = f", received up to {self.received_seq}" * (self.received_seq > self.read_seq)
        return f"({who} read{what} up to message {self.read_seq}{ahead})"


@event("delivery")
class Delivery(Event):
    """A queued message has reached the other realm, or was refused there."""

    conversation: str = result("where it was sent")
    message_id: str = result("its id")
    seq: int | None = result("its place in the conversation")
    state: str = result("delivered or refused")
    code: str | None = result("why it was refused", default=None)

    def line(self) -> str:
        why = f": {self.code}" if self.code else ""
        which = "a message" if self.seq is None else f"message {self.seq}"
        return f"({which} to {self.conversation} was {self.state}{why})"
