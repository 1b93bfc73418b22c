"""One established link: signed frames in both directions, the same for dialler and listener.

A frame is a signature followed by a JSON object (`handshake.Seal`). `frames.link_frames` declares
each kind; this module passes each frame on to the part of the link that it is for.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial
from typing import Any

import orjson

from shared.protocol.errors import ErrorCode
from shared.protocol.values import BadValue
from ws_server.federation.frames.link_frames import (
    FRAME_COST,
    MAX_UNSTORED,
    UNKNOWN_COST,
    Ack,
    Answer,
    Ask,
    Batch,
    ContentAnswer,
    Copies,
    Frame,
    Gone,
    Have,
    Here,
    Later,
    Open,
    Overrun,
    Piece,
    Still,
    Want,
    decode,
    is_here,
)
from ws_server.federation.groups.group_replication import GroupReplication
from ws_server.federation.handshake.transcript import NotProven, Seal
from ws_server.federation.inbound.incoming import Incoming
from ws_server.federation.inbound.question_handlers import answer
from ws_server.federation.links.services import LinkServices
from ws_server.federation.outbound.outgoing import Outgoing
from ws_server.federation.outbound.questions import Questions
from ws_server.federation.peer import Peer
from ws_server.net.session import BROKEN, Outlet
from ws_server.store.federation.outbox_rows import Item
from ws_server.store.federation.realms import MAX_ROWS

log = logging.getLogger(__name__)

MAX_PAUSE = 5.0
"""Most seconds without reading a link; longer, the peer's pings would time out."""


