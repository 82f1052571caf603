"""What the README and the docs say: Python runs, commands exist, numbers are the card's."""

from __future__ import annotations

import ast
import json
import re
import shutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.main import get_command

from mien import loading
from mien.commands.main import app
from mien.data.base import DATASETS
from mien.data.synthetic import write as draw_faces
from mien.explainers import METHODS
from mien.models.onnx import Model
from mien.models.torch import MODELS
from mien.models.weights import BUILT_IN, locate
from mien.recognizer import Recognizer
from mien.vision.faces import DETECTORS
from tests.conftest import PORTRAIT, ROOT
from tests.pages import PAGES, blocks, commands, follow, run_command, same
from tests.video import clips
from website.hooks import DIRECTIVE
from website.names import names_of

README = (ROOT / "README.md").read_text(encoding="utf-8")
#: Pages whose commands are run, too, in the order of the page.
FOLLOWED = {
    *(ROOT / "docs" / "tutorials").glob("*.md"),
    ROOT / "docs" / "howto" / "fifty-photos.md",
}
#: Pages that need more than a photo: their Python runs in tests/batch and tests/train.
ELSEWHERE = {"first-batch.md", "first-training.md", "training.md"}
#: Commands that the tutorials and the tests beside their code run.
HEAVY = {"atlas", "batch", "compare-groups", "judge", "serve", "train", "video"}


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photos, folders and tables that the pages speak of."""
    place = tmp_path_factory.mktemp("pages")
    shutil.copy(PORTRAIT, place / "photo.jpg")
    for name in ("photos", "more", "crops"):
        (place / name).mkdir()
        shutil.copy(PORTRAIT, place / name / "a.jpg")
    shutil.copytree(ROOT / "examples", place / "examples")
    (place / "scores").mkdir()
    loading.load().predict([PORTRAIT] * 2).save(place / "scores" / "part.parquet")
    clips.write(place / "clip.mp4", 12)
    draw_faces(place / "drawn.parquet", 7, people=7, seed=0)
    drawn = pq.read_table(place / "drawn.parquet").slice(3, 2)
    test = drawn.set_column(drawn.schema.get_field_index("split"), "split", [["test"] * 2])
    pq.write_table(test, place / "faces.parquet")
    return place


@pytest.fixture
def folder(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of them, to work in."""
    shutil.copytree(filled, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def one_recognizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recognizers are made once for all pages."""
    made, load = MADE, loading.load

    def kept(*given: Any, **options: Any) -> Any:
        key = repr((given, options))
        if not all(isinstance(value, str | bool | None) for value in (*given, *options.values())):
            return load(*given, **options)
        if key not in made:
            made[key] = load(*given, **options)
        return made[key]

    monkeypatch.setattr(loading, "load", kept)


MADE: dict[str, Recognizer] = {}


@pytest.fixture(autouse=True)
def tidy() -> Iterator[None]:
    """What a page registers is taken out again."""
    registries: list[Any] = [METHODS, DATASETS, DETECTORS, MODELS]
    before = [set(registry.names()) for registry in registries]
    yield
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry.names()) - names:
            registry.remove(name)


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if blocks(p, "python") and p.name not in ELSEWHERE],
    ids=lambda page: page.name,
)
def test_the_python_of_a_page_runs_and_prints_what_the_page_says(page: Path, folder: Path) -> None:
    for block, said in follow(page, with_commands=page in FOLLOWED):
        assert same(block.code, said), (page.name, block.line, said)
    if page.name == "README.md":
        assert {"faces.csv", "why.png", "why.mien.json"} <= {p.name for p in folder.iterdir()}


def test_the_notebook_runs_and_holds_no_output(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = json.loads((ROOT / "examples" / "one_photo.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    monkeypatch.chdir(folder / "examples")
    names: dict[str, Any] = {}
    last: Any = None
    for cell in cells:  # as a kernel does: the last expression is the cell's answer
        tree = ast.parse("".join(cell["source"]))
        shown = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "one_photo.ipynb", "exec"), names)
        if isinstance(shown, ast.Expr):
            last = eval(compile(ast.Expression(shown.value), "one_photo.ipynb", "eval"), names)
            getattr(last, "_repr_html_", str)()
    assert last is True


def test_what_no_test_runs_says_why() -> None:
    left = [(p.name, block.line) for p in PAGES for block in blocks(p) if block.reason]
    every = sum(len(blocks(page, "python")) for page in PAGES)
    assert len(left) <= every / 10, left


@pytest.mark.usefixtures("folder")
def test_the_mien_commands_of_the_readme_run() -> None:
    words = [words for words in commands(ROOT / "README.md") if words[0] not in HEAVY]
    assert len(words) >= 8
    for command in words:
        run_command(command)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_and_an_option_that_a_page_names_exist(page: Path) -> None:
    options = set()
    for words in commands(page):
        found: Any = get_command(app)
        while hasattr(found, "commands"):
            found = found.commands[words.pop(0)]
        if words != ["--help"]:
            found.make_context(found.name, words)  # raises where an option does not exist
    for command in _all(get_command(app)):
        options |= {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
    named = set(re.findall(r"`(--[a-z-]+)", page.read_text(encoding="utf-8")))
    others = {"--help", "--no-deps", "--start"}  # pip's, and those of training/
    assert named <= options | others, named - options - others


def _all(command: Any) -> Iterator[Any]:
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from _all(inner)


def test_what_the_pages_import_is_in_the_reference() -> None:
    """Users are told to import public names, and of these the site says what they are."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    texts = [page.read_text(encoding="utf-8") for page in pages]
    asked = [
        d["words"].split()
        for text in texts
        for d in DIRECTIVE.finditer(text)
        if d["what"] == "names"
    ]
    names = [name for words in asked for name in names_of(words[0], words[1:])]
    shown = [_found(*name.rpartition(".")[::2]) for name in names]
    for page in PAGES:
        for block in blocks(page, "python"):
            for node in ast.walk(ast.parse(block.code)):
                if isinstance(node, ast.ImportFrom) and str(node.module).startswith("mien"):
                    for alias in node.names:
                        found = _found(str(node.module), alias.name)
                        said = isinstance(found, ModuleType) or any(found is s for s in shown)
                        assert said, f"{page.name}, line {block.line}: {alias.name}"


def _found(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def test_make_targets_that_the_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        said = re.findall(r"`make (\w+)", page.read_text(encoding="utf-8"))
        for block in blocks(page, "console"):
            said += re.findall(r"^make (\w+)", block.code, re.M)
        for target in said:
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"
    assert README.index("make demo") < README.index("make test") < README.index("## Install")


def test_links_between_the_pages_hold() -> None:
    for page in [*PAGES, ROOT / "SECURITY.md", ROOT / "examples" / "README.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"


@pytest.mark.parametrize("name", [n for n in BUILT_IN if locate(n).is_file()])
def test_the_scores_of_the_readme_are_those_of_the_card(name: str) -> None:
    scores = Model(locate(name)).card.metrics["PrivateTest"]
    column = 1 + list(BUILT_IN).index(name)
    found = 0
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0] in scores:
            score = scores[cells[0]]
            value = score["value"] if isinstance(score, dict) else score
            assert cells[column].split()[0] == f"{value:.3f}", line
            found += 1
    assert found >= 5
