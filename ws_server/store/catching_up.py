"""What a reader missed."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter

from sqlalchemy import ColumnElement, Connection, and_

from shared.protocol.commands.messages import Message
from shared.protocol.values import Address, fold
from shared.protocol.values import Conversation as ConversationAddress
from ws_server.store import waiting
from ws_server.store.pages import MESSAGE, NO_STATES, PAGE_BYTES, size_on_wire, to_message
from ws_server.store.schema import messages
from ws_server.store.standings import Standing, standings

SYNC_MESSAGES = 500
"""Most messages in one answer to sync."""


@dataclass(slots=True)
class Missed:
    """What a reader has not got."""

    standings: list[Standing]
    """Of all conversations; first those in which something is new."""
    messages: list[Message]
    more: bool
    recovered: bool


def missed(tx: Connection, reader: int, have: dict[ConversationAddress, int]) -> Missed:
    """Return what came after `have`, one page of it, in the order of its times.

    A page takes whole beginnings: of each conversation in it, the oldest missed messages without
    a gap. `recovered` is false if `have` is ahead of the history, which then is another one.
    """
    positions = {fold(_here(address)): seq for address, seq in have.items()}
    all_of_them = standings(tx, reader)
    # Not all may fit one answer, and nobody can do without those of the messages in it.
    all_of_them.sort(key=lambda s: positions.get(fold(s.address), -1) >= s.last_seq)
    known = {fold(s.address): s for s in all_of_them}
    for address, seq in positions.items():
        standing = known.get(address)
        ahead = seq > standing.last_seq if standing else seq > 0 and not address.startswith("#")
        if ahead:
            return Missed(all_of_them, [], False, False)
    found: list[tuple[int, Message]] = []
    size = 0
    more = False
    for standing in all_of_them:
        after = positions.get(fold(standing.address), 0)
        if after >= standing.last_seq:
            continue
        if len(found) >= SYNC_MESSAGES or size >= PAGE_BYTES:
            more = True
            break
        time = 0
        away = "@" in standing.address and standing.name is None
        states = waiting.states(tx, (standing.id,)) if away else NO_STATES
        rows = tx.execute(
            MESSAGE.where(_above(standing.id, after))
            .order_by(messages.c.seq)
            .limit(SYNC_MESSAGES - len(found))
        )
        for row in rows:
            if size >= PAGE_BYTES:
                break
            message = to_message(row, reader, standing.address, states)
            # A clock that was set back must not part time and seq.
            time = max(time, message.time)
            found.append((time, message))
            size += size_on_wire(message)
            after = row.seq
        rows.close()
        more = more or after < standing.last_seq
    found.sort(key=itemgetter(0))
    return Missed(all_of_them, [message for _, message in found], more, True)


def _here(address: ConversationAddress) -> str:
    return address.user if isinstance(address, Address) and not address.realm else str(address)


def _above(conversation_id: int, seq: int) -> ColumnElement[bool]:
    return and_(messages.c.conversation_id == conversation_id, messages.c.seq > seq)
