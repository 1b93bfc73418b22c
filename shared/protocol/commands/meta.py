"""Commands about the connection to the server itself."""

from __future__ import annotations

import re

from shared.protocol.kinds import Pattern, Text
from shared.protocol.records import Record, Reply, record, result, unsent
from shared.protocol.spec import Access, Request, arg, command


@record
class CommandHelp(Record):
    """One command in the list."""

    command: str = result("its name")
    usage: str = result("the line to type")
    summary: str = result("what it does")


@record
class HelpPage(Reply):
    """The commands, or the requested one."""

    commands: list[CommandHelp] = result("all commands, or the one asked for")
    details: list[str] = unsent(default_factory=list)

    def sentence(self) -> str:
        if len(self.commands) == 1:
            return self.commands[0].summary
        return f"{len(self.commands)} commands; help <command> tells more of one"

    def lines(self) -> list[str]:
        if len(self.commands) == 1:
            return [self.commands[0].usage, *self.details]
        return [f"{c.usage} - {c.summary}" for c in self.commands]


@record
class Format(Reply):
    """The dialect of replies and events on this connection."""

    dialect: str = unsent(default="")

    def sentence(self) -> str:
        return f"Replies and events now come as {self.dialect}"


@record
class Pong(Reply):
    """The server answers."""

    time: int = result("Unix milliseconds")

    def sentence(self) -> str:
        return "Pong"


@command("format", access=Access.ANYONE, repeatable=True)
class SetFormat(Request[Format]):
    """Set the dialect of replies and events on this connection."""

    dialect: str = arg("json or text", Pattern(re.compile("json|text"), "json or text"))


@command("help", access=Access.ANYONE, repeatable=True)
class Help(Request[HelpPage]):
    """List the commands, or explain one."""

    topic: str | None = arg("a command", Text(64), default=None)


@command("ping", access=Access.ANYONE, repeatable=True)
class Ping(Request[Pong]):
    """Check that the server answers."""
