"""What the contract says of one command, and of one event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from shared.protocol.spec import Access, Request
from shared.protocol.values import Address, GroupAddress

BOB, BOB_THERE = Address("bob"), Address("bob", "beta")
TEAM, TEAM_THERE = GroupAddress(12), GroupAddress(12, "beta")

SENT = "conversation seq message_id time state"
PAGE = "conversation messages more"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fields:
    """The fields of a reply or an event on the wire."""

    fields: str = ""
    """Those that it always has, in their order."""
    optional: str = ""
    """Those that it has in some cases."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row(Fields):
    """One command, with the fields of its reply."""

    usage: str
    realm_usage: str = ""
    """Of the spelling that names a realm first, if there is one."""
    access: Access = Access.USER
    arguments: dict[str, Any] = field(default_factory=dict)
    """A complete call, as in JSON. In `tests/handlers/test_fields.py` it succeeds."""
    spellings: list[tuple[Request[Any], list[str]]]
    """Requests, and the frames that all ask for this one."""

    @property
    def name(self) -> str:
        return self.usage.split()[0]

    @property
    def realm_name(self) -> str | None:
        return self.realm_usage.split()[0] if self.realm_usage else None
