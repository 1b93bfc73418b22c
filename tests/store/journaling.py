"""Entries for a journal, posted together and awaited."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, select

from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.values import Address, GroupAddress
from tests.world import World
from ws_server.store.accounts import users
from ws_server.store.contents.files import StoredFile
from ws_server.store.conversations import Conversation
from ws_server.store.drafts import NO_FILE, Draft, MessageEntry, Storage
from ws_server.store.entries import Entry, Mutation
from ws_server.store.groups import group_members
from ws_server.store.journal import Journal
from ws_server.store.message_content import MessageContent
from ws_server.store.schema import conversations as table
from ws_server.store.schema import messages

GROUP = GroupAddress(1)
REFUSED = ChatError(ErrorCode.FORBIDDEN, "no")


async def commit(book: Journal, *entries: Entry) -> None:
    """Post entries in one pass of the loop, so that they share a batch, and wait for them all."""
    left = len(entries)
    finished = asyncio.Event()

    def done(_: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            finished.set()

    for entry in entries:
        entry.done = done
        book.post(entry)
    await finished.wait()


@contextmanager
def held(book: Journal) -> Iterator[None]:
    """Keep the writer in a commit for as long as the block runs."""
    begun, go_on = threading.Event(), threading.Event()

    def wait(tx: Connection, now: int) -> None:
        begun.set()
        assert go_on.wait(10)

    book.post(Mutation(wait))
    book._begin()
    assert begun.wait(10)
    try:
        yield
    finally:
        go_on.set()


def note(into: list[Any], what: Any) -> Mutation:
    def change(tx: Connection, now: int) -> Any:
        into.append(what)
        return what

    return Mutation(change)


def say(
    sender: int,
    target: Address | GroupAddress,
    text: str = "hi",
    key: str | None = None,
    cached: Conversation | None = None,
    file: StoredFile | None = None,
    storage: Storage = NO_FILE,
) -> MessageEntry:
    draft = Draft(sender, target, MessageContent(text, file), key, storage)
    return MessageEntry(draft, cached=cached)


def texts(tx: Connection) -> list[tuple[int, str]]:
    rows = tx.execute(select(messages.c.seq, messages.c.text).order_by(messages.c.row))
    return [(seq, text) for seq, text in rows]


def group_names(tx: Connection) -> list[str]:
    c = table.c
    return list(tx.scalars(select(c.name).where(c.number.is_not(None)).order_by(c.number)))


async def make_group(world: World, *names: str) -> Conversation:
    """Make a group of these users, the first its owner, and return it as a cache may hold it."""

    def make(tx: Connection, now: int) -> Conversation:
        group = group_members.create_group(tx, users.existing(tx, names[0]).id, "team", now)
        for name in names[1:]:
            group = group_members.join(tx, group, users.existing(tx, name))
        return group

    made: Conversation = await world.realm.journal.write(make)
    return made


def code(draft: MessageEntry) -> ErrorCode | None:
    return draft.error.code if draft.error else None
