"""A conversation read to its end, page by page, by whoever has an `ask`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

Ask = Callable[..., Awaitable[dict[str, Any]]]
"""Sends a command and returns its reply, which must be OK."""


async def history(ask: Ask, conversation: str, known: int = 0) -> list[dict[str, Any]]:
    """Return all messages behind the first `known` ones, the oldest first; no seq is missing."""
    found: list[dict[str, Any]] = []
    more = True
    while more:
        after = known + len(found)
        page = await ask("history", conversation=conversation, after=after, limit=200)
        found += page["messages"]
        more = page["more"]
    seqs = [message["seq"] for message in found]
    assert seqs == list(range(known + 1, known + len(found) + 1)), (conversation, seqs)
    return found
