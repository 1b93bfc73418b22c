"""The gate every frame passes: read, admit, run; then, once durable, reply and publish.

Commands of one connection take effect in the order sent. `pipeline.py` says which one may begin.
"""

from __future__ import annotations

import asyncio
import codecs
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, cast

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call
from shared.protocol.commands.files import Chunk, SendFile, SendGroupFile
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.spec import TABLE, Access, Reply
from ws_server.context import HANDLERS, Answer, Context, Outcome, RemoteReply
from ws_server.departures import Departures
from ws_server.message_replies import answer, refused_there
from ws_server.net.session import BROKEN, MAX_HANDSHAKE_FRAME, FrameTaker, Session
from ws_server.pipeline import DRAINING, ENDED
from ws_server.publications import announce
from ws_server.realm import Realm
from ws_server.store.database import current_payer, current_requester
from ws_server.store.journal import Mutation
from ws_server.store.messages import Draft
from ws_server.store.outbox import QUEUED

log = logging.getLogger(__name__)

MAX_PENALTY = 10.0
"""Seconds in which a connection is not read because of a refused frame."""


class Gate:
    """The one way from a frame to a handler and back."""

    def __init__(self, realm: Realm) -> None:
        missing = {spec.request for spec in TABLE.values()} - HANDLERS.keys()
        assert not missing, f"no handler for {missing}"
        self._realm = realm
        self._tasks: set[asyncio.Task[None]] = set()
        self._departures = Departures(self.end)
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
        if session.handshake is not None and len(frame) > MAX_HANDSHAKE_FRAME:
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
        if session.pipeline.queue:
            self._advance(session)

    def receive_binary(self, session: Session) -> None:
        """Take a binary frame, which is no command, and nothing that a link carries."""
        if session.handshake is not None:
            session.outlet.close_with(BROKEN, "links carry text frames")
            return
        error = ChatError(ErrorCode.BAD_COMMAND, "Binary frames are not understood; send text")
        self._take(session, Call(session.dialect, error=error), 0)

    def depart(self, session: Session) -> None:
        """The peer is gone, or going: it is told of nothing more, but what it sent is carried out.

        More of that may be read; `leave` says that all was.
        """
        if not session.pipeline.departed():
            return
        self._realm.hub.part(session)
        if session.handshake is not None:
            self.end(session)
        else:
            self._departures.add(session)

    def leave(self, session: Session) -> None:
        """Nothing more comes from the peer: the session ends once all that came is carried out."""
        self.depart(session)
        session.pipeline.drained()
        self._settle(session)

    def _settle(self, session: Session) -> None:
        if session.pipeline.is_done:
            self.end(session)

    def end(self, session: Session) -> None:
        """End a session at once; what the journal has of it is written all the same."""
        if not session.pipeline.ended():
            return
        self._departures.discard(session)
        self._realm.hub.sign_out(session)
        if session.lane is not None:
            session.lane.close()
        if session.link is not None:
            session.link.lost()
        session.outlet.finish()

    async def settled(self, seconds: float) -> None:
        """Wait until no session is leaving any more, and end those that are not done in time."""
        await self._departures.wait(seconds)

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
        pipeline = session.pipeline
        if (pipeline.queue or not self._run(session, call)) and pipeline.queued(call):
            session.outlet.pause_reading()

    def _admit(self, session: Session, call: Call) -> None:
        who, request, limits = session.asker, call.request, self._realm.limits
        if request is None:
            limits.refused(who, call.size)
        elif isinstance(request, Chunk | SendFile | SendGroupFile):
            limits.content(who, len(request.data), type(request) is Chunk)
        else:
            limits.command(who, call.size)

    def _penalise(self, session: Session, seconds: float) -> None:
        """Read no further for a while: reading is what a refused frame costs."""
        if session.pipeline.penalised():
            session.outlet.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(min(seconds, MAX_PENALTY), self._forgive, session)

    def _forgive(self, session: Session) -> None:
        if session.pipeline.forgiven():
            session.outlet.resume_reading()

    def _advance(self, session: Session) -> None:
        """Go on with what waits; end the session if nothing does and nothing will come."""
        pipeline = session.pipeline
        while pipeline.queue and self._run(session, pipeline.queue[0]):
            pipeline.dequeued()
        if pipeline.relieved():
            session.outlet.resume_reading()
        if pipeline.life is DRAINING:
            self._settle(session)

    def _run(self, session: Session, call: Call) -> bool:
        """Run a command if its turn has come; False if those before it must end first."""
        request, pipeline = call.request, session.pipeline
        if call.error is None and request is not None:
            registration = HANDLERS[type(request)]
            pipelined = registration.pipelined
            if not pipeline.admits(pipelined) or (not pipelined and session.outlet.congested):
                return False
            spec = request.spec
            if session.handshake is not None and spec.access is not Access.REALM:
                call.error = ChatError(ErrorCode.FORBIDDEN, "This connection is a realm's")
            elif spec.access is Access.USER and session.account is None:
                call.error = ChatError(
                    ErrorCode.NOT_AUTHENTICATED, "Sign in first: auth <user> <password>"
                )
        if call.error is not None and not pipeline.is_idle:
            return False
        if not session.pinned:
            session.dialect = call.dialect
        if call.error is not None:
            self._refuse(session, call, call.error)
            return True
        assert request is not None
        try:
            if spec.addresses or "realm" in spec.by_name:
                request = self._realm.local(request)
            result = registration.handler(Context(self._realm, session), request)
            if isinstance(result, Awaitable):
                pipeline.started()
                self._start(self._wait_for(session, call, result))
            else:
                self._answer(session, call, result, pipelined)
        except ChatError as error:
            if pipeline.unanswered:
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
        current_requester.set(session.asker)
        try:
            self._reply(session, call, await answering)
        except ChatError as error:
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        finally:
            session.pipeline.remote_replied()
            self._settle(session)

    async def _wait_for(self, session: Session, call: Call, answering: Awaitable[Answer]) -> None:
        posted = False
        current_requester.set(session.asker)
        current_payer.set(session.network if self._realm.limits.on else None)
        try:
            posted = self._answer(session, call, await answering, False)
        except ChatError as error:
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        finally:
            if not posted:
                session.pipeline.replied()
                if session.held is not None:
                    session.release()
                self._advance(session)

    def _answer(self, session: Session, call: Call, result: Answer, pipelined: bool) -> bool:
        """Reply, or hand what is to be written to the journal; True if the reply comes later."""
        if isinstance(result, Reply):
            self._reply(session, call, result)
            return False
        if isinstance(result, RemoteReply):
            session.pipeline.asked()
            self._start(self._ask_abroad(session, call, result.reply))
            return False
        result.origin = (session, call)
        result.done = self._durable
        self._realm.journal.post(result)
        session.pipeline.posted(pipelined)
        return True

    def _durable(self, entry: Draft | Mutation) -> None:
        """An entry is on disk, or was refused: reply, then publish."""
        session, call = entry.origin
        pipeline = session.pipeline
        pipeline.committed()
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
                    if entry.state == QUEUED:
                        pipeline.asked()
                    self._realm.links.deliver(entry, session, told)
        else:
            outcome = cast(Outcome, cast(Mutation, entry).result)
            assert outcome.reply is not None
            self._reply(session, call, outcome.reply)
            if outcome.changed is not None:
                self._realm.cache.put_group(outcome.changed)
            for publication in outcome.publications:
                self._realm.hub.publish(publication.event, publication.users, session)
            if outcome.realms:
                self._realm.links.notify_outbox(outcome.realms)
        if session.held is not None:
            session.release()
        if pipeline.queue or pipeline.life is DRAINING:
            self._advance(session)

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
        session.pipeline.remote_replied()
        self._settle(session)

    def _reply(self, session: Session, call: Call, reply: Reply) -> None:
        if session.pipeline.life is not ENDED:
            session.reply(call, reply)
        if session.handshake is not None and session.handshake.accept is not None:
            self._link(session, session.handshake.accept)

    def _link(self, session: Session, accept: Callable[[], FrameTaker | None]) -> None:
        """Hand the connection of a realm that has proven itself over to its link."""
        assert session.handshake is not None
        session.handshake.accept = None
        if session.open:
            session.outlet.admit(known=True)
            # What came before the link is no frame of it.
            session.pipeline.dropped()
            session.link = accept()

    def _refuse(self, session: Session, call: Call, error: ChatError) -> None:
        self.refused[error.code] += 1
        if not session.open:
            return
        session.refuse(call, error)
        limits = self._realm.limits
        if limits.on and session.errors_within(limits.ERROR_WINDOW) > limits.MAX_ERRORS:
            session.outlet.close_with(4502, "too many errors")

    def _bug(self, call: Call) -> ChatError:
        """Log the exception being handled, once, without what the command carried."""
        log.exception("command %s failed", call.command)
        return ChatError(ErrorCode.INTERNAL, "The server failed; this is its bug, not yours")
