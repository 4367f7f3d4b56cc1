"""Dependencies point downwards only, and what a line PC needs never reaches torch."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"

FOUNDATION = {"config", "errors", "registry", "storage"}
"""Modules beside the packages; every package may import them, they import only each other."""

_LEARNING = {"data", "losses", "models", "nn", "training"}
MAY_IMPORT = {
    "nn": set(),
    "data": set(),
    "losses": {"data", "nn"},
    "models": {"data", "nn"},
    "training": _LEARNING - {"training"},
    "inspection": {"data"},
    "systems": _LEARNING,
    "metrics": _LEARNING | {"inspection"},
    "experiment": _LEARNING | {"inspection", "line", "metrics", "systems"},
    "line": {"data", "inspection", "metrics"},
    "cli": _LEARNING | {"experiment", "inspection", "line", "metrics", "systems"},
    "__main__": {"cli"},
}
TORCH = {"lightning", "safetensors", "torch", "torchmetrics", "torchvision"}
WITHOUT_TORCH = (
    "flawsmith.data",
    "flawsmith.inspection",
    "flawsmith.line",
    "flawsmith.metrics.evaluation",
    "flawsmith.metrics.intervals",
)


def read_modules(source: Path) -> dict[str, ast.Module]:
    """Return the parsed modules of all packages in a folder by their dotted names."""
    modules = {}
    for path in sorted(source.rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules[name] = ast.parse(path.read_text("utf-8"), str(path))
    return modules


def names_imported(statement: ast.AST, modules: dict[str, ast.Module]) -> Iterator[str]:
    """Yield the dotted names of the modules that a statement imports."""
    if isinstance(statement, ast.Import):
        yield from (alias.name for alias in statement.names)
    elif isinstance(statement, ast.ImportFrom):
        assert statement.level == 0, "imports are absolute here"
        for alias in statement.names:
            submodule = f"{statement.module}.{alias.name}"
            yield submodule if submodule in modules else str(statement.module)


def imports_anywhere(name: str, modules: dict[str, ast.Module]) -> set[str]:
    """Return what a module imports, in functions and for type checking too."""
    return {
        imported for node in ast.walk(modules[name]) for imported in names_imported(node, modules)
    }


def imports_at_once(name: str, modules: dict[str, ast.Module]) -> set[str]:
    """Return what importing a module executes: neither function bodies nor type checking."""
    found: set[str] = set()
    pending: list[ast.AST] = list(modules[name].body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
            continue
        found.update(names_imported(node, modules))
        pending += ast.iter_child_nodes(node)
    return found


def forbidden_imports(modules: dict[str, ast.Module]) -> list[str]:
    """Return a line for each import that points upwards or sideways."""
    lines = []
    for name in modules:
        if name == "flawsmith":
            continue
        layer = layer_of(name)
        allowed = FOUNDATION if layer in FOUNDATION else FOUNDATION | {layer} | MAY_IMPORT[layer]
        for imported in sorted(imports_anywhere(name, modules)):
            if imported.startswith("flawsmith.") and layer_of(imported) not in allowed:
                lines.append(f"{name} imports {imported}")
    return lines


def layer_of(name: str) -> str:
    return name.split(".")[1]


def way_to_torch(name: str, modules: dict[str, ast.Module]) -> list[str] | None:
    """Return the chain of imports by which importing a module reaches torch, or None."""
    seen = {name}
    ways = [[name]]
    while ways:
        way = ways.pop(0)
        if way[-1].split(".")[0] in TORCH:
            return way
        if way[-1] not in modules:
            continue
        parts = way[-1].split(".")
        parents = {".".join(parts[:n]) for n in range(1, len(parts))}
        for following in sorted(imports_at_once(way[-1], modules) | parents):
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return None


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.Module]:
    return read_modules(SOURCE)


def test_every_package_has_its_place(modules: dict[str, ast.Module]) -> None:
    layers = {layer_of(name) for name in modules if "." in name}
    assert layers == FOUNDATION | set(MAY_IMPORT)


def test_dependencies_point_downwards(modules: dict[str, ast.Module]) -> None:
    assert forbidden_imports(modules) == []


def test_line_pc_needs_no_torch(modules: dict[str, ast.Module]) -> None:
    checked = [n for n in modules if n.startswith(WITHOUT_TORCH)]
    assert len(checked) > 40
    assert [way for name in checked if (way := way_to_torch(name, modules))] == []


def test_rules_notice_what_they_forbid(tmp_path: Path) -> None:
    files = {
        "flawsmith/__init__.py": "",
        "flawsmith/data/__init__.py": "",
        "flawsmith/data/tiles.py": "def f():\n    from flawsmith.models import net\n",
        "flawsmith/data/clean.py": "import typing\nif typing.TYPE_CHECKING:\n    import torch\n",
        "flawsmith/models/__init__.py": "import torch\n",
        "flawsmith/models/net.py": "from flawsmith import errors\n",
        "flawsmith/errors.py": "import flawsmith.data\n",
        "flawsmith/inspection/regions.py": "try:\n    import flawsmith.models.net\nfinally: 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    modules = read_modules(tmp_path)
    assert forbidden_imports(modules) == [
        "flawsmith.data.tiles imports flawsmith.models.net",
        "flawsmith.errors imports flawsmith.data",
        "flawsmith.inspection.regions imports flawsmith.models.net",
    ]
    assert way_to_torch("flawsmith.data.tiles", modules) is None
    assert way_to_torch("flawsmith.data.clean", modules) is None
    assert way_to_torch("flawsmith.inspection.regions", modules) == [
        "flawsmith.inspection.regions",
        "flawsmith.models.net",
        "flawsmith.models",  # importing a module executes its packages first
        "torch",
    ]
