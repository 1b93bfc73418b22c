"""What people here are told of other realms: their links, their names, how messages fared there."""

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
    """The realm that is told of: `peer.Peer`."""

    known: KnownRealm
    told: str
    """What people were last told of its link: up or down."""


class PeerNews:
    """Tells the sessions of those whom it concerns."""

    def __init__(self, database: Database, hub: Hub, tasks: BackgroundTasks) -> None:
        self._database = database
        self._hub = hub
        self._tasks = tasks

    def announce_link(self, peer: Subject, state: str) -> None:
        """Tell admins, and those with messages waiting there."""
        self._tasks.start(self._announce_link(peer, state))

    async def _announce_link(self, peer: Subject, state: str) -> None:
        with suppress(ChatError):
            concerned = await self._database.read(outbox_queries.concerned, peer.known.id)
            self._hub.publish(RealmLink(peer.known.name, state), concerned)

    def announce_name(self, peer: Subject, was: str) -> None:
        """Tell admins, and those who have conversations with people there, its new name."""
        self._tasks.start(self._announce_name(peer, was))

    async def _announce_name(self, peer: Subject, was: str) -> None:
        def ask(tx: Connection) -> set[int]:
            told = set(outbox_queries.concerned(tx, peer.known.id))
            return told | realm_trust.people_of(tx, peer.known.id)

        with suppress(ChatError):
            told = await self._database.read(ask)
            self._hub.publish(RealmLink(peer.known.name, peer.told, was), told)

    def announce_delivery(self, own: LocalMessage, code: str | None, told: bool) -> None:
        """Tell the sender's sessions how a queued message fared, unless the only one knows."""
        sessions = self._hub.of(own.sender_id)
        if len(sessions) > (1 if told else 0):
            state = outbox.REFUSED if code else outbox.DELIVERED
            event = Delivery(own.conversation, own.id, own.seq, state, code)
            self._hub.publish(event, (own.sender_id,))
