"""Events about other realms for local users: links, names, and the delivery of messages."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from sqlalchemy import Connection

from shared.background_tasks import BackgroundTasks
from shared.protocol.commands.messages import Delivery
from shared.protocol.commands.realms import RealmLink
from shared.protocol.errors import ChatError
from ws_server.net.hub import Hub
from ws_server.store.database import Database
from ws_server.store.federation import outbox, outbox_queries, realm_trust
from ws_server.store.federation.outbox_rows import LocalMessage
from ws_server.store.federation.realms import KnownRealm


class Subject(Protocol):
    """The realm that an event is about: `peer.Peer`."""

    known: KnownRealm
    link_state: str
    """The state of its link that was last announced to users: up or down."""


class PeerNews:
    """Publishes the events to the users concerned."""

    def __init__(self, database: Database, hub: Hub, tasks: BackgroundTasks) -> None:
        self._database = database
        self._hub = hub
        self._tasks = tasks

    def announce_link(self, peer: Subject, state: str) -> None:
        """Announce a link's state to admins and to users with queued messages for that realm."""
        self._tasks.start(self._announce_link(peer, state))

    async def _announce_link(self, peer: Subject, state: str) -> None:
        with suppress(ChatError):
            concerned = await self._database.read(outbox_queries.concerned, peer.known.id)
            self._hub.publish(RealmLink(peer.known.name, state), concerned)

    def announce_name(self, peer: Subject, was: str) -> None:
        """Announce a realm's new name to the users `announce_link` concerns and to those with
        conversations there.

        Args:
            was: The former name.
        """
        self._tasks.start(self._announce_name(peer, was))

    async def _announce_name(self, peer: Subject, was: str) -> None:
        def look(tx: Connection) -> set[int]:
            users = set(outbox_queries.concerned(tx, peer.known.id))
            return users | realm_trust.people_of(tx, peer.known.id)

        with suppress(ChatError):
            users = await self._database.read(look)
            self._hub.publish(RealmLink(peer.known.name, peer.link_state, was), users)

    def announce_delivery(self, own: LocalMessage, code: str | None, reported: bool) -> None:
        """Publish a queued message's final state to its sender's sessions.

        Args:
            code: Why the message was refused; None if it was delivered.
            reported: Whether the sending session has received the state as its reply; if it is the
                sender's only session, no event is published.
        """
        sessions = self._hub.of(own.sender_id)
        if len(sessions) > (1 if reported else 0):
            state = outbox.REFUSED if code else outbox.DELIVERED
            event = Delivery(own.conversation, own.id, own.seq, state, code)
            self._hub.publish(event, (own.sender_id,))
