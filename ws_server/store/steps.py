"""Queries in steps, so that queries of several users share their statements.

On PostgreSQL, the round trip is most of the cost of a short statement. A query written as a
generator pauses at each of its statements. Several such queries advance side by side, and equal
statements among their next steps run once, for the rows of all.
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
"""The index of the query in its batch: the first column, in and out, of each step's statement."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A step: a statement and its input rows, without `WHO`."""

    statement: Statement
    rows: Rows


Steps = Generator[Asked | Callable[[Connection], Any], Any, T]
"""A query or a change: it yields steps, is sent their results, and returns its own."""


def ask(statement: Statement, rows: Rows) -> Steps[list[Any]]:
    """Run a statement as a step; return its rows, each with `WHO`, in the statement's order."""
    if not rows:
        return []
    found: list[Any] = yield Asked(statement, rows)
    return found


def alone(question: Callable[[Connection, *Ts], T], *args: *Ts) -> Steps[T]:
    """Run `question(tx, ...)` as a step that is not shared; return its result."""
    found: T = yield lambda tx: question(tx, *args)
    return found


def answer(tx: Connection, question: Steps[T]) -> T:
    """Run one query; return its result or raise its refusal."""
    (found,) = answer_all(tx, [question])
    if isinstance(found, ChatError):
        raise found
    return found


def answer_all(tx: Connection, questions: Sequence[Steps[T]]) -> list[T | ChatError]:
    """Run queries side by side; return the result or the refusal of each.

    Any other exception ends them all, because a shared statement does not reveal whose rows failed.
    """
    answers: list[Any] = [None] * len(questions)
    waiting: dict[int, Asked | Callable[[Connection], Any]] = {}

    def advance(who: int, found: Any) -> None:
        try:
            waiting[who] = questions[who].send(found)
        except StopIteration as end:
            answers[who] = end.value
        except ChatError as refusal:
            answers[who] = refusal

    for who in range(len(questions)):
        advance(who, None)
    while waiting:
        steps = list(waiting.items())
        waiting.clear()
        shared: dict[Statement, dict[int, Rows]] = {}
        for who, step in steps:
            if isinstance(step, Asked):
                shared.setdefault(step.statement, {})[who] = step.rows
            else:
                advance(who, step(tx))
        for statement, given in shared.items():
            for who, found in _ask(tx, statement, given).items():
                advance(who, found)
    return answers


def _ask(tx: Connection, statement: Statement, given: dict[int, Rows]) -> dict[int, list[Any]]:
    """Run a statement over the rows of several queries; return the resulting rows of each."""
    found: dict[int, list[Any]] = {who: [] for who in given}
    for row in bulk.ask(
        tx, statement, [(who, *row) for who, rows in given.items() for row in rows]
    ):
        found[row[0]].append(row)
    return found
