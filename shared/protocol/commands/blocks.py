"""Blocking people."""

from __future__ import annotations

from shared.protocol.commands.messages import counted
from shared.protocol.kinds import USER
from shared.protocol.records import Event, Reply, event, record, result, unsent
from shared.protocol.spec import Remote, Request, arg, command
from shared.protocol.values import Address


@record
class BlockedUsers(Reply):
    """All people whom the caller blocks."""

    users: list[str] = result("their addresses, by name; at most 1,000")
    done: str = unsent(default="")

    def sentence(self) -> str:
        if self.done:
            return self.done
        count = len(self.users)
        return f"You block {counted(count, 'user') if count else 'nobody'}"

    def lines(self) -> list[str]:
        return [] if self.done else self.users


@event("preference")
class Preference(Event):
    """The user changed a setting of a conversation; sent only to their other sessions."""

    conversation: str = result("its address; here the other person's")
    blocked: bool | None = result("whether the reader now blocks that person", default=None)

    def sentence(self) -> str:
        """Return the event as a sentence."""
        return f"You {'block' if self.blocked else 'no longer block'} {self.conversation}"

    def line(self) -> str:
        return f"({self.sentence()})"


@command("block", realm_name="blockrealm", repeatable=True, remote=Remote.ANY)
class Block(Request[BlockedUsers]):
    """Refuse private messages and invitations from a person, who is not notified."""

    user: Address = arg("who: bob, or bob@beta in realm beta", USER)


@command("unblock", realm_name="unblockrealm", repeatable=True, remote=Remote.ANY)
class Unblock(Request[BlockedUsers]):
    """Accept private messages and invitations from a person again."""

    user: Address = arg("who: bob, or bob@beta in realm beta", USER)


@command("blocked", repeatable=True)
class ListBlocked(Request[BlockedUsers]):
    """List the people you block."""
