"""The terminal: prints lines above the line being typed, which stays unchanged."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prompt_toolkit.application import get_app_or_none, get_app_session
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.layout.processors import Processor, Transformation, TransformationInput
from prompt_toolkit.layout.utils import explode_text_fragments
from prompt_toolkit.renderer import print_formatted_text
from prompt_toolkit.styles import Style

from shared.protocol.masking import secret_spans
from terminal_app.printing import Line

STYLE = Style.from_dict(
    {
        "prompt": "bold",
        "sender": "ansicyan bold",
        "done": "ansigreen",
        "error": "ansired",
        "notice": "ansibrightblack",
        "bottom-toolbar": "noreverse",
        "bottom-toolbar.text": "noreverse ansibrightblack",
        "state": "bold",
        "lost": "ansired bold",
    }
)


class Screen:
    """Prints lines, several at once if they came together.

    prompt_toolkit's own `run_in_terminal` turns the echo on while printing, which would show a
    password being typed.
    """

    def __init__(self) -> None:
        self._waiting: list[Line] = []
        self._writing: asyncio.Task[None] | None = None

    def write(self, lines: Iterable[Line]) -> None:
        """Print lines as soon as the terminal is ready."""
        self._waiting += lines
        if self._writing is None and self._waiting:
            self._writing = asyncio.create_task(self._write_out())

    async def _write_out(self) -> None:
        try:
            while self._waiting:
                app = get_app_or_none()
                if app is not None and app.is_running and app.output.responds_to_cpr:
                    # Wait for the terminal's report of the cursor's position before printing moves
                    # the cursor: an outdated report would put the toolbar below the screen.
                    await app.renderer.wait_for_cpr_responses()
                self.flush()
        finally:
            self._writing = None

    def flush(self) -> None:
        """Print waiting lines now."""
        lines, self._waiting = self._waiting, []
        if not lines:
            return
        app = get_app_or_none()
        if app is not None and app.is_running:
            app.renderer.erase()
        fragments = [fragment for line in lines for fragment in _fragments(line)]
        print_formatted_text(get_app_session().output, fragments, STYLE)
        if app is not None and app.is_running:
            app.renderer.request_absolute_cursor_position()
            app.invalidate()

    def redraw(self) -> None:
        """Redraw the prompt and the toolbar below the lines."""
        app = get_app_or_none()
        if app is not None:
            app.invalidate()


def _fragments(line: Line) -> StyleAndTextTuples:
    look, text = line
    if look == "message" and text.startswith("["):
        sender, bracket, said = text.partition("] ")
        return [("class:sender", sender + bracket), ("", f"{said}\n")]
    if look == "done":
        return [("class:done", text[:2]), ("", f"{text[2:]}\n")]
    return [(f"class:{look}" if look else "", f"{text}\n")]


class Masking(Processor):
    """Shows passwords and tokens as `*` during input."""

    def apply_transformation(self, transformation_input: TransformationInput) -> Transformation:
        document = transformation_input.document
        start = document.translate_row_col_to_index(transformation_input.lineno, 0)
        fragments = explode_text_fragments(transformation_input.fragments)
        for begin, end in secret_spans(document.text):
            for index in range(max(begin - start, 0), min(end - start, len(fragments))):
                fragments[index] = (fragments[index][0], "*")
        return Transformation(fragments)
