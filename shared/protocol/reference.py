"""What derives from the command table for people: `help`, and docs/commands.md."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin, get_type_hints

from shared.protocol.commands.meta import CommandHelp, HelpPage
from shared.protocol.errors import MEANING, ChatError, ErrorCode
from shared.protocol.spec import EVENTS, TABLE, Access, Record, Spec, specs, unknown_command


def help_page(topic: str | None) -> HelpPage:
    """Return the list of commands, or what there is to say of one.

    Raises:
        ChatError: BAD_ARGUMENTS, there is no such command; it names the nearest.
    """
    if topic is None:
        shown = (spec for spec in specs() if spec.access is not Access.REALM)
        return HelpPage([_command(spec, spec.name) for spec in shown])
    name = topic.lower()
    spec = TABLE.get(name)
    if spec is None:
        error = unknown_command(topic)
        raise ChatError(ErrorCode.BAD_ARGUMENTS, error.message)
    details = [f"{a.name}: {a.help}" for a in spec.words]
    if spec.realm_name:
        other = spec.realm_name if name == spec.name else spec.name
        details.append(f"the same: {spec.usage(other)}")
    return HelpPage([_command(spec, name)], details)


def _command(spec: Spec, spelling: str) -> CommandHelp:
    return CommandHelp(spelling, spec.usage(spelling), spec.summary)


def markdown() -> str:
    """Return docs/commands.md."""
    parts = [
        "# Commands, events and errors",
        "Generated from the command table by `./chat reference`; do not edit.\n"
        "How frames are written is in [protocol.md](protocol.md).",
        "## Commands",
        *(_command_section(spec) for spec in specs()),
        "## Events",
        *(_event_section(name) for name in EVENTS),
        "## Records",
        "What fields of replies and events hold.",
        *(_record_section(kind) for kind in Record.__subclasses__() if _is_nested(kind)),
        "## Errors",
        "\n".join(f"- `{code}`: {meaning}" for code, meaning in MEANING.items()),
    ]
    return "\n\n".join(parts) + "\n"


def _is_nested(kind: type[Record]) -> bool:
    return bool(kind.wires)


def _command_section(spec: Spec) -> str:
    lines = [f"### {spec.name}", "", (spec.request.__doc__ or "").strip(), "", "```"]
    lines.append(spec.usage())
    if spec.realm_name:
        lines.append(spec.usage(spec.realm_name))
    lines += ["```", ""]
    if spec.access is Access.ANYONE:
        lines.append("Needs no session.\n")
    elif spec.access is Access.REALM:
        lines.append("For realms that link; see [federation.md](federation.md).\n")
    hints = get_type_hints(spec.request)
    for a in spec.args:
        notes = ["optional"] * (not a.required) + ["JSON only"] * a.json_only
        note = ", ".join([_type(hints[a.name]), *notes])
        lines.append(f"- `{a.name}` ({note}): {a.help}")
    if spec.args:
        lines.append("")
    lines.append(f"Answers: {(spec.reply.__doc__ or '').strip()}")
    lines += ["", *_fields(spec.reply)] if spec.reply.wires else []
    return "\n".join(lines)


def _event_section(name: str) -> str:
    kind = EVENTS[name]
    return "\n".join([f"### {name}", "", (kind.__doc__ or "").strip(), "", *_fields(kind)])


def _record_section(kind: type[Record]) -> str:
    doc = (kind.__doc__ or "").strip()
    return "\n".join([f"### {kind.__name__}", "", doc, "", *_fields(kind)])


def _fields(kind: type[Record]) -> list[str]:
    hints = get_type_hints(kind)
    return [
        f"- `{w.wire}` ({_type(hints[w.name])}{', if any' * w.optional}): {w.help}"
        for w in kind.wires
    ]


def _type(hint: Any) -> str:
    """Return what a field is in JSON."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_type(part) for part in get_args(hint) if part is not type(None)]
        return " or ".join(dict.fromkeys(parts))
    if get_origin(hint) is list:
        return f"list of {_type(get_args(hint)[0])}"
    if get_origin(hint) is dict:
        return "object"
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.__name__
    return {int: "integer", bool: "boolean", bytes: "base64"}.get(hint, "string")
