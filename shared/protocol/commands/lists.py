"""Common parts of paged lists."""

from __future__ import annotations

from typing import Any

from shared.protocol.kinds import Kind
from shared.protocol.records import Reply, result, unsent
from shared.protocol.spec import arg


def after(of: str, kind: Kind) -> Any:
    """Declare the argument that requests the next page of a list.

    Args:
        of: The kind of the list's items, such as `member`.
    """
    return arg(
        f"the last {of} of the page before; one that is not in the list begins it anew",
        kind,
        default=None,
    )


def more() -> bool | None:
    """Declare the field that announces a next page."""
    found: bool | None = result(
        "true: the list goes on; ask again with `after`, the last address of this page",
        default=None,
    )
    return found


def begun_anew() -> str:
    """Declare the field for an `after` that is not in the list."""
    found: str = unsent(default="")
    return found


class ListPage(Reply):
    """One page of a list."""

    __slots__ = ()
    more: bool | None
    begun_anew: str
    """The value of `after`, if it is not in the list; this page is then the first one."""

    def end(self) -> str:
        """Return the last address of this page, for `after`; empty for an empty page."""
        raise NotImplementedError

    def in_page(self, sentence: str) -> str:
        """Return the sentence, with how to continue."""
        if self.begun_anew:
            sentence = f"{self.begun_anew} is not in this list; from its beginning: {sentence}"
        if self.more:
            sentence = f"{sentence} (there are more: ask again with after={self.end()})"
        return sentence
