"""Realms: other servers, whose people can be reached from here."""

from __future__ import annotations

from shared.protocol.commands.messages import clock_in_words, counted
from shared.protocol.kinds import LOCAL_NAME, Number, Text
from shared.protocol.records import Event, Record, Reply, event, record, result, unsent
from shared.protocol.spec import Request, arg, command
from shared.protocol.values import in_words


@record
class RealmAdded(Reply):
    """The realm has answered and was added under the name."""

    realm: str = result("its name here")
    fingerprint: str = result("of its key")
    link: str = result("up or down")
    why: str | None = unsent(default=None)
    """Why it is down, in words."""

    def sentence(self) -> str:
        link = f"{self.link} ({self.why})" if self.why else self.link
        return f"Added {self.realm}, the link is {link}; its fingerprint is {self.fingerprint}"


@record
class Realm(Record):
    """One known realm."""

    realm: str = result("its name here")
    address: str = result("host name or address")
    port: int = result("TCP port")
    fingerprint: str = result("of its key")
    state: str = result("whether it may talk to this realm")
    link: str = result("up or down")
    queued: int = result("messages waiting for it")


@record
class Realms(Reply):
    """The known realms."""

    realms: list[Realm] = result("by name")

    def sentence(self) -> str:
        count = len(self.realms)
        return counted(count, "realm") if count else "No other realm is known here"

    def lines(self) -> list[str]:
        return [
            f"{r.realm} {in_words(r.address)}:{r.port} {r.state}, link {r.link}, "
            f"{r.queued} queued, {r.fingerprint}"
            for r in self.realms
        ]


@record
class Queued(Record):
    """One of the caller's messages that wait for another realm."""

    conversation: str = result("the recipient")
    realm: str = result("the realm it waits for")
    message_id: str = result("its id")
    since: int = result("Unix milliseconds")
    attempts: int = result("attempts to reach the realm since")
    next_try: int | None = result("Unix milliseconds")


@record
class Outbox(Reply):
    """The caller's messages that wait for other realms."""

    queued: list[Queued] = result("oldest first")
    more: bool | None = result(
        "true: later ones wait too, and are listed once these have gone", default=None
    )

    def sentence(self) -> str:
        more = " (and more behind them)" * bool(self.more)
        return f"{len(self.queued)} waiting{more}" if self.queued else "No messages are waiting"

    def lines(self) -> list[str]:
        return [
            f"{q.message_id} to {q.conversation}, since {clock_in_words(q.since)} UTC, "
            f"{counted(q.attempts, 'attempt')}"
            for q in self.queued
        ]


@event("realm")
class RealmLink(Event):
    """The link to a realm came up or went down; sent to admins and to people with waiting messages.

    With `was`, the realm now has another name: somebody here has confirmed it, or an added realm
    has taken the name. The event then also goes to people who have conversations with its people.
    """

    realm: str = result("its name here")
    link: str = result("up or down")
    was: str | None = result("the name it had until now", default=None)

    def line(self) -> str:
        if self.was is not None:
            return f"(realm {self.was} is {self.realm} from now on, its link is {self.link})"
        return f"(realm {self.realm} is {self.link})"


@command("addrealm")
class AddRealm(Request[RealmAdded]):
    """Add another server under a name, once it has proved its key."""

    name: str = arg("the name for it here", LOCAL_NAME)
    address: str = arg("its host, with wss:// before it for TLS", Text(255, one_line=True))
    port: int = arg("its port", Number(1, 65535))
    fingerprint: str | None = arg("the key it must have", Text(128, one_line=True), default=None)


@command("listrealm", repeatable=True)
class ListRealm(Request[Realms]):
    """List the known realms."""


@command("outbox", repeatable=True)
class ShowOutbox(Request[Outbox]):
    """List your messages that wait for other realms."""
