"""Two faults that no rule of the linter finds: lost strings, and clocks that begin at 0.

Each check is also shown faults, planted in samples, that it has to find, and code that it must
leave alone.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator

import pytest

from tests.clocks import Clocks, Function
from tests.realserver import ROOT

PACKAGES = ["shared", "ws_server", "flet_app", "terminal_app", "benchmarks", "docs"]


def sources(*folders: str) -> dict[str, str]:
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    return {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in paths}


def lost_strings(tree: ast.Module) -> Iterator[int]:
    """Yield the line of each string that is a statement and documents nothing.

    A string documents the module, class or function that it begins, the name that is assigned to
    right above it in a module or a class, and the attribute of `self` that is assigned to right
    above it in `__init__`.
    """
    for node in ast.walk(tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                for before, statement in zip([None, *block], block, strict=False):
                    if _is_string(statement) and not _documents(node, part, before):
                        yield statement.lineno


def _is_string(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr):
        return False
    value = node.value
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str | bytes)
    return is_text or isinstance(value, ast.JoinedStr)


def _documents(node: ast.AST, part: str, before: ast.stmt | None) -> bool:
    if before is None:
        return part == "body" and isinstance(node, ast.Module | ast.ClassDef | Function)
    if not isinstance(before, ast.Assign | ast.AnnAssign):
        return False
    if isinstance(node, ast.Module | ast.ClassDef):
        return True
    targets = before.targets if isinstance(before, ast.Assign) else [before.target]
    return isinstance(node, Function) and node.name == "__init__" and all(map(_is_own, targets))


def _is_own(target: ast.expr) -> bool:
    """Tell whether it is an attribute of `self`, or several of them."""
    if isinstance(target, ast.Tuple):
        return all(map(_is_own, target.elts))
    return (
        isinstance(target, ast.Attribute)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    )


@pytest.mark.slow
def test_no_string_stands_as_a_statement() -> None:
    """As one did where an assignment had been, in `finally`."""
    found = [
        f"{path}:{line}"
        for path, text in sources(*PACKAGES, "tests").items()
        for line in lost_strings(ast.parse(text))
    ]
    assert found == []


@pytest.mark.slow
def test_no_moment_of_a_monotonic_clock_begins_at_0() -> None:
    """As "never" did, which shortly after the machine's boot is "just now"."""
    assert [f"{path}:{line}" for path, line in Clocks(sources(*PACKAGES)).faults()] == []


LOST = {
    "after a statement": """
        def f():
            g()
            "lost"  #!
        """,
    "in finally": """
        def f(self):
            try:
                self.older = True
            finally:
                "lost"  #!
        """,
    "below an assignment in a function": """
        def f(self):
            self.x = 1
            "lost"  #!
        """,
    "below a local one in __init__": """
        class A:
            def __init__(self):
                x = 1
                "lost"  #!
        """,
    "in else, and below a function": """
        if x:
            pass
        else:
            "lost"  #!
        class A:
            def f(self): ...
            "lost"  #!
        """,
    "with a value in it, in a loop, as bytes": """
        for x in y:
            f"{x}"  #!
        while True:
            b"lost"  #!
        """,
    "a second one": """
        '''Documents.'''
        '''Does not.'''  #!
        """,
    "in with and match": """
        async def f():
            with g():
                "lost"  #!
            match x:
                case 1:
                    "lost"  #!
        """,
}

DOCUMENTING = '''
"""A module."""
NAME = 1
"""A name."""
class A:
    """A class."""
    field: int
    """A field."""
    def __init__(self) -> None:
        """A function."""
        self.x: int = 1
        """An attribute."""
        self.y, self.z = 1, 2
        """Two of them."""
    async def f(self) -> None:
        """A coroutine."""
        ...
'''


def planted(sample: str) -> tuple[str, list[int]]:
    """Return a sample, and the lines in which something is planted."""
    text = textwrap.dedent(sample)
    return text, [n for n, line in enumerate(text.splitlines(), 1) if line.endswith("#!")]


@pytest.mark.parametrize("sample", LOST.values(), ids=LOST)
def test_lost_strings_are_found(sample: str) -> None:
    text, lines = planted(sample)
    assert lines and sorted(lost_strings(ast.parse(text))) == lines


def test_strings_that_document_are_left_alone() -> None:
    assert list(lost_strings(ast.parse(DOCUMENTING))) == []


