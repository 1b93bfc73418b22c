"""What the lists that come in pages have in common."""

from __future__ import annotations

from typing import Any

from shared.protocol.kinds import Kind
from shared.protocol.spec import Reply, arg, result, unsent


def after(of: str, kind: Kind) -> Any:
    """Declare the argument that asks for the next page of a list.

    Args:
        of: What the list holds, such as `member`.
    """
    return arg(
        f"the last {of} of the page before; one that is not in the list begins it anew",
        kind,
        default=None,
    )


def more() -> bool | None:
    """Declare the field that tells of a next page."""
    found: bool | None = result(
        "true: the list goes on; ask again with `after`, the last address of this page",
        default=None,
    )
    return found


def begun_anew() -> str:
    """Declare what the reply tells of an `after` that was not in the list."""
    found: str = unsent(default="")
    return found


class ListPage(Reply):
    """One page of a list."""

    __slots__ = ()
    more: bool | None
    begun_anew: str
    """What `after` named, if that is not in the list; this page is then the first one."""

    def end(self) -> str:
        """Return the last address of this page, for `after`; empty if the page is."""
        raise NotImplementedError

    def in_page(self, sentence: str) -> str:
        """Return the sentence, with how to go on."""
        if self.begun_anew:
            sentence = f"{self.begun_anew} is not in this list; from its beginning: {sentence}"
        if self.more:
            sentence = f"{sentence} (there are more: ask again with after={self.end()})"
        return sentence
