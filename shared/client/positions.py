"""Which messages were told, so that each is told once and in order: neither holes nor doubles.

Pure: it sees pushes, pages of `sync` and replies to one's own sends in whatever order they come,
and says what to tell the app next. A message is told either as an event or, if this client sent
it, by the reply to its call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from shared.protocol.commands.history import Position
from shared.protocol.commands.messages import Message, MessageArrived
from shared.protocol.values import MAX_NUMBER, MAX_POSITIONS, fold

MAX_ADDRESS = 65
"""Characters of a conversation's address: two names and what is between them."""
MAX_HELD = 1_000
"""Messages that wait for earlier ones; what is over is dropped and fetched again."""
MAX_AHEAD = 20_000
"""Replies of one conversation that are ahead of its events; the oldest of more is forgotten."""
MAX_UNPLACED = 1_000
"""Own messages without a `seq` yet, which a remote host gives later."""

Matches = Callable[[Message], bool]
"""Whether a message of one's own could be the one a send without an answer has posted."""


@dataclass(frozen=True, slots=True)
class Passed:
    """A conversation's position moved without an event; None: it is no longer followed."""

    conversation: str
    seq: int | None


Told = MessageArrived | Passed


@dataclass(slots=True)
class _Place:
    """One conversation."""

    name: str
    key: str
    """The name as it is looked up."""
    seq: int | None = None
    """Told up to here without a gap; None while it is not known where to begin."""
    begun: bool = False
    """`seq` is from a list; pushes of this connection may begin below it."""
    held: dict[int, tuple[MessageArrived, int]] = field(default_factory=dict)
    """Messages that cannot be told yet; each waits for the sends up to a number to be answered."""
    own: dict[int, None] = field(default_factory=dict)
    """Above `seq`: told by the replies to one's own sends."""
    sends: dict[int, Matches] = field(default_factory=dict)
    """Sends without an answer, by their rising number."""
    asked: int = 0
    """The lowest held message when the latest sync was asked for."""

    def unsure(self, number: int) -> bool:
        """Whether a message may turn out to be one of the sends up to this number."""
        return bool(number and self.sends) and next(iter(self.sends)) <= number


