"""Progress bars of file transfers, drawn by rich: in the prompt's toolbar, or on their own."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING

from shared.protocol.values import in_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

NAME_COLUMNS = 24
"""Columns for a file's name; longer names are cut."""


class Bars:
    """The bars of the running transfers.

    Args:
        live: Draw on standard error, for runs without a prompt.
    """

    def __init__(self, *, live: bool) -> None:
        self.on_change: Callable[[], None] = lambda: None
        """Called when the bars have changed."""
        self._live = live
        self._progress: Progress | None = None
        self._count = 0

    def begin(self, doing: str, name: str, size: int) -> Bar:
        """Add the bar of a file of `size` bytes; `doing` names the transfer."""
        # Imported here: loading rich takes longer than all else, and most runs do not need it.
        if self._progress is None:
            self._progress = _new_progress()
        if self._live and not self._count:
            self._progress.start()
        self._count += 1
        shown = in_words(name).replace("\n", " ")
        if len(shown) > NAME_COLUMNS:
            shown = shown[: NAME_COLUMNS - 3] + "..."
        return Bar(self, self._progress.add_task(f"{doing} {shown}", total=size))

    def move(self, task: TaskID, done: int, total: int) -> None:
        """Show that `done` of `total` bytes are transferred."""
        assert self._progress is not None
        self._progress.update(task, completed=done, total=total)
        self.on_change()

    def end(self, task: TaskID) -> None:
        """Remove a bar."""
        assert self._progress is not None
        self._count -= 1
        if self._live and not self._count:
            self._progress.stop()
        self._progress.remove_task(task)
        self.on_change()

    def __len__(self) -> int:
        return self._count

    def draw(self, width: int) -> str:
        """Return the bars, one in each line, with escape sequences for colours."""
        if self._progress is None or not self._count:
            return ""
        page = io.StringIO()
        _console(page, width).print(self._progress.make_tasks_table(self._progress.tasks))
        return page.getvalue().rstrip("\n")


class Bar:
    """The bar of one file."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task

    def move(self, done: int, total: int) -> None:
        self._bars.move(self._task, done, total)

    def end(self) -> None:
        self._bars.end(self._task)


def _new_progress() -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        # Without markup: a file name may contain [red].
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TaskProgressColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        expand=True,
        transient=True,
    )


def _console(page: io.StringIO, width: int) -> Console:
    from rich.console import Console

    return Console(file=page, force_terminal=True, width=width, legacy_windows=False)
