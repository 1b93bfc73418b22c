"""What a call raises when the server did not answer; a refusal is a `ChatError`."""

from __future__ import annotations


class NoAnswer(Exception):
    """The server gave no answer to a command; the text says why and what to do."""


class NotSent(NoAnswer):
    """The command never went out: nothing was done, and it can be called again."""


class OutcomeUnknown(NoAnswer):
    """The command went out and no answer came: it may have been done or not.

    Sending commands can be repeated with the idempotency key they were given; of others the state
    has to be looked up (`listgroup`, `members`, ...) before they are called again.
    """
