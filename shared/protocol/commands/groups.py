"""Groups: talks of several people."""

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
from shared.protocol.commands.private import BEFORE, LIMIT
from shared.protocol.kinds import GROUP, LOCAL_NAME, MESSAGE_TEXT, USER, Text
from shared.protocol.spec import (
    Event,
    Record,
    Reply,
    Request,
    arg,
    command,
    event,
    record,
    result,
    unsent,
)
from shared.protocol.values import DEFAULT_PAGE, MAX_GROUP_NAME, Address, GroupAddress, in_words


@record
class GroupCreated(Reply):
    """The group exists and the caller owns it."""

    group: str = result("its address, `#12`")
    name: str = result("its name")

    def sentence(self) -> str:
        return f"Created {self.group} {in_words(self.name)}"


@record
class GroupChat(Record):
    """One group in a list."""

    group: str = result("its address")
    name: str = result("its name")
    role: str = result("one's own: owner or member")
    members: int = result("how many people are in it")
    last_seq: int = result("of the newest message")
    read_seq: int = result("read up to here by oneself")
    unread: int = result("messages of others above read_seq, since one joined")
    last: Message | None = result("the newest message; a long text is cut to 256 characters")


@record
class GroupChats(ListPage):
    """One's groups, newest first."""

    groups: list[GroupChat] = result("newest first")
    more: bool | None = more()
    begun_anew: str = begun_anew()

    def sentence(self) -> str:
        count = len(self.groups)
        return self.in_page(counted(count, "group") if count else "No group yet")

    def end(self) -> str:
        return self.groups[-1].group if self.groups else ""

    def lines(self) -> list[str]:
        return [
            f"{g.group} {in_words(g.name)} ({g.role}): {counted(g.members, 'member')}, "
            f"{counted(g.last_seq, 'message')}, {g.unread} unread{summary(g.last)}"
            for g in self.groups
        ]


@record
class GroupPerson(Reply):
    """The person is now in the group, or out of it."""

    group: str = result("the group's address")
    user: str = result("the person")
    done: str = unsent(default="is already in")

    def sentence(self) -> str:
        return f"{self.user} {self.done} {self.group}"


@record
class GroupLeft(Reply):
    """The caller is no longer a member."""

    group: str = result("the group's address")

    def sentence(self) -> str:
        return f"You left {self.group}"


@record
class GroupMember(Record):
    """One member of a group."""

    user: str = result("the person's address")
    role: str = result("owner or member")
    read_seq: int = result("read up to here")


@record
class GroupMembers(ListPage):
    """Who is in the group, the oldest member first."""

    members: list[GroupMember] = result("the oldest member first")
    more: bool | None = more()
    begun_anew: str = begun_anew()

    def sentence(self) -> str:
        return self.in_page(counted(len(self.members), "member"))

    def end(self) -> str:
        return self.members[-1].user if self.members else ""

    def lines(self) -> list[str]:
        return [f"{m.user} ({m.role})" for m in self.members]


@event("group")
class GroupChanged(Event):
    """Somebody joined, left or was removed; to the members and the person concerned."""

    group: str = result("the group's address")
    name: str = result("its name")
    user: str = result("who joined or went")
    change: str = result("joined, left or removed")

    def line(self) -> str:
        done = "was removed" if self.change == "removed" else self.change
        return f"({self.user} {done}: {self.group} {in_words(self.name)})"


@command("creategroup", realm_name="creategrouprealm")
class CreateGroup(Request[GroupCreated]):
    """Create a group and own it."""

    name: str = arg("its name; names may repeat", Text(MAX_GROUP_NAME, one_line=True), rest=True)
    realm: str | None = arg(
        "the realm that shall host it", LOCAL_NAME, json_only=True, default=None
    )


@command("listgroup", realm_name="listgrouprealm", repeatable=True)
class ListGroup(Request[GroupChats]):
    """List one's groups."""

    realm: str | None = arg("only those hosted by this realm", LOCAL_NAME, default=None)
    after: GroupAddress | None = after("group", GROUP)


@command("invitegroup", realm_name="invitegrouprealm", repeatable=True)
class InviteGroup(Request[GroupPerson]):
    """Add a person to a group; any member may, and repeating it changes nothing."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    user: Address = arg("who to add", USER)


@command("sendg", realm_name="sendgrouprealm")
class SendGroup(Request[Sent]):
    """Send a text to a group."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    text: str = arg("what to say", MESSAGE_TEXT, rest=True)
    idempotency_key: str | None = idempotency_key()
    bot: bool | None = bot_mark()


@command("inboxgroup", realm_name="inboxgrouprealm", repeatable=True)
class InboxGroup(Request[Page]):
    """Read the messages of a group, newest page first, and mark them read."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    before: int | None = arg("only messages below this seq", BEFORE, default=None)
    limit: int = arg("most messages, 1 to 200", LIMIT, default=DEFAULT_PAGE)


@command("members", repeatable=True)
class Members(Request[GroupMembers]):
    """List who is in a group."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    after: Address | None = after("member", USER)


@command("leavegroup")
class LeaveGroup(Request[GroupLeft]):
    """Leave a group; an owner hands it to its oldest member."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)


@command("kick")
class Kick(Request[GroupPerson]):
    """Remove a person from a group one owns."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    user: Address = arg("who to remove", USER)
