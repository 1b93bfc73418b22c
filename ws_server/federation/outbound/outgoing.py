"""The outgoing rows of one link: the outbox in its order, within a window.

While the link keeps up, rows are sent straight after their commit, without a query. When it falls
behind, rows stay in the outbox and are read from there, so memory never holds more than the window.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from shared.protocol.errors import ChatError
from ws_server.store.database import Database
from ws_server.store.federation import outbox_rows
from ws_server.store.federation.outbox_rows import Item
from ws_server.store.federation.realms import MAX_ROWS

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 20
"""Bytes of rows that may be unconfirmed."""
MAX_BATCH = 512 * 1024
"""Bytes of rows in one frame; a frame has at most 1 MiB, its signature included."""
MAX_READ = 64
"""Rows read from the outbox at once; the roster of a large group has hundreds of KiB."""
PAUSE = 1.0
"""Seconds before the outbox is read again after the store failed."""


class Outgoing:
    """The stream of rows to one peer. Call its methods on the event loop only."""

    def __init__(self, database: Database, realm_id: int, send: Callable[[bytes], None]) -> None:
        self._database = database
        self._realm_id = realm_id
        self._send = send
        self._sent = 0
        self._unconfirmed: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._batch: list[bytes] = []
        self._live = False
        """All rows of the outbox were sent, so new rows are sent straight after their commit."""
        self._missed = False
        """A row was committed that the query in progress may not include."""
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    def begin(self, after: int) -> None:
        """Send the rows after a number, the last one that the peer has."""
        self._sent = after
        self._read_on()

    def close(self) -> None:
        """Stop sending; unconfirmed rows stay in the outbox."""
        self._closed = True
        self._live = False
        self._batch.clear()
        if self._reading is not None:
            self._reading.cancel()

    def offer(self, item: Item) -> None:
        """Send a row that was just committed, or leave it in the outbox until there is room.

        Rows of one commit may be offered out of order. Only the next number is sent from here; the
        others are read from the outbox, so that no row is skipped.
        """
        if item.number <= self._sent:
            return
        if self._live and item.number == self._sent + 1 and not self._is_full():
            self._send_row(item)
        else:
            self.notify_outbox()

    def notify_outbox(self) -> None:
        """Read the outbox, because rows were committed that are not offered here."""
        self._live = False
        self._missed = True
        self._read_on()

    def confirm(self, up_to: int) -> list[Item]:
        """Remove the rows up to a number from the window, and return them."""
        confirmed: list[Item] = []
        while self._unconfirmed and self._unconfirmed[0][0].number <= up_to:
            item, size = self._unconfirmed.popleft()
            self._bytes -= size
            confirmed.append(item)
        if not self._live:
            self._read_on()
        return confirmed

    @property
    def sent(self) -> int:
        """The highest number sent."""
        return self._sent

    def _is_full(self) -> bool:
        return len(self._unconfirmed) >= MAX_ROWS or self._bytes >= MAX_BYTES

    def _send_row(self, item: Item) -> None:
        row = item.on_link()
        self._sent = item.number
        self._unconfirmed.append((item, len(row)))
        self._bytes += len(row)
        if not self._batch:
            asyncio.get_running_loop().call_soon(self._flush)
        self._batch.append(row)

    def _flush(self) -> None:
        """Send the rows of one pass of the event loop, in as few frames as fit."""
        batch, self._batch = self._batch, []
        while batch:
            size, count = len(batch[0]), 1
            while count < len(batch) and size + len(batch[count]) <= MAX_BATCH:
                size += len(batch[count])
                count += 1
            self._send(b'{"kind":"batch","items":[' + b",".join(batch[:count]) + b"]}")
            del batch[:count]

    def _read_on(self) -> None:
        if self._reading is None and not self._closed and not self._is_full():
            self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        """Send rows from the outbox until it is exhausted or the window is full."""
        try:
            while not self._is_full():
                self._missed = False
                room = min(MAX_READ, MAX_ROWS - len(self._unconfirmed))
                found: Sequence[Item] = await self._database.read(
                    outbox_rows.read, self._realm_id, self._sent, room
                )
                for item in found:
                    if self._is_full():
                        return
                    self._send_row(item)
                if len(found) < room and not self._missed:
                    self._live = True
                    return
        except ChatError as error:
            log.error("the outbox cannot be read: %s", error.message)
            await asyncio.sleep(PAUSE)
            asyncio.get_running_loop().call_soon(self._read_on)
        finally:
            self._reading = None
