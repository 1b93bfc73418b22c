"""The sync query: messages that a reader has not received."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter, itemgetter
from typing import Any

from shared.protocol.commands.messages import Message
from shared.protocol.values import Address, ConversationAddress, fold
from ws_server.store.conversation_summaries import Standing, standings
from ws_server.store.federation import outbox_queries
from ws_server.store.message_pages import (
    NO_STATES,
    PAGE_BYTES,
    Range,
    in_ranges,
    size_on_wire,
    to_message,
)
from ws_server.store.steps import Steps, alone

SYNC_MESSAGES = 500
"""Most messages in one reply to sync."""
WAVE = 64
"""Messages read at a time; a small number, because a few large ones fill a page."""


@dataclass(slots=True)
class Missed:
    """One page of missed messages, with all conversations."""

    standings: list[Standing]
    """All conversations; those with new messages first."""
    messages: list[Message]
    more: bool
    recovered: bool


def missed(reader: int, have: dict[ConversationAddress, int]) -> Steps[Missed]:
    """Return one page of the messages after `have`, in the order of their times.

    A page holds, of each conversation in it, the oldest missed messages without a gap. If `have` is
    ahead of this history, the client knows another one, and `recovered` is False.
    """
    positions = {fold(_here(address)): seq for address, seq in have.items()}
    all_of_them = yield from standings(reader)
    # A reply may not fit all standings, and must include those of the messages in it.
    all_of_them.sort(key=lambda s: positions.get(fold(s.address), -1) >= s.last_seq)
    known = {fold(s.address): s for s in all_of_them}
    for address, seq in positions.items():
        standing = known.get(address)
        ahead = seq > standing.last_seq if standing else seq > 0 and not address.startswith("#")
        if ahead:
            return Missed(all_of_them, [], False, False)
    behind = [
        (standing, after)
        for standing in all_of_them
        if (after := max(positions.get(fold(standing.address), 0), standing.hidden_seq))
        < standing.last_seq
    ]
    found, more = yield from _page(reader, behind)
    return Missed(all_of_them, found, more, True)


def _page(reader: int, behind: Sequence[tuple[Standing, int]]) -> Steps[tuple[list[Message], bool]]:
    """Return the messages missed in these conversations, and whether there are more.

    Args:
        behind: Conversations, each with the last seq that the reader has.
    """
    found: list[tuple[int, Message]] = []
    size, more = 0, False
    times: dict[int, int] = {}
    for wave in _waves(behind):
        rows = yield from _rows(wave)
        away = [s.id for s, _ in wave if "@" in s.address and s.name is None]
        states = (yield from alone(outbox_queries.states, away)) if away else NO_STATES
        for standing, _ in wave:
            for row in rows.get(standing.id, ()):
                if len(found) >= SYNC_MESSAGES or size >= PAGE_BYTES:
                    more = True
                    break
                message = to_message(row, reader, standing.address, states)
                # Times rise with the seqs, even if the clock was set back.
                times[standing.id] = max(times.get(standing.id, 0), message.time)
                found.append((times[standing.id], message))
                size += size_on_wire(message)
        if more:
            break
    found.sort(key=itemgetter(0))
    return [message for _, message in found], more


def _waves(
    behind: Iterable[tuple[Standing, int]],
) -> Iterator[list[tuple[Standing, Range]]]:
    """Yield ranges of up to WAVE messages, to be read one wave at a time until the page is full."""
    wave: list[tuple[Standing, Range]] = []
    remaining = WAVE
    for standing, after in behind:
        while after < standing.last_seq:
            last = min(standing.last_seq, after + remaining)
            wave.append((standing, Range(standing.id, after, last)))
            remaining -= last - after
            after = last
            if remaining == 0:
                yield wave
                wave, remaining = [], WAVE
    if wave:
        yield wave


def _rows(wave: Sequence[tuple[Standing, Range]]) -> Steps[dict[int, list[Any]]]:
    """Return the messages by conversation, in the order of `seq`."""
    rows: dict[int, list[Any]] = {}
    for row in (yield from in_ranges([span for _, span in wave])):
        rows.setdefault(row.conversation_id, []).append(row)
    for page in rows.values():
        page.sort(key=attrgetter("seq"))
    return rows


def _here(address: ConversationAddress) -> str:
    return address.user if isinstance(address, Address) and not address.realm else str(address)
