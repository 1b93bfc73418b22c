"""Publishes the effects of changes that are on disk, of local people and of other realms alike.

Only `publish` applies an `Outcome`, and only `publish_message` distributes a message. They alone
change the cache, with two exceptions: a peer's new name (`peer.py`) and the journal's lookups.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import ALL, JOINING, GroupChanged
from shared.protocol.commands.messages import MessageArrived, Receipt
from ws_server.federation.contents.awaited_contents import ContentTransfers
from ws_server.federation.peer import StateReport
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.net.file_lane import Pieces, push_content
from ws_server.net.hub import Hub
from ws_server.net.session import Account, Session
from ws_server.outcome import Outcome, Publication
from ws_server.store import markers
from ws_server.store.cache import Cache
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import MessageEntry, StoredMessage
from ws_server.store.entries import Mutation
from ws_server.store.groups.group_changes import HISTORY, GroupChange, PersonChange
from ws_server.store.journal import Journal
from ws_server.store.message_content import shown


@dataclass(frozen=True, slots=True)
class Publisher:
    """The services that publishing needs."""

    journal: Journal
    cache: Cache
    hub: Hub
    pieces: Pieces
    contents: ContentTransfers
    peers: PeerRegistry


async def commit(publisher: Publisher, change: Callable[[Connection, int], Outcome]) -> Outcome:
    """Run a change in the next transaction, publish its outcome and return it.

    Raises:
        ChatError: `change` refused, or UNAVAILABLE.
    """
    outcome: Outcome = await publisher.journal.write(change, partial(publish, publisher))
    return outcome


def publish_entry(publisher: Publisher, entry: MessageEntry | Mutation) -> None:
    """Publish the effects of an entry that no caller awaits; none if it was refused."""
    if entry.error is not None:
        return
    if isinstance(entry, Mutation):
        publish(publisher, entry.result)
    elif not entry.duplicate:
        publish_message(publisher, entry.message)


def publish(publisher: Publisher, outcome: Outcome, session: Session | None = None) -> None:
    """Apply the outcome of a change that is on disk.

    Args:
        session: The session that made the change; it gets the reply instead of the events.
    """
    for address in outcome.forgotten:
        publisher.cache.drop_group(address)
    for name in outcome.forgotten_realms:
        publisher.cache.drop_realm(name)
    for group in outcome.changed:
        publisher.cache.put_group(group)
    for publication in outcome.publications:
        publisher.hub.publish(publication.event, publication.users, session)
    for message in outcome.messages:
        publish_message(publisher, message, session)
    if outcome.realms:
        publisher.peers.notify_outbox(outcome.realms)


def publish_message(
    publisher: Publisher,
    message: StoredMessage,
    session: Session | None = None,
    told: StateReport | None = None,
) -> None:
    """Push a message that is on disk to local users, and send it to other realms.

    Args:
        session: The sender's session, which gets the reply instead; None if another realm sent it.
        told: Called with the result from another realm, if the message waits for one.
    """
    if message.seq:
        if message.conversation.realm_id is not None:
            # Echo from the group's host: the session that posted the message gets the reply.
            session = publisher.peers.by_id(message.conversation.realm_id).echoed(message)
        _push(publisher, message, session)
    if message.outgoing:
        publisher.peers.deliver(message, session, told)


def _push(publisher: Publisher, message: StoredMessage, session: Session | None) -> None:
    """Push a message to its recipients and to the sender's other sessions."""
    conversation, sender, hub = message.conversation, message.sender, publisher.hub
    others = hub.reached(
        [id for id in conversation.members if id != sender and id not in message.newcomers]
    )
    own = [one for one in hub.of(sender) if one is not session]
    if others:
        # Recipients see a private chat under the sender's address, a group under its own.
        private = conversation.number is None
        hub.push(_arrived(message, message.sender_name if private else message.address), others)
    if own:
        hub.push(_arrived(message, message.address, message.state), own)
    if (file := message.content.file) is not None:
        if message.awaited and message.source is not None:
            publisher.contents.expect(message.source, file, others + own)
        else:
            push_content(publisher.pieces, file, others + own)


def _arrived(message: StoredMessage, address: str, state: str | None = None) -> MessageArrived:
    """Return the event for users who see the conversation under this address."""
    event = shown(
        MessageArrived,
        message.id,
        address,
        message.seq,
        message.sender_name,
        message.time,
        message.content,
        state,
    )
    if message.conversation.number is not None:
        event.group_name = message.conversation.name
    return event


def group_outcome(made: GroupChange, reply: Any = None, realms: Collection[int] = ()) -> Outcome:
    """Return the outcome of a change of a group, hosted here or elsewhere.

    Args:
        realms: Other realms that have new rows in the outbox.
    """
    group = made.group
    publications = [
        Publication(_group_changed(group, who), who.told) for who in made.people if who.change
    ]
    # If no member joined or left, the members may not all be loaded.
    return Outcome(reply, publications, realms, (group,) if made.members_changed else ())


def _group_changed(group: Conversation, who: PersonChange) -> GroupChanged:
    history = (JOINING if who.joining else ALL) if who.change == HISTORY else None
    return GroupChanged(group.address(0), group.name, who.name, who.change, history)


def receipts(
    account: Account, conversation: Conversation, marks: markers.Markers
) -> list[Publication]:
    """Return the events of moved markers: for the user's other sessions and, in a private chat, for
    the other user.

    The other user gets none if either of the two blocks the other.
    """
    if not marks.changed:
        return []
    alone = conversation.number is not None or conversation.blockers
    told = [account.id] if alone else list(conversation.members)
    return [
        Publication(
            Receipt(conversation.address(reader), account.name, marks.received_seq, marks.read_seq),
            (reader,),
        )
        for reader in told
    ]
