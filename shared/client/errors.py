"""The errors of a call without an answer; a refusal is a `ChatError`."""

from __future__ import annotations


class NoAnswer(Exception):
    """The server did not answer a command; the text gives the reason and the remedy."""


class NotSent(NoAnswer):
    """The command was never sent: nothing was done, and it can be called again."""


class OutcomeUnknown(NoAnswer):
    """The command was sent and no answer came: it may have been done or not.

    Sending commands can be repeated with the same idempotency key. For other commands, look up the
    state (`listgroup`, `members`, ...) before calling them again.
    """
