"""The audit trail: who signed in, who failed to, what admins did, in the log with fixed fields.

Every line is the event `audit` with the same fields in the same order; docs/observability.md lists
the acts and outcomes, and docs/deploy has a filter for fail2ban. Nothing that was typed gets into
one, but names that somebody has. What strangers can cause is bounded: lines beyond are counted,
and one line tells how many there were.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from enum import StrEnum

from shared.addresses import network
from shared.token_buckets import Buckets

log = logging.getLogger(__name__)

SUMMARY_AFTER = 60.0
"""Seconds in which lines are counted before it is told how many were left out."""


class Act(StrEnum):
    """What somebody did, or tried to."""

    REGISTER = "register"
    CODE = "code"
    INVITATION = "invitation"
    SIGN_IN = "sign_in"
    RESUME = "resume"
    PASSWORD = "password"
    SIGN_OUT = "sign_out"
    SESSIONS_ENDED = "sessions_ended"
    ADMIN = "admin"
    ADD_REALM = "add_realm"
    REALM_CAME = "realm_came"


class Result(StrEnum):
    """How it ended."""

    DONE = "done"
    REFUSED = "refused"
    LIMITED = "limited"
    FAILED = "failed"


OPERATOR = "local"
"""The address of those who use the data folder, and of the server itself."""


class Audit:
    """Writes the trail."""

    def __init__(self) -> None:
        self._of_networks = Buckets(rate=1 / 5, burst=50)
        # What was done took a password or a place among registrations, and is not drowned by tries.
        self._done = Buckets(rate=10, burst=2_000)
        self._tried = Buckets(rate=2, burst=1_000)
        self._left_out: Counter[tuple[Act, Result]] = Counter()
        self._timer: asyncio.TimerHandle | None = None

    def note(
        self,
        act: Act,
        outcome: Result,
        *,
        address: str = OPERATOR,
        user: str = "",
        detail: str = "",
    ) -> None:
        """Write one line, unless there were too many of its network, or of all.

        Args:
            address: Whose connection it was.
            user: Whose account it was, if that exists.
            detail: What the act was about, in words of this program, the operator or the grammar
                of names.
        """
        if address != OPERATOR:
            around = network(address)
            of_all = self._done if outcome is Result.DONE else self._tried
            if self._of_networks.wait(around) or of_all.wait(None):
                self._leave_out(act, outcome)
                return
            self._of_networks.spend(around)
            of_all.spend(None)
        log.info(
            "audit",
            extra={
                "act": act.value,
                "outcome": outcome.value,
                "address": address,
                "user": user,
                "detail": detail,
            },
        )

    def _leave_out(self, act: Act, outcome: Result) -> None:
        self._left_out[act, outcome] += 1
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(SUMMARY_AFTER, self.summarise)

    def summarise(self) -> None:
        """Tell how many lines were left out since the last time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for (act, outcome), count in self._left_out.items():
            log.info(
                "audit lines left out",
                extra={"act": act.value, "outcome": outcome.value, "count": count},
            )
        self._left_out.clear()
