"""A message's content survives unchanged: table, repeated key, link, page."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from sqlalchemy import Connection, select

from shared.protocol.commands.messages import Message
from shared.protocol.values import Address
from tests.store.journaling import commit
from tests.world import World
from ws_server.store import conversations, message_content, message_pages
from ws_server.store.contents.files import StoredFile
from ws_server.store.drafts import Draft, MessageEntry, Storage
from ws_server.store.message_content import COLUMNS, MessageContent, from_link, shown

ALICE, BOB = 1, 2
FILE = StoredFile("f_1", "a.txt", 3, "text/plain", "0" * 64)
CONTENTS = [
    MessageContent("hi"),
    MessageContent("beep", bot=True),
    MessageContent("", FILE),
    MessageContent("", FILE, bot=True),
]


def post(content: MessageContent, key: str | None = None) -> MessageEntry:
    return MessageEntry(Draft(ALICE, Address("bob"), content, key, Storage(2**20)))


@pytest.mark.parametrize("content", CONTENTS, ids=str)
def test_a_link_carries_all_of_it(content: MessageContent) -> None:
    told = from_link(orjson.loads(orjson.dumps(content.on_link())))
    if told.file is not None:
        assert told.file.id != FILE.id  # each realm has an id of its own for it
        told = replace(told, file=replace(told.file, id=FILE.id))
    assert told == content


@pytest.mark.parametrize("content", CONTENTS, ids=str)
async def test_the_store_keeps_all_of_it(world: World, content: MessageContent) -> None:
    first = post(content, "k")
    await commit(world.realm.journal, first)
    again = post(MessageContent("something else"), "k")
    await commit(world.realm.journal, again)
    assert again.duplicate and again.message.content == first.message.content == content

    def read(tx: Connection) -> tuple[MessageContent, Message]:
        chat = conversations.load(tx, id=first.message.conversation.id)
        assert chat is not None
        (page,) = message_pages.page(tx, BOB, chat, limit=1).messages
        return message_content.load(tx, *tx.execute(select(*COLUMNS)).one()), page

    kept, page = await world.realm.database.read(read)
    assert kept == content
    message = first.message
    assert page == shown(
        *(Message, message.id, "alice", message.seq, "alice", message.time, content, None)
    )
