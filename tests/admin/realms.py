"""Realms with something of everything in them, and all that their people can see."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.history import history
from tests.rawclient import RawClient
from tests.realserver import RealServer
from tests.system.transfers import announced, go_on, noise, received

PEOPLE = ("alice", "bob", "carol")


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[RealServer]:
    """Run a server whose data folder is `folder/data`."""
    server = RealServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()


async def people(url: str, *names: str, register: bool = False) -> list[RawClient]:
    """Return somebody signed in for each name."""
    return [await RawClient.signed_in(url, name, register=register) for name in names]


async def live(url: str) -> dict[str, str]:
    """Let three people use everything there is, and return a token of each."""
    clients = await people(url, *PEOPLE, register=True)
    alice, bob, carol = clients
    for number in range(30):
        await alice.ask(
            "send", to="bob", text=f"{number} ü \u2028 \\ \" 'x'\n", idempotency_key=f"{number}"
        )
    await bob.ask("send", to="bob", text="a note to myself")
    await bob.ask("read", conversation="alice", seq=20)
    await bob.ask("received", conversation="alice", seq=25)
    data = base64.b64encode(b"the same content").decode()
    await alice.ask("sendfile", to="bob", name="a.txt", data=data)
    await carol.ask("sendfile", to="alice", name="b.txt", data=data)
    await go_on(carol, what := announced("bob", content := noise(300_000), "film.mp4"), content)
    assert what["size"] == 300_000
    await alice.ask("creategroup", name="lovers of cake")
    for name in ("bob", "carol"):
        await alice.ask("invitegroup", group="#1", user=name)
    for client in clients:
        await client.ask("sendg", group="#1", text="mmm")
    await bob.ask("inboxgroup", group="#1", limit=1)
    await alice.ask("leavegroup", group="#1")
    await carol.ask("creategroup", name="others")
    # An upload under way is nobody's message yet.
    half = noise(400_000)
    await go_on(bob, announced("alice", half, "half.bin"), half, until=1)
    tokens = {}
    for client, name in zip(clients, PEOPLE, strict=True):
        tokens[name] = (await client.ask("auth", user=name, password=f"secret-{name}"))["token"]
        await client.close()
    return tokens


async def seen(url: str, tokens: dict[str, str]) -> dict[str, Any]:
    """Return all that these people can see, each signed in by password and by token."""
    picture: dict[str, Any] = {}
    for name, token in tokens.items():
        client = await RawClient.open(url)
        signed_in = await client.ask("auth", user=name, password=f"secret-{name}")
        resumed = await client.ask("resume", token=token)
        assert (resumed["user"], resumed["token"]) == (name, token)
        await client.ask("files", mode="offer")
        mine: dict[str, Any] = {
            "unread": signed_in["unread"],
            "who": await client.ask("whoami"),
            "chats": (await client.ask("listpc"))["conversations"],
            "groups": (await client.ask("listgroup"))["groups"],
            "positions": (await client.ask("sync", have={}))["conversations"],
        }
        mine["who"].pop("id")
        for group in [row["group"] for row in mine["groups"]]:
            mine[group, "members"] = (await client.ask("members", group=group))["members"]
        for conversation in [row["conversation"] for row in mine["positions"]]:
            mine[conversation] = messages = await history(client.ask, conversation)
            for file in [m["file"] for m in messages if "file" in m]:
                await client.ask("getfile", file=file["id"])
                mine[file["id"]] = await received(client, file)
        picture[name] = mine
        await client.close()
    return picture


def tables(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return all rows of all tables, as the database holds them."""
    with sqlite3.connect(database) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        found = {
            name: sorted(connection.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr)
            for name in names
        }
    connection.close()
    return found


def leftovers(folder: Path, *known: str) -> list[str]:
    """Return the names in a folder that are not known."""
    return sorted({path.name for path in folder.iterdir()} - set(known))
