"""What differs between a browser and a desktop window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, Protocol

from shared.client import ChatClient


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that the browser is to send."""

    url: str
    path: Path


class Host(Protocol):
    """Where the app runs."""

    server: str
    may_change_server: bool
    zone: tzinfo
    language: str
    folder: Path

    def client(self, server: str, token: str = "", **options: Any) -> ChatClient: ...
    def show(self, path: Path, type: str) -> str: ...
    def offer(self, path: Path, name: str) -> str: ...
    def expect(self, name: str, size: int) -> Expected: ...
    def withdraw(self, url: str) -> None: ...
    def close(self) -> None: ...
