"""Lists in pages that stay consistent while the list changes.

Lists of conversations are ordered by their newest message, so a conversation may move between two
pages. Each page therefore continues in the order that the first page found: no row is skipped or
repeated, and the list ends.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from sqlalchemy import Connection

from shared.protocol.values import fold
from ws_server.store.steps import Steps, alone

AT_ONCE = 500
"""Rows read at a time until the page is full."""


class Row(Protocol):
    """One row of a list."""

    @property
    def id(self) -> int: ...
    @property
    def address(self) -> str: ...


R = TypeVar("R", bound=Row)
T = TypeVar("T")


@dataclass(slots=True)
class Listing:
    """The order of a list as read for its first page."""

    of: Hashable
    """The user and the kind of list."""
    ids: array[int]
    """Empty for members, whose order does not change."""
    ends: dict[str, int] = field(default_factory=dict)
    """By the folded address at which a page ended: the index where the next page begins; for
    members, the place of that member."""


@dataclass(slots=True)
class ListQuery(Generic[R, T]):
    """How to read one kind of list.

    Args:
        of: The user and the kind of list; a page continues a list only where these are equal.
        everything: Reads all rows in their present order.
        some: Reads the rows that still exist among some ids, in any order.
        shown: Maps rows to their form on the wire, each with its approximate size in bytes.
        most_bytes: The bound of a page.
    """

    of: Hashable
    everything: Callable[[], Steps[list[R]]]
    some: Callable[[Sequence[int]], Steps[list[R]]]
    shown: Callable[[Connection, list[R]], Iterable[tuple[T, int]]]
    most_bytes: int


@dataclass(slots=True)
class ListedPage(Generic[T]):
    """One page of a list."""

    rows: list[T]
    rest: Listing | None
    """The list, if it continues after this page."""
    begun_anew: str = ""
    """The address requested, if the list lacks it."""

    @property
    def more(self) -> bool | None:
        """Whether the list continues; the field `more` of replies."""
        return True if self.rest is not None else None


def read_page(
    query: ListQuery[R, T], begun: Listing | None, after: str | None
) -> Steps[ListedPage[T]]:
    """Return a page of a list.

    Args:
        begun: The order read for an earlier page, if there was one.
        after: The address after which the page begins. If no page of `begun` ended there, the page
            follows it in the present order; if the list lacks it, the page is the first.
    """
    at = None
    if begun is not None and begun.of == query.of and after is not None:
        at = begun.ends.get(fold(after))
    if at is not None and begun is not None:
        listing, known = begun, None
        begun_anew = ""
    else:
        rows = yield from query.everything()
        at = 0
        if after is not None:
            folded = fold(after)
            at = next((n for n, row in enumerate(rows, 1) if fold(row.address) == folded), 0)
        begun_anew = after if after is not None and not at else ""
        listing = Listing(query.of, array("q", [row.id for row in rows]))
        known = {row.id: row for row in rows}
    page = ListedPage[T]([], None, begun_anew)
    size, end = 0, ""
    while at < len(listing.ids):
        ids = listing.ids[at : at + AT_ONCE]
        there = known
        if there is None:
            there = {row.id: row for row in (yield from query.some(ids))}
        found = [there[id] for id in ids if id in there]
        shown: dict[int, tuple[T, int]] = yield from alone(_shown, query, found)
        for id in ids:
            if id in shown:
                told, bytes_ = shown[id]
                size += bytes_
                if size > query.most_bytes:
                    listing.ends[fold(end)] = at
                    page.rest = listing
                    return page
                page.rows.append(told)
                end = there[id].address
            at += 1
    return page


def _shown(tx: Connection, query: ListQuery[R, T], rows: list[R]) -> dict[int, tuple[T, int]]:
    return dict(zip((row.id for row in rows), query.shown(tx, rows), strict=True))
