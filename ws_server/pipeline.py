"""The commands of one connection: when each may begin, when to read on, when the session ends.

A `Pipeline` performs no work and imports neither handlers nor sockets. The gate and its command
runner report each event by one method and act on the value returned. All states and transitions
are in this file.

TURN: the commands under way. `exclusive` and `unanswered` hold it.

    IDLE       no command
    PIPELINED  1 to MAX_UNANSWERED pipelined commands wait for their commit; the journal keeps
               their order, so they may overlap
    EXCLUSIVE  one command that overlaps no other

    event                       from             to
    started                     IDLE             EXCLUSIVE
    posted(pipelined=True)      IDLE, PIPELINED  PIPELINED
    posted(pipelined=False)     IDLE, EXCLUSIVE  EXCLUSIVE
    committed                   PIPELINED        PIPELINED; IDLE after the last one
    committed, replied          EXCLUSIVE        IDLE

    `admits` decides which command may begin: any in IDLE; a pipelined one in PIPELINED unless
    MAX_UNANSWERED wait; none in EXCLUSIVE. A refusal is sent in IDLE only (`is_idle`), so that it
    does not overtake earlier replies. A command that may not begin waits in the queue, and all
    later ones wait behind it.

    Commands that wait for another realm (`remote`) are counted separately. They delay no other
    command, and their replies may arrive in any order.

INTAKE: whether frames are read. `is_full` and `is_penalised` hold it; either one stops reading.

    event                       state            then
    queued                      READING          FULL once MAX_QUEUED commands or
                                                 MAX_QUEUED_BYTES wait
    relieved                    FULL             READING once fewer than half of MAX_QUEUED wait
    penalised, forgiven         any              begins, ends: a refused frame costs reading time

LIFE: whether commands are still carried out. `life` holds it and only advances.

    OPEN       commands arrive and are answered, events are pushed
    LEAVING    the peer is gone or closing; nothing is pushed; frames it sent may still be read
    DRAINING   the last frame of the peer was read
    ENDED      commands under way finish without a reply; queued ones are dropped

    event                       from                        to
    departed                    OPEN                        LEAVING
    drained                     LEAVING                     DRAINING
    ended                       OPEN, LEAVING, DRAINING     ENDED

    In DRAINING with no command left (`is_done`) the gate ends the session.
"""

from __future__ import annotations

from collections import deque
from enum import Enum

from shared.protocol.call import Call

MAX_QUEUED = 64
"""Queued commands of one connection; at this bound, reading stops until half have begun."""
MAX_QUEUED_BYTES = 2 * 2**20
MAX_UNANSWERED = 512
"""Pipelined commands of one connection under way; above, the next one waits in the queue."""


class Life(Enum):
    """See LIFE above."""

    OPEN = "open"
    LEAVING = "leaving"
    DRAINING = "draining"
    ENDED = "ended"


OPEN, LEAVING, DRAINING, ENDED = Life


class Pipeline:
    """The state of one session's commands."""

    __slots__ = (
        "_queued_bytes",
        "exclusive",
        "is_full",
        "is_penalised",
        "life",
        "queue",
        "remote",
        "unanswered",
    )

    def __init__(self) -> None:
        self.exclusive = False
        """One command runs or waits for its commit, and no other may begin."""
        self.unanswered = 0
        """Commands that wait for their commit."""
        self.remote = 0
        """Commands that wait for another realm."""
        self.queue: deque[Call] | None = None
        """Commands that have not begun; created for the first one that waits."""
        self._queued_bytes = 0
        self.is_full = False
        self.is_penalised = False
        self.life = OPEN

    # TURN

    def admits(self, pipelined: bool) -> bool:
        """Return whether a command may begin."""
        if self.exclusive:
            return False
        return self.unanswered < MAX_UNANSWERED if pipelined else not self.unanswered

    @property
    def is_idle(self) -> bool:
        """Whether all commands that began are answered, except those that wait for other realms."""
        return not (self.exclusive or self.unanswered)

    @property
    def is_busy(self) -> bool:
        """Whether any command is unanswered."""
        return bool(self.queue or self.exclusive or self.unanswered or self.remote)

    def started(self) -> None:
        """Note that a command runs as a task."""
        assert self.is_idle
        self.exclusive = True

    def posted(self, pipelined: bool) -> None:
        """Note that a command's change was posted to the journal."""
        self.unanswered += 1
        self.exclusive = not pipelined

    def committed(self) -> None:
        """Note that a change is on disk or was refused."""
        self.unanswered -= 1
        self.exclusive = False

    def replied(self) -> None:
        """Note that a command run as a task was answered, or now waits for another realm only."""
        assert self.exclusive and not self.unanswered
        self.exclusive = False

    def asked(self) -> None:
        """Note that a command waits for another realm."""
        self.remote += 1

    def remote_replied(self) -> None:
        """Note that a command that waited for another realm was answered."""
        assert self.remote
        self.remote -= 1

    # The queue

    def queued(self, call: Call) -> bool:
        """Note that a command was queued; return True if reading stops now."""
        if self.queue is None:
            self.queue = deque()
        self.queue.append(call)
        self._queued_bytes += call.size
        if self.is_full or (len(self.queue) < MAX_QUEUED and self._queued_bytes < MAX_QUEUED_BYTES):
            return False
        self.is_full = True
        return True

    def dequeued(self) -> None:
        """Note that the first queued command has begun; it may have ended the session."""
        if self.queue:
            self._queued_bytes -= self.queue.popleft().size

    def dropped(self) -> None:
        """Note that the queued commands were dropped."""
        self.queue = None
        self._queued_bytes = 0

    # INTAKE

    @property
    def reads(self) -> bool:
        """Whether the connection is read."""
        return not (self.is_full or self.is_penalised or self.life is ENDED)

    def relieved(self) -> bool:
        """Note that queued commands have begun; return True if reading resumes now."""
        if not self.is_full or len(self.queue or ()) >= MAX_QUEUED // 2:
            return False
        self.is_full = False
        return self.reads

    def penalised(self) -> bool:
        """Note a refused frame; return False if an earlier penalty lasts, else True."""
        begins, self.is_penalised = not self.is_penalised, True
        return begins

    def forgiven(self) -> bool:
        """Note that the penalty is over; return True if reading resumes now."""
        self.is_penalised = False
        return self.reads

    # LIFE

    @property
    def is_done(self) -> bool:
        """Whether every command of the departed peer was carried out and answered."""
        return self.life is DRAINING and not self.is_busy

    def departed(self) -> bool:
        """Note that the peer is gone or closing; return True the first time."""
        if self.life is not OPEN:
            return False
        self.life = LEAVING
        return True

    def drained(self) -> None:
        """Note that the peer's last frame was read."""
        if self.life is LEAVING:
            self.life = DRAINING

    def ended(self) -> bool:
        """End the session's commands; return True the first time."""
        if self.life is ENDED:
            return False
        self.life = ENDED
        self.dropped()
        return True
