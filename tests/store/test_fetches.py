"""Rules of contents from other realms: access, quota, and the order of fetching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection, update

from shared.protocol.errors import ChatError, ErrorCode
from ws_server.store import conversations, recipients
from ws_server.store.accounts import users
from ws_server.store.contents import content_fetches, files
from ws_server.store.contents.content_fetches import ContentSource, Fetch, Offered
from ws_server.store.contents.files import StoredFile
from ws_server.store.database import Database
from ws_server.store.federation import realms
from ws_server.store.groups import group_members
from ws_server.store.schema import conversations as conversation_table

T = TypeVar("T")
NOW = 1_000
QUOTA = 10_000
HASHES = [f"{number:064x}" for number in range(10)]


class Store:
    """A database with ann and bob here, and eve and mia in the realm mallory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._files = 0
        self.do(self._people)

    def do(self, change: Callable[[Connection], T]) -> T:
        return self._database.write(change)

    def _people(self, tx: Connection) -> None:
        self.ann, self.bob = (
            users.create(tx, name, name, "Indonesia", "", NOW).id for name in ("ann", "bob")
        )
        self.realm, self.other = (
            realms.add(
                tx,
                name=name,
                public_key=name.encode(),
                own_name=name,
                address=None,
                port=None,
                tls=False,
                state=realms.ACTIVE,
                now=NOW,
            ).id
            for name in ("mallory", "gamma")
        )
        self.eve, self.mia = (
            users.of_realm(tx, self.realm, name, NOW).id for name in ("eve", "mia")
        )
        pair = (min(self.bob, self.eve), max(self.bob, self.eve))
        chats = recipients.open_private(tx, [pair, (self.bob, self.bob)], NOW)
        self.private, self.notes = chats[pair].id, chats[self.bob, self.bob].id
        group = group_members.create_group(tx, self.bob, "group", NOW)
        group_members.join(tx, group, users.of_realm(tx, self.realm, "eve", NOW))
        self.group = group.id

    def file(self, sha256: str, size: int = 100) -> StoredFile:
        self._files += 1
        return StoredFile(f"f_{self._files}", "x", size, "text/plain", sha256)

    def here(self, conversation: int, sha256: str, size: int = 100) -> None:
        """Send a file as bob."""
        file = self.file(sha256, size)
        self.do(lambda tx: files.add(tx, file, conversation, self.bob, None, QUOTA))

    def comes(
        self,
        sha256: str,
        size: int = 100,
        *,
        conversation: int | None = None,
        sender: int | None = None,
        realm: int | None = None,
    ) -> bool:
        """Store a file from eve, in the private chat by default; True if it is to be fetched."""
        where = self.private if conversation is None else conversation
        who = self.eve if sender is None else sender
        source = self.realm if realm is None else realm
        file = self.file(sha256, size)
        return self.do(
            lambda tx: content_fetches.add_file(tx, file, where, who, source, QUOTA, NOW)
        )

    def offered(self, sha256: str, realm: int | None = None) -> Offered | None:
        wanted = self.realm if realm is None else realm
        return self.do(lambda tx: content_fetches.offered(tx, wanted, sha256))

    def chosen(self, *but: str, limit: int = 10) -> list[str]:
        return [
            fetch.sha256
            for fetch in self.do(lambda tx: content_fetches.chosen(tx, self.realm, but, limit))
        ]

    def done(self, sha256: str) -> None:
        self.do(lambda tx: content_fetches.done(tx, self.realm, sha256))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    database = Database.open(f"sqlite:///{tmp_path / 'chat.db'}")
    yield Store(database)
    database.close()


def test_a_realm_may_have_what_was_sent_to_its_people_alone(store: Store) -> None:
    for conversation, sha256 in zip(
        (store.private, store.group, store.notes), HASHES, strict=False
    ):
        store.here(conversation, sha256)
    assert store.offered(HASHES[0]) == store.offered(HASHES[1]) == Offered(100, True)
    assert store.offered(HASHES[2]) is None
    assert [store.offered(sha256, store.other) for sha256 in HASHES[:3]] == [None] * 3


def test_what_one_realm_sent_privately_is_given_to_none(store: Store) -> None:
    store.comes(HASHES[0])
    store.done(HASHES[0])
    assert store.offered(HASHES[0]) is None


def test_a_host_relays_what_another_realm_sent_once_it_is_here(store: Store) -> None:
    store.comes(HASHES[0], conversation=store.group)
    assert store.offered(HASHES[0]) == Offered(100, False)
    store.done(HASHES[0])
    assert store.offered(HASHES[0]) == Offered(100, True)


