"""Lists that do not fit one frame, as the client library reads them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine

from shared.client import ChatClient
from shared.protocol.commands.private import ListPc
from tests.client.people import Told
from tests.handlers.test_crowds import MANY, add_conversations
from tests.realserver import RealServer


async def test_somebody_with_thousands_of_conversations_was_told_old_messages_as_news(
    tmp_path: Path,
) -> None:
    server = RealServer(tmp_path)
    server.start()
    try:
        async with ChatClient(server.url) as bob:
            await bob.register("bob", "Bob", "secret-bob", "Indonesia")
        server.stop()
        with create_engine(f"sqlite:///{server.data / 'chat.db'}").begin() as tx:
            add_conversations(tx, "chats", 1, "")
        server.start()
        async with ChatClient(server.url) as bob:
            await bob.auth("bob", "secret-bob")
            told = Told(bob)
            await told.until(lambda: len(bob.positions) == MANY)
            await bob.send("bob", "a note")
            assert told.messages == []
            pages = [page async for page in bob.pages(ListPc())]
        assert len(pages) > 3
        found = [chat.conversation for page in pages for chat in page.conversations]
        assert len(found) == len(set(found)) == MANY + 1
    finally:
        server.kill()