FROM_ZERO = {
    "an attribute": """
        class A:
            def __init__(self):
                self._last = 0.0  #!
            def f(self):
                if time.monotonic() - self._last > 5:
                    self._last = time.monotonic()
        """,
    "by way of a name": """
        class A:
            def __init__(self, loop):
                self.loop, self.since = loop, 0  #!
            def f(self):
                now = self.loop.time()
                return now - self.since < PAUSE
        """,
    "a field, of an object of another name": """
        @dataclass
        class Ticket:
            until: float = 0.0  #!
        def f(ticket):
            return time.monotonic() > ticket.until
        """,
    "a field with more to it": """
        @dataclass
        class Ticket:
            until: float = field(default=0.0, repr=False)  #!
            def f(self):
                return self.until < asyncio.get_running_loop().time()
        """,
    "an argument by its name": """
        @dataclass
        class Ticket:
            until: float
        def f(ticket):
            ticket.until = time.monotonic() + 5
            return Ticket(until=0)  #!
        """,
    "a parameter": """
        def f(begun: float = 0.0):  #!
            return time.perf_counter() - begun
        """,
    "a local one": """
        def f():
            last = 0.0  #!
            while True:
                if loop.time() > last + PAUSE:
                    last = loop.time()
        """,
    "a default": """
        def f(seen, who):
            return time.monotonic() - seen.get(who, 0) > 5  #!
        """,
    "the default of a pair": """
        def f(asked):
            request, since = requests.get(asked, ("", 0.0))  #!
            if time.monotonic() - since > SAME:
                requests[asked] = (request, time.monotonic())
        """,
    "a mapping": """
        class A:
            def __init__(self):
                self.seen = defaultdict(float)  #!
            def f(self, who):
                if monotonic() - self.seen[who] > 5:
                    self.seen[who] = monotonic()
        """,
    "a mapping of another kind": """
        seen = dict.fromkeys(NAMES, 0.0)  #!
        counted = Counter()  #!
        def f(who):
            seen[who] = counted[who] = time.monotonic()
        """,
    "either": """
        def f(self, last):
            self.last = last or 0.0  #!
            return loop.time() - self.last
        """,
    "set back": """
        class A:
            def __init__(self):
                self.until = None
            def f(self):
                self.until = time.monotonic() + 5
            def end(self):
                self.until = 0.0  #!
        """,
    "compared with it": """
        def f(now: float):
            return time.monotonic() > 0  #!
        """,
    "given on": """
        class A:
            def __init__(self):
                self.a = 0.0  #!
            def f(self):
                b = self.a
                self.g(b)
                return max(b, time.monotonic())
        """,
}

FROM_ELSEWHERE = """
    import math, time
    class A:
        def __init__(self):
            self.count = 0
            self.last: float | None = None
            self.never = -math.inf
            self.took = 0.0
            self.pause = 0.0
            self.wall = 0.0
        def f(self):
            self.count += 1
            begun = time.monotonic()
            self.took = time.monotonic() - begun
            wait = max(0.0, begun + LIMIT - time.monotonic())
            if self.last is None or begun - self.last > LIMIT or begun > self.never:
                self.last = begun
            young = time.monotonic() - begun < LIMIT
            self.pause = min(2 * self.pause or 1.0, LONGEST) if young else 0.0
            self.wall = time.time()
            return time.time() - self.wall > 0 and self.took > 0
    """


@pytest.mark.parametrize("sample", FROM_ZERO.values(), ids=FROM_ZERO)
def test_moments_that_begin_at_0_are_found(sample: str) -> None:
    text, lines = planted(sample)
    found = Clocks({"sample.py": text}).faults()
    assert lines and [line for _, line in found] == lines


def test_moments_of_another_file_are_found() -> None:
    session = "class Session:\n    def __init__(self):\n        self.dialled = 0.0\n"
    handler = "def link(session, loop):\n    session.dialled = loop.time()\n"
    assert Clocks({"session.py": session, "links.py": handler}).faults() == [("session.py", 3)]


def test_spans_counts_and_other_clocks_are_left_alone() -> None:
    assert Clocks({"sample.py": textwrap.dedent(FROM_ELSEWHERE)}).faults() == []


@pytest.mark.parametrize("folder", PACKAGES)
def test_all_packages_are_looked_at(folder: str) -> None:
    assert sources(folder)
