"""The code that a figure follows from, as a hash that outlives its comments.

A change of wording or of another network must not make a long experiment start again; a change of
anything that is computed must.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Sequence
from importlib import resources
from pathlib import Path

PACKAGE = "flawsmith"
COMPUTES = ("losses", "models", "nn", "systems")
"""Packages in which imports are followed; files, settings and messages are not arithmetic."""


def code_hash(parts: Sequence[str] = ("",), entry: Callable[..., object] | None = None) -> str:
    """Return a short hash of what the package's own source computes.

    Args:
        parts: files, or folders with all that is in them, relative to the package.
        entry: a registered class or function besides; it counts with the modules that it
            imports, directly or not, within `COMPUTES`.
    """
    root = Path(str(resources.files(PACKAGE)))
    digest = hashlib.sha256()
    for path in sorted(_files(root, parts) | _imported_by(root, entry)):
        text = path.read_text(encoding="utf-8")
        digest.update(str(path.relative_to(root)).encode())
        digest.update((without_words(text) if path.suffix == ".py" else text).encode())
    if inspect.isfunction(entry):
        digest.update(without_words(inspect.getsource(entry)).encode())
    return digest.hexdigest()[:16]


def without_words(source: str) -> str:
    """Return Python source as a syntax tree in text form, without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    """Tell whether a statement is a string alone: a docstring, or one beneath an attribute."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _files(root: Path, parts: Sequence[str]) -> set[Path]:
    found: set[Path] = set()
    for part in parts:
        place = root / part
        found.update([place] if place.is_file() else place.rglob("*"))
    return {path for path in found if path.suffix in (".py", ".toml")}


def _imported_by(root: Path, entry: Callable[..., object] | None) -> set[Path]:
    """Return the file of a class, or those of what a function names, and all that they import.

    The ``__init__`` of a package is not followed: there the registries import everything.
    """
    if entry is None:
        return set()
    if inspect.isfunction(entry):
        named = (entry.__globals__.get(name) for name in entry.__code__.co_names)
        waiting = {str(getattr(thing, "__module__", "")) for thing in named}
    else:
        waiting = {entry.__module__}
    found: set[Path] = set()
    while waiting:
        path = _file(root, waiting.pop())
        if path is not None and path not in found:
            found.add(path)
            waiting |= set(_imports(path.read_text(encoding="utf-8")))
    return found


def _file(root: Path, module: str) -> Path | None:
    package, *names = module.split(".")
    if package != PACKAGE or not names or names[0] not in COMPUTES:
        return None
    path = root.joinpath(*names).with_suffix(".py")
    return path if path.is_file() else None


def _imports(source: str) -> Iterable[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
