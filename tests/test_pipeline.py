"""The states and transitions of `ws_server/pipeline.py`, without a gate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shared.protocol.call import Call, Dialect
from ws_server.pipeline import (
    DRAINING,
    ENDED,
    LEAVING,
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    MAX_UNANSWERED,
    OPEN,
    Life,
    Pipeline,
)

IDLE, PIPELINED, EXCLUSIVE = "IDLE", "PIPELINED", "EXCLUSIVE"


def call(size: int = 10) -> Call:
    return Call(Dialect.JSON, size=size)


def posted(pipelined: bool) -> Callable[[Pipeline], None]:
    return lambda pipeline: pipeline.posted(pipelined)


def turn(pipeline: Pipeline) -> str:
    """Name the state by what may begin in it."""
    may_begin = (pipeline.admits(pipelined=False), pipeline.admits(pipelined=True))
    return {(True, True): IDLE, (False, True): PIPELINED, (False, False): EXCLUSIVE}[may_begin]


@pytest.mark.parametrize(
    "events, state",
    [
        ([], IDLE),
        ([Pipeline.started], EXCLUSIVE),
        ([Pipeline.started, Pipeline.replied], IDLE),
        ([Pipeline.started, posted(False)], EXCLUSIVE),
        ([Pipeline.started, posted(False), Pipeline.committed], IDLE),
        ([posted(False)], EXCLUSIVE),
        ([posted(False), Pipeline.committed], IDLE),
        ([posted(True)], PIPELINED),
        ([posted(True), posted(True), Pipeline.committed], PIPELINED),
        ([posted(True), posted(True), Pipeline.committed, Pipeline.committed], IDLE),
        ([Pipeline.asked], IDLE),
    ],
)
def test_what_is_under_way_says_what_may_begin(
    events: list[Callable[[Pipeline], None]], state: str
) -> None:
    pipeline = Pipeline()
    for event in events:
        event(pipeline)
    assert turn(pipeline) == state
    assert pipeline.is_idle is (state == IDLE)
    assert pipeline.is_busy is (state != IDLE or pipeline.remote > 0)


def test_a_bounded_number_of_pipelined_commands_is_under_way() -> None:
    pipeline = Pipeline()
    for _ in range(MAX_UNANSWERED):
        assert pipeline.admits(pipelined=True)
        pipeline.posted(pipelined=True)
    assert not pipeline.admits(pipelined=True)
    pipeline.committed()
    assert pipeline.admits(pipelined=True)


@pytest.mark.parametrize("size, most", [(10, MAX_QUEUED), (MAX_QUEUED_BYTES // 4, 4)])
def test_a_full_queue_stops_reading_until_half_of_it_has_begun(size: int, most: int) -> None:
    pipeline = Pipeline()
    assert [pipeline.queued(call(size)) for _ in range(most + 1)] == [False] * (most - 1) + [
        True,  # once, though one more comes that was read already
        False,
    ]
    while len(pipeline.queue or ()) > MAX_QUEUED // 2:
        assert not pipeline.relieved() and not pipeline.reads
        pipeline.dequeued()
    pipeline.dequeued()
    assert pipeline.relieved() and pipeline.reads
    assert not pipeline.relieved(), "reading goes on already"


def test_bytes_that_have_begun_do_not_count_any_more() -> None:
    pipeline = Pipeline()
    for _ in range(10):
        assert not pipeline.queued(call(MAX_QUEUED_BYTES // 2))
        pipeline.dequeued()


def test_reading_goes_on_once_no_reason_against_it_is_left() -> None:
    pipeline = Pipeline()
    assert pipeline.penalised()
    assert not pipeline.penalised(), "one penalty at a time"
    for _ in range(MAX_QUEUED):
        pipeline.queued(call())
    assert not pipeline.forgiven()
    assert pipeline.penalised()
    pipeline.dropped()
    assert not pipeline.relieved()
    assert pipeline.forgiven() and pipeline.reads


TRANSITIONS = {
    (OPEN, Pipeline.departed): LEAVING,
    (LEAVING, Pipeline.drained): DRAINING,
    **{(life, Pipeline.ended): ENDED for life in Life},
}
TO = {
    OPEN: [],
    LEAVING: [Pipeline.departed],
    DRAINING: [Pipeline.departed, Pipeline.drained],
    ENDED: [Pipeline.ended],
}


@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize("event", [Pipeline.departed, Pipeline.drained, Pipeline.ended])
def test_a_life_only_moves_on(life: Life, event: Callable[[Pipeline], bool | None]) -> None:
    pipeline = Pipeline()
    for before in TO[life]:
        before(pipeline)
    assert pipeline.life is life
    told = event(pipeline)
    assert pipeline.life is TRANSITIONS.get((life, event), life)
    if told is not None:
        assert told is (pipeline.life is not life), "only what is news is told"


def test_a_session_that_has_ended_neither_keeps_commands_nor_reads() -> None:
    pipeline = Pipeline()
    pipeline.queued(call())
    pipeline.posted(pipelined=True)
    pipeline.ended()
    assert not pipeline.queue and not pipeline.reads
    pipeline.dequeued()  # the command that was first has ended the session
    pipeline.committed()
    assert not pipeline.is_busy and not pipeline.is_done


class Traffic(RuleBasedStateMachine):
    """A peer that sends commands, and a gate that carries them out; compared with plain lists."""

    def __init__(self) -> None:
        super().__init__()
        self.pipeline = Pipeline()
        self.reading = True
        """As the returned values said."""
        self.waiting: deque[bool] = deque()
        """For each command that has not begun, whether it is pipelined."""
        self.under_way: deque[bool] = deque()
        self.remote = 0
        self.kinds: dict[int, bool] = {}

    def begins(self, pipelined: bool) -> bool:
        if not self.pipeline.admits(pipelined):
            return False
        assert not self.under_way or (pipelined and all(self.under_way))
        if pipelined:
            self.pipeline.posted(pipelined=True)
        else:
            self.pipeline.started()
        self.under_way.append(pipelined)
        return True

    def advance(self) -> None:
        while self.pipeline.queue:
            pipelined = self.kinds[id(self.pipeline.queue[0])]
            assert pipelined is self.waiting[0], "the order was lost"
            if not self.begins(pipelined):
                break
            self.pipeline.dequeued()
            self.waiting.popleft()
        if self.pipeline.relieved():
            self.reading = True

    @precondition(lambda self: self.reading and self.pipeline.life in (OPEN, LEAVING))
    @rule(kinds=st.lists(st.booleans(), min_size=1, max_size=MAX_QUEUED + 9))
    def receive(self, kinds: list[bool]) -> None:
        """Take frames that were read at once; the last ones may come after reading stopped."""
        for pipelined in kinds:
            if self.pipeline.queue or not self.begins(pipelined):
                one = call()
                self.kinds[id(one)] = pipelined
                self.waiting.append(pipelined)
                if self.pipeline.queued(one):
                    self.reading = False

    @precondition(lambda self: self.under_way)
    @rule(count=st.integers(1, 100), late=st.booleans())
    def answer(self, count: int, late: bool) -> None:
        for _ in range(min(count, len(self.under_way))):
            if self.under_way.popleft():
                self.pipeline.committed()
            elif late:
                self.pipeline.posted(pipelined=False)
                assert not self.pipeline.admits(pipelined=True)
                self.pipeline.committed()
            else:
                self.pipeline.replied()
            self.advance()

    @rule()
    def ask_another_realm(self) -> None:
        self.pipeline.asked()
        self.remote += 1

    @precondition(lambda self: self.remote)
    @rule()
    def hear_from_another_realm(self) -> None:
        self.pipeline.remote_replied()
        self.remote -= 1

    @precondition(lambda self: not self.pipeline.is_penalised)
    @rule()
    def penalise(self) -> None:
        assert self.pipeline.penalised()
        self.reading = False

    @precondition(lambda self: self.pipeline.is_penalised)
    @rule()
    def forgive(self) -> None:
        if self.pipeline.forgiven():
            self.reading = True

    @rule()
    def depart(self) -> None:
        self.pipeline.departed()

    @rule()
    def drain(self) -> None:
        self.pipeline.drained()

    @invariant()
    def what_it_says_is_true(self) -> None:
        pipeline = self.pipeline
        assert pipeline.reads is self.reading
        assert len(pipeline.queue or ()) == len(self.waiting)
        assert not self.waiting or self.under_way, "commands wait for nothing"
        busy = bool(self.waiting or self.under_way or self.remote)
        assert pipeline.is_busy is busy
        assert pipeline.is_done is (pipeline.life is DRAINING and not busy)

    def teardown(self) -> None:
        while self.under_way:
            self.answer(1, late=False)
        assert not self.waiting


test_whatever_comes_in_whatever_order_is_carried_out_in_the_order_sent = Traffic.TestCase