def test_a_member_realm_gives_the_host_what_its_own_people_posted_alone(store: Store) -> None:
    """The group is hosted by mallory, which already has the messages of gamma's users."""

    def host(tx: Connection) -> None:
        tx.execute(
            update(conversation_table)
            .where(conversation_table.c.id == store.group)
            .values(realm_id=store.realm)
        )

    store.here(store.group, HASHES[0])
    store.comes(HASHES[1], conversation=store.group)
    store.done(HASHES[1])
    store.do(host)
    assert store.offered(HASHES[0]) == Offered(100, True)
    assert store.offered(HASHES[1]) is None


def test_a_content_is_fetched_unless_the_realm_is_known_to_have_it(store: Store) -> None:
    assert store.comes(HASHES[0])
    assert store.comes(HASHES[0])  # still on its way
    store.done(HASHES[0])
    assert not store.comes(HASHES[0])
    store.here(store.private, HASHES[1])
    assert not store.comes(HASHES[1])
    store.here(store.notes, HASHES[2])
    assert store.comes(HASHES[2])
    assert store.comes(HASHES[0], realm=store.other)


def test_a_content_has_one_size(store: Store) -> None:
    store.comes(HASHES[0], 100)
    store.here(store.private, HASHES[1], 100)
    for sha256 in HASHES[:2]:
        with pytest.raises(ChatError) as refused:
            store.comes(sha256, 101)
        assert refused.value.code == ErrorCode.BAD_ARGUMENTS
    store.done(HASHES[0])
    with pytest.raises(ChatError):
        store.comes(HASHES[0], 101)


def test_all_files_of_a_realm_count_those_that_are_still_to_come_too(store: Store) -> None:
    store.comes(HASHES[0], QUOTA - 1)
    with pytest.raises(ChatError) as refused:
        store.comes(HASHES[1], 2)
    assert refused.value.code == ErrorCode.TOO_LARGE
    assert store.comes(HASHES[1], QUOTA, realm=store.other)
    store.here(store.private, HASHES[2], QUOTA)
    assert store.comes(HASHES[3], 1)


def test_the_smallest_of_each_sender_goes_first(store: Store) -> None:
    store.comes(HASHES[0], 300)
    store.comes(HASHES[1], 100)
    store.comes(HASHES[2], 200)
    store.comes(HASHES[3], 250, sender=store.mia, conversation=store.group)
    assert store.chosen() == [HASHES[1], HASHES[3], HASHES[2], HASHES[0]]
    assert store.chosen(HASHES[1], limit=2) == [HASHES[2], HASHES[3]]


def test_what_nobody_here_is_in_is_neither_fetched_nor_kept(store: Store) -> None:
    store.comes(HASHES[0], conversation=store.group)
    part = content_fetches.part_name(store.realm, HASHES[0])
    assert store.chosen() == [HASHES[0]] and store.do(content_fetches.open_parts) == {part}

    def leave(tx: Connection) -> None:
        group = conversations.load(tx, id=store.group)
        assert group is not None
        group_members.leave(tx, group, store.bob)

    store.do(leave)
    assert store.chosen() == [] and store.do(content_fetches.open_parts) == set()


def test_a_fetch_is_given_up_after_some_attempts_until_it_is_sent_again(store: Store) -> None:
    store.comes(HASHES[0])
    file_id = "f_1"
    fail = [
        store.do(lambda tx: content_fetches.failed(tx, store.realm, HASHES[0], 1))
        for _ in range(content_fetches.MAX_ATTEMPTS)
    ]
    assert fail == [False] * (content_fetches.MAX_ATTEMPTS - 1) + [True]
    assert store.chosen() == [] and store.do(content_fetches.open_parts) == set()
    assert store.do(lambda tx: content_fetches.source_of(tx, file_id)) == ContentSource(
        "mallory", True
    )
    assert store.comes(HASHES[0])
    assert store.do(lambda tx: content_fetches.source_of(tx, file_id)) == ContentSource(
        "mallory", False
    )
    store.done(HASHES[0])
    assert store.do(lambda tx: content_fetches.source_of(tx, file_id)) is None


def test_each_realm_has_a_part_of_its_own(store: Store) -> None:
    one, other = Fetch(1, HASHES[0], 1, 1), Fetch(2, HASHES[0], 1, 1)
    assert one.part != other.part


def test_what_a_link_carries_of_a_file_is_not_its_id(store: Store) -> None:
    file = store.file(HASHES[0])
    assert file.on_link() == {"name": "x", "size": 100, "type": "text/plain", "sha256": HASHES[0]}
