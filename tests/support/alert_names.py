"""Which alerts the source raises and closes: the names in its calls, however they are given."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

#: What a function is called that raises an alert, or closes one; its first argument is the alert's name.
RAISE = frozenset({"raise_alert", "alert", "_alert", "_raise"})
CLOSE = frozenset({"resolve", "_resolve", "resolve_before"})

#: A name that cannot be found out.
UNKNOWN = "?"

#: Packages that raise none of ours: the sandbox is another's system.
PACKAGES = (
    "aggregations",
    "config",
    "observability",
    "payments",
    "paytabs",
    "schedules",
    "tasks",
    "webhooks",
    "workers",
)

Constants = Mapping[str, tuple[str, ...]]


def named_in_source(root: Path, calls: frozenset[str]) -> dict[str, list[str]]:
    """Return the names that all of the source gives to such calls, each with the modules that do so."""
    sources = {path: path.read_text() for package in PACKAGES for path in sorted((root / package).rglob("*.py"))}
    constants = {_module(path, root): _constants(ast.parse(source)) for path, source in sources.items()}
    found: dict[str, list[str]] = {}
    for path, source in sources.items():
        for name in named_in(source, calls, constants):
            found.setdefault(name, []).append(str(path.relative_to(root)))
    return found


def named_in(source: str, calls: frozenset[str], constants: Mapping[str, Constants]) -> list[str]:
    """Return the names that a module gives to such calls; `?` for one that cannot be found out.

    Args:
        source: the module's text.
        calls: what the functions are called.
        constants: those of the modules that it may import from, by module.
    """
    tree = ast.parse(source)
    known = {**_imported(tree, constants), **_constants(tree)}
    names: list[str] = []
    for call, given in _calls(tree, calls):
        names += _values(given, known, call) if given is not None else []
    return names


def _module(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imported(tree: ast.Module, constants: Mapping[str, Constants]) -> dict[str, tuple[str, ...]]:
    """Return the constants of other modules that a module imports, by the names that it calls them."""
    found = [(node.module, one) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for one in node.names]
    known = {one.asname or one.name: constants.get(module or "", {}).get(one.name) for module, one in found}
    return {name: texts for name, texts in known.items() if texts is not None}


def _calls(tree: ast.AST, calls: frozenset[str]) -> Iterator[tuple[list[ast.AST], ast.expr | None]]:
    """Give the first argument of each such call, with what it stands in."""
    for node, around in _walk(tree, []):
        if isinstance(node, ast.Call) and _called(node.func) in calls:
            named = [one.value for one in node.keywords if one.arg == "name"]
            yield around, next(iter([*node.args[:1], *named]), None)


def _walk(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    yield node, around
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, [*around, node])


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _values(given: ast.expr, known: Constants, around: list[ast.AST]) -> list[str]:
    if isinstance(given, ast.Constant):
        return [str(given.value)]
    if not isinstance(given, ast.Name):
        return [UNKNOWN]
    for one in reversed(around):
        if isinstance(one, ast.For) and getattr(one.target, "id", None) == given.id:
            return list(_texts(one.iter, known)) or [UNKNOWN]
        if isinstance(one, ast.FunctionDef) and given.id in {argument.arg for argument in one.args.args}:
            return []  # it hands on what it was given: its own callers are looked at
    return list(known.get(given.id, (UNKNOWN,)))


def _constants(tree: ast.Module) -> dict[str, tuple[str, ...]]:
    """Return the texts that names of a module stand for."""
    found: dict[str, tuple[str, ...]] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                found |= _assigned(target, node.value, found)
    return found


def _assigned(target: ast.expr, value: ast.expr, known: Constants) -> dict[str, tuple[str, ...]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return {
            name: texts
            for one, part in zip(target.elts, value.elts, strict=True)
            for name, texts in _assigned(one, part, known).items()
        }
    texts = tuple(_texts(value, known))
    return {target.id: texts} if isinstance(target, ast.Name) and texts else {}


def _texts(value: ast.expr, known: Constants) -> Iterator[str]:
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        yield value.value
    elif isinstance(value, ast.Name):
        yield from known.get(value.id, ())
    elif isinstance(value, ast.Tuple):
        for one in value.elts:
            yield from _texts(one, known)
