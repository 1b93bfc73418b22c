"""`python -m ws_server admin COMMAND ...`: parses the line and runs the command in its place."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from shared.faults import explained, shown
from shared.program_name import program_name
from shared.text_files import decoded
from ws_server import app, data_folder
from ws_server.admin import control, folder
from ws_server.admin.commands import CREATE, TABLE, AdminCommand, AdminRefused, Given
from ws_server.admin.interrupts import interrupts
from ws_server.settings import Settings
from ws_server.threads import lower_priority

GROUPS = {
    "user": "List, add, disable and change accounts.",
    "invitation": "Create, list and revoke invitations.",
    "realm": "List, approve, block and check other realms; rename this one.",
}
"""The first words of commands with two words."""
WHERE = ("data", "database", "config")
"""The settings that locate a realm."""
WHERE_USAGE = " ".join(f"[--{name} {name.upper()}]" for name in WHERE)


def main(arguments: Sequence[str]) -> int:
    """Run one admin command; return 0, or 1 after a refusal.

    Raises:
        SettingsRefused, app.Refused, DatabaseRefused, KeyRefused: the realm cannot be opened.
        SystemExit: a usage error (2), or a request for help.
    """
    options = vars(parser().parse_args(arguments))
    command = TABLE[options.pop("command")]
    where: dict[str, Any] = {name: options.pop(name) for name in WHERE if name in options}
    settings = Settings.from_arguments(where)
    given = {
        argument.key: "yes" if options[argument.key] is True else options[argument.key]
        for argument in command.arguments
        if options.get(argument.key) not in (None, False)
    }
    if command.beside is None and not command.running:
        try:
            expect_realm(settings, command, given)
        except AdminRefused as refusal:
            print(refusal, file=sys.stderr)
            return 1
    if command.secret:
        given[command.secret] = read_secret(command.secret)
    try:
        asyncio.run(run(settings, command, given))
    except AdminRefused as refusal:
        print(refusal, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Given up", file=sys.stderr)
        return 130
    return 0


async def run(settings: Settings, command: AdminCommand, given: Given) -> None:
    """Run a command in its own process, inside the server, or on the closed realm.

    Raises:
        AdminRefused: the command failed.
    """
    if command.beside is not None:
        # The command runs in this thread, so SIGTERM must raise an exception for it to clean up.
        interrupts.obey_at_once()
        lower_priority()
        try:
            await command.beside(settings, given, say)
        except OSError as error:
            raise AdminRefused(explained(error, settings.data)) from error
        return
    for argument, value in given.items():
        if command.read is None and value != value.encode(errors="replace").decode():
            raise AdminRefused(f"{argument.replace('_', ' ')}: must be UTF-8")
    parts = command.read(given) if command.read is not None else None
    # Only this process uses the folder's path, which need not be text.
    given = {name: shown(value) for name, value in given.items()} if parts is not None else given
    try:
        await control.call(settings.data, command.name, given, say, parts)
    except control.NoServer:
        if command.running:
            raise AdminRefused(
                f"No server runs on {shown(settings.data.resolve())}. Start one, or name the data "
                "folder of the one that runs with --data"
            ) from None
        async with AsyncExitStack() as stack:
            realm = await app.open_realm(settings, stack)
            await control.run(realm, command.name, given, say, folder.local(parts or iter(())))


def expect_realm(settings: Settings, command: AdminCommand, given: Given) -> None:
    """Refuse a folder without a realm, except for commands that create one.

    Raises:
        AdminRefused, data_folder.Refused: the folder holds no realm.
    """
    if not command.begins:
        data_folder.expect_realm(settings.data)
    elif CREATE.key not in given and not data_folder.holds_realm(settings.data):
        raise AdminRefused(
            f"{shown(settings.data.resolve())} holds no realm; name its data folder with --data, "
            f"or make a new realm there with {CREATE.name}"
        )


def say(line: str) -> None:
    """Print one line at once; the command continues even if the output is closed."""
    try:
        print(line, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def read_secret(name: str) -> str:
    """Read a secret: from the keyboard without echo, or the first line of piped input.

    Raises:
        AdminRefused: the input is empty.
    """
    if sys.stdin.isatty():
        return getpass.getpass(f"{name.capitalize()}: ")
    try:
        line = decoded(sys.stdin.buffer.readline()).rstrip("\r\n")
    except ValueError as why:
        print(f"The {name} {why}", file=sys.stderr)
        sys.exit(2)
    if not line:
        print(f"The {name} is read from standard input, which was empty", file=sys.stderr)
        sys.exit(2)
    return line


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, built from their table."""
    program = program_name("ws_server", "admin")
    top = argparse.ArgumentParser(
        program, description="Administer a realm, whether or not its server runs."
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument(
        "--data",
        type=Path,
        default=argparse.SUPPRESS,
        help=f"the realm's data folder (default: {Settings.model_fields['data'].default})",
    )
    where.add_argument(
        "--database", default=argparse.SUPPRESS, help="its database, unless in the data folder"
    )
    where.add_argument("--config", default=argparse.SUPPRESS, help="TOML file that sets them")
    groups: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {
        "": top.add_subparsers(metavar="COMMAND", required=True)
    }
    for command in TABLE.values():
        group, _, verb = command.name.rpartition(" ")
        if group not in groups:
            made = groups[""].add_parser(group, help=GROUPS[group], description=GROUPS[group])
            groups[group] = made.add_subparsers(metavar="COMMAND", required=True)
        leaf = groups[group].add_parser(
            verb,
            usage=f"{program} {command.usage} {WHERE_USAGE}",
            help=command.summary,
            description=command.summary,
            parents=[where],
        )
        leaf.set_defaults(command=command.name)
        for a in command.arguments:
            if a.flag:
                leaf.add_argument(a.name, help=a.help, action="store_true")
            elif a.name.startswith("-"):
                leaf.add_argument(a.name, help=a.help, required=a.required)
            else:
                count = None if a.required else "?"
                leaf.add_argument(a.key, help=a.help, metavar=a.key.upper(), nargs=count)
    return top
