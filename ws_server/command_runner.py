"""Runs admitted commands in order. Once a change is durable, it replies, then publishes.

Commands of one connection take effect in the order sent. `pipeline.py` decides which may begin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from time import thread_time
from typing import Any, cast

from shared.background_tasks import BackgroundTasks
from shared.protocol.call import Call
from shared.protocol.errors import ChatError, ErrorCode
from shared.protocol.records import Reply
from shared.protocol.spec import TABLE, Access, Spec
from ws_server.context import (
    HANDLERS,
    Answer,
    Context,
    MessageAnswer,
    RegisteredHandler,
    RemoteReply,
)
from ws_server.message_replies import refused_there
from ws_server.net.session import FrameTaker, LinkState, Session
from ws_server.outcome import Outcome
from ws_server.pipeline import DRAINING, ENDED
from ws_server.publications import publish, publish_message
from ws_server.realm import Realm
from ws_server.store.database import charged_to
from ws_server.store.drafts import Draft, MessageEntry, StoredMessage
from ws_server.store.entries import Mutation
from ws_server.store.federation.outbox import QUEUED

log = logging.getLogger(__name__)

LONG_ANSWER = 0.001
"""Seconds of the event loop above which an answer is charged to its requester."""
LOOP_FACTOR = 5
"""Charge for a second of the event loop, in seconds of a reader: everybody waits for the loop."""


class CommandRunner:
    """The only path from a command to its handler, the journal and the reply."""

    def __init__(self, realm: Realm, end: Callable[[Session], None]) -> None:
        """Args: `end` ends a session."""
        missing = {spec.request for spec in TABLE.values()} - HANDLERS.keys()
        assert not missing, f"no handler for {missing}"
        self._realm = realm
        self._publisher = realm.publisher
        self._end = end
        self._tasks = BackgroundTasks()
        self.refused: dict[str, int] = dict.fromkeys(ErrorCode, 0)
        """The number of refused commands, by code."""

    async def close(self) -> None:
        """Wait for running commands, at most a second."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=1)

    def settle(self, session: Session) -> None:
        """End a departed session once all its commands are answered."""
        if session.pipeline.is_done:
            self._end(session)

    def advance(self, session: Session) -> None:
        """Run queued commands; end the session if it is departed and none is left."""
        pipeline = session.pipeline
        while pipeline.queue and self.run(session, pipeline.queue[0]):
            pipeline.dequeued()
        if pipeline.relieved():
            session.outlet.resume_reading()
        if pipeline.life is DRAINING:
            self.settle(session)

    def run(self, session: Session, call: Call) -> bool:
        """Run a command if its turn has come; return False if earlier ones must finish first."""
        request, pipeline = call.request, session.pipeline
        if call.error is None and request is not None:
            registration = HANDLERS[type(request)]
            pipelined = registration.pipelined
            if not pipeline.admits(pipelined) or (not pipelined and session.outlet.congested):
                return False
            call.error = _forbidden(session, request.spec)
        if call.error is not None and not pipeline.is_idle:
            return False
        options = session.options
        if not options.is_pinned:
            options.dialect = call.dialect
        if call.error is not None:
            self._refuse(session, call, call.error)
            return True
        assert request is not None
        try:
            if request.spec.addresses or "realm" in request.spec.by_name:
                request = self._realm.local(request)
            result = registration.handler(Context(self._realm, session), request)
            # Awaitable is an abstract class; checking it first takes three times as long.
            if isinstance(result, (Draft, Mutation, Reply, RemoteReply)):
                self._answer(session, call, registration, result)
            else:
                pipeline.started()
                self._start(session, self._wait_for(session, call, registration, result))
        except ChatError as error:
            if pipeline.unanswered:
                # This reply must not overtake those of earlier commands.
                call.error = error.with_traceback(None)
                return False
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        return True

    def _start(self, session: Session, work: Coroutine[Any, Any, None]) -> None:
        """Run work of a session in the background, at its cost whoever's frame led here."""
        self._tasks.start(work, charged_to(session.asker, self._payer(session)))

    def _payer(self, session: Session) -> str | None:
        return session.client.network if self._realm.limits.on else None

    async def _ask_abroad(self, session: Session, call: Call, answering: Awaitable[Reply]) -> None:
        """Reply once another realm has answered; later replies may overtake this one."""
        try:
            self._reply(session, call, await answering)
        except ChatError as error:
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        finally:
            session.pipeline.remote_replied()
            self.settle(session)

    async def _wait_for(
        self,
        session: Session,
        call: Call,
        registration: RegisteredHandler,
        answering: Awaitable[Answer],
    ) -> None:
        posted = False
        try:
            answered = await answering
            began = thread_time()
            posted = self._answer(session, call, registration, answered)
            took = thread_time() - began
            if took > LONG_ANSWER:
                self._realm.database.charge(self._payer(session), LOOP_FACTOR * took)
        except ChatError as error:
            self._refuse(session, call, error)
        except Exception:
            self._refuse(session, call, self._bug(call))
        finally:
            if not posted:
                session.pipeline.replied()
                if session.held is not None:
                    session.release()
                self.advance(session)

    def _answer(
        self, session: Session, call: Call, registration: RegisteredHandler, result: Answer
    ) -> bool:
        """Reply, or post the change to the journal; return True if the reply follows later."""
        if isinstance(result, Reply):
            self._reply(session, call, result)
            return False
        if isinstance(result, RemoteReply):
            session.pipeline.asked()
            self._start(session, self._ask_abroad(session, call, result.reply))
            return False
        entry = MessageEntry(result) if isinstance(result, Draft) else result
        entry.origin = (session, call, registration.answer)
        entry.done = self._durable
        entry.payer = self._payer(session)
        self._realm.journal.post(entry)
        session.pipeline.posted(registration.pipelined)
        return True

    def _durable(self, entry: MessageEntry | Mutation) -> None:
        """Reply to an entry that is on disk or was refused, then publish it."""
        session, call, answer = entry.origin
        pipeline = session.pipeline
        pipeline.committed()
        if type(entry) is MessageEntry and entry.draft.content.file is not None:
            self._count_stray(entry)
        if entry.error is not None:
            self._refuse(session, call, entry.error)
        elif type(entry) is MessageEntry:
            message, told = entry.message, None
            if entry.duplicate or message.state != QUEUED:
                self._reply(session, call, answer(message, call.request, entry.duplicate))
            else:
                # This reply waits for another realm; later replies may overtake it.
                pipeline.asked()
                told = partial(self._delivered, session, call, answer, message)
            if not entry.duplicate:
                publish_message(self._publisher, message, session, told)
        else:
            outcome = cast(Outcome, cast(Mutation, entry).result)
            assert outcome.reply is not None
            self._reply(session, call, outcome.reply)
            publish(self._publisher, outcome, session)
        if session.held is not None:
            session.release()
        if pipeline.queue or pipeline.life is DRAINING:
            self.advance(session)

    def _count_stray(self, entry: MessageEntry) -> None:
        if stray_bytes := entry.stray_bytes:
            stray, sender = self._realm.stray_bytes, entry.draft.sender
            stray[sender] = stray.get(sender, 0) + stray_bytes

    def _delivered(
        self,
        session: Session,
        call: Call,
        answer: MessageAnswer,
        message: StoredMessage,
        state: str,
        code: str | None,
        seq: int,
    ) -> None:
        """Reply once another realm stored or refused a message, or did not answer in time."""
        if code is None:
            message.state = state
            message.seq = seq or message.seq
            self._reply(session, call, answer(message, call.request, False))
        else:
            self._refuse(session, call, refused_there(message, code))
        session.pipeline.remote_replied()
        self.settle(session)

    def _reply(self, session: Session, call: Call, reply: Reply) -> None:
        if session.pipeline.life is not ENDED:
            session.reply(call, reply)
        if session.link_state is not None and session.link_state.accept is not None:
            self._link(session, session.link_state, session.link_state.accept)

    def _link(
        self, session: Session, state: LinkState, accept: Callable[[], FrameTaker | None]
    ) -> None:
        """Hand the connection of a verified realm over to its link."""
        state.accept = None
        if not session.has_ended:
            session.outlet.admit(known=True)
            # Frames received before this point do not belong to the link.
            session.pipeline.dropped()
            state.link = accept()

    def _refuse(self, session: Session, call: Call, error: ChatError) -> None:
        self.refused[error.code] += 1
        if session.has_ended:
            return
        session.refuse(call, error)
        limits = self._realm.limits
        if limits.on and session.errors_within(limits.ERROR_WINDOW) > limits.MAX_ERRORS:
            session.outlet.close_with(4502, "too many errors")

    def _bug(self, call: Call) -> ChatError:
        """Log the exception being handled, once, without the command's arguments."""
        log.exception("command %s failed", call.command)
        return ChatError(ErrorCode.INTERNAL, "The server failed; this is its bug, not yours")


def _forbidden(session: Session, spec: Spec) -> ChatError | None:
    """Return why this connection may not use a command; None if it may."""
    if session.link_state is not None and spec.access is not Access.REALM:
        return ChatError(ErrorCode.FORBIDDEN, "This connection is a realm's")
    if spec.access is Access.USER and session.account is None:
        return ChatError(ErrorCode.NOT_AUTHENTICATED, "Sign in first: auth <user> <password>")
    return None
