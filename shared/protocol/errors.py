"""All refusals that a peer can see, with their codes and sentences."""

from __future__ import annotations

from enum import StrEnum
from typing import Any


class ErrorCode(StrEnum):
    """The error codes of the protocol; the texts are their entries in docs/commands.md."""

    BAD_COMMAND = "bad_command"
    BAD_ARGUMENTS = "bad_arguments"
    NOT_AUTHENTICATED = "not_authenticated"
    BAD_CREDENTIALS = "bad_credentials"
    USER_EXISTS = "user_exists"
    UNKNOWN_USER = "unknown_user"
    UNKNOWN_GROUP = "unknown_group"
    FORBIDDEN = "forbidden"
    UNKNOWN_REALM = "unknown_realm"
    REALM_EXISTS = "realm_exists"
    REALM_UNREACHABLE = "realm_unreachable"
    REALM_REFUSED = "realm_refused"
    UNKNOWN_FILE = "unknown_file"
    TOO_LARGE = "too_large"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate_limited"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


MEANING = {
    ErrorCode.BAD_COMMAND: "no such command; the sentence names the nearest one",
    ErrorCode.BAD_ARGUMENTS: "the arguments do not fit; the sentence shows the usage",
    ErrorCode.NOT_AUTHENTICATED: "sign in first",
    ErrorCode.BAD_CREDENTIALS: "wrong password, unknown user, unknown or ended token",
    ErrorCode.USER_EXISTS: "the name is taken (names are compared without case)",
    ErrorCode.UNKNOWN_USER: "nobody has this name",
    ErrorCode.UNKNOWN_GROUP: "no such group, or you are not a member of it",
    ErrorCode.FORBIDDEN: "you may not do this",
    ErrorCode.UNKNOWN_REALM: "no realm has been added under this name",
    ErrorCode.REALM_EXISTS: "the name is already used for another realm",
    ErrorCode.REALM_UNREACHABLE: "no link to that realm, or no answer in time",
    ErrorCode.REALM_REFUSED: "the other realm answered no",
    ErrorCode.UNKNOWN_FILE: "no such file or upload, or none you may see",
    ErrorCode.TOO_LARGE: "over a limit; the sentence names it",
    ErrorCode.CONFLICT: "the state moved on; the reply holds the right value",
    ErrorCode.RATE_LIMITED: "too fast; try again after `retry_after` seconds",
    ErrorCode.UNAVAILABLE: "cannot be done now, and nothing was done; try again",
    ErrorCode.INTERNAL: "a bug of the server; it has been logged",
}

TEMPORARY = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.UNAVAILABLE, ErrorCode.REALM_UNREACHABLE})
"""Codes after which the same command may succeed later; such replies carry `temporary`."""


class ChatError(Exception):
    """A refusal that the caller can read and act on; every other exception is a bug.

    Args:
        code: One of the protocol's codes.
        message: A sentence for people with the next step.
        retry_after: Seconds to wait, for `rate_limited`.
        values: Further fields of the reply, such as the right `offset` of a `conflict`.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after: float | None = None,
        **values: Any,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.values = values
