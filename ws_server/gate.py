"""The gate for all frames: reads and admits them, and ends sessions."""

from __future__ import annotations

import asyncio
import codecs

from shared.protocol import json_dialect, text_dialect
from shared.protocol.call import Call
from shared.protocol.commands.files import Chunk, SendFile, SendGroupFile
from shared.protocol.errors import ChatError, ErrorCode
from ws_server.command_runner import CommandRunner
from ws_server.departures import Departures
from ws_server.net.session import BROKEN, MAX_HANDSHAKE_FRAME, Session
from ws_server.realm import Realm

MAX_PENALTY = 10.0
"""Seconds for which a connection is not read after a refused frame."""


class Gate:
    """Receives everything that connections report; `command_runner.py` runs the commands."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._commands = CommandRunner(realm, self.end)
        self._departures = Departures(self.end)
        self.commands = 0
        self.refused = self._commands.refused
        """The number of refused commands, by code."""

    def receive(self, session: Session, frame: bytes) -> None:
        """Receive one text frame.

        Raises:
            UnicodeDecodeError: the frame is not UTF-8.
        """
        if (state := session.link_state) is not None:
            if state.link is not None:
                state.link.receive(frame)
                return
            if len(frame) > MAX_HANDSHAKE_FRAME:
                session.outlet.close_with(BROKEN, "a frame of the handshake is too large")
                return
        if frame[:3] == codecs.BOM_UTF8:  # begins a file that a program sends line by line
            frame = frame[3:]
        if frame[:1] == b"{" or frame.lstrip()[:1] == b"{":
            call = json_dialect.parse(frame)
            if call.request is None:
                frame.decode()  # a frame that is not UTF-8 has no reply, not even a refusal
        else:
            call = text_dialect.parse(frame.decode())
        self._take(session, call, len(frame))

    def resume(self, session: Session) -> None:
        """Continue with the queued commands, as the peer has read the frames written."""
        if session.pipeline.queue:
            self._commands.advance(session)

    def receive_binary(self, session: Session) -> None:
        """Refuse a binary frame; during a link handshake, close the connection."""
        if session.link_state is not None:
            session.outlet.close_with(BROKEN, "links carry text frames")
            return
        error = ChatError(ErrorCode.BAD_COMMAND, "Binary frames are not supported; send text")
        self._take(session, Call(session.options.dialect, error=error), 0)

    def depart(self, session: Session) -> None:
        """Stop pushing to a peer that is gone or closing; carry out the commands it has sent.

        More of its frames may still be read; `leave` reports the last.
        """
        if not session.pipeline.departed():
            return
        self._realm.hub.part(session)
        if session.link_state is not None:
            self.end(session)
        else:
            self._departures.add(session)

    def leave(self, session: Session) -> None:
        """Note that the peer's last frame was read: the session ends once all are carried out."""
        self.depart(session)
        session.pipeline.drained()
        self._commands.settle(session)

    def end(self, session: Session) -> None:
        """End a session at once; entries that the journal already has are still written."""
        if not session.pipeline.ended():
            return
        self._departures.discard(session)
        self._realm.hub.sign_out(session)
        session.drop_partial_answers()
        if session.link_state is not None and session.link_state.link is not None:
            session.link_state.link.lost()
        session.outlet.finish()

    async def settled(self, seconds: float) -> None:
        """Wait until all departing sessions have ended; after `seconds`, end the rest."""
        await self._departures.wait(seconds)

    async def close(self) -> None:
        """Wait for running commands; the caller has closed the connections."""
        await self._commands.close()

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
        if (pipeline.queue or not self._commands.run(session, call)) and pipeline.queued(call):
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
        """Stop reading for a while; this is the price of a refused frame."""
        if session.pipeline.penalised():
            session.outlet.pause_reading()
            loop = asyncio.get_running_loop()
            loop.call_later(min(seconds, MAX_PENALTY), self._forgive, session)

    def _forgive(self, session: Session) -> None:
        if session.pipeline.forgiven():
            session.outlet.resume_reading()