class Positions:
    """The last message told of each conversation, and what waits to be told.

    `incomplete` is true when something was missed: a `sync` from `have()` is due, and its pages
    go to `page`. `started` is false until it is known where to begin, by `begin`.
    """

    def __init__(self, known: Mapping[str, int] | None = None) -> None:
        self._places: dict[str, _Place] = {}
        for name, seq in (known or {}).items():
            self._place(name).seq = seq
        self._unplaced: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        """Conversations that hold something."""
        self._held = 0
        self.started = known is not None
        self.incomplete = self.started
        self._again = False
        """Something was missed since the latest sync was asked for."""

    def have(self) -> dict[str, int]:
        """Return the positions to sync from; a sync that begins later sees what is missing now."""
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
        """A new connection: what was pushed meanwhile was missed."""
        self.incomplete = True
        for place in self._places.values():
            place.begun = False

    def clear(self) -> None:
        """Forget everything but the sends without an answer: the history is another one."""
        self.started = self._again = False
        self._waiting.clear()
        self._held = 0
        self._unplaced.clear()
        self._places = {
            key: _Place(place.name, key, sends=place.sends)
            for key, place in self._places.items()
            if place.sends
        }

    def begin(self, standings: Iterable[tuple[str, int]]) -> list[Told]:
        """Begin at the present: behind these last messages, or where pushes have begun already."""
        self.started, self.incomplete = True, self._again
        told: list[Told] = []
        for name, last in standings:
            place = self._place(name)
            place.seq = min([last, *(seq - 1 for seq in (*place.held, *place.own))])
            place.begun = True
            told.append(Passed(place.name, place.seq))
            self._advance(place, told)
            if place.seq < last:
                self.drop()
        self._begin_rest(told)
        return told

    def push(self, message: MessageArrived) -> list[Told]:
        """Take a pushed message; return what can be told now."""
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
        """A message was not taken; it is fetched later."""
        self.incomplete = self._again = True

    def page(
        self, standings: Iterable[Position], messages: Iterable[Message], more: bool
    ) -> list[Told]:
        """Take a page of `sync`; return what can be told now.

        A private chat that was not known begins with its first message, a group behind one's own
        read marker there, which is where one joined unless one has read on since.
        """
        told: list[Told] = []
        for standing in standings:
            place = self._place(standing.conversation)
            if place.seq is None:
                is_group = standing.conversation.startswith("#")
                place.seq = standing.read_seq if is_group else 0
                told.append(Passed(place.name, place.seq))
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
                    # Asked for after it was missed, and still not there: it is not ours to see.
                    place.seq = place.asked - 1
                    self._advance(place, told)
        return told

    def sent(self, number: int, conversation: str, matches: Matches) -> None:
        """A send goes out; numbers rise."""
        self._place(conversation).sends[number] = matches

    def settled(self, number: int, conversation: str) -> list[Told]:
        """A send has its answer, or will have none; return what can be told now."""
        told: list[Told] = []
        place = self._places.get(fold(conversation))
        if place is not None:
            place.sends.pop(number, None)
            self._advance(place, told)
        return told

    def own(self, conversation: str, seq: int | None, id: str) -> list[Told]:
        """The reply to a send told its message; return what can be told now."""
        if seq is None:
            self._unplaced[id] = None
            _limit(self._unplaced, MAX_UNPLACED)
            return []
        place = self._place(conversation)
        told: list[Told] = []
        self._meet(place, seq)
        self._is_own(place, seq)
        self._advance(place, told)
        return told

    def late(self, message: MessageArrived) -> list[Told]:
        """A reply came that nobody waits for: its message is told as an event."""
        told: list[Told] = []
        place = self._place(message.conversation)
        self._meet(place, message.seq)
        self._accept(place, message, told, sure=True)
        return told

    def placed(self, conversation: str, seq: int | None, id: str) -> list[Told]:
        """A `delivery` event told the `seq` of an own message."""
        if id not in self._unplaced or seq is None:
            return []
        del self._unplaced[id]
        return self.own(conversation, seq, id)

    def forget(self, conversation: str) -> list[Told]:
        """One left the group; if one comes back, it begins anew."""
        place = self._places.pop(fold(conversation), None)
        if place is None:
            return []
        self._release(place)
        return [Passed(place.name, None)]

    def _place(self, name: str) -> _Place:
        if len(name) > MAX_ADDRESS:
            raise ValueError("no conversation has so long a name")
        key = fold(name)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = _Place(name, key)
            if len(self._places) > MAX_POSITIONS:
                self._release(self._places.pop(next(iter(self._places))))
        return place

    def _meet(self, place: _Place, seq: int) -> None:
        """Begin a conversation with its first message of this connection."""
        if place.seq is None:
            if self.started and not self.incomplete:
                place.seq = seq - 1
        elif place.begun and seq <= place.seq:
            place.seq = seq - 1

    def _accept(
        self, place: _Place, message: MessageArrived, told: list[Told], sure: bool = False
    ) -> None:
        """Hold a message, then tell what can be told."""
        seq = message.seq
        if message.id in self._unplaced:
            del self._unplaced[message.id]
            self._is_own(place, seq)
        elif (place.seq is not None and seq <= place.seq) or seq in place.own or seq in place.held:
            return
        elif self._held >= MAX_HELD and seq != (place.seq or 0) + 1:
            self.drop()
        else:
            number = 0
            if message.state is not None and not sure:
                number = max((n for n, fits in place.sends.items() if fits(message)), default=0)
            place.held[seq] = message, number
            self._held += 1
            self._waiting[place.key] = None
        self._advance(place, told)

    def _is_own(self, place: _Place, seq: int) -> None:
        if place.held.pop(seq, None) is not None:
            self._held -= 1
            self._drained(place)
        if place.seq is None or seq > place.seq:
            place.own[seq] = None
            _limit(place.own, MAX_AHEAD)

    def _advance(self, place: _Place, told: list[Told]) -> None:
        """Tell what follows without a gap."""
        if not place.own and not place.held:
            return
        while place.seq is not None:
            seq = place.seq + 1
            if seq in place.own:
                del place.own[seq]
                told.append(Passed(place.name, seq))
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

    def _use(self, place: _Place) -> None:
        """Forget the others first."""
        if len(self._places) > MAX_POSITIONS // 2 and place.key in self._places:
            self._places[place.key] = self._places.pop(place.key)

    def _next_is_here(self, place: _Place) -> bool:
        """Whether what comes next is held only because it may be the message of a send."""
        return place.seq is not None and place.seq + 1 in place.held

    def _begin_rest(self, told: list[Told]) -> None:
        """What no list has named begins with what came of it."""
        for key in list(self._waiting):
            place = self._places[key]
            if place.seq is None:
                place.seq = min(*place.held, *place.own, MAX_NUMBER) - 1
                self._advance(place, told)

    def _release(self, place: _Place) -> None:
        self._held -= len(place.held)
        place.held.clear()
        self._drained(place)

    def _drained(self, place: _Place) -> None:
        if not place.held:
            self._waiting.pop(place.key, None)


def _as_event(message: Message) -> MessageArrived:
    return MessageArrived(
        message.id,
        message.conversation,
        message.seq,
        message.sender,
        message.time,
        message.text,
        message.file,
        message.state,
        message.bot,
    )


def _limit(some: dict[str, None] | dict[int, None], most: int) -> None:
    """Forget the oldest of more than `most`."""
    if len(some) > most:
        del some[next(iter(some))]  # type: ignore[arg-type]
