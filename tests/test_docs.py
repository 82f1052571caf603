"""What the README and the docs say: Python blocks run, commands exist, numbers are the card's."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow.parquet as pq
import pytest

from mien.data.synthetic import write as draw_faces
from mien.explainers import METHODS
from mien.models.onnx import Model
from mien.models.weights import BUILT_IN, locate
from tests.conftest import PORTRAIT, ROOT
from tests.video import clips
from tests.video.test_commands import command as full

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where the photos and folders that the pages speak of exist."""
    shutil.copy(PORTRAIT, tmp_path / "photo.jpg")
    for name in ("photos", "more", "crops"):
        (tmp_path / name).mkdir()
        shutil.copy(PORTRAIT, tmp_path / name / "a.jpg")
    shutil.copytree(ROOT / "recipes", tmp_path / "recipes")
    clips.write(tmp_path / "clip.mp4", 12)
    draw_faces(tmp_path / "drawn.parquet", 7, people=7, seed=0)
    drawn = pq.read_table(tmp_path / "drawn.parquet").slice(3, 2)
    test = drawn.set_column(drawn.schema.get_field_index("split"), "split", [["test"] * 2])
    pq.write_table(test, tmp_path / "faces.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_of_the_readme_runs(folder: Path) -> None:
    for block in blocks(ROOT / "README.md", "python"):
        exec(compile(block, "README.md", "exec"), {})
    assert (folder / "faces.csv").exists()
    assert (folder / "why.png").exists()
    assert (folder / "why.mien.json").exists()


def test_the_python_of_the_explanations_runs(folder: Path) -> None:
    pytest.importorskip("timm", reason="timm is not installed: the page wraps one of its networks")
    try:
        for block in blocks(ROOT / "docs" / "explanations.md", "python"):
            exec(compile(block, "explanations.md", "exec"), {"__name__": "page"})
    finally:
        METHODS.remove("stripes")
    assert (folder / "why.mien.json").exists()


def test_the_mien_commands_of_the_readme_run(
    folder: Path, run: Callable[..., CompletedProcess[str]]
) -> None:
    lines = "\n".join(blocks(ROOT / "README.md", "console")).splitlines()
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("mien ")]
    assert len(commands) >= 8
    for command in commands:
        bare = command[0] not in ("video", "batch", "judge", "atlas")  # these need their extras
        if command[0] == "judge":
            command += ["-m", "cam"]  # all methods are judged in tests/judging
        done = run(*command, cwd=folder) if bare else full(*command, cwd=folder)
        assert done.returncode == 0, (command, done.stderr)


def test_make_targets_that_the_pages_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        said = re.findall(r"`make (\w+)", page.read_text(encoding="utf-8"))
        for block in blocks(page, "console"):
            said += re.findall(r"^make (\w+)", block, re.M)
        for target in said:
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"
    assert README.index("make demo") < README.index("make test") < README.index("## Install")


def test_links_between_the_pages_hold() -> None:
    for page in [*PAGES, ROOT / "examples" / "README.md"]:
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
