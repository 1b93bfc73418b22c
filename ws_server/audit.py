"""The audit trail: sign-ins, failed attempts and admin acts, in the log with fixed fields.

Every line is the event `audit` with the same fields in the same order; docs/observability.md lists
the acts and outcomes, and docs/deploy has a filter for fail2ban. Lines contain no text that a user
typed, except names of existing accounts. Lines that strangers can cause are rate limited; lines
above the limit are counted, and a summary line has the count.
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
"""Seconds until a summary of the lines left out is written."""


class Act(StrEnum):
    """An act, done or attempted."""

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
    """The outcome of an act."""

    DONE = "done"
    REFUSED = "refused"
    LIMITED = "limited"
    FAILED = "failed"


OPERATOR = "local"
"""The address of operators, who use the data folder, and of the server itself."""


class Audit:
    """Writes the trail."""

    def __init__(self) -> None:
        self._of_networks = Buckets(rate=1 / 5, burst=50)
        # Completed acts needed a password or a registration slot; attempts must not crowd them out.
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
        """Write one line, unless its network or all networks together exceed their rate.

        Args:
            address: The address of the connection.
            user: The account concerned, if that exists.
            detail: The object of the act: a fixed word of this program, a word of the operator, or
                a valid name.
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
        """Write how many lines were left out since the last summary."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for (act, outcome), count in self._left_out.items():
            log.info(
                "audit lines left out",
                extra={"act": act.value, "outcome": outcome.value, "count": count},
            )
        self._left_out.clear()
