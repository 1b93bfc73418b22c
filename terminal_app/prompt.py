"""The prompt: reads lines, and shows answers and events above them."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.clipboard import DummyClipboard
from prompt_toolkit.history import DummyHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from shared.client import (
    ChatError,
    MessageArrived,
    NoAnswer,
    Offline,
    Online,
    Receipt,
    SignedOut,
)
from shared.client.arguments import filled
from shared.client.events import Told
from shared.protocol.commands.accounts import Auth
from shared.protocol.commands.messages import FileInfo, size_in_words
from shared.protocol.commands.meta import Ping
from shared.protocol.records import Reply
from shared.protocol.spec import Request
from shared.protocol.values import BadValue
from terminal_app.asking import ArgumentForm, ArgumentQuestion, form
from terminal_app.commands import ExitApp, SaveFile, SendPath, TypedCommand, read, usage
from terminal_app.completion import LineCompleter
from terminal_app.history import LineHistory
from terminal_app.printing import answer_lines, as_refusal, event_lines, notice
from terminal_app.progress import Bars
from terminal_app.screen import STYLE, Masking, Screen
from terminal_app.session import Answer, TerminalSession
from terminal_app.toolbar import Toolbar

LAST_WAIT_SECONDS = 3.0
"""Seconds that leaving waits for answers."""


class Prompt:
    """The prompt of one person at a terminal.

    Args:
        server: The server's address to show.
        here: The folder to show for relative paths.
        history: The file of the history.
    """

    def __init__(
        self, session: TerminalSession, bars: Bars, server: str, here: Path, history: Path
    ) -> None:
        self._session = session
        self._here = here
        self._server = server
        self._screen = Screen()
        self._toolbar = Toolbar(session, bars)
        self._prompt: PromptSession[str] = PromptSession(
            [("class:prompt", "> ")],
            history=LineHistory(history),
            completer=LineCompleter(session.names),
            complete_while_typing=False,
            enable_history_search=True,
            enable_suspend=True,
            input_processors=[Masking()],
            bottom_toolbar=self._toolbar,
            key_bindings=self._keys(),
            style=STYLE,
        )
        self._question: PromptSession[str] = PromptSession(
            style=STYLE,
            # Otherwise a password could be recalled and shown.
            history=DummyHistory(),
            clipboard=DummyClipboard(),
        )
        self._calls: dict[asyncio.Task[None], str] = {}
        """Commands without an answer, in the order of typing."""
        self._transfers: dict[asyncio.Task[None], str] = {}
        """Running transfers, and the line for each if it is cancelled."""
        self._read: dict[str, int] = {}
        """Read markers of others, by conversation."""
        self._connected = False
        """Whether there has been a connection."""
        session.notice = lambda text: self._screen.write([notice(text)])
        bars.on_change = self._screen.redraw

    async def run(self, user: str | None, password: str) -> None:
        """Run until the person leaves.

        Args:
            user: The user to sign in, unless the session is resumed.
            password: The user's password; if empty, the prompt asks for it.
        """
        # The client library's warnings also come as events; in the log they would tear the prompt.
        logging.basicConfig(handlers=[logging.NullHandler()])
        async with asyncio.TaskGroup() as following:
            tasks = [
                following.create_task(self._follow()),
                following.create_task(self._session.confirm_received()),
            ]
            try:
                await self._begin(user, password)
                while (line := await self._line()) is not None:
                    if await self._typed(line):
                        break
                await self._leave()
            finally:
                self._screen.flush()
                for task in (*tasks, *self._calls, *self._transfers):
                    task.cancel()

    async def _begin(self, user: str | None, password: str) -> None:
        self._say(f"Simple Chatting, {self._server}")
        if self._session.user:
            self._say(f"Signing in as {self._session.user} ...")
            self._screen.flush()
            return
        self._say(f"New here? {usage('register')}")
        self._say(f"Been here? {usage('auth')}")
        self._say("help lists all there is, exit leaves")
        self._screen.flush()
        if user is None:
            # This reveals a wrong address or an unreachable server at once.
            self._start(TypedCommand(Ping()), "ping", quiet=True)
        elif password:
            try:
                self._start(TypedCommand(filled(Auth, user=user, password=password)), "auth")
            except ChatError as why:
                self._show(why)
        else:
            await self._typed(f"auth {user}")

    async def _line(self) -> str | None:
        """Return the next line; None if the person leaves."""
        try:
            return await self._prompt.prompt_async()
        except EOFError:
            return None

    async def _typed(self, line: str) -> bool:
        """Run a line; True if it leaves."""
        if not line.strip():
            return False
        asked = form(line)
        if isinstance(asked, ArgumentForm):
            try:
                request = await self._filled(asked)
            except ChatError as why:
                self._show(why)
            else:
                if request is not None:
                    self._start(TypedCommand(request, asked.spelling), asked.spelling)
            return False
        command = read(line, self._here)
        match command.what:
            case ExitApp():
                return True
            case Request():
                self._start(command, command.spelling or "")
            case SendPath():
                self._transfer(command, f"{command.what.path.name} was not sent")
            case SaveFile():
                self._transfer(command, f"{command.what.file} was not saved")
            case _:
                self._show(await self._session.answer(command))
        return False

    async def _filled(self, asked: ArgumentForm) -> Request[Reply] | None:
        """Ask for missing arguments; None if the person cancels."""
        for question in asked.questions:
            while True:
                try:
                    answer = await self._ask(question, question.label)
                    asked.answered(question, answer)
                    if question.twice and await self._ask(question, "Once more") != answer:
                        raise BadValue("the two are not the same")
                    break
                except BadValue as why:
                    self._screen.write([notice(f"{question.label}: {why}")])
                except (EOFError, KeyboardInterrupt):
                    self._screen.write([notice(f"{asked.spelling}: given up")])
                    return None
        return asked.request()

    async def _ask(self, question: ArgumentQuestion, label: str) -> str:
        return await self._question.prompt_async(
            f"{label}: ", is_password=question.secret, bottom_toolbar=question.arg.help
        )

    # Running commands

    def _start(self, command: TypedCommand, name: str, *, quiet: bool = False) -> None:
        """Send a command; its answer is shown after those of earlier commands."""
        if self._toolbar.offline:
            self._screen.write([notice(f"{name} waits for the connection")])
        previous = list(self._calls)[-1:]
        task = asyncio.create_task(self._call(command, previous, quiet))
        self._calls[task] = name
        task.add_done_callback(self._calls.pop)

    async def _call(
        self, command: TypedCommand, previous: list[asyncio.Task[None]], quiet: bool
    ) -> None:
        answer = await self._session.answer(command)
        if isinstance(answer, Reply | ChatError):
            self._toolbar.offline, self._connected = False, True
        if previous:
            await asyncio.wait(previous)
        if not quiet:
            self._show(answer)

    def _transfer(self, command: TypedCommand, cancelled: str) -> None:
        """Send or save a file; the outcome is shown at its end, independent of other commands."""
        task = asyncio.create_task(self._move(command))
        self._note(task, cancelled)

    async def _move(self, command: TypedCommand) -> None:
        self._show(await self._session.answer(command))

    async def _save(self, file: FileInfo) -> None:
        try:
            saved = await self._session.files.take(file)
            self._screen.write([notice(f"{file.name}: saved as {saved.path}")])
        except (ChatError, NoAnswer) as why:
            reason = as_refusal(why).message
            self._screen.write([notice(f"{file.name}: {reason}; try save {file.id}")])

    def _note(self, task: asyncio.Task[None], cancelled: str) -> None:
        self._transfers[task] = cancelled

        def ended(task: asyncio.Task[None]) -> None:
            del self._transfers[task]
            if task.cancelled():
                self._screen.write([notice(f"{cancelled}: cancelled")])

        task.add_done_callback(ended)

    def _show(self, answer: Answer) -> None:
        self._screen.write(answer_lines(answer))

    def _say(self, text: str) -> None:
        self._screen.write([("", text)])

    async def _leave(self) -> None:
        """Wait a little for running commands, and report unfinished ones."""
        for task in list(self._transfers):
            task.cancel()
        under_way = {*self._calls, *self._transfers}
        if under_way:
            await asyncio.wait(under_way, timeout=LAST_WAIT_SECONDS)
        if self._calls:
            names = ", ".join(self._calls.values())
            self._screen.write([notice(f"not answered, perhaps not done: {names}")])

    # Events

    async def _follow(self) -> None:
        async for event in self._session.events():
            await self._happened(event)
            self._screen.redraw()

    async def _happened(self, event: Told) -> None:
        match event:
            case Online():
                await self._online()
            case Offline():
                if not self._toolbar.offline:
                    self._screen.write(event_lines(event))
                    if not self._connected:
                        self._say("Is a server running there? ./chat serve starts one.")
                self._toolbar.offline = True
            case Receipt():
                if event.conversation == event.user:
                    known = self._read.get(event.user, 0)
                    if event.read_seq > known:
                        self._screen.write(event_lines(event))
                    self._read[event.user] = max(event.read_seq, known)
            case _:
                if isinstance(event, SignedOut):
                    self._toolbar.offline = False
                self._screen.write(event_lines(event))
        # Files that the person sent from another session are not saved.
        if isinstance(event, MessageArrived) and event.file is not None and event.state is None:
            self._offered(event.file)

    def _offered(self, file: FileInfo) -> None:
        """Save an arriving file, or show how to."""
        if self._session.files.is_taken(file):
            self._note(asyncio.create_task(self._save(file)), f"{file.name} was not saved")
        else:
            size = size_in_words(file.size)
            self._screen.write([notice(f"{size}, not saved automatically; type: save {file.id}")])

    async def _online(self) -> None:
        again, self._toolbar.offline = self._toolbar.offline, False
        self._connected = True
        resumed = self._session.take_resumed()
        if again and not resumed:
            self._screen.write([notice("connected again")])
        unread = await self._session.look_up()
        if resumed:
            self._show(self._session.signed_in(unread))

    # Keys

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            if event.current_buffer.text:
                event.current_buffer.reset()
            elif self._transfers:
                for task in list(self._transfers):
                    task.cancel()
            else:
                self._screen.write([notice("exit or Ctrl+D leaves")])

        return keys
