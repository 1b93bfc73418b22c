"""A folder as the old Simple-Chatting kept it, and readers of what an import made of it."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

from tests.history import history as whole
from tests.rawclient import RawClient


def text(sender: object, message: object) -> dict[str, object]:
    return {"sender": sender, "message": message}


def file(sender: str, name: str, content: bytes) -> dict[str, object]:
    data = base64.b64encode(content).decode()
    return {"sender": sender, "filename": name, "file": data}


class OldFolder:
    """`users`, `groups` and `privates` below a folder; files can be written anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for name in ("users", "groups", "privates"):
            (path / name).mkdir(parents=True, exist_ok=True)

    def write(self, name: str, value: object) -> None:
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        (self.path / name).write_bytes(content)

    def user(self, *names: str, **values: object) -> None:
        for name in names:
            old = {"nama": f"Old {name}", "negara": "Indonesia", "password": f"secret-{name}"}
            self.write(f"users/{name}.json", {**old, **values})

    def group(self, id: str, members: Sequence[object], *history: object, **values: object) -> None:
        old = {"nama": f"group {id}", "members": members, "message_history": history}
        self.write(f"groups/{id}.json", {**old, **values})

    def private(self, stem: str, *history: object) -> None:
        self.write(f"privates/{stem}.json", list(history))


def crowd(path: Path, people: int, messages: int, seed: int = 1) -> OldFolder:
    """Return a folder of `user0`, `user1`, ... whose messages are in groups and private chats."""
    chance = random.Random(seed)
    old = OldFolder(path)
    names = [f"user{number}" for number in range(people)]
    old.user(*names)
    for group in range(1, 6):
        old.group(
            str(group),
            names,
            *(text(chance.choice(names), f"{group} {n}") for n in range(messages // 10)),
            file(names[0], "note.bin", chance.randbytes(20_000)),
        )
    for n in range(5):
        pair = names[n], names[n + 1]
        said = (text(chance.choice(pair), f"{pair} {n}") for n in range(messages // 10))
        old.private("_".join(pair), *said)
    return old


def counts(said: str) -> tuple[int, int, int, int, int]:
    """Return the users, groups, messages, files and skipped of the closing summary."""
    found = re.search(
        r"^Imported (\d+) users, (\d+) groups, (\d+) messages \((\d+) of them files\); "
        r"skipped (\d+)$",
        said,
        re.MULTILINE,
    )
    assert found, said
    users, groups, messages, files, skipped = map(int, found.groups())
    return users, groups, messages, files, skipped


async def history(client: RawClient, conversation: str) -> list[tuple[str, str]]:
    """Return sender and text (or file name) of all messages."""
    messages = await whole(client.ask, conversation)
    return [(m["from"], m["file"]["name"] if "file" in m else m["text"]) for m in messages]


async def content(client: RawClient, conversation: str, name: str) -> bytes:
    """Return the content of the file of this name."""
    page = await client.ask("history", conversation=conversation, limit=200)
    (carried,) = [m["file"] for m in page["messages"] if "file" in m and m["file"]["name"] == name]
    await client.ask("files", mode="offer")
    await client.ask("getfile", file=carried["id"])
    got = b""
    while len(got) < carried["size"]:
        got += base64.b64decode((await client.event("file"))["data"])
    return got
