"""The two stages plays are acted on: a realm in this process, and a server behind a socket."""

from __future__ import annotations

from contextlib import suppress

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.world import PASSWORD, Closed, Person, World


class Seat(Person):
    """Somebody in this process who gets replies and events in one row."""

    def write(self, payload: bytes) -> None:
        self._replies.append(payload)
        self._news.set()

    async def frame(self) -> str:
        return (await self._next(self._replies)).decode()


class SeatDoor:
    """A `Door` to a realm in this process."""

    def __init__(self, world: World) -> None:
        self._seat = Seat(world, "192.0.2.1")

    async def send(self, frame: str) -> None:
        self._seat.send(frame)

    async def receive(self) -> str:
        return await self._seat.frame()

    async def leave(self) -> None:
        self._seat.leave()


class InProcess:
    """A `Stage` in this process."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def add_user(self, name: str) -> None:
        await self._world.add_users(name)

    async def open(self) -> SeatDoor:
        return SeatDoor(self._world)


class SocketDoor:
    """A `Door` to a server."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(self, frame: str) -> None:
        with suppress(ConnectionClosed):  # `receive` tells
            await self._socket.send(frame)

    async def receive(self) -> str:
        try:
            return str(await self._socket.recv())
        except ConnectionClosed as closed:
            raise Closed(closed.rcvd.code if closed.rcvd else None) from None

    async def leave(self) -> None:
        await self._socket.close()


class Served:
    """A `Stage` behind a socket."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def add_user(self, name: str) -> None:
        door = await self.open()
        await door.send(f"register {name} {name.title()} {PASSWORD} Indonesia")
        assert (await door.receive()).startswith("OK ")
        await door.leave()

    async def open(self) -> SocketDoor:
        return SocketDoor(await connect(self._url, proxy=None, compression=None, max_size=None))
