"""`python -m terminal_app`: use a realm from a terminal or a script."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.client import ChatClient
from shared.program_name import program_name
from terminal_app.echo import without_echo
from terminal_app.files import MIB, TerminalFiles
from terminal_app.progress import Bars
from terminal_app.scripted import MEANING, Exit, Script, ScriptWriter, tell
from terminal_app.session import TerminalSession
from terminal_app.tokens import Tokens, state_folder

SERVER = "ws://localhost:8765"
SAVE_UP_TO_MIB = 8
"""MiB."""
CALL_SECONDS = 600.0
"""Seconds a command waits for its answer at the prompt, where people can see it waiting."""
SCRIPT_CALL_SECONDS = 10.0
"""The same in a script."""


def main() -> int:
    """Return the exit code; see `Exit`."""
    for stream in (sys.stdout, sys.stderr):
        # Characters that the terminal's or pipe's encoding lacks must not end the program.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    options = parse(sys.argv[1:])
    try:
        quiet = without_echo() if options.prompt else contextlib.nullcontext()
        with quiet, asyncio.Runner() as runner:
            return runner.run(run(options))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line and the environment.

    Raises:
        SystemExit: --help was asked for, or an option is wrong (2).
    """
    variables = {name: os.environ.get(f"CHAT_TERMINAL_{name}", "") for name in ("SERVER", "USER")}
    codes = ", ".join(f"{code:d} {meaning}" for code, meaning in MEANING.items())
    parser = argparse.ArgumentParser(
        prog=program_name("terminal_app"),
        description="Talk to a realm at a prompt, or by commands that are read from standard input "
        "if that is not a terminal.",
        epilog="Environment: CHAT_TERMINAL_SERVER, CHAT_TERMINAL_USER, CHAT_TERMINAL_PASSWORD. "
        f"Exit codes: {codes}. See docs/terminal.md.",
    )
    parser.add_argument(
        "address", nargs="?", metavar="ws://...", help=f"address of the realm (default: {SERVER})"
    )
    parser.add_argument("--server", metavar="ws://...", help="the same address, as an option")
    parser.add_argument("--user", help="user to sign in (default: the one who signed in last)")
    parser.add_argument(
        "--execute",
        action="append",
        metavar="COMMAND",
        help='run a command such as "send bob hi" and exit; may be repeated',
    )
    parser.add_argument(
        "--json", action="store_true", help="print replies and events as lines of JSON; no prompt"
    )
    parser.add_argument(
        "--downloads",
        type=Path,
        metavar="FOLDER",
        help="folder for saved files (default: ~/Downloads)",
    )
    parser.add_argument(
        "--save-up-to",
        type=_mib,
        default=SAVE_UP_TO_MIB,
        metavar="MIB",
        help=f"largest arriving file to save, in MiB; 0 saves none (default: {SAVE_UP_TO_MIB})",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="SECONDS",
        help=f"seconds to wait for a reply (default: {CALL_SECONDS:.0f}; in scripts "
        f"{SCRIPT_CALL_SECONDS:.0f})",
    )
    options = parser.parse_args(arguments)
    if options.address and options.server and options.address != options.server:
        parser.error("the server is given twice; leave one out")
    options.server = options.address or options.server or variables["SERVER"] or SERVER
    options.user = options.user or variables["USER"] or None
    options.password = os.environ.pop("CHAT_TERMINAL_PASSWORD", "")
    if options.password and not options.user:
        parser.error("CHAT_TERMINAL_PASSWORD needs CHAT_TERMINAL_USER or --user: whose is it?")
    options.prompt = not (options.execute or options.json) and _can_prompt()
    try:
        ChatClient(options.server)
    except ValueError as error:
        parser.error(f"{error}; it looks like {SERVER}")
    return options


def _can_prompt() -> bool:
    """Whether input and output are a terminal that can move its cursor."""
    able = os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
    return able and sys.stdin.isatty() and sys.stdout.isatty()


def _mib(word: str) -> int:
    if not (word.isdecimal() and int(word) <= 1_000_000):
        raise argparse.ArgumentTypeError("must be a whole number of MiB, 0 for none")
    return int(word)


def _seconds(word: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(word) <= 1_000_000:
            return float(word)
    raise argparse.ArgumentTypeError("must be a number of seconds above 0")


def default_downloads() -> Path:
    """Return the person's folder for downloads, or one in the current folder."""
    usual = Path.home() / "Downloads"
    return usual if usual.is_dir() else started_in() / "downloads"


def started_in() -> Path:
    """Return the current folder, or the root if the current folder no longer exists."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


async def run(options: argparse.Namespace) -> int:
    """Run one client, and return the exit code."""
    asked_to_leave = _on_sigterm()
    state = state_folder()
    tokens = Tokens(state, options.server)
    user = options.user or tokens.latest()
    token = tokens.of(user) if user and options.prompt else ""
    client = ChatClient(
        options.server,
        token=token,
        timeout=options.timeout or (CALL_SECONDS if options.prompt else SCRIPT_CALL_SECONDS),
        events=not options.execute,
    )
    bars = Bars(live=not options.prompt and sys.stderr.isatty())
    here = started_in()
    downloads = here / (options.downloads or default_downloads()).expanduser()
    files = TerminalFiles(client, bars, downloads, options.save_up_to * MIB)
    session = TerminalSession(client, files, tokens)
    try:
        async with client:
            if options.prompt:
                # Imported here: loading it takes longer than a whole run without it.
                from terminal_app.prompt import Prompt

                if user and token:
                    session.resumes(user, token)
                prompt = Prompt(session, bars, options.server, here, state / "history")
                await prompt.run(options.user, options.password)
                return Exit.OK
            session.notice = tell
            script = Script(session, ScriptWriter(options.json), here, user, options.password)
            return await (script.run(options.execute) if options.execute else script.run_input())
    except asyncio.CancelledError:
        if not asked_to_leave.is_set():
            raise
        return 0 if options.prompt else 128 + signal.SIGTERM


def _on_sigterm() -> asyncio.Event:
    """Cancel this task at SIGTERM; return a function that tells whether that happened."""
    task, asked = asyncio.current_task(), asyncio.Event()
    assert task is not None

    def leave() -> None:
        asked.set()
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # on Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, leave)
    return asked


if __name__ == "__main__":
    sys.exit(main())
