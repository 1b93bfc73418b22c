"""The results of a comparison as JSON lines; the first line describes the setting."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NOISY = 25.0
"""Percent of a core that others may use during a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """One server of a comparison; see `Server` for the fields."""

    stores: str
    synced: bool
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The setting common to all runs."""

    servers: dict[str, About]
    apart: bool
    """Whether server and generator had a core each."""
    rounds: int
    seconds: float
    """Measured seconds of each run."""
    sync_ms: float
    """Median time in which the disk syncs 4 KiB: the meaning of 'synced' here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One server under one workload in one round."""

    round: int
    server: str
    workload: str
    size: int
    """The size that the workload varies: messages in flight or a second, members, connections."""
    figures: dict[str, float] = field(default_factory=dict)
    faults: dict[str, int] = field(default_factory=dict)
    """The number of faults of each kind, such as {"lost": 3}."""
    error: str = ""
    """Why the run has no figures."""

    @property
    def sound(self) -> bool:
        return not self.faults and not self.error

    @property
    def noisy(self) -> bool:
        return self.figures.get("others_cpu", 0.0) > NOISY


@dataclass(frozen=True, slots=True)
class Results:
    setting: Setting
    runs: list[Run]

    def lines(self) -> Iterable[str]:
        yield as_line(self.setting)
        yield from map(as_line, self.runs)

    @classmethod
    def read(cls, path: Path) -> Results:
        first, *others = path.read_text(encoding="utf-8").splitlines()
        setting: dict[str, Any] = json.loads(first)
        setting["servers"] = {name: About(**about) for name, about in setting["servers"].items()}
        return cls(Setting(**setting), [Run(**json.loads(line)) for line in others])


def as_line(part: Setting | Run) -> str:
    return json.dumps(asdict(part)) + "\n"
