"""What people are told of changes, whoever made them: somebody here, or another realm."""

from __future__ import annotations

from collections.abc import Iterable

from shared.protocol.commands.groups import GroupChanged
from shared.protocol.commands.messages import MessageArrived, Receipt
from ws_server.context import Publication
from ws_server.net.file_lane import FileLane
from ws_server.net.session import Account, Session
from ws_server.realm import Realm
from ws_server.store import markers
from ws_server.store.conversations import Conversation
from ws_server.store.files import StoredFile
from ws_server.store.messages import Draft

MAX_PUSHED = 8 * 2**20
"""Bytes up to which a file's content is pushed behind its message."""


def group_changed(group: Conversation, user: str, change: str, *also: int) -> Publication:
    """Tell the members, and whoever just went, that a group changed."""
    event = GroupChanged(group.address(0), group.name, user, change)
    return Publication(event, {*group.members, *also})


def receipts(
    account: Account, conversation: Conversation, marks: markers.Markers
) -> list[Publication]:
    """Tell one's own other sessions, and in a private chat the other person, of moved markers."""
    if not marks.changed:
        return []
    told = [account.id] if conversation.number is not None else list(conversation.members)
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
