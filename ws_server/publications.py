"""What follows from a change that is on disk, whoever made it: somebody here, or another realm.

`publish` alone carries out an `Outcome`, and `publish_message` what follows from one message. What
happened changes the cache only here, but for a peer's new name (`peer.py`). The journal adds what
it has looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import GroupChanged
from shared.protocol.commands.messages import MessageArrived, Receipt
from ws_server.federation.contents.awaited_contents import Contents
from ws_server.federation.peer import Confirmed
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
from ws_server.store.groups.group_changes import GroupChange
from ws_server.store.journal import Journal
from ws_server.store.message_content import shown


@dataclass(frozen=True, slots=True)
class Publisher:
    """What publishing takes."""

    journal: Journal
    cache: Cache
    hub: Hub
    pieces: Pieces
    contents: Contents
    peers: PeerRegistry


async def commit(publisher: Publisher, change: Callable[[Connection, int], Outcome]) -> Outcome:
    """Run a change in the next transaction, publish what follows from it, and return that.

    Raises:
        ChatError: what `change` refused, or UNAVAILABLE.
    """
    outcome: Outcome = await publisher.journal.write(change, partial(publish, publisher))
    return outcome


def published(publisher: Publisher, entry: MessageEntry | Mutation) -> None:
    """Publish what follows from an entry that nobody waits for; nothing if it was refused."""
    if entry.error is not None:
        return
    if isinstance(entry, Mutation):
        publish(publisher, entry.result)
    elif not entry.duplicate:
        publish_message(publisher, entry.message)


def publish(publisher: Publisher, outcome: Outcome, session: Session | None = None) -> None:
    """Carry out what follows from a change that is on disk.

    Args:
        session: The one that made the change; it is answered instead of being told.
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
    told: Confirmed | None = None,
) -> None:
    """Push a message that is on disk to people here, and send it to other realms.

    Args:
        session: The sender's, which is answered instead; None if another realm sent it.
        told: Told how the message fares in another realm, if it waits for that.
    """
    if message.seq:
        if message.conversation.realm_id is not None:
            # Its host relays it: whoever posted it here is answered by that.
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
        # A person is written to under their own address, a group under the group's.
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
    """Return the event for those who write to the conversation under this address."""
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
    """Return what follows from the change of a group, hosted here or elsewhere.

    Args:
        realms: Other realms for which something now waits.
    """
    group = made.group
    publications = [
        Publication(GroupChanged(group.address(0), group.name, who.name, who.change), who.told)
        for who in made.people
        if who.change
    ]
    # If no member came or went, not all members may be loaded.
    return Outcome(reply, publications, realms, (group,) if made.members_changed else ())


def receipts(
    account: Account, conversation: Conversation, marks: markers.Markers
) -> list[Publication]:
    """Tell one's own other sessions, and in a private chat the other person, of moved markers.

    The other person is told nothing if one of the two blocks the other.
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
