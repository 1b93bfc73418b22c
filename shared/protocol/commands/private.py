"""Private chats: text from one person to another."""

from __future__ import annotations

from shared.protocol.commands.lists import ListPage, after, begun_anew, more
from shared.protocol.commands.messages import (
    Message,
    Page,
    Sent,
    bot_mark,
    counted,
    idempotency_key,
    summary,
)
from shared.protocol.kinds import MESSAGE_TEXT, REALM_NAME, USER, Number
from shared.protocol.records import Record, record, result
from shared.protocol.spec import Remote, Request, arg, command
from shared.protocol.values import DEFAULT_PAGE, MAX_PAGE, Address

LIMIT = Number(1, MAX_PAGE)
BEFORE = Number(1)


@record
class PrivateChat(Record):
    """One private chat in a list."""

    conversation: str = result("the other person's address")
    last_seq: int = result("of the newest message")
    read_seq: int = result("read up to here by the reader")
    unread: int = result("messages of the other person above read_seq")
    other_received_seq: int = result("received up to here by the other person")
    other_read_seq: int = result("read up to here by the other person")
    last: Message | None = result("the newest message; a long text is cut to 256 characters")


@record
class PrivateChats(ListPage):
    """The caller's private chats, newest first."""

    conversations: list[PrivateChat] = result("newest first")
    more: bool | None = more()
    begun_anew: str = begun_anew()

    def sentence(self) -> str:
        count = len(self.conversations)
        return self.in_page(counted(count, "private chat") if count else "No private chats yet")

    def end(self) -> str:
        return self.conversations[-1].conversation if self.conversations else ""

    def lines(self) -> list[str]:
        return [
            f"{c.conversation}: {counted(c.last_seq, 'message')}, "
            f"{c.unread} unread{summary(c.last)}"
            for c in self.conversations
        ]


@command("send", realm_name="sendpcrealm", remote=Remote.QUEUED)
class Send(Request[Sent]):
    """Send a text to one person."""

    to: Address = arg("who receives it: bob, or bob@beta in realm beta", USER)
    text: str = arg("what to say", MESSAGE_TEXT, rest=True)
    idempotency_key: str | None = idempotency_key()
    bot: bool | None = bot_mark()


@command("inbox", realm_name="inboxrealm", repeatable=True, remote=Remote.ANY)
class Inbox(Request[Page]):
    """Read the messages with one person, newest page first, and mark them read."""

    user: Address = arg("the other person", USER)
    before: int | None = arg("only messages below this seq", BEFORE, default=None)
    limit: int = arg("most messages, 1 to 200", LIMIT, default=DEFAULT_PAGE)


@command("listpc", realm_name="listpcrealm", repeatable=True, remote=Remote.ANY)
class ListPc(Request[PrivateChats]):
    """List your private chats."""

    realm: str | None = arg("only those with people of this realm", REALM_NAME, default=None)
    after: Address | None = after("conversation", USER)
