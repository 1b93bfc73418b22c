"""Decides which messages to deliver to the app: each once, in order, without gaps.

Pure. Pushes, pages of `sync` and replies to own sends may come in any order; the methods return the
messages to deliver next. A message is delivered either as an event or, if this client sent it, by
the reply to its call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, cast

from shared.bounded import BoundedDict
from shared.protocol.commands.history import Position
from shared.protocol.commands.messages import Message, MessageArrived
from shared.protocol.values import MAX_NUMBER, MAX_POSITIONS, fold

MAX_ADDRESS_CHARACTERS = 65
"""Characters of a conversation's address: two names and a separator."""
MAX_HELD_MESSAGES = 1_000
"""Held messages of a conversation; messages beyond that are dropped and fetched again."""
MAX_REPLIES_AHEAD = 20_000
"""Replies of one conversation ahead of its events; beyond that the oldest is dropped."""
MAX_UNPLACED_MESSAGES = 1_000
"""Own messages without a `seq` yet, which a remote host assigns later."""

Matches = Callable[[Message], bool]
"""Whether an own message may be the result of an unanswered send."""


@dataclass(frozen=True, slots=True)
class PositionPassed:
    """A conversation's position moved without an event; None if it is no longer followed."""

    conversation: str
    seq: int | None


Told = MessageArrived | PositionPassed


@dataclass(slots=True)
class _ConversationPosition:
    """One conversation."""

    name: str
    key: str
    """The folded address of the conversation."""
    seq: int | None = None
    """Delivered up to here without a gap; None while the beginning is unknown."""
    begun: bool = False
    """Whether `seq` came from a list; pushes on this connection may begin below it."""
    held: dict[int, tuple[MessageArrived, int]] = field(default_factory=dict)
    """Messages that cannot be delivered yet, each with the number of the latest send to await."""
    own: dict[int, None] = field(default_factory=dict)
    """Numbers above `seq` that replies to own sends have delivered."""
    sends: dict[int, Matches] = field(default_factory=dict)
    """Unanswered sends, by rising number."""
    asked: int = 0
    """The lowest held message when the latest sync was asked for."""

    def unsure(self, number: int) -> bool:
        """Whether a message may be the result of one of the sends up to this number."""
        return bool(number and self.sends) and next(iter(self.sends)) <= number


