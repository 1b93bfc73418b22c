"""Groups: conversations of several people."""

from __future__ import annotations

import re

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
from shared.protocol.kinds import GROUP, MESSAGE_TEXT, REALM_NAME, USER, Pattern, Text
from shared.protocol.records import Event, Record, Reply, event, record, result, unsent
from shared.protocol.spec import Remote, Request, arg, command
from shared.protocol.values import DEFAULT_PAGE, MAX_GROUP_NAME, Address, GroupAddress, in_words

ALL, JOINING = "all", "joining"
HISTORY = Pattern(re.compile(f"{ALL}|{JOINING}"), f"{ALL} or {JOINING}")


def readable(group: str, history: str | None) -> str:
    """Return the sentence on what new members of a group may read."""
    what = "what is written from then on" if history == JOINING else "all its messages"
    return f"Who joins {group} reads {what}"


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
    role: str = result("the reader's: owner or member; invited: it waits for `accept` or `decline`")
    members: int = result("how many people are in it")
    last_seq: int = result("of the newest message")
    read_seq: int = result("read up to here by the reader")
    unread: int = result("messages of others above read_seq, since the reader joined")
    last: Message | None = result("the newest message; a long text is cut to 256 characters")
    history: str | None = result(
        "joining: who joins reads only what is written from then on; absent: everything",
        default=None,
    )


@record
class GroupChats(ListPage):
    """The caller's groups, newest first."""

    groups: list[GroupChat] = result("newest first")
    more: bool | None = more()
    begun_anew: str = begun_anew()

    def sentence(self) -> str:
        count = len(self.groups)
        return self.in_page(counted(count, "group") if count else "No groups yet")

    def end(self) -> str:
        return self.groups[-1].group if self.groups else ""

    def lines(self) -> list[str]:
        return [
            f"{g.group} {in_words(g.name)} ({g.role}): {counted(g.members, 'member')}, "
            f"{counted(g.last_seq, 'message')}, {g.unread} unread"
            f"{', history from joining' * bool(g.history)}{summary(g.last)}"
            for g in self.groups
        ]


@record
class GroupPerson(Reply):
    """The person has joined the group or left it."""

    group: str = result("the group's address")
    user: str = result("the person")
    done: str = unsent(default="is already in")

    def sentence(self) -> str:
        return f"{self.user} {self.done} {self.group}"


@record
class GroupHistoryChosen(Reply):
    """From now on new members may read this of the group."""

    group: str = result("the group's address")
    history: str = result("all or joining")

    def sentence(self) -> str:
        return readable(self.group, self.history)


@record
class InvitationAccepted(Reply):
    """The caller is now a member."""

    group: str = result("the group's address")

    def sentence(self) -> str:
        return f"You are now in {self.group}"


@record
class InvitationDeclined(Reply):
    """The invitation was removed."""

    group: str = result("the group's address")

    def sentence(self) -> str:
        return f"You declined {self.group}"


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
    """The members of the group, the oldest first."""

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
    """A person joined, left or was removed, or the owner chose what new members may read; sent to
    the members and the person. A pending or withdrawn invitation is sent only to the invited
    person."""

    group: str = result("the group's address")
    name: str = result("its name")
    user: str = result("the person who joined, left or is invited, or the owner")
    change: str = result("joined, left, removed, invited or history")
    history: str | None = result("with the change history: all or joining", default=None)

    def line(self) -> str:
        if self.change == "history":
            group = f"{self.group} {in_words(self.name)}"
            return f"({self.user} chose: {readable(group, self.history)})"
        done = self.change if self.change in ("joined", "left") else f"was {self.change}"
        hint = f"; accept {self.group} or decline it" if self.change == "invited" else ""
        return f"({self.user} {done}: {self.group} {in_words(self.name)}{hint})"


@command("creategroup", realm_name="creategrouprealm", remote=Remote.ACTIVE)
class CreateGroup(Request[GroupCreated]):
    """Create a group and own it."""

    name: str = arg("its name; names may repeat", Text(MAX_GROUP_NAME, one_line=True), rest=True)
    realm: str | None = arg("the realm that hosts it", REALM_NAME, json_only=True, default=None)


@command("listgroup", realm_name="listgrouprealm", repeatable=True, remote=Remote.ANY)
class ListGroup(Request[GroupChats]):
    """List your groups."""

    realm: str | None = arg("only those hosted by this realm", REALM_NAME, default=None)
    after: GroupAddress | None = after("group", GROUP)


@command("invitegroup", realm_name="invitegrouprealm", repeatable=True, remote=Remote.ACTIVE)
class InviteGroup(Request[GroupPerson]):
    """Add a person to a group; any member may, but after a kick only its owner."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    user: Address = arg("who to add", USER)


@command("sendg", realm_name="sendgrouprealm", remote=Remote.QUEUED)
class SendGroup(Request[Sent]):
    """Send a text to a group."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    text: str = arg("what to say", MESSAGE_TEXT, rest=True)
    idempotency_key: str | None = idempotency_key()
    bot: bool | None = bot_mark()


@command("inboxgroup", realm_name="inboxgrouprealm", repeatable=True, remote=Remote.ANY)
class InboxGroup(Request[Page]):
    """Read the messages of a group, newest page first, and mark them read."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    before: int | None = arg("only messages below this seq", BEFORE, default=None)
    limit: int = arg("most messages, 1 to 200", LIMIT, default=DEFAULT_PAGE)


@command("members", repeatable=True, remote=Remote.ANY)
class Members(Request[GroupMembers]):
    """List who is in a group."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    after: Address | None = after("member", USER)


@command("leavegroup", remote=Remote.ANY)
class LeaveGroup(Request[GroupLeft]):
    """Leave a group; an owner hands it to its oldest member."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)


@command("kick", remote=Remote.ACTIVE)
class Kick(Request[GroupPerson]):
    """Remove a person from a group you own."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    user: Address = arg("who to remove", USER)


@command("ban", realm_name="banrealm", repeatable=True, remote=Remote.ACTIVE)
class Ban(Request[GroupPerson]):
    """Remove a person from a group you own, if they are in it, and forbid inviting them."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    user: Address = arg("who to ban", USER)


@command("unban", realm_name="unbanrealm", repeatable=True, remote=Remote.ACTIVE)
class Unban(Request[GroupPerson]):
    """Allow inviting a person who was banned or kicked from a group you own."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    user: Address = arg("who may be invited again", USER)


@command("grouphistory", realm_name="grouphistoryrealm", repeatable=True, remote=Remote.ACTIVE)
class ChooseGroupHistory(Request[GroupHistoryChosen]):
    """Choose what new members may read of a group you own."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
    history: str = arg("all, or joining: only what is written from then on", HISTORY)


@command("accept", realm_name="acceptrealm", repeatable=True, remote=Remote.ACTIVE)
class Accept(Request[InvitationAccepted]):
    """Join a group to which a stranger of another realm invited you."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)


@command("decline", realm_name="declinerealm", remote=Remote.ANY)
class Decline(Request[InvitationDeclined]):
    """Decline an invitation to a group."""

    group: GroupAddress = arg("the group, #12 or 12", GROUP)
