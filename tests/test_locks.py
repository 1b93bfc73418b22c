"""Rules of `requirements*.txt`: the complete locks that `./chat lock` makes of pyproject.toml."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from functools import cache

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.realserver import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
GROUPS: dict[str, list[str]] = PROJECT["dependency-groups"]
LOCKS = {
    "requirements.txt": PROJECT["project"]["dependencies"],
    **{
        f"requirements-{group}.txt": PROJECT["project"]["dependencies"] + wanted
        for group, wanted in GROUPS.items()
    },
}
AGAIN = "run ./chat lock"


@cache
def locked(lock: str) -> dict[str, tuple[Requirement, int]]:
    """Return what a lock holds, by name, with how many hashes each package has."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            words, *hashes = re.split(r"\s+--hash=sha256:[0-9a-f]{64}", line)
            requirement = Requirement(words)
            found[canonicalize_name(requirement.name)] = (requirement, len(hashes))
    return found


def version(lock: str, name: str) -> str:
    requirement, _ = locked(lock)[canonicalize_name(name)]
    (pin,) = requirement.specifier
    return pin.version


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_has_one_version_and_its_hashes(lock: str) -> None:
    assert locked(lock), AGAIN
    for requirement, hashes in locked(lock).values():
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement
        assert hashes, requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_dependency_is_locked_within_its_bounds(lock: str) -> None:
    for wanted in map(Requirement, LOCKS[lock]):
        assert canonicalize_name(wanted.name) in locked(lock), f"{wanted}: {AGAIN}"
        assert wanted.specifier.contains(version(lock, wanted.name)), f"{wanted}: {AGAIN}"
        assert re.search(r">=\s*\d", str(wanted.specifier)), f"{wanted} has no minimum"


@pytest.mark.parametrize("lock", LOCKS)
def test_what_locked_packages_need_is_locked_too(lock: str) -> None:
    """As far as they are installed here, for this system and this Python."""
    for name in locked(lock):
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system, or a group that is not installed
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonicalize_name(need.name) in locked(lock), f"{name} needs {need}"


@pytest.mark.parametrize("lock", LOCKS)
def test_all_locks_agree_on_what_runs(lock: str) -> None:
    for name in locked("requirements.txt"):
        assert version(lock, name) == version("requirements.txt", name), AGAIN


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_says_where_packages_come_from(lock: str) -> None:
    assert "://" not in (ROOT / lock).read_text()
