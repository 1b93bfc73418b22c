"""Who may import whom, and the shape of every file; see ARCHITECTURE.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.realserver import ROOT

SOURCES = ["shared", "ws_server", "flet_app", "terminal_app"]
MAX_LINES = 350
LONGER = {
    # Generated: nobody reads or edits it, and it grows with each command.
    "shared/client/methods.py",
}
DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef

WAITING = "asyncio socket socketserver selectors ssl threading subprocess websockets http".split()
DATABASES = "sqlalchemy alembic sqlite3 asyncpg".split()
WITHOUT_SCREEN = """
actions clock commands conversation conversation_list error_texts files language links order
sending state texts
""".split()

MAY_NOT_IMPORT = {
    "shared": ["ws_server", "flet_app", "terminal_app", *DATABASES],
    "shared.protocol": ["shared.client", *WAITING],
    "shared.client.positions": WAITING,
    "flet_app": ["ws_server", "terminal_app", "websockets", *DATABASES],
    # What is known and done is tested without a screen.
    **{
        f"flet_app.{module}": ["flet", "flet_app.window", "flet_app.views", "flet_app.parts"]
        for module in WITHOUT_SCREEN
    },
    "flet_app.parts": ["flet_app.state", "flet_app.actions", "flet_app.views", "flet_app.window"],
    "terminal_app": ["ws_server", "flet_app", "websockets", *DATABASES],
    "ws_server": ["flet_app", "terminal_app"],
    # What a realm consists of does not know it; `LinkServices` and `Publisher` say what it needs.
    "ws_server.federation": [
        *("ws_server.app", "ws_server.context", "ws_server.gate", "ws_server.handlers"),
        "ws_server.realm",
    ],
    "ws_server.publications": [
        *("ws_server.app", "ws_server.context", "ws_server.gate", "ws_server.handlers"),
        "ws_server.realm",
    ],
    "ws_server.realm": [
        *("ws_server.app", "ws_server.context", "ws_server.gate", "ws_server.handlers"),
        "ws_server.admin",
    ],
    "ws_server.store": [
        *("ws_server.app", "ws_server.context", "ws_server.gate", "ws_server.handlers"),
        *("ws_server.net", "ws_server.realm", "ws_server.settings", "socket", "websockets"),
    ],
    "ws_server.handlers": ["ws_server.app", "ws_server.gate", "socket", "ssl", "websockets"],
    "ws_server.gate": [
        *("ws_server.app", "ws_server.federation", "ws_server.handlers"),
        *("socket", "ssl", "websockets", *DATABASES),
    ],
    "ws_server.command_runner": [
        *("ws_server.app", "ws_server.gate", "ws_server.federation", "ws_server.handlers"),
        *("socket", "ssl", "websockets", *DATABASES),
    ],
    "ws_server.pipeline": ["ws_server", *WAITING, *DATABASES],
    "ws_server.context": ["ws_server.app", "ws_server.gate", "websockets", *DATABASES],
    "ws_server.net": [
        *("ws_server.app", "ws_server.gate", "ws_server.handlers", "ws_server.publications"),
        *("ws_server.realm", *DATABASES),
    ],
    "ws_server.net.session": WAITING,
    "ws_server.net.hub": WAITING,
}
"""Whoever begins with the left may import nothing that begins with one of the right."""

ONLY_IMPORTED_BY = {
    "argon2": ["ws_server.passwords"],
    "asyncpg": ["ws_server.store.engines.postgresql", "ws_server.store.engines.postgresql_driver"],
    "cryptography": [
        *(
            "shared.certificates",
            "ws_server.key",
            "ws_server.startup",
            "ws_server.identity",
            "ws_server.federation",
        ),
    ],
    "PIL": ["flet_app.pictures"],
    "prometheus_client": ["ws_server.metrics"],
    "prompt_toolkit": [
        *("terminal_app.completion", "terminal_app.history", "terminal_app.prompt"),
        *("terminal_app.screen", "terminal_app.toolbar"),
    ],
    "pydantic": ["shared.settings", "ws_server.settings", "flet_app.settings"],
    "pydantic_settings": ["shared.settings", "ws_server.settings", "flet_app.settings"],
    "rich": ["terminal_app.progress"],
    "shared.client": ["shared.client", "flet_app", "terminal_app", "ws_server.federation"],
    "sqlite3": ["ws_server.store", "ws_server.admin"],
    "structlog": ["shared.logs"],
    "flet": ["flet_app"],
    "flet_desktop": ["flet_app.desktop"],
    "idna": ["flet_app.links"],
    "linkify_it": ["flet_app.links"],
    "msgpack": ["flet_app.frame_filter"],
    "flet_web": ["flet_app.site", "flet_app.pages", "flet_app.page_connection", "flet_app.web"],
    "starlette": [
        *("flet_app.pages", "flet_app.site", "flet_app.file_urls", "flet_app.browser_identity"),
        "flet_app.web",
    ],
    "uvicorn": ["flet_app.page_socket", "flet_app.http_timeouts", "flet_app.web"],
    "websockets": ["shared.client", "ws_server.federation", "ws_server.net"],
    "ws_server.app": ["ws_server.command_line", "ws_server.admin"],
    "ws_server.metrics": ["ws_server.app", "ws_server.realm_metrics"],
    "ws_server.net.connection": ["ws_server.net.acceptor", "ws_server.net.listener"],
    "ws_server.net.listener": ["ws_server.app", "ws_server.realm_metrics"],
    "ws_server.store.engines.postgresql": ["ws_server.store.database"],
    "ws_server.store.engines.sqlite": [
        "ws_server.store.database",
        "ws_server.store.engines.snapshot",
    ],
}
"""What begins with the left is imported only by what begins with one of the right."""


def files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield what a module imports, for type checkers too; `from a import b` counts as `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports name the whole package"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    return any(f"{name}.".startswith(f"{package}.") for package in packages)


def broken_rules(importer: str, imported: str) -> Iterator[str]:
    for package, forbidden in MAY_NOT_IMPORT.items():
        if within(importer, package) and within(imported, *forbidden):
            yield f"{package} may not import {imported}"
    for package, users in ONLY_IMPORTED_BY.items():
        if within(imported, package) and not within(importer, *users):
            yield f"only {', '.join(users)} may import {package}"


@pytest.mark.parametrize("path", files(*SOURCES), ids=shown)
def test_imports_follow_the_rules(path: Path) -> None:
    for imported in imports(ast.parse(path.read_text(encoding="utf-8"))):
        assert not list(broken_rules(module(path), imported))


def cycles(graph: dict[str, set[str]]) -> list[frozenset[str]]:
    """Return the groups of modules of which each imports each other one, by whatever way."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        reached[start], new = set(), [start]
        while new:
            found = graph[new.pop()] - reached[start]
            reached[start] |= found
            new += found
    groups = {
        frozenset(other for other in reached[one] if one in reached[other])
        for one in graph
        if one in reached[one]
    }
    return sorted(groups, key=sorted)


