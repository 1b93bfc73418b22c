"""The reference: a minimal chat server with `websockets` and orjson.

It stores nothing and sends no replies, so it shows the cost of the network path alone. Run it as
`python benchmarks/servers/plain_relay.py PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import orjson
from websockets.asyncio.server import ServerConnection, broadcast, serve

BACKLOG = 1024

passwords: dict[str, str] = {}
online: dict[str, ServerConnection] = {}
groups: dict[str, set[ServerConnection]] = {}


def dump(message: dict[str, Any]) -> str:
    return orjson.dumps(message).decode()


async def handle(ws: ServerConnection) -> None:
    hello = orjson.loads(await ws.recv())
    user = hello["user"]
    # A sign-in registers a new user.
    if passwords.setdefault(user, hello["password"]) != hello["password"]:
        await ws.close(4001, "bad credentials")
        return
    online[user] = ws
    await ws.send(dump({"type": "welcome"}))
    try:
        async for raw in ws:
            message = orjson.loads(raw)
            kind = message["type"]
            if kind == "send":
                target = online.get(message["to"])
                if target is not None:
                    push = {"type": "message", "from": user, "text": message["text"]}
                    await target.send(dump(push))
            elif kind == "send_group":
                group = message["group"]
                push = {"type": "message", "from": user, "group": group, "text": message["text"]}
                broadcast(groups[group], dump(push))
            elif kind == "join":
                groups.setdefault(message["group"], set()).add(ws)
                await ws.send(dump({"type": "joined"}))
    finally:
        del online[user]
        for members in groups.values():
            members.discard(ws)


async def main(port: int) -> None:
    async with serve(handle, "127.0.0.1", port, backlog=BACKLOG) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
