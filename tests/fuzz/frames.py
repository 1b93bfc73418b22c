"""Frames by chance: of every command, right and slightly wrong, from one seeded generator."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

import orjson

from shared.protocol import kinds
from shared.protocol.spec import Arg, Spec, specs
from tests.fuzz.seeds import SEEDS

NAMES = ["alice", "bob", "carol", "dave", "alice", "Bob", "nobody", "bob@alpha", "bob@beta"]
REALMS = ["alpha", "Alpha", "beta"]
TEXTS = ["hi", "", " ", "a\nb", "é👋", "\x1b[2J", "x" * 300, "a\0", "\u202e", "{}", "limit=1"]
NUMBERS = [0, 1, 2, 3, 50, 200, 201, -1, 2**53 - 1, 2**53]
WRONG: list[Any] = [
    None,
    True,
    1.5,
    -1,
    2**70,
    [],
    {},
    {"a": {}},
    "",
    "x" * 70_000,
    "a b",
    "\x1b",
    [["x"]],
]
SHA256 = "8f434346648f6b96df89dda901c5176b10a6d83961dd3c1ac88b59b2dc327aa4"
"""Of `hi`."""
RARE = {"auth", "register", "passwd", "logout", "leavegroup", "kick"}
"""Commands that hash a password, which is slow, or after which less can happen."""


_FITTING = {
    "scheme": ["ws", "wss", "http"],
    "dialect": ["json", "text"],
    "mode": ["push", "offer"],
    "history": ["all", "joining", "none"],
    "sha256": [SHA256, SHA256, "ab" * 32],
}
"""Words of a fixed form, by argument."""


@dataclass
class Known:
    """What exists and can be named in frames."""

    groups: list[str] = field(default_factory=lambda: ["#1"])
    files: list[str] = field(default_factory=lambda: ["f_1"])
    uploads: list[str] = field(default_factory=lambda: ["u_1"])
    tokens: list[str] = field(default_factory=lambda: ["t"])

    def learn(self, reply: dict[str, Any]) -> None:
        """Remember what a reply names."""
        for key, names in (
            ("group", self.groups),
            ("upload", self.uploads),
            ("token", self.tokens),
        ):
            if isinstance(reply.get(key), str):
                names.append(reply[key])
        if isinstance(reply.get("file"), dict):
            self.files.append(reply["file"]["id"])

    def filled(self, chance: Random, seed: str) -> str:
        """Return a seed with real names in it."""
        for word, names in (
            ("GROUP", self.groups),
            ("FILE", self.files),
            ("UPLOAD", self.uploads),
            ("TOKEN", self.tokens),
        ):
            if word in seed:
                seed = seed.replace(word, chance.choice(names[-4:]))
        return seed


def value(chance: Random, known: Known, a: Arg) -> Any:
    """Return a value for an argument, mostly one that means something."""
    group = chance.choice(["#1", "#1", *known.groups[-3:], "#999"])
    match a.kind:
        case kinds.UserKind():
            return chance.choice(NAMES)
        case kinds.GroupKind():
            return group
        case kinds.ConversationKind():
            return chance.choice([*NAMES, group, group])
        case kinds.LocalName():
            return chance.choice(["alice", "erin", *REALMS])
        case kinds.PositionsKind():
            return {chance.choice([*NAMES, group]): chance.choice(NUMBERS[:4])}
        case kinds.Number():
            return chance.choice(NUMBERS[:5] if chance.random() < 0.8 else NUMBERS)
        case kinds.Base64():
            return chance.choice(["aGk=", "aGk=", "aA==", "aGk", "x" * 400])
        case kinds.FileName():
            return chance.choice(["a.png", "a.png", "../x", "", "b\u202e"])
        case kinds.Pattern():
            return chance.choice(_FITTING[a.name])
    if a.name == "token":
        return chance.choice(known.tokens[-4:])
    if a.name == "upload":
        return chance.choice(known.uploads[-4:])
    if a.name == "file":
        return chance.choice(known.files[-4:])
    if a.name == "idempotency_key":
        return chance.choice(["k1", "k2", "k3"])
    if "password" in a.name:
        return chance.choice(["secret1", "wrong-password"])
    return chance.choice(TEXTS)


def of_command(chance: Random, known: Known, spec: Spec, label: str) -> str:
    """Return a frame of one command in either dialect and spelling."""
    spelling = chance.choice([spec.name, spec.realm_name or spec.name])
    realm = chance.choice(REALMS) if spelling == spec.realm_name else None
    values = {
        a.name: value(chance, known, a) for a in spec.args if a.required or chance.random() < 0.3
    }
    if chance.random() < 0.5:
        words = [spelling, *([realm] if realm else [])]
        for a in spec.words:
            if a.name in values and not (realm and a.name == "realm"):
                named = not a.required and chance.random() < 0.5
                words.append(f"{a.name}={values[a.name]}" if named else str(values[a.name]))
        return " ".join(words)
    body: dict[str, Any] = {"command": spelling, "id": label, **values}
    if realm:
        body["realm"] = realm
    if chance.random() < 0.1:
        body[chance.choice(list(body))] = chance.choice(WRONG[:-1] + ["x"])
    if chance.random() < 0.05:
        body.pop(chance.choice(list(body)))
    return _dumped(body)


def _dumped(body: dict[str, Any]) -> str:
    try:
        return orjson.dumps(body).decode()
    except TypeError:  # an integer beyond 64 bits
        return str(body)


def broken(chance: Random, frame: str) -> str:
    """Return a frame with something cut out, doubled or put in."""
    at, to = sorted(chance.choices(range(len(frame) + 1), k=2))
    noise = chance.choice(["", frame[at:to], "\0", "\n", '"', "{", " ", "\x1b", "é", "@", "#", "="])
    return (frame[:at] + noise + frame[to:])[:200_000]


def any_frame(chance: Random, known: Known, label: str) -> str:
    """Return any frame at all."""
    kind = chance.random()
    if kind < 0.12:
        return known.filled(chance, chance.choice(SEEDS))
    spec = chance.choice(specs())
    while spec.name in RARE and chance.random() < 0.8:
        spec = chance.choice(specs())
    frame = of_command(chance, known, spec, label)
    if kind < 0.2:
        return broken(chance, frame)
    if kind < 0.22:
        return "".join(chr(chance.randrange(1, 0xD800)) for _ in range(chance.randrange(50)))
    return frame
