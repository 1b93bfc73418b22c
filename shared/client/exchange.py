"""The exchange between app and connection: commands out, replies and events in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from dataclasses import replace
from typing import Any, cast

from shared.client.backoff import Backoff
from shared.client.calls import Calls, PendingCall, no_answer
from shared.client.connection import ClientWebSocket, Way
from shared.client.errors import NotSent, OutcomeUnknown
from shared.client.events import EventQueue
from shared.client.link import ClientLink
from shared.client.notices import Offline, SignedOut
from shared.client.session import ClientSession
from shared.client.transfers import Transfers
from shared.protocol import json_dialect
from shared.protocol.commands.accounts import Logout, Resume, SignedIn
from shared.protocol.commands.files import FileChunk
from shared.protocol.commands.meta import SetFormat
from shared.protocol.errors import TEMPORARY, ChatError, ErrorCode
from shared.protocol.records import Reply
from shared.protocol.spec import Access, R, Request

log = logging.getLogger(__name__)

ASK_SECONDS = 120.0
"""Seconds for the answer to one of the client's own questions, which may wait behind chunks."""
MAX_INVALID_FRAMES = 100
"""Invalid frames on one connection after which it is closed."""


class Exchange:
    """Owns the connection of one client, and the queues on both sides of it.

    Args:
        positions, epoch: The values stored by the app, or None to begin at the present.
        events: Whether the app takes events.
        bot: Whether messages carry the mark of a program.
        timeout: Seconds that each step of a file transfer waits for its answer.
    """

    def __init__(
        self,
        way: Way,
        backoff: Backoff,
        positions: dict[str, int] | None,
        epoch: str | None,
        events: bool,
        bot: bool,
        timeout: float,
    ) -> None:
        self.queue = EventQueue(self._taken)
        self.queue.restore(positions or {}, epoch)
        self.session = ClientSession(self.queue, positions, events)
        self._bot = bot
        self.ready = False
        """Whether calls may be sent: there is a connection, and no session to resume first."""
        self._calls = Calls(self.session.dropped)
        self.transfers = Transfers(
            self.call, self.session, self._calls, self._update_reading, timeout
        )
        self._inner: dict[str, PendingCall] = {}
        """The client's own questions on this connection, by label."""
        self._keys = secrets.token_hex(8)
        self._strange = 0
        self._why_not = ""
        """The reason why the last attempt to connect failed, after a colon; empty before a
        failure."""
        self._link = ClientLink(way, backoff, self)
        self._open = False
        self._running: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start; the connection is made once it is needed."""
        self._open = True
        self._running = asyncio.create_task(self._link.run())

    async def close(self) -> None:
        """Close everything, within seconds."""
        if not self._open:
            return
        self._open = False
        tasks = [task for task in (self._running, self._following) if task is not None]
        for task in tasks:
            task.cancel()
        connection = self._link.connection
        if connection is not None:
            connection.end(1000, "the client was closed")
        await asyncio.wait(tasks)
        if connection is not None:
            await connection.gone()
        why = "the client was closed"
        self._calls.fail_all(NotSent(why), lambda call: no_answer(call, why))
        self.transfers.close()
        self.session.begun.set()
        self.queue.close()

    async def call(self, request: Request[R], seconds: float) -> R:
        """Send one command and return its reply; see `ChatClient.call`."""
        if not self._open:
            raise NotSent("the client is closed; use it inside `async with`")
        if type(request) is SetFormat and request.dialect != "json":
            raise ChatError(ErrorCode.BAD_ARGUMENTS, "This client speaks JSON only")
        if "idempotency_key" in request.spec.by_name:
            keyed = cast(Any, request)
            if keyed.idempotency_key is None:
                request = replace(keyed, idempotency_key=f"{self._keys}-{self._calls.number()}")
        if self._bot and "bot" in request.spec.by_name:
            marked = cast(Any, request)
            if marked.bot is None:
                request = replace(marked, bot=True)
        call = self._calls.add(request)
        loop = asyncio.get_running_loop()
        call.timer = loop.call_later(seconds, self._late, call)
        self._link.want()
        self._update_reading()
        self.pump()
        begun = loop.time()
        try:
            reply = await call.answer
        except asyncio.CancelledError:
            self._calls.give_up(call)
            raise
        if isinstance(reply, SignedIn):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds + begun - loop.time()):
                    await self.session.begun.wait()
        return cast(R, reply)

    def _late(self, call: PendingCall) -> None:
        why = "no answer in time"
        if self._link.connection is None:
            why += f" (there is no connection{self._why_not})"
        elif self.queue.full:
            why += " (events() is not being taken from)"
        call.fail(no_answer(call, why))
        self._calls.give_up(call)

    def pump(self) -> None:
        """Send waiting calls, as far as the connection accepts them."""
        connection = self._link.connection
        while self.ready and connection is not None and not connection.paused:
            if not connection.is_open:
                return  # the connection has ended; the calls go out on the next one
            call = self._calls.next()
            if call is None:
                return
            if not call.sent:
                call.sent = True
                self.session.sending(call)
            connection.write(call.frame)

    async def _ask(self, request: Request[R]) -> R:
        """Send the client's own question, on this connection only.

        Raises:
            ChatError: the server refused.
            OutcomeUnknown: the connection ended.
        """
        connection = self._link.connection
        if connection is None or not connection.is_open:
            raise OutcomeUnknown("the connection has ended")
        number = self._calls.number()
        label = f"c{number}"
        call = PendingCall(number, request, json_dialect.format_request(request, label))
        self._inner[label] = call
        connection.write(call.frame)
        self._update_reading()
        try:
            async with asyncio.timeout(ASK_SECONDS):
                return cast(R, await call.answer)
        except TimeoutError:
            why = f"the server did not answer {request.spec.name}"
            connection.end(1006, why)
            raise OutcomeUnknown(why) from None
        finally:
            self._inner.pop(label, None)

    # Frames

    def _event(self, body: dict[str, Any], size: int) -> None:
        event = json_dialect.read_event(body)
        if isinstance(event, FileChunk) and self.transfers.take(event):
            return
        if not isinstance(event, FileChunk) or self.session.files == "push":
            self.session.event(event, size)

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
            self.session.dropped(call)

    def _succeeded(self, call: PendingCall, reply: Reply, from_the_app: bool) -> None:
        # Before the next frame: events may follow in the same read.
        if isinstance(reply, SignedIn):
            self._signed_in(reply)
        elif isinstance(call.request, Logout):
            self.session.signed_out()
            self._stop_following()
        waited_for = call.succeed(reply)
        if from_the_app:
            self.session.replied(call, reply, waited_for)

    def _taken(self) -> None:
        """Handle an event being taken by the app."""
        if self.queue.roomy:
            self.session.news.set()
            self._update_reading()

    def _update_reading(self) -> None:
        """Pause reading while the app takes no events, unless a call waits for its answer."""
        connection = self._link.connection
        if connection is not None:
            behind = self.queue.full or not (connection.reading or self.queue.roomy)
            stuck = behind and not len(self._calls) and not self._inner
            connection.read_on(not (stuck or self.transfers.full))

    # The session

    def _signed_in(self, reply: SignedIn) -> None:
        self._stop_following()
        self.session.signed_in(reply)
        self._following = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        connection = self._link.connection
        try:
            await self.session.follow(self._ask)
        except OutcomeUnknown:
            pass  # the connection has ended, and with it what follows it
        except Exception as error:  # noqa: BLE001 - a new connection follows them again
            log.warning("following the conversations failed: %s", error)
            if connection is not None:
                connection.end(1006, f"following the conversations failed: {error}")

    def _stop_following(self) -> None:
        if self._following is not None:
            self._following.cancel()
            self._following = None

    def _signed_out(self, reason: str, *, token_ended: bool, closed: bool) -> None:
        """End the session as the server did, and fail its calls; if the server closed, fail all."""
        token = self.session.token
        self.session.signed_out()
        if not token_ended:
            self.session.token = token
        self.session.put(SignedOut(reason))
        refusal = ChatError(ErrorCode.NOT_AUTHENTICATED, f"The session ended ({reason}); sign in")
        self._calls.fail_all(
            refusal,
            lambda call: no_answer(call, reason),
            only=lambda call: closed or call.request.spec.access is Access.USER,
        )

    # The link's owner

    @property
    def needs_link(self) -> bool:
        return self.session.kept or bool(len(self._calls))

    @property
    def urgent(self) -> bool:
        return self._calls.urgent(bool(self._inner))

    def receive(self, frame: bytes) -> None:
        """Handle one frame of the server; an invalid frame is skipped."""
        try:
            body = json_dialect.parse_frame(frame)
            if "event" in body:
                self._event(body, len(frame))
            else:
                self._reply(body)
        except ValueError as why:
            self._strange += 1
            log.debug("a frame of the server was skipped: %s", type(why).__name__)
            if self._strange > MAX_INVALID_FRAMES and self._link.connection is not None:
                why_not = "the server sends what this client does not understand"
                self._link.connection.end(1006, why_not)
        if self.queue.full or self.transfers.full:
            self._update_reading()

    async def opened(self, connection: ClientWebSocket) -> float:
        """Resume the session, then send the waiting calls."""
        self._strange = 0
        if self.session.kept:
            try:
                await self._ask(Resume(self.session.token))
            except OutcomeUnknown:
                return 0.0
            except ChatError as error:
                if error.code in TEMPORARY or error.code is ErrorCode.INTERNAL:
                    connection.end(1006, error.message)
                    return error.retry_after or 0.0
                self._signed_out(error.message, token_ended=True, closed=False)
        self.ready = connection.is_open
        self.pump()
        return 0.0

    def broken(self, reason: str) -> None:
        """Fail everything that waits on this connection."""
        self.ready = False
        self._stop_following()
        for call in self._inner.values():
            call.fail(OutcomeUnknown(reason))
        self._calls.broken(reason)
        self.transfers.broken()

    def is_over(self, code: int, reason: str) -> bool:
        """Codes from 4500 end the session; 4500 itself means only that there is none."""
        if not 4500 <= code < 5000 or (code == 4500 and not self.session.kept):
            return False
        self._signed_out(f"{reason} ({code})", token_ended=code == 4501, closed=True)
        return True

    def resting(self, reason: str, delay: float) -> None:
        self._why_not = f": {reason}"
        self.session.put(Offline(reason, delay))
