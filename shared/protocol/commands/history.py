"""History, markers and catching up after an absence."""

from __future__ import annotations

from shared.protocol.commands.messages import Message, Page, counted
from shared.protocol.commands.private import BEFORE, LIMIT
from shared.protocol.kinds import CONVERSATION, IDENTIFIER, POSITIONS, SEQ
from shared.protocol.records import Record, Reply, record, result
from shared.protocol.spec import Remote, Request, arg, command
from shared.protocol.values import DEFAULT_PAGE, ConversationAddress


@record
class ReadUpTo(Reply):
    """The caller's read marker, which never goes back."""

    conversation: str = result("the conversation")
    read_seq: int = result("where the marker stands now")

    def sentence(self) -> str:
        return f"You have read {self.conversation} up to {self.read_seq}"


@record
class ReceivedUpTo(Reply):
    """The caller's received marker, which never goes back."""

    conversation: str = result("the conversation")
    received_seq: int = result("where the marker stands now")

    def sentence(self) -> str:
        return f"You have received {self.conversation} up to {self.received_seq}"


@record
class Position(Record):
    """The caller's markers and counts in one conversation."""

    conversation: str = result("the other person's address, or the group's")
    last_seq: int = result("of the newest message")
    read_seq: int = result("read up to here by the reader")
    unread: int = result("messages of others above read_seq")
    name: str | None = result("the group's name", default=None)
    other_received_seq: int | None = result("private: received by the other", default=None)
    other_read_seq: int | None = result("private: read by the other", default=None)


@record
class Synced(Reply):
    """The missed messages."""

    conversations: list[Position] = result(
        "the reader's conversations: those with something new first, the newest of these first"
    )
    messages: list[Message] = result("the missed ones, oldest first")
    more: bool = result("more were missed: sync again from the newest of these")
    epoch: str = result("of the present history")
    recovered: bool = result(
        "true: all missed messages are here or follow; false: drop the cache and read again"
    )
    more_conversations: bool | None = result(
        "true: there are more conversations; sync again with `after`, the last one named here",
        default=None,
    )

    def sentence(self) -> str:
        if not self.recovered:
            return "The history has changed; read it anew"
        missed = counted(len(self.messages), "message")
        return f"{missed} missed{' (there are more)' * self.more}"

    def lines(self) -> list[str]:
        return [f"{m.conversation} {m.row()}" for m in self.messages]


@command("history", repeatable=True, remote=Remote.ANY)
class History(Request[Page]):
    """Read the messages of a conversation without marking them read."""

    conversation: ConversationAddress = arg("a person, or a group as #12", CONVERSATION)
    before: int | None = arg("only messages below this seq", BEFORE, default=None)
    after: int | None = arg("only messages above this seq, oldest first", SEQ, default=None)
    limit: int = arg("most messages, 1 to 200", LIMIT, default=DEFAULT_PAGE)

    def wrong(self) -> str | None:
        if self.before is not None and self.after is not None:
            return "before and after exclude each other"
        return None


@command("read", repeatable=True, remote=Remote.ANY)
class Read(Request[ReadUpTo]):
    """Mark a conversation read up to a message."""

    conversation: ConversationAddress = arg("a person, or a group as #12", CONVERSATION)
    seq: int = arg("up to and with this message", SEQ)


@command("received", repeatable=True, remote=Remote.ANY)
class Received(Request[ReceivedUpTo]):
    """Report the last message you have received; apps do this by themselves."""

    conversation: ConversationAddress = arg("a person, or a group as #12", CONVERSATION)
    seq: int = arg("up to and with this message", SEQ)


@command("sync", repeatable=True, remote=Remote.ANY)
class Sync(Request[Synced]):
    """Catch up after an absence."""

    have: dict[ConversationAddress, int] = arg(
        "the last seq one has, by conversation; what is not named counts as 0",
        POSITIONS,
        json_only=True,
    )
    epoch: str | None = arg("of the history one has", IDENTIFIER, json_only=True, default=None)
    after: ConversationAddress | None = arg(
        "go on with conversations behind this one, without messages",
        CONVERSATION,
        json_only=True,
        default=None,
    )