def import_graph() -> dict[str, set[str]]:
    """Return which of our modules each imports, for type checkers too."""
    paths = {module(path): path for path in files(*SOURCES)}
    graph: dict[str, set[str]] = {name: set() for name in paths}
    for name, path in paths.items():
        for imported in imports(ast.parse(path.read_text(encoding="utf-8"))):
            package = imported.rpartition(".")[0]
            graph[name] |= {imported if imported in paths else package} & paths.keys()
    return graph


def test_no_module_is_imported_by_what_it_imports() -> None:
    assert cycles(import_graph()) == []


def test_a_cycle_is_noticed_however_long() -> None:
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set[str](), "e": {"e"}}
    assert cycles(graph) == [frozenset("abc"), frozenset("e")]


@pytest.mark.parametrize("path", files(*SOURCES), ids=shown)
def test_no_module_sets_the_state_of_a_class_or_of_another_module(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Global), f"{node.lineno}: global"
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
        ):
            name = node.value.id
            assert name not in modules, f"{node.lineno}: sets {ast.unparse(node)}"
            assert not name[0].isupper(), f"{node.lineno}: sets {ast.unparse(node)}"


@pytest.mark.parametrize(
    "importer, line",
    [
        ("shared.protocol.spec", "import asyncio"),
        ("shared.protocol.spec", "from ws_server import app"),
        ("ws_server.store.accounts.users", "from ws_server.net.hub import Hub"),
        ("ws_server.handlers.meta", "def late():\n    import websockets.frames"),
        ("ws_server.gate", "if TYPE_CHECKING:\n    from ws_server.net.listener import Listener"),
        ("flet_app.state", "import flet"),
    ],
)
def test_the_rules_notice_an_import_they_forbid(importer: str, line: str) -> None:
    (imported,) = imports(ast.parse(line))
    assert list(broken_rules(importer, imported))


@pytest.mark.system
def test_the_protocol_loads_nothing_that_waits() -> None:
    ask = (
        "import sys, shared.protocol.reference, shared.protocol.text_dialect, "
        "shared.protocol.json_dialect; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "shared.protocol.reference" in loaded
    assert {"asyncio", "socket", "websockets", "sqlalchemy"}.isdisjoint(loaded)


@pytest.mark.system
def test_a_server_on_sqlite_does_not_load_the_driver_of_postgresql() -> None:
    ask = "import sys, ws_server.app; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "ws_server.store.engines.sqlite" in loaded
    assert {"asyncpg", "greenlet"}.isdisjoint(loaded)


@pytest.mark.system
def test_a_script_at_the_terminal_client_loads_neither_the_prompt_nor_the_bars() -> None:
    ask = "import sys, terminal_app.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert "terminal_app.scripted" in loaded
    assert {"prompt_toolkit", "rich"}.isdisjoint(loaded)


def test_every_feature_has_its_commands_and_handlers_in_files_of_one_name() -> None:
    def declaring(folder: str, decorator: str) -> set[str]:
        return {
            path.name for path in files(folder) if f"\n@{decorator}(" in path.read_text("utf-8")
        }

    commands = declaring("shared/protocol/commands", "command")
    assert commands == declaring("ws_server/handlers", "handles") and len(commands) > 5


@pytest.mark.parametrize("path", files(*SOURCES), ids=shown)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert not source.strip() or ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("path", files(*SOURCES, "benchmarks", "tests"), ids=shown)
def test_no_file_is_too_long_to_read(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MAX_LINES or shown(path) in LONGER


def test_only_files_that_are_too_long_are_excepted() -> None:
    for name in LONGER:
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) > MAX_LINES, name
