"""What follows from a change that is on disk, whoever made it: somebody here, or another realm.

`publish` alone carries out an `Outcome`, and alone changes the cache for it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection

from shared.protocol.commands.groups import GroupChanged
from shared.protocol.commands.messages import MessageArrived, Receipt
from ws_server.federation.awaited_contents import Contents
from ws_server.federation.peer_registry import PeerRegistry
from ws_server.net.file_lane import Pieces, push_content
from ws_server.net.hub import Hub
from ws_server.net.session import Account, Session
from ws_server.outcome import Outcome, Publication
from ws_server.store import markers
from ws_server.store.cache import Cache
from ws_server.store.conversations import Conversation
from ws_server.store.group_changes import GroupChange
from ws_server.store.journal import Journal, Mutation
from ws_server.store.messages import Draft


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


def published(publisher: Publisher, entry: Mutation) -> None:
    """Publish what follows from a change that nobody waits for; nothing if it was refused."""
    if entry.error is None:
        publish(publisher, entry.result)


def publish(publisher: Publisher, outcome: Outcome, session: Session | None = None) -> None:
    """Carry out what follows from a change that is on disk.

    Args:
        session: The one that made the change; it is answered instead of being told.
    """
    if outcome.changed is not None:
        publisher.cache.put_group(outcome.changed)
    if outcome.forgotten is not None:
        publisher.cache.drop_group(outcome.forgotten)
    for publication in outcome.publications:
        publisher.hub.publish(publication.event, publication.users, session)
    if outcome.realms:
        publisher.peers.notify_outbox(outcome.realms)


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
    return Outcome(reply, publications, realms, group if made.members_changed else None)


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


def announce(publisher: Publisher, draft: Draft, session: Session | None) -> None:
    """Push a durable message to its recipients and to the sender's other sessions.

    Args:
        session: The sender's, which is answered instead; None if another realm sent it.
    """
    conversation = draft.conversation
    assert conversation is not None
    sender = draft.sender
    if conversation.number is not None:
        group_name: str | None = conversation.name
        here = there = conversation.address(sender)
        recipients = [
            user_id
            for user_id in conversation.members
            if user_id != sender and user_id not in draft.newcomers
        ]
    else:
        group_name = None
        here, there = conversation.address(sender), conversation.members[sender].name
        recipients = [user_id for user_id in conversation.members if user_id != sender]
    name = draft.sender_name or conversation.members[sender].name
    file = draft.file.info() if draft.file else None
    bot = draft.bot or None
    event = MessageArrived(
        *(draft.id, there, draft.seq, name, draft.time, draft.text, file, None, bot), group_name
    )
    publisher.hub.publish(event, recipients)
    others = publisher.hub.of(sender)
    if len(others) > 1 or (others and session not in others):
        own = MessageArrived(
            *(draft.id, here, draft.seq, name, draft.time, draft.text, file, draft.state, bot),
            group_name,
        )
        publisher.hub.publish(own, (sender,), session)
    push_file(publisher, draft, publisher.hub.reached(conversation.members, session))


def announce_relayed(
    publisher: Publisher, drafts: Iterable[Draft], echoed: Callable[[Draft], Session | None]
) -> None:
    """Push durable messages of groups that another realm hosts, and cache how far the groups are.

    Args:
        echoed: Answers whoever posted a message here, and returns their session.
    """
    for draft in drafts:
        assert draft.conversation is not None
        publisher.cache.put(draft.conversation)
        announce(publisher, draft, echoed(draft))


def push_file(publisher: Publisher, draft: Draft, sessions: Iterable[Session]) -> None:
    """Send the content of a message's file behind it to those sessions that take files."""
    if draft.file is None:
        return
    if draft.awaited:
        assert draft.source is not None
        publisher.contents.expect(draft.source, draft.file, sessions)
    else:
        push_content(publisher.pieces, draft.file, sessions)