class Link:
    """One link. Call its methods on the event loop only."""

    def __init__(
        self, services: LinkServices, peer: Peer, outlet: Outlet, seal: Seal, context: Context
    ) -> None:
        """Make a link; `begin` sends its first frame.

        Args:
            context: The context of all its work, by which that is charged.
        """
        known = peer.known
        self._context = context
        self._services = services
        self._peer = peer
        self._known = known
        """The peer's record at the beginning of the link."""
        self._outlet = outlet
        self._seal = seal
        self._ended = False
        self._incoming: Incoming | None = None
        self.their_log = ""
        """The peer's history to which its row numbers belong."""
        self.their_instance = ""
        """The name of the peer's server start; empty if the peer sends none."""
        self.restored = False
        """Whether the peer has received rows of another history of this realm: a backup was
        restored here."""
        self._content_client = services.contents.client(known.id)
        self._content_server = services.contents.server(known.id, outlet, self._send)
        self.questions = Questions(known.name, self._send, partial(answer, services, peer))
        self._unstored: deque[tuple[int, int]] = deque()
        """The batches that wait to be stored: bytes and rows of each."""
        self._unstored_bytes = self._unstored_rows = 0
        self._pause: asyncio.TimerHandle | None = None
        """Resumes reading the link."""
        self.outgoing = Outgoing(services.database, known.id, self._send_body)
        self._still: asyncio.Future[None] | None = None
        """Done when the peer answers `still` over this link after its replacement."""

    @property
    def opened(self) -> bool:
        """Whether the peer has sent `open`, so that messages flow."""
        return self._incoming is not None

    @property
    def _log(self) -> str:
        """The history to which our row numbers belong: one for each peer.

        A realm that returns with a new key is another peer here. Its own history prevents the
        confirmations of the old key from counting for the new one.
        """
        return f"{self._services.database.history_id}.{self._known.id}"

    def begin(self) -> None:
        """Send `open`: our history, and the last row that we stored of the peer's history."""
        have = Have(self._known.received_log, self._known.received)
        refused = orjson.loads(self._known.refusals)
        self._send(Open(self._log, self._services.instance, have, refused))

    def receive(self, frame: bytes) -> None:
        """Verify and process one frame; an invalid frame ends the link."""
        self._context.run(self._receive, frame)

    def _receive(self, frame: bytes) -> None:
        if self._ended and self._still is None:
            return
        try:
            if not self._ended:
                self._slow_down(FRAME_COST)
            body = orjson.loads(self._seal.open(frame))
            if not self._ended:
                self._process(decode(body, self._incoming is not None), len(frame))
            elif is_here(body):
                self._still_there()
        except (NotProven, Overrun, BadValue, orjson.JSONDecodeError) as error:
            self._give_up(str(error))

    def end(self, code: int, reason: str) -> None:
        """Close the connection."""
        self._outlet.close_with(code, reason)
        self.lost()

    def retire(self) -> Outlet:
        """Stop receiving and sending, and return the connection, which the caller closes."""
        self.lost()
        return self._outlet

    def ask_if_still_there(self) -> asyncio.Future[None]:
        """Probe the peer over a retired link; the future is done when the peer answers."""
        self._still = asyncio.get_running_loop().create_future()
        self._write(Still().body())
        return self._still

    def _still_there(self) -> None:
        if self._still is not None and not self._still.done():
            self._still.set_result(None)

    def tell_of_copies(self) -> None:
        """Notify the peer that two servers use its key; works over a retired link, too."""
        self._write(Copies().body())

    def lost(self) -> None:
        """End the link, because its connection has ended or is closing."""
        if self._ended:
            return
        self._ended = True
        self.outgoing.close()
        self._content_server.close()
        self._content_client.end(self._send)
        self.questions.close()
        if self._incoming is not None:
            self._incoming.close()
        self._peer.link_ended(self)

    def _break(self, why: str) -> None:
        log.warning("a link was broken off", extra={"realm": self._known.name, "why": why})
        self.end(BROKEN, why[:100])

    def _process(self, frame: Frame | None, size: int) -> None:
        if frame is None:
            # A newer version may send other kinds; ignore them, at a high cost.
            self._slow_down(UNKNOWN_COST)
        elif type(frame) is Batch:
            self._receive_rows(frame, size)
        else:
            _HANDLERS[type(frame)](self, frame)

    def _receive_rows(self, batch: Batch, size: int) -> None:
        assert self._incoming is not None, "a link begins with open"
        count = len(batch.items)
        self._incoming.enqueue(batch.items, size)
        self._unstored.append((size, count))
        self._unstored_bytes += size
        self._unstored_rows += count
        if self._unstored_bytes > MAX_UNSTORED:
            raise Overrun("more bytes are sent than the window allows")
        if self._unstored_rows > MAX_ROWS:
            raise Overrun("more rows are sent than the window allows")

    def _answer_still(self, _: Still) -> None:
        self._send(Here())

    def _copies(self, _: Copies) -> None:
        self._peer.link_copied()

    def _asked(self, ask: Ask) -> None:
        self.questions.asked(ask)

    def _answered(self, answer: Answer) -> None:
        self.questions.answered(answer)

    def _wanted(self, want: Want) -> None:
        self._content_server.want(want)

    def _content_answered(self, answer: ContentAnswer) -> None:
        self._content_client.answered(answer)

    def _slow_down(self, rows: int) -> None:
        """Pause reading if the peer exceeds its rate of frames and rows."""
        wait = self._services.limits.frame(self._peer.known, rows)
        if wait > 0:
            self._outlet.pause_reading()
            if self._pause is not None:
                self._pause.cancel()
            wait = min(wait, MAX_PAUSE)
            self._pause = asyncio.get_running_loop().call_later(wait, self._read_again)

    def _read_again(self) -> None:
        if not self._ended:
            self._outlet.resume_reading()

    def _open(self, frame: Open) -> None:
        self.their_log = frame.log
        self.their_instance = frame.instance or ""
        number, refused = frame.have.number, frame.refused
        if frame.have.log != self._log:
            self.restored = frame.have.log != ""
            number, refused = 0, {}
        codes = {int(n): _code(code) for n, code in refused.items() if _NUMBER.fullmatch(n)}
        self._incoming = Incoming(
            self._services, self._peer, self.their_log, self._confirm, self._give_up
        )
        self._peer.link_opened(number, codes)
        renewed = self.their_log != self._peer.known.received_log
        replication = GroupReplication(self._services, self._peer)
        self._services.peers.start(replication.catch_up(renewed=renewed, restored=self.restored))
        self.outgoing.begin(number)
        self._content_client.begin(self._send, self._known.name)

    def _acked(self, ack: Ack) -> None:
        if ack.up_to > self.outgoing.sent:
            raise Overrun("an ack of rows that were not sent")
        items = self.outgoing.confirm(ack.up_to)
        codes = _codes(items, ack.refused) if ack.refused else {}
        self._peer.link_confirmed(items, ack.up_to, codes)

    def _confirm(self, up_to: int, refused: dict[int, str], refusals: str) -> None:
        size, count = self._unstored.popleft()
        self._unstored_bytes -= size
        self._unstored_rows -= count
        self._peer.link_received(self.their_log, up_to, refusals)
        self._send(Ack(up_to, {str(number): code for number, code in refused.items()}))

    def _give_up(self, why: str) -> None:
        if not self._ended:
            self._break(why)

    def _send(self, frame: Frame) -> None:
        self._send_body(frame.body())

    def _send_body(self, body: bytes) -> None:
        if not self._ended:
            self._write(body)

    def _write(self, body: bytes) -> None:
        self._outlet.write(self._seal.close(body))


_HANDLERS: dict[type[Frame], Callable[[Link, Any], None]] = {
    Ack: Link._acked,
    Want: Link._wanted,
    **dict.fromkeys((Piece, Later, Gone), Link._content_answered),
    Ask: Link._asked,
    Answer: Link._answered,
    Open: Link._open,
    Still: Link._answer_still,
    Copies: Link._copies,
}


def _codes(items: list[Item], refused: Mapping[str, object]) -> dict[int, str]:
    """Return the codes of those rows that were refused."""
    sent = {str(item.number): item.number for item in items}
    return {sent[n]: _code(code) for n, code in refused.items() if n in sent}


def _code(code: object) -> str:
    """Return the code of a refused row; REALM_REFUSED if it is malformed."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ErrorCode.REALM_REFUSED


_CODE = re.compile("[a-z_]{1,32}")
_NUMBER = re.compile("[1-9][0-9]{0,15}")
