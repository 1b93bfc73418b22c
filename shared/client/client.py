"""`ChatClient`: commands as awaits, events as an iterator, over a connection that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from shared.client.backoff import Backoff
from shared.client.calls import Call, Calls, no_answer
from shared.client.connection import Connection, Unreachable, open_connection, parse_url
from shared.client.errors import NotSent, OutcomeUnknown
from shared.client.events import EventQueue, Told
from shared.client.methods import Methods
from shared.client.notices import Offline, SignedOut
from shared.client.session import Session
from shared.client.transfers import Progress, Transfers
from shared.protocol import json_dialect
from shared.protocol.commands.accounts import Limits, Logout, Resume, SignedIn
from shared.protocol.commands.files import ChunkTaken, FileChunk
from shared.protocol.commands.messages import FileInfo, Message, Sent
from shared.protocol.commands.meta import SetFormat
from shared.protocol.errors import TEMPORARY, ChatError, ErrorCode
from shared.protocol.spec import Access, R, Reply, Request
from shared.protocol.values import Address, GroupAddress

log = logging.getLogger(__name__)

TIMEOUT = 30.0
"""Seconds a call waits for its answer, broken connections included."""
PROVED = 5.0
"""Seconds after which a connection has proved itself, so that the next break waits little."""
MAX_STRANGE = 100
"""Frames of one connection that could not be understood; then it is given up."""


class ChatClient(Methods):
    """A client of one realm. Use it as `async with ChatClient(url) as client`.

    Args:
        url: `ws://host:port` or `wss://host:port`.
        token: Of an earlier session, instead of a password: the client resumes it by itself.
        positions, epoch: What `positions` and `epoch` were when the app last ran; without them
            events begin at the present.
        timeout: Seconds each call waits for its answer, reconnecting included.
        files: `offer`, or `push` to get the contents of files up to 8 MiB as `FileChunk` events.
        events: False for an app that only sends and never takes events.
        tls: What to trust for `wss://`; by default what the system trusts.
        backoff: Delays between attempts to connect.

    Raises:
        ValueError: `url` is no such address.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str = "",
        positions: Mapping[str, int] | None = None,
        epoch: str | None = None,
        timeout: float = TIMEOUT,
        files: str = "offer",
        events: bool = True,
        tls: ssl.SSLContext | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self._uri = parse_url(url)
        self._timeout = timeout
        self._tls = tls or (ssl.create_default_context() if self._uri.secure else None)
        self._backoff = backoff or Backoff()
        self._queue = EventQueue(self._taken)
        known = None if positions is None else dict(positions)
        self._queue.restore(known or {}, epoch)
        self._session = Session(self._queue, known, events)
        self._session.token, self._session.kept = token, bool(token)
        self._session.files = files
        self._calls = Calls(self._session.dropped)
        self._transfers = Transfers(
            self._call, self._session, self._calls, self._update_reading, timeout
        )
        self._inner: dict[str, Call] = {}
        """The client's own questions on this connection, by label."""
        self._keys = secrets.token_hex(8)
        self._connection: Connection | None = None
        self._ready = False
        """What waits may go out: there is no session to resume first."""
        self._strange = 0
        self._wanted = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<ChatClient {self._session.user or 'nobody'} at {self._uri.host}>"

    @property
    def token(self) -> str:
        """The session's secret, to be kept for the next start; empty if there is none."""
        return self._session.token

    @property
    def user(self) -> str:
        """Who is signed in, as registered; empty before."""
        return self._session.user

    @property
    def realm(self) -> str:
        """The realm's own name; empty before signing in."""
        return self._session.realm

    @property
    def limits(self) -> Limits | None:
        """What the server takes; None before signing in."""
        return self._session.limits

    @property
    def online(self) -> bool:
        """Whether there is a connection now, with its session if there is one to keep."""
        return self._ready

    @property
    def positions(self) -> dict[str, int]:
        """The last `seq` of each conversation that was told: taken from `events()`, or replied.

        Together with `epoch` an app may keep it, and go on from there after a restart.
        """
        return self._queue.positions

    @property
    def epoch(self) -> str | None:
        """The history that `positions` belong to."""
        return self._queue.epoch

    async def __aenter__(self) -> ChatClient:
        self._running = asyncio.create_task(self._run())
        if self._session.kept:
            self._wanted.set()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection, within seconds; calls that wait raise `NoAnswer`."""
        if self._closed:
            return
        self._closed = True
        tasks = [task for task in (self._running, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        connection = self._connection
        if connection is not None:
            connection.end(1000, "the client was closed")
        if tasks:
            await asyncio.wait(tasks)
        if connection is not None:
            await connection.gone()
        why = "the client was closed"
        self._calls.fail_all(NotSent(why), lambda call: no_answer(call, why))
        self._transfers.close()
        self._session.begun.set()
        self._queue.close()

    def events(self) -> AsyncIterator[Told]:
        """Return the events of the server and the client's notices, in order; for one task.

        Each message comes once, in the order of `seq` in its conversation, over any number of
        breaks, but for those this client sent itself: they are told by the reply to the call. It
        ends when the client is closed. Waiting for the next event may be cancelled.
        """
        return self._queue

    async def call(self, request: Request[R]) -> R:
        """Send one command and return its reply.

        A sending command without an idempotency key gets one. If the connection breaks before
        the answer, commands that are harmless to repeat are sent again, in their order.

        Raises:
            ChatError: the server refused, or too many calls wait already (`unavailable`).
            NotSent: no connection within `timeout`, or the client was closed: nothing was done.
            OutcomeUnknown: it went out, but no answer came, and it must not be repeated blindly.
        """
        return await self._call(request, self._timeout)

    async def answer(self, message: Message, text: str) -> Sent:
        """Send a text to where a message came from, be it a person or a group."""
        if message.conversation.startswith("#"):
            return await self.sendg(message.conversation, text)
        return await self.send(message.conversation, text)

    async def send_file(
        self,
        to: Address | GroupAddress | str,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        progress: Progress | None = None,
        idempotency_key: str | None = None,
    ) -> ChunkTaken:
        """Send a file of any size the server takes; see `Transfers.send`."""
        return await self._transfers.send(to, path, name, progress, idempotency_key)

    async def save_file(
        self,
        file: FileInfo | str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
    ) -> Path:
        """Fetch a file and return where it was put; see `Transfers.save`."""
        return await self._transfers.save(file, path, progress)

    # Calls

    async def _call(self, request: Request[R], seconds: float) -> R:
        if self._running is None or self._closed:
            raise NotSent("the client is closed; use it inside `async with`")
        if type(request) is SetFormat and request.dialect != "json":
            raise ChatError(ErrorCode.BAD_ARGUMENTS, "This client speaks JSON only")
        if "idempotency_key" in request.spec.by_name:
            keyed = cast(Any, request)
            if keyed.idempotency_key is None:
                request = replace(keyed, idempotency_key=f"{self._keys}-{self._calls.number()}")
        call = self._calls.add(request)
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(seconds, self._late, call)
        self._wanted.set()
        self._update_reading()
        self._pump()
        begun = loop.time()
        try:
            reply = await call.answer
        except asyncio.CancelledError:
            self._calls.give_up(call)
            raise
        if isinstance(reply, SignedIn):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds + begun - loop.time()):
                    await self._session.begun.wait()
        return cast(R, reply)

    def _late(self, call: Call) -> None:
        why = "no answer in time"
        if self._connection is None:
            why += " (there is no connection)"
        elif self._queue.full:
            why += " (events() is not being taken from)"
        call.fail(no_answer(call, why))
        self._calls.give_up(call)

    def _pump(self) -> None:
        """Send what waits, as far as the connection takes it."""
        connection = self._connection
        while self._ready and connection is not None and not connection.paused:
            call = self._calls.next()
            if call is None:
                return
            if not call.sent:
                call.sent = True
                self._session.sending(call)
            connection.write(call.frame)

    async def _ask(self, request: Request[R]) -> R:
        """Ask something on this connection only.

        Raises:
            ChatError: the server refused.
            OutcomeUnknown: the connection ended.
        """
        connection = self._connection
        if connection is None or not connection.is_open:
            raise OutcomeUnknown("the connection has ended")
        number = self._calls.number()
        label = f"c{number}"
        call = Call(number, request, json_dialect.format_request(request, label))
        self._inner[label] = call
        connection.write(call.frame)
        self._update_reading()
        try:
            return cast(R, await call.answer)
        finally:
            self._inner.pop(label, None)

    # Frames

    def _receive(self, frame: bytes) -> None:
        """Take one frame of the server; what cannot be understood is skipped."""
        try:
            body = json_dialect.parse_frame(frame)
            if "event" in body:
                self._event(body, len(frame))
            else:
                self._reply(body)
        except ValueError as why:
            self._strange += 1
            log.debug("a frame of the server was skipped: %s", type(why).__name__)
            if self._strange > MAX_STRANGE and self._connection is not None:
                self._connection.end(1006, "the server sends what this client does not understand")
        if self._queue.full or self._transfers.full:
            self._update_reading()

    def _event(self, body: dict[str, Any], size: int) -> None:
        event = json_dialect.read_event(body)
        if isinstance(event, FileChunk) and self._transfers.take(event):
            return
        if not isinstance(event, FileChunk) or self._session.files == "push":
            self._session.event(event, size)

    def _reply(self, body: dict[str, Any]) -> None:
        label = body.get("id")
        inner = self._inner.get(label) if isinstance(label, str) else None
        call = inner or self._calls.answered(label)
        if call is None:
            raise ValueError("a reply to nothing")
        try:
            reply = json_dialect.read_reply(body, call.request.spec.reply)
        except ChatError as error:
            call.fail(error.with_traceback(None))
        except ValueError as why:
            call.fail(OutcomeUnknown(f"the server's answer could not be understood: {why}"))
        else:
            self._succeeded(call, reply, inner is None)
            return
        if inner is None:
            self._session.dropped(call)

    def _succeeded(self, call: Call, reply: Reply, from_the_app: bool) -> None:
        # At once: events may follow in the same read.
        if isinstance(reply, SignedIn):
            self._signed_in(reply)
        elif isinstance(call.request, Logout):
            self._session.signed_out()
            self._stop_following()
        waited_for = call.succeed(reply)
        if from_the_app:
            self._session.replied(call, reply, waited_for)

    def _taken(self) -> None:
        """The app took an event."""
        if self._queue.roomy:
            self._session.news.set()
            self._update_reading()

    def _update_reading(self) -> None:
        """Read no further while the app takes nothing, unless somebody waits for an answer."""
        connection = self._connection
        if connection is not None:
            behind = self._queue.full or not (connection.reading or self._queue.roomy)
            stuck = behind and not len(self._calls) and not self._inner
            connection.read_on(not (stuck or self._transfers.full))

    # The session

    def _signed_in(self, reply: SignedIn) -> None:
        self._stop_following()
        self._session.signed_in(reply)
        self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        connection = self._connection
        try:
            await self._session.follow(self._ask)
        except OutcomeUnknown:
            pass  # the connection has ended, and with it what follows it
        except Exception as error:
            log.warning("following the conversations failed: %s", error)
            if connection is not None:
                connection.end(1006, f"following the conversations failed: {error}")

    def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def _signed_out(self, reason: str, *, token_ended: bool, closed: bool) -> None:
        """The server ended the session, and the calls that need one; with it all, if it closed."""
        token = self._session.token
        self._session.signed_out()
        if not token_ended:
            self._session.token = token
        self._session.put(SignedOut(reason))
        refusal = ChatError(ErrorCode.NOT_AUTHENTICATED, f"The session ended ({reason}); sign in")
        self._calls.fail_all(
            refusal,
            lambda call: no_answer(call, reason),
            only=lambda call: closed or call.request.spec.access is Access.USER,
        )

    # The connection

    async def _run(self) -> None:
        """Keep a connection while there is a session to keep or something to send."""
        loop = asyncio.get_running_loop()
        while True:
            self._wanted.clear()
            if not self._session.kept and not len(self._calls):
                await self._wanted.wait()
                continue
            try:
                connection = await open_connection(self._uri, self._tls)
            except Unreachable as why:
                await self._rest(str(why))
                continue
            since = loop.time()
            code, reason, least = await self._serve(connection)
            if loop.time() - since > PROVED:
                self._backoff.reset()
            if 4500 <= code < 5000 and (self._session.kept or code != 4500):
                self._signed_out(f"{reason} ({code})", token_ended=code == 4501, closed=True)
            elif self._session.kept or len(self._calls):
                await self._rest(reason if code == 1006 else f"{reason} ({code})", least)

    async def _rest(self, reason: str, least: float = 0.0) -> None:
        delay = self._backoff.next(least)
        self._session.put(Offline(reason, delay))
        await asyncio.sleep(delay)

    async def _serve(self, connection: Connection) -> tuple[int, str, float]:
        """Use a connection until it ends; return its code, the reason and seconds to wait."""
        ended: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()

        def end(code: int, reason: str) -> None:
            self._connection, self._ready = None, False
            self._stop_following()
            for call in self._inner.values():
                call.fail(OutcomeUnknown(reason))
            self._calls.broken(reason)
            self._transfers.broken()
            if not ended.done():
                ended.set_result((code, reason))

        least = 0.0
        self._connection, self._strange = connection, 0
        connection.on_frame, connection.on_end = self._receive, end
        connection.on_room = self._pump
        connection.urgent = lambda: self._calls.urgent or bool(self._inner)
        connection.start()
        try:
            if self._session.kept:
                least = await self._resume(connection)
            if connection.is_open:
                self._ready = True
                self._pump()
            code, reason = await ended
        finally:
            connection.end(1000, "the client was closed")
            await connection.gone()
        return code, reason, least

    async def _resume(self, connection: Connection) -> float:
        """Sign in with the token; returns the seconds the server asks to wait, if it refuses."""
        try:
            await self._ask(Resume(self._session.token))
        except OutcomeUnknown:
            pass
        except ChatError as error:
            if error.code in TEMPORARY or error.code is ErrorCode.INTERNAL:
                connection.end(1006, error.message)
                return error.retry_after or 0.0
            self._signed_out(error.message, token_ended=True, closed=False)
        return 0.0
