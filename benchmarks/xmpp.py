"""A lean XMPP client over WebSocket (RFC 7395), for ejabberd and Prosody."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence

from benchmarks.servers.server import JOINS_AT_ONCE, Client, Server
from benchmarks.waiting import each
from benchmarks.websocket import Connection, Refused, connect

DOMAIN = "localhost"
ROOMS = "conference.localhost"
ROOM = f"room@{ROOMS}"
OPEN = f'<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="{DOMAIN}" version="1.0"/>'
FEATURES = b"features>"
REGISTER = (
    '<iq xmlns="jabber:client" type="set" id="r{0}"><query xmlns="jabber:iq:register">'
    "<username>u{0}</username><password>secret{0}</password></query></iq>"
)
AUTH = '<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">{}</auth>'
BIND = (
    '<iq xmlns="jabber:client" type="set" id="bind">'
    '<bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>bench</resource></bind></iq>'
)
AVAILABLE = '<presence xmlns="jabber:client"/>'
JOIN = (
    f'<presence xmlns="jabber:client" to="{ROOM}/u{{}}">'
    '<x xmlns="http://jabber.org/protocol/muc"><history maxstanzas="0"/></x></presence>'
)
JOINED = b"110"
"""The status code of one's own presence (XEP-0045, 7.2.2)."""
COUNT_ARCHIVE = (
    '<iq xmlns="jabber:client" type="set" id="count"><query xmlns="urn:xmpp:mam:2">'
    '<set xmlns="http://jabber.org/protocol/rsm"><max>0</max></set></query></iq>'
)
ERROR = b"error"
REGISTRATIONS_AT_ONCE = 20


class XmppClient(Client):
    def __init__(self, user: int, connection: Connection) -> None:
        super().__init__(user, connection)
        self._sent = 0

    def on_text(self, payload: bytes) -> None:
        start = payload.find(b"<body>")
        if start >= 0:
            self.on_message(payload[start + 6 : payload.index(b"</body>", start)])

    async def authenticate(self) -> None:
        ask = self.connection.ask
        await ask(OPEN, FEATURES)
        plain = base64.b64encode(f"\0u{self.user}\0secret{self.user}".encode()).decode()
        await ask(AUTH.format(plain), b"<success", b"<failure")
        await ask(OPEN, FEATURES)
        await ask(BIND, b"<jid>", ERROR)
        # The server sends no answer; the workloads wait a little after the last sign-in.
        self.connection.send(AVAILABLE)

    def send(self, to: int, text: str) -> None:
        self._message(f"u{to}@{DOMAIN}", "chat", text)

    def send_group(self, text: str) -> None:
        self._message(ROOM, "groupchat", text)

    def _message(self, to: str, kind: str, text: str) -> None:
        self._sent += 1
        self.connection.send(
            f'<message xmlns="jabber:client" to="{to}" type="{kind}" id="m{self._sent}">'
            f"<body>{text}</body></message>"
        )

    async def join(self) -> None:
        await self.connection.ask(JOIN.format(self.user), JOINED, ERROR)

    async def ask_archive(self) -> None:
        """Query the archive's size, so that the server opens its archive."""
        await self.connection.ask(COUNT_ARCHIVE, b"</iq>", ERROR)


class XmppServer(Server):
    """The common part of ejabberd and Prosody."""

    path: str

    async def start(self) -> None:
        """Start, and wait until streams are answered: an open port alone does not prove that."""
        await super().start()
        for _ in range(50):
            try:
                connection = await connect(self.port, self.path, "xmpp")
                async with asyncio.timeout(2):
                    await connection.ask(OPEN, FEATURES)
                return await connection.close()
            except (OSError, Refused, TimeoutError):
                await asyncio.sleep(0.2)
        raise RuntimeError(f"{self.name} answers no XMPP stream")

    async def _open(self, user: int) -> XmppClient:
        return XmppClient(user, await connect(self.port, self.path, "xmpp"))

    async def register(self, count: int) -> None:
        async def register_one(user: int) -> None:
            client = await self._open(user)
            await client.connection.ask(OPEN, FEATURES)
            await client.connection.ask(REGISTER.format(user), b"result", ERROR)
            await client.connection.close()

        await each(register_one, range(count), REGISTRATIONS_AT_ONCE)

    async def sign_in(self, user: int) -> XmppClient:
        client = await self._open(user)
        await client.authenticate()
        return client

    async def open_group(self, clients: Sequence[Client]) -> None:
        async def join(client: Client) -> None:
            assert isinstance(client, XmppClient)
            await client.join()

        await join(clients[0])  # the first member creates the room
        await each(join, clients[1:], JOINS_AT_ONCE)
