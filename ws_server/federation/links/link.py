"""One established link: signed frames in both directions, the same for dialler and listener.

A frame is a signature followed by a JSON object (`handshake.Seal`). `open` is the first frame; then
`batch` and `ack` carry rows, `want` and its answers carry file contents, and `ask` and `answer`
carry questions. docs/federation.md specifies them for other implementations.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from contextvars import Context
from functools import partial
from typing import Any

import orjson

from shared.protocol.errors import ErrorCode
from shared.protocol.kinds import IDENTIFIER, SEQ, Number
from shared.protocol.values import BadValue
from ws_server.federation.groups.group_replication import GroupReplication
from ws_server.federation.handshake.transcript import NotProven, Seal
from ws_server.federation.inbound.incoming import Incoming
from ws_server.federation.inbound.question_handlers import answer
from ws_server.federation.links.link_frames import (
    COPIES,
    GONE,
    HERE,
    LATER,
    PIECE_OF,
    STILL,
    WANT,
    Overrun,
)
from ws_server.federation.links.services import LinkServices
from ws_server.federation.outbound.outgoing import Outgoing
from ws_server.federation.outbound.questions import Asks
from ws_server.federation.peer import Peer
from ws_server.net.session import BROKEN, Outlet
from ws_server.store.federation.realms import MAX_ROWS

log = logging.getLogger(__name__)

MAX_UNSTORED = 4 * 2**20
"""Bytes of batches that may wait to be stored; a peer that respects the window sends a third."""
MAX_PAUSE = 5.0
"""Most seconds without reading a link; longer, the peer's pings would time out."""
FRAME_COST, UNKNOWN_COST = 5, 100
"""Cost in rows of verifying a frame, and of a frame of an unknown kind."""


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
        self._fetching = services.contents.of(known.id)
        self._giving = services.contents.giving(known.id, outlet, self._say)
        self.asks = Asks(known.name, self._say, partial(answer, services, peer))
        self._unstored: deque[tuple[int, int]] = deque()
        """The batches that wait to be stored: bytes and rows of each."""
        self._pause: asyncio.TimerHandle | None = None
        """Resumes reading the link."""
        self.outgoing = Outgoing(services.database, known.id, self._send)
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
        self._say(
            kind="open",
            log=self._log,
            instance=self._services.instance,
            have={"log": self._known.received_log, "number": self._known.received},
            refused=orjson.loads(self._known.refusals),
        )

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
            if not isinstance(body, dict):
                raise Overrun("a frame must be an object")
            if not self._ended:
                self._dispatch(body, len(frame))
            elif self._still is not None and body.get("kind") == HERE and not self._still.done():
                self._still.set_result(None)
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
        self._write(kind=STILL)
        return self._still

    def tell_of_copies(self) -> None:
        """Notify the peer that two servers use its key; works over a retired link, too."""
        self._write(kind=COPIES)

    def lost(self) -> None:
        """End the link, because its connection has ended or is closing."""
        if self._ended:
            return
        self._ended = True
        self.outgoing.close()
        self._giving.close()
        self._fetching.end(self._say)
        self.asks.close()
        if self._incoming is not None:
            self._incoming.close()
        self._peer.link_ended(self)

    def _break(self, why: str) -> None:
        log.warning("a link was broken off", extra={"realm": self._known.name, "why": why})
        self.end(BROKEN, why[:100])

    def _dispatch(self, body: dict[str, Any], size: int) -> None:
        kind = body.get("kind")
        if self._incoming is None:
            if kind != "open":
                raise Overrun("a link must begin with open")
            self._open(body)
        elif kind == "batch":
            self._receive_rows(self._incoming, body, size)
        elif kind == "ack":
            self._acked(body)
        elif kind == WANT:
            self._giving.want(body)
        elif kind in (PIECE_OF, LATER, GONE):
            self._fetching.answered(body)
        elif kind == "ask":
            self.asks.asked(body)
        elif kind == "answer":
            self.asks.answered(body)
        elif kind == STILL:
            self._say(kind=HERE)
        elif kind == COPIES:
            self._peer.link_copied()
        else:
            # A newer version may send other kinds; ignore them, at a high cost.
            self._slow_down(UNKNOWN_COST)

    def _receive_rows(self, incoming: Incoming, body: dict[str, Any], size: int) -> None:
        count = incoming.take(body.get("items"), size)
        self._unstored.append((size, count))
        if sum(size for size, _ in self._unstored) > MAX_UNSTORED:
            raise Overrun("more bytes are sent than the window allows")
        if sum(count for _, count in self._unstored) > MAX_ROWS:
            raise Overrun("more rows are sent than the window allows")

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

    def _open(self, body: dict[str, Any]) -> None:
        self.their_log = IDENTIFIER.from_json(body.get("log"))
        if "instance" in body:
            self.their_instance = IDENTIFIER.from_json(body["instance"])
        have = body.get("have")
        if not isinstance(have, dict):
            raise Overrun("open must contain have")
        number = _CLAIM.from_json(have.get("number"))
        refused = body.get("refused", {})
        if not isinstance(refused, dict) or len(refused) > MAX_ROWS:
            raise Overrun("refused must be a short object")
        if have.get("log") != self._log:
            self.restored = have.get("log") != ""
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
        self._fetching.begin(self._say, self._known.name)

    def _acked(self, body: dict[str, Any]) -> None:
        up_to = SEQ.from_json(body.get("up_to"))
        refused = body.get("refused")
        if up_to > self.outgoing.sent or not isinstance(refused, dict):
            raise Overrun("an ack of rows that were not sent")
        items = self.outgoing.confirm(up_to)
        sent = {str(item.number): item.number for item in items}
        codes = {sent[n]: _code(code) for n, code in refused.items() if n in sent}
        self._peer.link_confirmed(items, up_to, codes)

    def _confirm(self, up_to: int, refused: dict[int, str], refusals: str) -> None:
        self._unstored.popleft()
        self._peer.link_received(self.their_log, up_to, refusals)
        if not self._ended:
            self._say(kind="ack", up_to=up_to, refused={str(n): c for n, c in refused.items()})

    def _give_up(self, why: str) -> None:
        if not self._ended:
            self._break(why)

    def _say(self, **body: Any) -> None:
        self._send(orjson.dumps(body))

    def _send(self, body: bytes) -> None:
        if not self._ended:
            self._outlet.write(self._seal.close(body))

    def _write(self, **body: Any) -> None:
        self._outlet.write(self._seal.close(orjson.dumps(body)))


def _code(code: object) -> str:
    """Return the code of a refused row; REALM_REFUSED if it is malformed."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else ErrorCode.REALM_REFUSED


_CLAIM = Number(0, 2**52)
"""The last number that a peer may claim; counting on from it stays within 2**53."""
_CODE = re.compile("[a-z_]{1,32}")
_NUMBER = re.compile("[1-9][0-9]{0,15}")
