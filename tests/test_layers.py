"""Imports point one way: between the layers of docs/design.md, and within each package."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "src" / "mien"
#: From the ground up; what stands in one layer does not import its neighbours there.
LAYERS = (
    (
        "types",
        "registry",
        "options",
        "extras",
        "files",
        "fetch",
        "forks",
        "sessions",
        "emotions",
        "metrics",
        "priors",
        "resampling",
        "wording",
        "notebook",
    ),
    ("vision",),
    ("results",),
    ("models", "data"),
    ("explainers",),
    ("runs",),
    ("recognizer",),
    ("loading",),
    ("shortcuts",),
    ("train", "judging", "video"),
    ("batch",),
    ("web",),
    ("commands",),
)
GROUND = LAYERS[0]
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def dotted(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {dotted(file) for file in MODULES}


def imported(file: Path) -> set[str]:
    """Every module of Mien that a file imports, wherever in it: in functions, for types alone."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are absolute"
            module = node.module or ""
            inner = {f"{module}.{alias.name}" for alias in node.names}
            found |= (inner & NAMES) or {module}
    return {name for name in found if name.startswith("mien.")}


def room(module: str) -> str:
    return module.split(".")[1]


def test_functions_and_modules_are_short() -> None:
    for file in MODULES:
        text = file.read_text(encoding="utf-8")
        assert text.count("\n") <= 400, f"{dotted(file)} is long; give a part of it a module"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 60, f"{dotted(file)}.{node.name} has {lines} lines"


def test_every_module_has_its_layer() -> None:
    rooms = {room(dotted(file)) for file in MODULES}
    assert rooms == {name for layer in LAYERS for name in layer}


@pytest.mark.parametrize("name", [name for layer in LAYERS for name in layer])
def test_the_layers_import_one_way_only(name: str) -> None:
    height = {name: i for i, names in enumerate(LAYERS) for name in names}
    for file in MODULES:
        if room(dotted(file)) != name:
            continue
        for used in imported(file):
            other = room(used)
            down = height[other] < height[name] or (name in GROUND and other in GROUND)
            assert other == name or down, f"{dotted(file)} imports {used}"


def test_no_module_imports_itself_however_indirectly() -> None:
    edges = {dotted(file): imported(file) - {dotted(file)} for file in MODULES}
    # a package's __init__ offers what its modules hold; they import one another directly
    offered = {dotted(file) for file in MODULES if file.name == "__init__.py"}
    graph = {name: used - offered for name, used in edges.items() if name not in offered}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")
