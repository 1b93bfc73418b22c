"""The gate every frame passes: read, admit, run; then, once durable, reply and publish.

Commands of one connection take effect in the order sent. Journaled ones may overlap, because the
journal keeps their order; every other command waits until those before it are answered, and those
behind it wait for it.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections import deque
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, cast

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call
from shared.protocol.commands.files import Chunk
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import TABLE, Access, Reply
from ws_server import handlers as handlers
from ws_server.context import HANDLERS, Abroad, Answer, Context, Outcome
from ws_server.federation.handshake import Transcript
from ws_server.federation.introduce import MAX_FRAME as MAX_HANDSHAKE
from ws_server.federation.link import BROKEN
from ws_server.handlers.messages import answer, refused_there
from ws_server.net.session import Session
from ws_server.publications import announce
from ws_server.realm import Realm
from ws_server.store.database import ASKER
from ws_server.store.journal import Write
from ws_server.store.messages import Draft
from ws_server.store.outbox import QUEUED

log = logging.getLogger(__name__)

MAX_QUEUED = 64
"""Commands of one connection that wait; then it is read no further until half are done."""
MAX_QUEUED_BYTES = 2 * 2**20
MAX_UNANSWERED = 512
"""Journaled commands of one connection under way; the next one waits in the queue."""
LEAVING = 30.0
"""Seconds in which what a peer sent before it went is carried out; the rest is dropped."""
MAX_LEAVING = 1_000
"""Sessions whose peers are gone; of one more, the oldest is given up."""


class Gate:
    """The one way from a frame to a handler and back."""

    def __init__(self, realm: Realm) -> None:
        missing = {spec.request for spec in TABLE.values()} - HANDLERS.keys()
        assert not missing, f"no handler for {missing}"
        self._realm = realm
        self._tasks: set[asyncio.Task[None]] = set()
        self._leaving: dict[Session, asyncio.TimerHandle] = {}
        """Those whose peers are gone, with when they are given up; the oldest first."""
        self._nobody_leaves: asyncio.Event | None = None
        self.commands = 0
        self.refused: dict[str, int] = dict.fromkeys(ErrorCode, 0)
        """How many commands were refused, by code."""

    def receive(self, session: Session, frame: bytes) -> None:
        """Take one text frame.

        Raises:
            UnicodeDecodeError: the frame is not UTF-8.
        """
        if session.link is not None:
            session.link.receive(frame)
            return
        if session.dialled is not None and len(frame) > MAX_HANDSHAKE:
            session.outlet.close_with(BROKEN, "a frame of the handshake is too large")
            return
        if frame[:3] == codecs.BOM_UTF8:  # of a file that a program sends line by line
            frame = frame[3:]
        if frame[:1] == b"{" or frame.lstrip()[:1] == b"{":
            call = json_dialect.parse(frame)
            if call.request is None:
                frame.decode()  # what is not UTF-8 is not even a refused command
        else:
            call = text_dialect.parse(frame.decode())
        self._take(session, call, len(frame))

    def resume(self, session: Session) -> None:
        """The peer took what was written; go on with what waits."""
        if session.queue:
            self._next(session)
            self._settle(session)

    def receive_binary(self, session: Session) -> None:
        """Take a binary frame, which is no command, and nothing that a link carries."""
        if session.dialled is not None:
            session.outlet.close_with(BROKEN, "links carry text frames")
            return
        error = ChatError(ErrorCode.BAD_COMMAND, "Binary frames are not understood; send text")
        self._take(session, Call(session.dialect, error=error), 0)

    def depart(self, session: Session) -> None:
        """The peer is gone, or going: it is told of nothing more, but what it sent is carried out.

        More of that may be read; `leave` says that all was.
        """
        if session.leaving or not session.open:
            return
        session.leaving = True
        self._realm.hub.part(session)
        if session.dialled is not None:
            self.end(session)
            return
        loop = asyncio.get_running_loop()
        self._leaving[session] = loop.call_later(LEAVING, self.end, session)
        if len(self._leaving) > MAX_LEAVING:
            self.end(next(iter(self._leaving)))

    def leave(self, session: Session) -> None:
        """Nothing more comes from the peer: the session ends once all that came is carried out."""
        self.depart(session)
        session.heard_all = True
        self._settle(session)

    def is_busy(self, session: Session) -> bool:
        """Tell whether commands of a session are not answered yet."""
        return bool(session.queue or session.busy or session.unanswered or session.abroad)

    def _settle(self, session: Session) -> None:
        if session.heard_all and not self.is_busy(session):
            self.end(session)

    def end(self, session: Session) -> None:
        """End a session at once; what the journal has of it is written all the same."""
        if (timer := self._leaving.pop(session, None)) is not None:
            timer.cancel()
            if not self._leaving and self._nobody_leaves is not None:
                self._nobody_leaves.set()
        session.open = False
        session.queue = None
        self._realm.hub.sign_out(session)
        if session.lane is not None:
            session.lane.close()
        if session.link is not None:
            session.link.lost()
        session.outlet.finish()

    async def settled(self, seconds: float) -> None:
        """Wait until no session is leaving any more, and end those that are not done in time."""
        if self._leaving:
            self._nobody_leaves = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._nobody_leaves.wait(), seconds)
            for session in list(self._leaving):
                self.end(session)

    async def close(self) -> None:
        """Wait for the commands that run; the caller has closed the connections."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)

    def _take(self, session: Session, call: Call, size: int) -> None:
        self.commands += 1
        call.size = size
        try:
            self._admit(session, call)
        except ChatError as error:
            call.error = error.with_traceback(None)
            if call.request is None:
                self._penalise(session, error.retry_after or 0)
        if session.queue or not self._run(session, call):
            if session.queue is None:
                session.queue = deque()
            session.queue.append(call)
            session.queued_bytes += size
            if not session.reading_paused and (
                len(session.queue) >= MAX_QUEUED or session.queued_bytes >= MAX_QUEUED_BYTES
            ):
                session.reading_paused = True
                session.outlet.pause_reading()

    def _admit(self, session: Session, call: Call) -> None:
        who = session.account.id if session.account else session.address
        request = call.request
        if request is None:
            self._realm.limits.refused(who, call.size)
        elif type(request) is Chunk:
            self._realm.limits.chunk(who, len(request.data))
        else:
            self._realm.limits.command(who)

    def _penalise(self, session: Session, seconds: float) -> None:
        """Read no further for a while: reading is what a refused frame costs."""
        if not session.penalised:
            session.penalised = True
            session.outlet.pause_reading()
            asyncio.get_running_loop().call_later(min(seconds, 10), self._forgive, session)

    def _forgive(self, session: Session) -> None:
        session.penalised = False
        self._read_again(session)

    def _read_again(self, session: Session) -> None:
        """Read on, unless there is another reason not to."""
        if session.open and not session.reading_paused and not session.penalised:
            session.outlet.resume_reading()

    def _next(self, session: Session) -> None:
        """Go on with what waits."""
        queue = session.queue
        while queue and session.open and self._run(session, queue[0]):
            session.queued_bytes -= queue.popleft().size
        if session.reading_paused and len(queue or ()) < MAX_QUEUED // 2:
            session.reading_paused = False
            self._read_again(session)

    def _run(self, session: Session, call: Call) -> bool:
        """Run a command if its turn has come; False if those before it must end first."""
        if session.busy:
            return False
        request = call.request
        if call.error is None and request is not None:
            registration = HANDLERS[type(request)]
            if not registration.journaled and (session.unanswered or session.outlet.congested):
                return False
            if session.unanswered >= MAX_UNANSWERED:
                return False
            spec = request.spec
            if session.dialled is not None and spec.access is not Access.REALM:
                call.error = ChatError(ErrorCode.FORBIDDEN, "This connection is a realm's")
            elif spec.access is Access.USER and session.account is None:
                call.error = ChatError(
                    ErrorCode.NOT_AUTHENTICATED, "Sign in first: auth <user> <password>"
                )
        if call.error is not None:
            if session.unanswered:
                return False
            self._heard(session, call)
            self._refuse(session, call, call.error)
            return True
        assert request is not None
        self._heard(session, call)
        try:
            if spec.addresses or "realm" in spec.by_name:
                request = self._realm.local(request)
            result = registration.handler(Context(self._realm, session), request)
            if isinstance(result, Awaitable):
                session.busy = True
                self._start(self._wait_for(session, call, result))
            else:
                waits = self._answer(session, call, result)
                session.busy = waits and not registration.journaled
        except ChatError as error:
            if session.unanswered:
                # Its reply must not pass those of the commands before it.
                call.error = error.with_traceback(None)
                return False
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        return True

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _ask_abroad(self, session: Session, call: Call, answering: Awaitable[Reply]) -> None:
        """Reply when another realm has answered; later replies may pass this one."""
        ASKER.set(session.account.id if session.account else session.address)
        try:
            self._reply(session, call, await answering)
        except ChatError as error:
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        finally:
            session.abroad -= 1
            self._settle(session)

    def _heard(self, session: Session, call: Call) -> None:
        if not session.pinned:
            session.dialect = call.dialect

    async def _wait_for(self, session: Session, call: Call, answering: Awaitable[Answer]) -> None:
        posted = False
        ASKER.set(session.account.id if session.account else session.address)
        try:
            posted = self._answer(session, call, await answering)
        except ChatError as error:
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        finally:
            if not posted:
                session.busy = False
                if session.held is not None:
                    session.release()
                self._next(session)
                self._settle(session)

    def _answer(self, session: Session, call: Call, result: Answer) -> bool:
        """Reply, or hand what is to be written to the journal; True if the reply comes later."""
        if isinstance(result, Reply):
            self._reply(session, call, result)
            return False
        if isinstance(result, Abroad):
            session.abroad += 1
            self._start(self._ask_abroad(session, call, result.reply))
            return False
        result.origin = (session, call)
        result.done = self._durable
        self._realm.journal.post(result)
        session.unanswered += 1
        return True

    def _durable(self, entry: Draft | Write) -> None:
        """An entry is on disk, or was refused: reply, then publish."""
        session, call = entry.origin
        session.unanswered -= 1
        session.busy = False
        if type(entry) is Draft and entry.stored and (entry.error or entry.duplicate):
            stray = self._realm.stray_bytes
            stray[entry.sender] = stray.get(entry.sender, 0) + entry.stored
        if entry.error is not None:
            self._refuse(session, call, entry.error)
        elif type(entry) is Draft:
            if entry.duplicate or entry.state != QUEUED:
                self._reply(session, call, answer(entry, call.request))
            if not entry.duplicate:
                if entry.seq:
                    announce(self._realm, entry, session)
                if entry.outgoing:
                    # Later replies may pass this one, which waits for another realm's answer.
                    told = partial(self._delivered, session, call, entry)
                    session.abroad += entry.state == QUEUED
                    self._realm.links.deliver(entry, session, told)
        else:
            outcome = cast(Outcome, cast(Write, entry).result)
            assert outcome.reply is not None
            self._reply(session, call, outcome.reply)
            if outcome.changed is not None:
                self._realm.cache.put_group(outcome.changed)
            for publication in outcome.publications:
                self._realm.hub.publish(publication.event, publication.users, session)
            if outcome.realms:
                self._realm.links.nudge(outcome.realms)
        if session.held is not None:
            session.release()
        if session.queue:
            self._next(session)
        if session.leaving:
            self._settle(session)

    def _delivered(
        self, session: Session, call: Call, draft: Draft, state: str, code: str | None, seq: int
    ) -> None:
        """Another realm has a message, refused it, or has not answered in time."""
        if code is None:
            draft.state = state
            draft.seq = seq or draft.seq
            self._reply(session, call, answer(draft, call.request))
        else:
            self._refuse(session, call, refused_there(draft, code))
        session.abroad -= 1
        self._settle(session)

    def _reply(self, session: Session, call: Call, reply: Reply) -> None:
        if session.open:
            session.reply(call, reply)
        if session.linking is not None:
            self._link(session, *session.linking)

    def _link(self, session: Session, realm_id: int, transcript: Transcript) -> None:
        """Hand the connection of a realm that has proven itself over to its link."""
        session.linking = None
        if not session.open:
            return
        assert session.dialled is not None
        # What came before the link is no frame of it.
        session.queue = None
        session.link = self._realm.links.accepted(
            realm_id, session.outlet, transcript, session.dialled
        )

    def _refuse(self, session: Session, call: Call, error: ChatError) -> None:
        self.refused[error.code] += 1
        if not session.open:
            return
        session.refuse(call, error)
        limits = self._realm.limits
        if limits.on and session.errors_within(limits.ERROR_WINDOW) > limits.MAX_ERRORS:
            session.open = False
            session.outlet.close_with(4502, "too many errors")

    def _bug(self, call: Call) -> ChatError:
        """Log the exception being handled, once, without what the command carried."""
        log.exception("command %s failed", call.command)
        return ChatError(ErrorCode.INTERNAL, "The server failed; this is its bug, not yours")
