"""The toolbar below the prompt: transfers, the signed-in user, and the usage of the typed
command."""

from __future__ import annotations

from prompt_toolkit.application import get_app
from prompt_toolkit.formatted_text import ANSI, StyleAndTextTuples, to_formatted_text

from shared.protocol.spec import TABLE
from shared.protocol.words import first_word
from terminal_app.commands import OWN, summary, usage
from terminal_app.progress import Bars
from terminal_app.session import TerminalSession


class Toolbar:
    """The toolbar; prompt_toolkit draws it at each redraw."""

    def __init__(self, session: TerminalSession, bars: Bars) -> None:
        self._session = session
        self._bars = bars
        self.offline = False
        """Whether the connection was lost, or failed, and is not back yet."""

    def __call__(self) -> StyleAndTextTuples:
        app = get_app()
        width = app.output.get_size().columns
        drawn: StyleAndTextTuples = []
        if self._bars:
            drawn += to_formatted_text(ANSI(self._bars.draw(width)))
            drawn.append(("", "\n"))
        state = self._state()
        look = "class:lost" if self.offline else "class:state"
        hint = hint_of(app.current_buffer.text, transfers=bool(self._bars))
        drawn += [(look, state[:width]), ("", f"  {hint}"[: max(0, width - len(state))])]
        return drawn

    def _state(self) -> str:
        client = self._session.client
        if self.offline:
            return "no connection, trying again"
        if not self._session.user:
            return "not signed in"
        return f"{client.user or self._session.user} on {client.realm or '...'}"


def hint_of(line: str, *, transfers: bool) -> str:
    """Return the usage of the command being typed, or a hint."""
    word, rest = first_word(line)
    name = word.lower()
    if name in TABLE or name in OWN:
        return f"{usage(name)}  {summary(name)}"
    if rest:
        return "not a command; Tab completes, help lists them"
    if transfers:
        return "Ctrl+C cancels"
    return "help lists the commands, Tab completes"
