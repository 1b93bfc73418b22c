"""A scripted client, and a host for the app that uses it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

from flet_app.host import ExpectedUpload
from flet_app.script import PageScript
from shared.client import ChatClient
from shared.client.events import Told
from shared.client.lists import L, every_page
from shared.client.methods import Methods
from shared.protocol.commands.accounts import (
    Code,
    CodeWanted,
    Invitation,
    RegistrationRules,
    SignedIn,
)
from shared.protocol.commands.files import GetFile
from shared.protocol.commands.groups import GroupChats, ListGroup
from shared.protocol.commands.history import History, Read, ReadUpTo, Received, ReceivedUpTo
from shared.protocol.commands.messages import FileInfo, Page, Sent
from shared.protocol.commands.private import ListPc, PrivateChats, Send
from shared.protocol.commands.realms import ListRealm, Realms
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from tests.flet_app.people import NOON

Answer = Callable[[Any], Any]


class ScriptedClient(Methods):
    """Answers like an idle realm, except where `script` has an answer.

    An answer may be or raise an exception, which is raised; a future is awaited.
    """

    def __init__(self, script: dict[type, Answer], token: str) -> None:
        self.script = script
        self.token = token
        self.user, self.realm, self.limits = "ana", "alpha", None
        self.heard: list[Request[Any]] = []
        self.files: list[tuple[str, Path, str]] = []
        self.contents: dict[str, bytes] = {}
        """Of files, by their ids."""
        self.told: asyncio.Queue[Told | None] = asyncio.Queue()
        self._seq = 0

    async def __aenter__(self) -> ScriptedClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        self.told.put_nowait(None)

    async def events(self) -> AsyncIterator[Told]:
        while (event := await self.told.get()) is not None:
            yield event

    async def call(self, request: Request[Any]) -> Any:
        self.heard.append(request)
        answer = self.script.get(type(request), self._quiet)(request)
        if asyncio.isfuture(answer):
            answer = await answer
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, SignedIn):
            self.user, self.token = answer.user, answer.token
        return answer

    def pages(self, request: Request[L]) -> AsyncIterator[L]:
        return every_page(self.call, request)

    async def save_file(self, file: FileInfo, folder: Path, **_: Any) -> Path:
        answer = self.script.get(GetFile, lambda _: None)(GetFile(file.id))
        if isinstance(answer, BaseException):
            raise answer
        path = folder / file.name
        path.write_bytes(self.contents.get(file.id, b"\0" * file.size))
        return path

    async def send_file(self, to: str, path: Path, **more: Any) -> Any:
        self.files.append((to, path, more["idempotency_key"]))
        more["progress"](1, 2)
        return await self.call(Upload(to, more["name"]))

    def heard_of(self, kind: type) -> list[Any]:
        return [request for request in self.heard if type(request) is kind]

    def _quiet(self, request: Request[Any]) -> Reply:
        match request:
            case ListPc():
                return PrivateChats([])
            case ListGroup():
                return GroupChats([])
            case Code():
                return CodeWanted(wanted=False, accepted=False)
            case Invitation():
                return RegistrationRules("open", accepted=False)
            case ListRealm():
                return Realms([])
            case History():
                return Page(str(request.conversation), [], False)
            case Send():
                self._seq += 1
                return Sent(str(request.to), self._seq, f"s{self._seq}", NOON, "stored")
            case Received():
                return ReceivedUpTo(str(request.conversation), request.seq)
            case Read():
                return ReadUpTo(str(request.conversation), request.seq)
            case _:
                return SignedIn("ana", "alpha", "t", {}, "e", 1, None)  # type: ignore[arg-type]


class Upload(Request[Any]):
    """The record of a call of `send_file`."""

    def __init__(self, to: str, name: str) -> None:
        self.to, self.name = to, name


class ScriptedHost:
    """A host without a window."""

    server = "ws://localhost:1"
    may_change_server = False
    opens_paths = False
    page_script: PageScript | None = None
    language = "en"
    zone: tzinfo = UTC
    known = False

    def __init__(self, folder: Path, script: dict[type, Answer] | None = None) -> None:
        self.folder = folder
        self.script = script or {}
        self.clients: list[ScriptedClient] = []
        self.servers: list[str] = []

    @property
    def last(self) -> ScriptedClient:
        """The client that was made last."""
        return self.clients[-1]

    def admit(self, known: bool) -> None:
        self.known = known

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient:
        self.clients.append(ScriptedClient(self.script, token))
        self.servers.append(server)
        return self.last  # type: ignore[return-value]

    def show(self, path: Path, type: str) -> str:
        return f"shown:{path.name} {type}"

    def offer(self, path: Path, name: str) -> str:
        return f"offered:{name}"

    def expect(self, name: str, size: int) -> ExpectedUpload:
        return ExpectedUpload(f"/files/{name}", self.folder / name)

    def withdraw(self, url: str) -> None:
        pass

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
