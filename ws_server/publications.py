"""What follows from a change that is on disk, whoever made it: somebody here, or another realm.

`publish` alone carries out an `Outcome`, and alone changes the cache for it.
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
from ws_server.store.entries import Mutation
from ws_server.store.files import StoredFile
from ws_server.store.group_changes import GroupChange
from ws_server.store.messages import Draft

MAX_PUSHED = 8 * 2**20
"""Bytes up to which a file's content is pushed behind its message."""


async def commit(realm: Realm, change: Callable[[Connection, int], Outcome]) -> Outcome:
    """Run a change in the next transaction, publish what follows from it, and return that.

    Raises:
        ChatError: what `change` refused, or UNAVAILABLE.
    """
    outcome: Outcome = await realm.journal.write(change, partial(publish, realm))
    return outcome


def published(realm: Realm, entry: Mutation) -> None:
    """Publish what follows from a change that nobody waits for; nothing if it was refused."""
    if entry.error is None:
        publish(realm, entry.result)


def publish(realm: Realm, outcome: Outcome, session: Session | None = None) -> None:
    """Carry out what follows from a change that is on disk.

    Args:
        session: The one that made the change; it is answered instead of being told.
    """
    if outcome.changed is not None:
        realm.cache.put_group(outcome.changed)
    if outcome.forgotten is not None:
        realm.cache.drop_group(outcome.forgotten)
    for publication in outcome.publications:
        realm.hub.publish(publication.event, publication.users, session)
    if outcome.realms:
        realm.links.notify_outbox(outcome.realms)


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


def announce(realm: Realm, draft: Draft, session: Session | None) -> None:
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
    realm.hub.publish(event, recipients)
    others = realm.hub.of(sender)
    if len(others) > 1 or (others and session not in others):
        own = MessageArrived(
            *(draft.id, here, draft.seq, name, draft.time, draft.text, file, draft.state, bot),
            group_name,
        )
        realm.hub.publish(own, (sender,), session)
    push_file(realm, draft, realm.hub.reached(conversation.members, session))


def announce_relayed(
    realm: Realm, drafts: Iterable[Draft], echoed: Callable[[Draft], Session | None]
) -> None:
    """Push durable messages of groups that another realm hosts, and cache how far the groups are.

    Args:
        echoed: Answers whoever posted a message here, and returns their session.
    """
    for draft in drafts:
        assert draft.conversation is not None
        realm.cache.put(draft.conversation)
        announce(realm, draft, echoed(draft))


def push_file(realm: Realm, draft: Draft, sessions: Iterable[Session]) -> None:
    """Send the content of a message's file behind it to those sessions that take files."""
    if draft.file is None:
        return
    if draft.awaited:
        assert draft.source is not None
        realm.contents.expect(draft.source, draft.file, sessions)
    else:
        push_content(realm, draft.file, sessions)


def push_content(realm: Realm, file: StoredFile, sessions: Iterable[Session]) -> None:
    """Send a content that is here to those sessions that take files."""
    if file.size <= MAX_PUSHED:
        for session in sessions:
            if session.takes_files:
                lane_of(realm, session).add(file)


def lane_of(realm: Realm, session: Session) -> FileLane:
    """Return a session's file lane, made on first use."""
    if session.lane is None:
        session.lane = FileLane(session, realm.pieces)
    return session.lane