class ClientPositions:
    """The last delivered message of each conversation, and the held messages.

    `incomplete` is true when messages were missed: call `sync` from `have()` and give its pages to
    `page`. `started` is false until `begin` has set where to begin.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._places: BoundedDict[str, _ConversationPosition] = BoundedDict(
            MAX_POSITIONS, lambda _, place: self._release(place)
        )
        self._unplaced: BoundedDict[str, None] = BoundedDict(MAX_UNPLACED_MESSAGES)
        self._waiting: dict[str, None] = {}
        """Conversations with held messages."""
        self._held = 0
        self.started = known is not None
        self.incomplete = self.started
        self._again = False
        """Something was missed since the latest sync was asked for."""
        for name, seq in (known or {}).items():
            self._place(name).seq = seq

    def have(self) -> dict[str, int]:
        """Return the positions to sync from; a later sync includes everything missing now."""
        found = {}
        self._again = False
        for key in self._waiting:
            place = self._places[key]
            place.asked = min(place.held)
        for place in self._places.values():
            if place.seq is not None:
                seq = place.seq
                while seq + 1 in place.held or seq + 1 in place.own:
                    seq += 1
                found[place.name] = seq
        return found

    def connected(self) -> None:
        """Start a new connection: pushes were missed in between."""
        self.incomplete = True
        for place in self._places.values():
            place.begun = False

    def clear(self) -> None:
        """Drop everything but the unanswered sends: the history was replaced."""
        self.started = self._again = False
        self._waiting.clear()
        self._held = 0
        self._unplaced.clear()
        sending = [place for place in self._places.values() if place.sends]
        self._places.clear()
        for place in sending:
            self._places[place.key] = _ConversationPosition(
                place.name, place.key, sends=place.sends
            )

    def begin(self, standings: Iterable[tuple[str, int]]) -> list[Told]:
        """Begin at the present: after these last messages, or where pushes have already begun."""
        self.started, self.incomplete = True, self._again
        told: list[Told] = []
        for name, last in standings:
            place = self._place(name)
            place.seq = min([last, *(seq - 1 for seq in (*place.held, *place.own))])
            place.begun = True
            told.append(PositionPassed(place.name, place.seq))
            self._advance(place, told)
            if place.seq < last:
                self.drop()
        self._begin_rest(told)
        return told

    def push(self, message: MessageArrived) -> list[Told]:
        """Add a pushed message; return the deliverable messages."""
        place = self._places.get(fold(message.conversation))
        if place is None:
            place = self._place(message.conversation)
        self._meet(place, message.seq)
        told: list[Told] = []
        if place.seq == message.seq - 1 and message.state is None and not place.held:
            place.seq += 1
            place.begun = False
            told.append(message)
            self._advance(place, told)
            self._use(place)
            return told
        self._accept(place, message, told)
        if place.held and place.seq is not None and not self._next_is_here(place):
            self.drop()
        return told

    def drop(self) -> None:
        """Note a dropped message; a sync fetches it later."""
        self.incomplete = self._again = True

    def page(
        self, standings: Iterable[Position], messages: Iterable[Message], more: bool
    ) -> list[Told]:
        """Add a page of `sync`; return the deliverable messages.

        An unknown private chat begins with its first message. An unknown group begins after the
        user's read marker, which is the point of joining unless more was read since.
        """
        told: list[Told] = []
        for standing in standings:
            place = self._place(standing.conversation)
            if place.seq is None:
                is_group = standing.conversation.startswith("#")
                place.seq = standing.read_seq if is_group else 0
                told.append(PositionPassed(place.name, place.seq))
                self._advance(place, told)
        for message in messages:
            place = self._place(message.conversation)
            self._accept(place, _as_event(message), told)
        self.incomplete = more or self._again
        if not more:
            self._begin_rest(told)
            for key in list(self._waiting):
                place = self._places[key]
                if not self._next_is_here(place) and place.asked == min(place.held):
                    # Missing even from a sync requested afterwards, so it is not visible to this
                    # user.
                    place.seq = place.asked - 1
                    self._advance(place, told)
        return told

    def sent(self, number: int, conversation: str, matches: Matches) -> None:
        """Note a send; numbers rise."""
        self._place(conversation).sends[number] = matches

    def settled(self, number: int, conversation: str) -> list[Told]:
        """Note that a send is answered, or will not be; return the deliverable messages."""
        told: list[Told] = []
        place = self._places.get(fold(conversation))
        if place is not None:
            place.sends.pop(number, None)
            self._advance(place, told)
        return told

    def own(self, conversation: str, seq: int | None, id: str) -> list[Told]:
        """Note a message delivered by the reply to its send; return the deliverable messages."""
        if seq is None:
            self._unplaced[id] = None
            return []
        place = self._place(conversation)
        told: list[Told] = []
        self._meet(place, seq)
        self._is_own(place, seq)
        self._advance(place, told)
        return told

    def late(self, message: MessageArrived) -> list[Told]:
        """Note a reply without a waiting caller: its message is delivered as an event."""
        told: list[Told] = []
        place = self._place(message.conversation)
        self._meet(place, message.seq)
        self._accept(place, message, told, sure=True)
        return told

    def placed(self, conversation: str, seq: int | None, id: str) -> list[Told]:
        """Note the `seq` of an own message from a `delivery` event."""
        if id not in self._unplaced or seq is None:
            return []
        del self._unplaced[id]
        return self.own(conversation, seq, id)

    def forget(self, conversation: str) -> list[Told]:
        """Drop a group that was left; after a return it begins afresh."""
        place = self._places.pop(fold(conversation), None)
        if place is None:
            return []
        self._release(place)
        return [PositionPassed(place.name, None)]

    def _place(self, name: str) -> _ConversationPosition:
        if len(name) > MAX_ADDRESS_CHARACTERS:
            raise ValueError("no conversation has so long a name")
        key = fold(name)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = _ConversationPosition(name, key)
        return place

    def _meet(self, place: _ConversationPosition, seq: int) -> None:
        """Begin a conversation at its first message on this connection."""
        if place.seq is None:
            if self.started and not self.incomplete:
                place.seq = seq - 1
        elif place.begun and seq <= place.seq:
            place.seq = seq - 1

    def _accept(
        self,
        place: _ConversationPosition,
        message: MessageArrived,
        told: list[Told],
        sure: bool = False,
    ) -> None:
        """Hold a message; return the deliverable messages."""
        seq = message.seq
        if message.id in self._unplaced:
            del self._unplaced[message.id]
            self._is_own(place, seq)
        elif (place.seq is not None and seq <= place.seq) or seq in place.own or seq in place.held:
            return
        elif self._held >= MAX_HELD_MESSAGES and seq != (place.seq or 0) + 1:
            self.drop()
        else:
            number = 0
            if message.state is not None and not sure:
                number = max((n for n, fits in place.sends.items() if fits(message)), default=0)
            place.held[seq] = message, number
            self._held += 1
            self._waiting[place.key] = None
        self._advance(place, told)

    def _is_own(self, place: _ConversationPosition, seq: int) -> None:
        if place.held.pop(seq, None) is not None:
            self._held -= 1
            self._drained(place)
        if place.seq is None or seq > place.seq:
            place.own[seq] = None
            if len(place.own) > MAX_REPLIES_AHEAD:
                del place.own[next(iter(place.own))]

    def _advance(self, place: _ConversationPosition, told: list[Told]) -> None:
        """Return the held messages that follow without a gap."""
        if not place.own and not place.held:
            return
        while place.seq is not None:
            seq = place.seq + 1
            if seq in place.own:
                del place.own[seq]
                told.append(PositionPassed(place.name, seq))
            elif seq in place.held and not place.unsure(place.held[seq][1]):
                message, _ = place.held.pop(seq)
                self._held -= 1
                told.append(message)
            else:
                break
            place.seq = seq
            place.begun = False
        self._drained(place)
        self._use(place)

    def _use(self, place: _ConversationPosition) -> None:
        """Mark as used last: others are dropped first."""
        if len(self._places) > MAX_POSITIONS // 2 and place.key in self._places:
            self._places.move_to_end(place.key)

    def _next_is_here(self, place: _ConversationPosition) -> bool:
        """Whether the next message is held only because it may belong to an unanswered send."""
        return place.seq is not None and place.seq + 1 in place.held

    def _begin_rest(self, told: list[Told]) -> None:
        """Begin conversations that no list named with their first held message."""
        for key in list(self._waiting):
            place = self._places[key]
            if place.seq is None:
                place.seq = min(*place.held, *place.own, MAX_NUMBER) - 1
                self._advance(place, told)

    def _release(self, place: _ConversationPosition) -> None:
        self._held -= len(place.held)
        place.held.clear()
        self._drained(place)

    def _drained(self, place: _ConversationPosition) -> None:
        if not place.held:
            self._waiting.pop(place.key, None)


_FIELDS = attrgetter(*(field.name for field in fields(cast(Any, Message))))


def _as_event(message: Message) -> MessageArrived:
    return MessageArrived(*_FIELDS(message))
