"""Questions in steps, so that those of several people are answered by the same statements.

On PostgreSQL most of what a short statement costs is its round trip. A question that is a generator
stops at each of its statements; several of them go on side by side, and what they ask by the same
statement is asked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, TypeVarTuple

from sqlalchemy import BigInteger, Connection, column

from shared.protocol.errors import ChatError
from ws_server.store.engines import bulk
from ws_server.store.engines.adapter import Rows, Statement

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WHO = column("who", BigInteger)
"""Whose rows these are: the first column, given and returned, of every statement in a step."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A statement, and the rows it is about, without `WHO`."""

    statement: Statement
    rows: Rows


Steps = Generator[Asked | Callable[[Connection], Any], Any, T]
"""A question or a change: it yields what it asks, is sent the answers, and returns its own."""


def ask(statement: Statement, rows: Rows) -> Steps[list[Any]]:
    """Return the rows that a statement returns, each with `WHO`, in the statement's order."""
    if not rows:
        return []
    found: list[Any] = yield Asked(statement, rows)
    return found


def alone(question: Callable[[Connection, *Ts], T], *args: *Ts) -> Steps[T]:
    """Return what `question(tx, ...)` returns, which is asked for nobody else."""
    found: T = yield lambda tx: question(tx, *args)
    return found


def answer(tx: Connection, question: Steps[T]) -> T:
    """Return what a question returns, or raise what it raises."""
    (found,) = answer_all(tx, [question])
    if isinstance(found, ChatError):
        raise found
    return found


def answer_all(tx: Connection, questions: Sequence[Steps[T]]) -> list[T | ChatError]:
    """Return what each question returns, or the refusal that it raises.

    Any other exception ends them all: of a statement nobody can tell for whom it failed.
    """
    answers: list[Any] = [None] * len(questions)
    waiting: dict[int, Asked | Callable[[Connection], Any]] = {}

    def go_on(who: int, found: Any) -> None:
        try:
            waiting[who] = questions[who].send(found)
        except StopIteration as end:
            answers[who] = end.value
        except ChatError as refusal:
            answers[who] = refusal

    for who in range(len(questions)):
        go_on(who, None)
    while waiting:
        steps = list(waiting.items())
        waiting.clear()
        shared: dict[Statement, dict[int, Rows]] = {}
        for who, step in steps:
            if isinstance(step, Asked):
                shared.setdefault(step.statement, {})[who] = step.rows
            else:
                go_on(who, step(tx))
        for statement, given in shared.items():
            for who, found in _ask(tx, statement, given).items():
                go_on(who, found)
    return answers


def _ask(tx: Connection, statement: Statement, given: dict[int, Rows]) -> dict[int, list[Any]]:
    """Return for each who asks the rows that a statement returns about theirs."""
    found: dict[int, list[Any]] = {who: [] for who in given}
    for row in bulk.ask(
        tx, statement, [(who, *row) for who, rows in given.items() for row in rows]
    ):
        found[row[0]].append(row)
    return found
