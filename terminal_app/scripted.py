"""Runs without a prompt: commands of --execute, or lines of standard input."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

from shared.client import ChatError, ErrorCode, FileChunk, NoAnswer, Offline, Online
from shared.client.events import Told
from shared.protocol import json_dialect
from shared.protocol.commands.accounts import Auth, Resume
from shared.protocol.records import Event, Reply
from shared.protocol.spec import Access, Request
from shared.protocol.values import BadValue
from terminal_app.asking import ArgumentForm, form
from terminal_app.commands import ExitApp, SaveFile, SendPath, TypedCommand, read
from terminal_app.lines import MAX_WAITING, typed_lines
from terminal_app.printing import answer_lines, as_refusal, event_lines, notice
from terminal_app.session import Answer, TerminalSession


class Exit(IntEnum):
    """Exit codes; higher is worse."""

    OK = 0
    REFUSED = 1
    USAGE = 2  # argparse's own
    NO_ANSWER = 3


MEANING = {
    Exit.OK: "done",
    Exit.REFUSED: "refused",
    Exit.USAGE: "called wrongly",
    Exit.NO_ANSWER: "no answer",
}
"""The exit codes for --help; docs/terminal.md says more."""


def judged(answer: Answer) -> Exit:
    """Return the exit code for the outcome of a command."""
    if isinstance(answer, NoAnswer):
        return Exit.NO_ANSWER
    return Exit.REFUSED if isinstance(answer, ChatError) else Exit.OK


@dataclass(frozen=True, slots=True)
class ScriptWriter:
    """Writes answers and events to standard output, notices to standard error."""

    json: bool

    def answer(self, command: TypedCommand, answer: Answer) -> None:
        if self.json:
            _print([_frame(command, answer)])
        else:
            _print(text for _, text in answer_lines(answer))

    def event(self, event: Told) -> None:
        if not isinstance(event, Event):
            for _, text in event_lines(event):
                print(text, file=sys.stderr)
        elif self.json:
            _print([json_dialect.format_event(event).decode()])
        elif not isinstance(event, FileChunk):
            _print(text for _, text in event_lines(event))


def tell(text: str) -> None:
    """Write a notice to standard error."""
    print(notice(text)[1], file=sys.stderr)


class Script:
    """Runs commands without a prompt.

    Args:
        here: The folder that relative paths would be in.
        user: The user to sign in, if the commands need a session and do not sign in themselves.
        password: The user's password; if empty and needed, asked for at a terminal.
    """

    def __init__(
        self,
        session: TerminalSession,
        writer: ScriptWriter,
        here: Path,
        user: str | None,
        password: str,
    ) -> None:
        self._session = session
        self._writer = writer
        self._here = here
        self._user = user
        self._password = password

    async def run(self, lines: Sequence[str]) -> Exit:
        """Run commands in order until one fails; return the exit code."""
        for line in lines:
            command = self._completed(line)
            if isinstance(command.what, ExitApp):
                break
            if self._user and not self._session.user and _needs_session(command):
                code = await self._sign_in(self._user)
                if code is not Exit.OK:
                    return code
            answer = await self._session.answer(command)
            self._writer.answer(command, answer)
            if not isinstance(answer, Reply):
                return judged(answer)
        return Exit.OK

    async def run_input(self) -> Exit:
        """Run the lines of standard input; return the worst exit code.

        Several commands run at once; answers are printed in the order of the lines.
        """
        telling = asyncio.create_task(self._tell_events())
        try:
            if self._user and (self._password or self._session.has_token(self._user)):
                code = await self._sign_in(self._user)
                if code is not Exit.OK:
                    return code
            return await self._run_lines()
        finally:
            telling.cancel()

    async def _run_lines(self) -> Exit:
        under_way: asyncio.Queue[asyncio.Task[Exit] | None] = asyncio.Queue(MAX_WAITING)
        ending = asyncio.create_task(_worst(under_way))
        previous: asyncio.Task[Exit] | None = None
        async for line in typed_lines():
            command = line if isinstance(line, TypedCommand) else read(line, self._here)
            if isinstance(command.what, ExitApp):
                break
            # A file takes several commands, which must not be interleaved with others.
            alone = isinstance(command.what, SendPath | SaveFile)
            if alone and previous is not None:
                await asyncio.wait([previous])
            previous = asyncio.create_task(self._run_behind(previous, command))
            await under_way.put(previous)
            if alone:
                await asyncio.wait([previous])
        await under_way.put(None)
        return await ending

    async def _run_behind(self, previous: asyncio.Task[Exit] | None, command: TypedCommand) -> Exit:
        answer = await self._session.answer(command)
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        self._writer.answer(command, answer)
        return judged(answer)

    async def _sign_in(self, user: str) -> Exit:
        """Sign the user in; on failure, show the reason."""
        answer = await self._session.sign_in(
            user, lambda: self._password or _ask(f"Password of {user}")
        )
        if not isinstance(answer, Reply):
            self._writer.answer(TypedCommand(as_refusal(answer), "auth"), answer)
        return judged(answer)

    async def _tell_events(self) -> None:
        lost = False
        async for event in self._session.events():
            if isinstance(event, Online) and not self._writer.json:
                await self._session.look_up()  # the names of groups
            if not (lost and isinstance(event, Offline)):
                self._writer.event(event)
            lost = isinstance(event, Offline)

    def _completed(self, line: str) -> TypedCommand:
        """Parse a line of --execute; ask for missing arguments, if there is a terminal."""
        asked = form(line) if sys.stdin.isatty() else None
        if isinstance(asked, ArgumentForm):
            try:
                return TypedCommand(_filled(asked), asked.spelling)
            except ChatError as why:
                return TypedCommand(why, asked.spelling)
        return read(line, self._here)


async def _worst(under_way: asyncio.Queue[asyncio.Task[Exit] | None]) -> Exit:
    worst = Exit.OK
    while (task := await under_way.get()) is not None:
        worst = max(worst, await task)
    return worst


def _filled(asked: ArgumentForm) -> Request[Any]:
    for question in asked.questions:
        while True:
            try:
                answer = _ask(question.label, question.secret)
                asked.answered(question, answer)
                if question.twice and _ask("Once more") != answer:
                    raise BadValue("the two are not the same")
                break
            except BadValue as why:
                tell(f"{question.label}: {why}")
    return asked.request()


def _ask(label: str, secret: bool = True) -> str:
    """Ask at the terminal; None without one."""
    if not sys.stdin.isatty():
        raise ChatError(
            ErrorCode.NOT_AUTHENTICATED,
            f"{label} is not known: set CHAT_TERMINAL_PASSWORD, or sign in at a terminal first",
        )
    ask: Callable[[str], str] = getpass.getpass if secret else input
    return ask(f"{label}: ")


def _needs_session(command: TypedCommand) -> bool:
    what = command.what
    if isinstance(what, Request):
        return what.spec.access is Access.USER and not isinstance(what, Auth | Resume)
    return isinstance(what, SendPath | SaveFile)


def _frame(command: TypedCommand, answer: Answer) -> str:
    """Return an answer as a line of the JSON dialect."""
    if not isinstance(answer, Reply):
        refusal = as_refusal(answer)
        return json_dialect.format_error(refusal, command.spelling, command.label).decode()
    return json_dialect.format_reply(answer, command.spelling or "", command.label).decode()


def _print(lines: Iterable[str]) -> None:
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has gone; buffered output cannot be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(128 + signal.SIGPIPE) from None
