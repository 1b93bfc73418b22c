"""What follows from a change that is on disk, whoever made it: somebody here, or another realm.

`publish` alone carries out an `Outcome`, and `publish_message` what follows from one message. What
happened changes the cache only here, but for a peer's new name (`peer.py`). The journal adds what
it has looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import GroupChanged
from shared.protocol.commands.messages import MessageArrived, Receipt
from ws_server.context import Outcome, Publication
from ws_server.net.file_lane import FileLane
from ws_server.net.session import Account, Session
from ws_server.realm import Realm
from ws_server.store import markers
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import MessageEntry, StoredMessage
from ws_server.store.files import StoredFile
from ws_server.store.group_changes import GroupChange
from ws_server.store.journal import Mutation
from ws_server.store.message_content import shown

MAX_PUSHED = 8 * 2**20
"""Bytes up to which a file's content is pushed behind its message."""
Told = Callable[[str, str | None, int], None]
"""Told the state of a message in another realm, the code if it was refused, its seq or 0."""


async def commit(realm: Realm, change: Callable[[Connection, int], Outcome]) -> Outcome:
    """Run a change in the next transaction, publish what follows from it, and return that.

    Raises:
        ChatError: what `change` refused, or UNAVAILABLE.
    """
    outcome: Outcome = await realm.journal.write(change, partial(publish, realm))
    return outcome


def published(realm: Realm, entry: MessageEntry | Mutation) -> None:
    """Publish what follows from an entry that nobody waits for; nothing if it was refused."""
    if entry.error is not None:
        return
    if isinstance(entry, Mutation):
        publish(realm, entry.result)
    elif not entry.duplicate:
        publish_message(realm, entry.message)


def publish(realm: Realm, outcome: Outcome, session: Session | None = None) -> None:
    """Carry out what follows from a change that is on disk.

    Args:
        session: The one that made the change; it is answered instead of being told.
    """
    for address in outcome.forgotten:
        realm.cache.drop_group(address)
    for name in outcome.forgotten_realms:
        realm.cache.drop_realm(name)
    for group in outcome.changed:
        realm.cache.put_group(group)
    for publication in outcome.publications:
        realm.hub.publish(publication.event, publication.users, session)
    for message in outcome.messages:
        publish_message(realm, message, session)
    if outcome.realms:
        realm.links.notify_outbox(outcome.realms)


def publish_message(
    realm: Realm,
    message: StoredMessage,
    session: Session | None = None,
    told: Told | None = None,
) -> None:
    """Push a message that is on disk to people here, and send it to other realms.

    Args:
        session: The sender's, which is answered instead; None if another realm sent it.
        told: Told how the message fares in another realm, if it waits for that.
    """
    if message.seq:
        if message.conversation.realm_id is not None:
            # Its host relays it: whoever posted it here is answered by that.
            session = realm.links.by_id(message.conversation.realm_id).echoed(message)
        _push(realm, message, session)
    if message.outgoing:
        realm.links.deliver(message, session, told)


def _push(realm: Realm, message: StoredMessage, session: Session | None) -> None:
    """Push a message to its recipients and to the sender's other sessions."""
    conversation, sender, hub = message.conversation, message.sender, realm.hub
    others = hub.reached(
        [id for id in conversation.members if id != sender and id not in message.newcomers]
    )
    own = hub.reached((sender,), session)
    if others:
        # A person is written to under their own address, a group under the group's.
        private = conversation.number is None
        hub.push(_arrived(message, message.sender_name if private else message.address), others)
    if own:
        hub.push(_arrived(message, message.address, message.state), own)
    if (file := message.content.file) is not None:
        if message.awaited and message.source is not None:
            realm.contents.expect(message.source, file, others + own)
        else:
            push_content(realm, file, others + own)


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


def push_content(realm: Realm, file: StoredFile, sessions: Iterable[Session]) -> None:
    """Send a content that is here to those sessions that take files."""
    if file.size <= MAX_PUSHED:
        for session in sessions:
            if session.takes_files and session.open and not session.leaving:
                lane_of(realm, session).add(file)


def lane_of(realm: Realm, session: Session) -> FileLane:
    """Return a session's file lane, made on first use."""
    if session.lane is None:
        session.lane = FileLane(session, realm.pieces)
    return session.lane
