"""Finds moments of a monotonic clock that begin at 0, which is a moment like any other.

`time.monotonic()` and a loop's clock count from the boot of the machine, so shortly after it 0 is
"just now", and a "last time" that begins at 0 says that something has just been done. Here the
syntax trees of all sources are read together: whatever is assigned from such a clock, or compared
with it, or taken off it, is a moment, and so is what a moment is assigned to. A literal 0 that may
become a moment is a fault; None, or `-math.inf`, is how one says "never".
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

CLOCKS = ("monotonic", "perf_counter")
LOOPS = ("loop", "_loop", "get_running_loop", "get_event_loop")
EMPTY = ("defaultdict", "Counter", "fromkeys")
"""Calls that make a mapping whose elements may begin at 0."""

Key = tuple[str, ...]
Function = ast.FunctionDef | ast.AsyncFunctionDef
LOOKED_AT = (
    *(ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Compare, ast.BinOp, ast.Call),
    *(ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
)
"""Where values meet, and what they belong to."""


@dataclass
class Module:
    """One source file, and what its names are."""

    path: str
    tree: ast.Module
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    nodes: list[ast.AST] = field(default_factory=list)
    classes: dict[str, set[str]] = field(default_factory=dict)
    """The attributes that each class has of its own."""

    def __post_init__(self) -> None:
        self.nodes += ast.walk(self.tree)
        for node in self.nodes:
            self.parents.update((child, node) for child in ast.iter_child_nodes(node))
        self.nodes = [node for node in self.nodes if isinstance(node, LOOKED_AT)]
        for node in self.nodes:
            if isinstance(node, ast.ClassDef):
                self.classes[node.name] = set(_attributes(node))

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        while node in self.parents:
            node = self.parents[node]
            yield node

    def within(self, node: ast.AST, kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> ast.AST:
        return next((one for one in self.above(node) if isinstance(one, kind)), self.tree)


def _attributes(node: ast.ClassDef) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
            if isinstance(part.value, ast.Name) and part.value.id == "self":
                yield part.attr
    for part in node.body:
        if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
            yield part.target.id
        elif isinstance(part, ast.Assign):
            yield from (target.id for target in part.targets if isinstance(target, ast.Name))


class Clocks:
    """All sources together; `faults` are the places where a 0 may become a moment."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        """Read files given as their texts by their paths."""
        self._modules = [Module(path, ast.parse(text)) for path, text in sources.items()]
        self._moments: set[Key] = set()
        self._faults: dict[tuple[str, int], None] = {}
        self._holders: dict[str, list[tuple[str, str]]] = {}
        """The classes that have an attribute, by file and name."""
        self._named: dict[str, list[tuple[str, ast.ClassDef | Function]]] = {}
        """The classes and functions of a name, with their files."""
        self._keys_of: dict[ast.expr, list[Key]] = {}
        for module in self._modules:
            for name, has in module.classes.items():
                for attribute in has:
                    self._holders.setdefault(attribute, []).append((module.path, name))
            for node in module.nodes:
                if isinstance(node, ast.ClassDef | Function):
                    self._named.setdefault(node.name, []).append((module.path, node))

    def faults(self) -> list[tuple[str, int]]:
        """Return path and line of each 0 that may become a moment."""
        before = -1
        while before != len(self._moments):
            before = len(self._moments)
            for module in self._modules:
                for node in module.nodes:
                    self._look(module, node)
        return sorted(self._faults)

    # What names a value has

    def _keys(self, module: Module, node: ast.expr) -> list[Key]:
        """Return what a variable, an attribute or an element of one is known by."""
        if node not in self._keys_of:
            self._keys_of[node] = self._find_keys(module, node)
        return self._keys_of[node]

    def _find_keys(self, module: Module, node: ast.expr) -> list[Key]:
        if isinstance(node, ast.Name):
            function = module.within(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            if isinstance(function, Function) and _binds(function, node.id):
                return [(module.path, function.name, str(function.lineno), node.id)]
            owner = module.within(node, ast.ClassDef)
            if isinstance(owner, ast.ClassDef) and module.parents.get(node) in owner.body:
                return [(module.path, owner.name, ".", node.id)]
            return [(module.path, node.id)]
        if isinstance(node, ast.Attribute):
            return [(path, owner, ".", node.attr) for path, owner in self._owners(module, node)]
        if isinstance(node, ast.Subscript):
            return [(*key, "[]") for key in self._keys(module, node.value)]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in ("get", "setdefault", "pop"):
                return [(*key, "[]") for key in self._keys(module, node.func.value)]
        if isinstance(node, ast.Await | ast.Starred | ast.NamedExpr):
            inner = node.target if isinstance(node, ast.NamedExpr) else node.value
            return self._keys(module, inner)
        return []

    def _owners(self, module: Module, node: ast.Attribute) -> list[tuple[str, str]]:
        """Return the classes, by file and name, of which this may be an attribute."""
        owner = module.within(node, ast.ClassDef)
        if isinstance(node.value, ast.Name) and node.value.id == "self":
            if isinstance(owner, ast.ClassDef):
                return [(module.path, owner.name)]
        anywhere = self._holders.get(node.attr, [])
        here = [holder for holder in anywhere if holder[0] == module.path]
        return here or (anywhere if len(anywhere) == 1 else [(module.path, "?")])

    # What is a moment

    def _is_moment(self, module: Module, node: ast.expr) -> bool:
        if isinstance(node, ast.Call):
            return _is_clock(node) or self._known(module, node)
        if isinstance(node, ast.BinOp):
            left, right = (self._is_moment(module, side) for side in (node.left, node.right))
            return (left != right) if isinstance(node.op, ast.Add | ast.Sub) else False
        if isinstance(node, ast.BoolOp):
            return any(self._is_moment(module, value) for value in node.values)
        if isinstance(node, ast.IfExp):
            return self._is_moment(module, node.body) or self._is_moment(module, node.orelse)
        return self._known(module, node)

    def _known(self, module: Module, node: ast.expr) -> bool:
        if any(key in self._moments for key in self._keys(module, node)):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("min", "max"):
                return any(self._is_moment(module, value) for value in node.args)
        return False

    def _expect(self, module: Module, node: ast.expr | None) -> None:
        """Take what is assigned to, compared with or taken off a moment for one."""
        if node is None or isinstance(node, ast.BinOp | ast.Compare | ast.Lambda):
            return
        if isinstance(node, ast.Constant):
            if isinstance(node.value, int | float) and not isinstance(node.value, bool):
                if node.value == 0:
                    self._faults[module.path, node.lineno] = None
            return
        if isinstance(node, ast.BoolOp):
            for value in node.values:
                self._expect(module, value)
        elif isinstance(node, ast.IfExp):
            self._expect(module, node.body)
            self._expect(module, node.orelse)
        elif isinstance(node, ast.Call):
            self._expect_of_call(module, node)
        if isinstance(node, ast.Name) and node.id.isupper():
            return  # a constant is a span of time
        self._moments.update(self._keys(module, node))

    def _expect_of_call(self, module: Module, node: ast.Call) -> None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in ("get", "setdefault", "pop"):
            for default in node.args[1:]:
                self._expect(module, default)
        elif isinstance(node.func, ast.Name) and node.func.id in ("min", "max", "float", "int"):
            for value in node.args:
                self._expect(module, value)
        elif _name(node.func) == "field":
            for keyword in node.keywords:
                if keyword.arg == "default":
                    self._expect(module, keyword.value)

    # Where one value meets another

    def _look(self, module: Module, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(module, target, node.value)
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            self._assign(module, node.target, node.value)
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            ordered = all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for op in node.ops)
            if ordered and any(self._is_moment(module, side) for side in sides):
                for side in sides:
                    self._expect(module, side)
                    self._expect_ends(module, side)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub):
            if self._is_moment(module, node.left):
                self._expect(module, node.right)
            elif self._is_moment(module, node.right):
                self._expect(module, node.left)
                self._expect_ends(module, node.left)
        elif isinstance(node, ast.Call):
            if _name(node.func) in ("min", "max"):
                if any(self._is_moment(module, value) for value in node.args):
                    for value in node.args:
                        self._expect(module, value)
            self._arguments(module, node)
        elif isinstance(node, Function):
            self._defaults(module, node)

    def _expect_ends(self, module: Module, node: ast.expr) -> None:
        """A sum that is compared with a moment is one, so what a span is added to is one too."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            if not isinstance(node.left, ast.Constant):
                self._expect(module, node.left)

    def _assign(self, module: Module, target: ast.expr, value: ast.expr | None) -> None:
        if value is None:
            return
        if isinstance(target, ast.Tuple | ast.List):
            for at, part in enumerate(target.elts):
                for given in _parts(value, at):
                    self._assign(module, part, given)
                for key in self._keys(module, value):
                    self._join(module, part, (*key, str(at)))
            return
        keys = self._keys(module, target)
        if isinstance(value, ast.Tuple):
            for at, given in enumerate(value.elts):
                if any((*key, str(at)) in self._moments for key in keys):
                    self._expect(module, given)
                elif self._is_moment(module, given):
                    self._moments.update((*key, str(at)) for key in keys)
        if self._is_moment(module, value):
            self._moments.update(keys)
        if any(key in self._moments for key in keys):
            self._expect(module, value)
        if any((*key, "[]") in self._moments for key in keys):
            self._expect_elements(module, value)

    def _join(self, module: Module, part: ast.expr, key: Key) -> None:
        keys = self._keys(module, part)
        if key in self._moments:
            self._moments.update(keys)
        elif any(one in self._moments for one in keys):
            self._moments.add(key)

    def _expect_elements(self, module: Module, value: ast.expr) -> None:
        """The value is a mapping of moments."""
        for node in ast.walk(value):
            if isinstance(node, ast.Call) and _name(node.func) in EMPTY:
                begins = [a.id for a in node.args if isinstance(a, ast.Name)]
                if _name(node.func) == "Counter" or {"float", "int"} & set(begins):
                    self._faults[module.path, node.lineno] = None
                for given in node.args:
                    if isinstance(given, ast.Lambda):
                        self._expect(module, given.body)
                    else:
                        self._expect(module, given if isinstance(given, ast.Constant) else None)
            elif isinstance(node, ast.Dict):
                for given in node.values:
                    self._expect(module, given)

    def _arguments(self, module: Module, call: ast.Call) -> None:
        """An argument by name is what the parameter, or the field, of that name is."""
        for path, owner in self._named.get(_name(call.func), ()):
            for keyword in call.keywords:
                key = _parameter(path, owner, keyword.arg or "")
                if key in self._moments:
                    self._expect(module, keyword.value)
                elif self._is_moment(module, keyword.value):
                    self._moments.add(key)

    def _defaults(self, module: Module, node: Function) -> None:
        every = [*node.args.posonlyargs, *node.args.args]
        pairs = [
            *zip(every[len(every) - len(node.args.defaults) :], node.args.defaults, strict=True),
            *zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True),
        ]
        for argument, default in pairs:
            if _parameter(module.path, node, argument.arg) in self._moments:
                self._expect(module, default)


def _parameter(path: str, owner: ast.ClassDef | Function, name: str) -> Key:
    if isinstance(owner, ast.ClassDef):
        return (path, owner.name, ".", name)
    return (path, owner.name, str(owner.lineno), name)


def _parts(value: ast.expr, at: int) -> Iterable[ast.expr]:
    """Return what comes to a place of a tuple: of one that is written here, or of a default."""
    if isinstance(value, ast.Call) and _name(value.func) in ("get", "setdefault", "pop"):
        return [part for default in value.args[1:] for part in _parts(default, at)]
    if isinstance(value, ast.Tuple | ast.List) and at < len(value.elts):
        return [value.elts[at]]
    return []


@cache
def _binds(function: Function, name: str) -> bool:
    """Tell whether a name is the function's own."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return any(argument.arg == name for argument in every) or any(
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name
        for node in ast.walk(function)
    )


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_clock(node: ast.Call) -> bool:
    """Tell whether a call asks a monotonic clock."""
    if _name(node.func) in CLOCKS:
        return True
    if isinstance(node.func, ast.Attribute) and node.func.attr == "time":
        owner = node.func.value
        return _name(owner.func if isinstance(owner, ast.Call) else owner) in LOOPS
    return False
