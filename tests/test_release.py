"""What a release is made of: the version, the changelog, and what CI calls."""

from __future__ import annotations

import re

import yaml  # type: ignore[import-untyped]

from tests.realserver import ROOT
from ws_server import __version__

CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
RELEASES = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
SECTIONS = ["Security", "Added", "Changed", "Fixed"]


def test_the_version_is_semantic_and_the_newest_of_the_changelog() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
    assert RELEASES[0] == "Unreleased"
    newest, _, date = RELEASES[1].partition(" - ")
    assert newest == __version__ and re.fullmatch(r"\d{4}-\d\d-\d\d", date)


def test_releases_have_the_sections_in_their_order() -> None:
    for part in re.split(r"^## .+$", CHANGELOG, flags=re.MULTILINE)[1:]:
        named = re.findall(r"^### (.+)$", part, re.MULTILINE)
        assert named == [section for section in SECTIONS if section in named]


def test_no_line_of_the_changelog_stands_there_twice() -> None:
    lines = [line for line in CHANGELOG.splitlines() if line.startswith("- ")]
    assert lines and len(lines) == len(set(lines))


def test_ci_calls_the_script_that_everybody_can_call() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/checks.yml").read_text(encoding="utf-8"))
    (job,) = workflow["jobs"].values()
    assert job["steps"][-1] == {"run": ".ci/run"}
    for action in [step["uses"] for step in job["steps"] if "uses" in step]:
        assert re.fullmatch(r"[\w/-]+@v\d+\.\d+\.\d+", action)


def test_the_hook_before_a_commit_is_the_lint_of_ci() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = hooks["repos"]
    (hook,) = repository["hooks"]
    assert (repository["repo"], hook["entry"]) == ("local", "./chat lint")
