"""Draws docs/talk.svg: a talk of two people at the real wscat with a real server.

Run it as `python -m docs.talk` after `./chat test` has installed wscat.
"""

from __future__ import annotations

import re
import tempfile
from html import escape
from pathlib import Path

from tests.realserver import RealServer
from tests.system.wscat import Wscat

PICTURE = Path(__file__).with_name("talk.svg")
COLUMNS = 62
LINE = 17
GLYPH = 7.83
COLOURS = {">": "#e6edf3", "<": "#7ee787"}


class Screen:
    """What one terminal shows."""

    def __init__(self, person: str, url: str) -> None:
        self.person = person
        self.lines: list[str] = ["$ npx wscat -c ws://localhost:8765"]
        self.terminal = Wscat(url)

    def say(self, line: str) -> None:
        self.lines.append(f"> {line}")
        self._show(self.terminal.say(line))

    def hear(self) -> None:
        self._show(self.terminal.hear())

    def _show(self, frame: str) -> None:
        frame = re.sub(r"token \S+", "token M8Q3IZNNCDkz...", frame)
        first, *more = frame.splitlines()
        self.lines += [f"< {first}", *more]


def talk(url: str) -> list[Screen]:
    bob, ana = Screen("bob", url), Screen("ana", url)
    bob.say("register bob Bob secret1 Indonesia")
    bob.say("auth bob secret1")
    ana.terminal.say("register ana Ana secret2 Portugal")
    ana.say("auth ana secret2")
    bob.say("send ana Coffee at four?")
    ana.hear()
    ana.say("send bob Yes! ☕ I bring cake")
    bob.hear()
    ana.say("creategroup cake lovers")
    ana.say("invitegroup 1 bob")
    bob.hear()
    bob.say("sendg 1 count me in")
    ana.hear()
    ana.say("sendfile bob note.txt aGFsbG8=")
    bob.hear()
    bob.say("inbox ana")
    ana.hear()
    return [bob, ana]


def wrapped(line: str) -> list[str]:
    """Break a line as a terminal does."""
    return [line[at : at + COLUMNS] for at in range(0, len(line), COLUMNS)] or [""]


def drawn(screens: list[Screen]) -> str:
    width = round(COLUMNS * GLYPH) + 28
    rows = [[row for line in screen.lines for row in wrapped(line)] for screen in screens]
    height = max(len(r) for r in rows) * LINE + 56
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{2 * width + 16}" height="{height}" '
        'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="13">'
    ]
    for index, screen in enumerate(screens):
        x = index * (width + 16)
        parts.append(f'<rect x="{x}" width="{width}" height="{height}" rx="8" fill="#0d1117"/>')
        parts.append(f'<text x="{x + 14}" y="22" fill="#8b949e">{screen.person}</text>')
        colour = "#8b949e"
        for number, row in enumerate(rows[index]):
            colour = COLOURS.get(row[:1], colour)
            y = 46 + number * LINE
            parts.append(
                f'<text x="{x + 14}" y="{y}" fill="{colour}" xml:space="preserve">'
                f"{escape(row)}</text>"
            )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        server = RealServer(Path(folder))
        server.start()
        try:
            screens = talk(server.url)
        finally:
            server.kill()
    PICTURE.write_text(drawn(screens), encoding="utf-8")


if __name__ == "__main__":
    main()
