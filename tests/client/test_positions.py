"""No gaps and no duplicates, without sockets: deliveries for input in any order."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from shared.client import positions as module
from shared.client.positions import ClientPositions, PositionPassed
from shared.protocol.commands.history import Position
from shared.protocol.commands.messages import Message, MessageArrived


def arrived(seq: int, place: str = "bob", *, own: bool = False, text: str = "hi") -> MessageArrived:
    state = "stored" if own else None
    return MessageArrived(f"m{place}{seq}", place, seq, "x", seq, text, None, state)


def standing(place: str, last: int, read: int = 0) -> Position:
    return Position(place, last, read, 0)


def told(some: list[Any]) -> list[Any]:
    """Return seqs of messages, and `(seq,)` for what passed without an event."""
    return [(one.seq,) if isinstance(one, PositionPassed) else one.seq for one in some]


def started(**known: int) -> ClientPositions:
    positions = ClientPositions(known)
    positions.page([standing(name, seq) for name, seq in known.items()], [], False)
    return positions


def test_pushes_are_told_once_and_in_order() -> None:
    positions = started(bob=3)
    assert told(positions.push(arrived(4))) == [4]
    assert told(positions.push(arrived(4))) == []
    assert told(positions.push(arrived(3))) == []
    assert told(positions.push(arrived(6))) == []
    assert positions.incomplete
    assert told(positions.push(arrived(5))) == [5, 6]


def test_a_page_that_overlaps_pushes_is_told_once() -> None:
    positions = started(bob=1)
    positions.connected()
    assert positions.have() == {"bob": 1}
    assert told(positions.push(arrived(4))) == []
    page = [arrived(seq) for seq in (2, 3, 4)]
    assert told(positions.page([standing("bob", 4)], page, False)) == [2, 3, 4]
    assert told(positions.push(arrived(5))) == [5]


def test_events_begin_at_the_present_or_with_the_first_push() -> None:
    positions = ClientPositions()
    positions.connected()
    assert told(positions.push(arrived(8))) == []
    assert told(positions.begin([("bob", 8), ("eve", 3), ("dan", 5)])) == [(7,), 8, (3,), (5,)]
    assert told(positions.push(arrived(4, "eve"))) == [4]
    # Stored before the list was read, and pushed after it.
    assert told(positions.push(arrived(5, "dan"))) == [5]
    assert told(positions.push(arrived(6, "dan"))) == [6]


def test_a_group_one_joins_begins_with_what_comes_of_it() -> None:
    positions = started(bob=1)
    assert told(positions.push(arrived(57, "#1"))) == [57]
    assert positions.have()["#1"] == 57


def test_a_group_one_joined_while_away_begins_behind_the_read_marker() -> None:
    positions = started(bob=1)
    positions.connected()
    positions.have()
    page = [arrived(seq, "#1") for seq in range(1, 6)]
    got = positions.page([standing("#1", 5, read=3)], page, False)
    assert told(got) == [(3,), 4, 5]


def test_a_private_chat_begun_while_away_is_told_from_its_first_message() -> None:
    positions = started(bob=1)
    positions.connected()
    positions.have()
    page = [arrived(seq, "new") for seq in (1, 2)]
    assert told(positions.page([standing("new", 2, read=2)], page, False)) == [(0,), 1, 2]


def test_a_group_one_left_begins_anew_when_one_comes_back() -> None:
    positions = started(**{"#1": 5})
    assert positions.forget("#1") == [PositionPassed("#1", None)]
    assert told(positions.push(arrived(9, "#1"))) == [9]


def test_the_reply_to_a_send_tells_its_message() -> None:
    positions = started(bob=1)
    positions.sent(1, "bob", lambda m: True)
    assert told(positions.own("bob", 3, "m3")) == []
    assert told(positions.settled(1, "bob")) == []
    assert told(positions.push(arrived(2))) == [2, (3,)]


def test_an_own_message_waits_while_it_may_be_the_one_just_sent() -> None:
    positions = started(bob=1)
    positions.sent(1, "BOB", lambda m: m.text == "hi")
    assert told(positions.push(arrived(2, own=True, text="other"))) == [2]
    assert told(positions.push(arrived(3, own=True))) == []
    assert told(positions.push(arrived(4))) == []
    assert not positions.incomplete
    positions.sent(2, "bob", lambda m: m.text == "hi")  # later ones do not hold it longer
    assert told(positions.own("bob", 3, "m3")) == [(3,), 4]
    assert told(positions.settled(1, "bob")) == []


def test_an_own_message_that_was_another_one_is_told_after_the_answer() -> None:
    positions = started(bob=1)
    positions.sent(1, "bob", lambda m: True)
    assert told(positions.push(arrived(2, own=True))) == []
    assert told(positions.own("bob", 3, "m3")) == []
    assert told(positions.settled(1, "bob")) == [2, (3,)]


def test_a_message_of_a_remote_group_is_told_when_its_seq_is_known() -> None:
    positions = started(**{"#1@beta": 1})
    assert positions.own("#1@beta", None, "m_late") == []
    assert told(positions.placed("#1@beta", 2, "m_late")) == [(2,)]
    assert positions.own("#1@beta", None, "m#1@beta3") == []
    assert told(positions.push(arrived(3, "#1@beta", own=True))) == [(3,)]


def test_what_a_sync_asked_for_later_does_not_bring_is_not_there() -> None:
    positions = started(bob=1)
    positions.push(arrived(5))
    assert positions.incomplete
    assert positions.have() == {"bob": 1}
    assert told(positions.page([standing("bob", 5)], [], False)) == [5]


def test_what_waits_is_bounded_and_fetched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_HELD_MESSAGES", 10)
    positions = started(bob=0)
    for seq in range(2, 1000):
        positions.push(arrived(seq))
    assert positions._held == 10
    assert positions.incomplete
    positions.have()
    page = [arrived(seq) for seq in range(1, 501)]
    assert told(positions.page([], page, True)) == list(range(1, 501))
    assert positions.incomplete


def test_conversations_are_bounded_and_the_one_used_last_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_POSITIONS", 10)
    positions = started(bob=1)
    for number in range(2, 40):
        positions.push(arrived(1, f"p{number}"))
        assert told(positions.push(arrived(number))) == [number]
    assert len(positions.have()) == 10


def test_more_positions_than_are_kept_failed_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_POSITIONS", 10)
    positions = ClientPositions({f"p{number}": 1 for number in range(12)})
    assert list(positions.have()) == [f"p{number}" for number in range(2, 12)]


class Simulation:
    """A server with one conversation, and a client whose connection breaks at any time."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.log: list[MessageArrived] = []
        self.posted: dict[int, int] = {}
        """Numbers of sends (their keys) and the seqs they got."""
        self.frames: deque[Callable[[], None]] = deque()
        self.positions = started(bob=0)
        self.unanswered: dict[int, None] = {}
        self.on_its_way: deque[int] = deque()
        """Sends the server has not come to."""
        self.count = 0
        self.told: list[Any] = []
        self.syncing = False

    def post(self, own: bool) -> int:
        """Append a message by somebody else, or by another session of one's own."""
        message = arrived(len(self.log) + 1, own=own)
        self.log.append(message)
        return message.seq

    def others(self) -> None:
        self.pushed(self.log[self.post(self.chance.random() < 0.3) - 1])

    def send(self) -> None:
        self.count += 1
        self.unanswered[self.count] = None
        self.positions.sent(self.count, "bob", lambda m: True)
        self.on_its_way.append(self.count)

    def process(self) -> None:
        """Let the server handle the next command."""
        if not self.on_its_way:
            return
        number = self.on_its_way.popleft()
        if number not in self.posted:
            self.posted[number] = self.post(own=True)
        seq = self.posted[number]

        def reply() -> None:
            del self.unanswered[number]
            self.tell(self.positions.own("bob", seq, self.log[seq - 1].id))
            self.tell(self.positions.settled(number, "bob"))

        self.frames.append(reply)

    def sync(self) -> None:
        if self.syncing or not self.positions.incomplete:
            return
        self.syncing = True
        after = self.positions.have()["bob"]
        page = self.log[after : after + 3]
        more = after + 3 < len(self.log)
        last = len(self.log)

        def answer() -> None:
            self.syncing = False
            self.tell(self.positions.page([standing("bob", last)], page, more))

        self.frames.append(answer)

    def deliver(self) -> None:
        if self.frames:
            self.frames.popleft()()

    def break_off(self) -> None:
        self.frames.clear()
        self.syncing = False
        self.positions.connected()
        while self.on_its_way and self.chance.random() < 0.5:
            # The server comes to it only now, and pushes it as if of another session.
            number = self.on_its_way.popleft()
            if number not in self.posted:
                self.posted[number] = self.post(own=True)
                self.pushed(self.log[-1])
        self.on_its_way = deque(self.unanswered)

    def pushed(self, message: MessageArrived) -> None:
        self.frames.append(lambda: self.tell(self.positions.push(message)))

    def tell(self, some: list[Any]) -> None:
        self.told += told(some)

    def run(self, steps: int) -> None:
        for _ in range(steps):
            actions = [self.others, self.send, self.process, self.deliver, self.deliver, self.sync]
            self.chance.choice([*actions, *actions, self.break_off])()
        while self.on_its_way or self.frames or self.positions.incomplete:
            self.process()
            self.sync()
            self.deliver()


@pytest.mark.parametrize("seed", range(300))
def test_whatever_breaks_everything_is_told_once_and_in_order(seed: int) -> None:
    simulation = Simulation(random.Random(seed))
    simulation.run(200)
    replies = set(simulation.posted.values())
    assert simulation.told == [
        (message.seq,) if message.seq in replies else message.seq for message in simulation.log
    ]


def test_messages_of_a_page_become_events() -> None:
    positions = started(bob=0)
    message = Message("m", "bob", 1, "bob", 7, "text", None, None)
    (event,) = positions.page([], [message], False)
    assert event == MessageArrived("m", "bob", 1, "bob", 7, "text", None, None)
