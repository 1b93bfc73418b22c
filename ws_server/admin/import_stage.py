"""The steps of an import, in an unnamed temporary file until their one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from typing import IO, Any

import orjson

from ws_server.store.admin.imports import Group, Line, Private, Step
from ws_server.store.contents.files import StoredFile


class Stage:
    """Steps in the order added, each one line of JSON. All functions block."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.files = 0
        """The number of messages that carry a file."""
        self.chats: list[Private] = []
        """All private chats among the steps."""

    def add(self, step: Step) -> None:
        """Add a step.

        Raises:
            OSError: the disk refused.
        """
        if isinstance(step, Group):
            row: list[Any] = ["group", step.old_id, step.name, step.members]
        elif isinstance(step, Private):
            row = ["private", *step.people]
            self.chats.append(step)
        else:
            row = ["lines", [[m.sender, m.text, m.key, m.file and astuple(m.file)] for m in step]]
            self.files += sum(m.file is not None for m in step)
        self._file.write(orjson.dumps(row) + b"\n")

    def finish(self) -> None:
        """Flush all steps to the file, so that another thread can read them.

        Raises:
            OSError: the disk refused.
        """
        self._file.flush()

    def steps(self) -> Iterator[Step]:
        """Yield all steps from the first on."""
        self._file.seek(0)
        for line in self._file:
            kind, *row = orjson.loads(line)
            if kind == "group":
                yield Group(*row)
            elif kind == "private":
                yield Private((row[0], row[1]))
            else:
                yield [_line(*values) for values in row[0]]

    def hashes(self) -> Iterator[str]:
        """Yield the SHA-256 of every file."""
        for step in self.steps() if self.files else ():
            if isinstance(step, Sequence):
                yield from (line.file.sha256 for line in step if line.file is not None)


def _line(sender: str, text: str, key: str, file: list[Any] | None) -> Line:
    return Line(sender, text, key, StoredFile(*file) if file else None)
