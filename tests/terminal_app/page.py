"""What a terminal shows: just enough of a VT100 to read what a person would."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"\x1b\[(?P<values>[?0-9;]*)(?P<final>[A-Za-z])|\x1b\][^\x07]*\x07|(?P<one>[\x00-\x1f]|[^\x1b])",
    re.DOTALL,
)


class Page:
    """The lines of a terminal, those that have scrolled away included.

    Answers to questions about the cursor are put into `answers`.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.rows, self.columns = rows, columns
        self.answers: list[str] = []
        self._lines: list[list[str]] = [[]]
        self._row = self._column = 0
        self._rest = ""

    @property
    def lines(self) -> list[str]:
        """All lines, from the first one shown."""
        return ["".join(line).rstrip() for line in self._lines]

    @property
    def cursor_line(self) -> str:
        """The line that the cursor is in."""
        return self.lines[self._row] if self._row < len(self._lines) else ""

    @property
    def scrolled(self) -> int:
        """How many lines have scrolled away."""
        return max(0, len(self._lines) - self.rows)

    def feed(self, text: str) -> None:
        """Take what a program writes."""
        text = self._rest + text
        end = 0
        while (token := _TOKEN.match(text, end)) is not None:
            end = token.end()
            if token["final"]:
                self._control(token["values"], token["final"])
            elif token["one"]:
                self._character(token["one"])
        self._rest = text[end:]

    def _character(self, one: str) -> None:
        if one == "\n":
            self._down()
        elif one == "\r":
            self._column = 0
        elif one == "\b":
            self._column = max(0, self._column - 1)
        elif one >= " ":
            if self._column == self.columns:
                self._down()
                self._column = 0
            line = self._lines[self._row]
            line += " " * (self._column + 1 - len(line))
            line[self._column] = one
            self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])

    def _control(self, values: str, final: str) -> None:
        number = int(values.split(";")[0] or 0) if not values.startswith("?") else 0
        step = max(1, number)
        match final:
            case "A":
                self._row = max(self.scrolled, self._row - step)
            case "B":
                for _ in range(step):
                    self._down()
            case "C":
                self._column = min(self.columns - 1, self._column + step)
            case "D":
                self._column = max(0, self._column - step)
            case "K":
                del self._lines[self._row][self._column :]
            case "J":
                del self._lines[self._row][self._column :]
                for line in self._lines[self._row + 1 :]:
                    line.clear()
            case "n" if number == 6:
                self.answers.append(f"\x1b[{self._row - self.scrolled + 1};{self._column + 1}R")
