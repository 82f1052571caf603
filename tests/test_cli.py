"""The command, end to end, in processes that see only the base install."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from mien import Prediction, Recognizer, __version__
from mien.commands import terminal
from mien.commands.main import app, main
from mien.commands.predict import predict
from mien.extras import install
from mien.runs.catalogue import find_recipe
from mien.vision.faces import DETECTORS
from tests.conftest import PORTRAIT, ROOT

Run = Callable[..., "CompletedProcess[str]"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return Path(shutil.copy(PORTRAIT, tmp_path / "photo [1].jpg"))


#: Runs many calls in one process and prints the exit code of each and what it said.
EACH = """
import contextlib, io, json, sys
from mien.commands.main import main
found = []
for words in json.loads(sys.argv[1]):
    sys.argv, said = ["mien", *words], io.StringIO()
    code = 0
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            code = end.code
    found.append([code, said.getvalue()])
print(json.dumps(found))
"""


def one_line(done: CompletedProcess[str]) -> str:
    """What a failed call said: one line, no traceback."""
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_explain_says_draws_and_records(run: Run, photo: Path) -> None:
    done = run("explain", str(photo))
    assert done.returncode == 0, done.stderr
    assert "happy" in done.stdout
    assert "the mouth" in done.stdout
    for region in ("mouth", "cheeks", "background"):
        assert region in done.stdout
    picture, record = photo.with_suffix(".mien.png"), photo.with_suffix(".mien.json")
    assert str(picture) in done.stdout
    assert str(record) in done.stdout
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    assert json.loads(record.read_text())[0]["efficiency_gap"] < 1e-5


def test_explain_takes_every_option(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "why.png"
    done = run(
        "explain",
        str(photo),
        "--method",
        "dncshap:contexts=owen",
        "--option",
        "levels=4",
        "--target",
        "fear",
        "--against",
        "surprise",
        "--face",
        "0",
        "--baseline",
        "blur",
        "--output",
        str(out),
        "--detector",
        "haar",
        "--model",
        "mien",
        "--head",
        "fer2013",
    )
    assert done.returncode == 0, done.stderr
    saved = json.loads(out.with_suffix(".mien.json").read_text())[0]
    assert saved["options"] == {"levels": 4, "contexts": "owen", "snap": False}
    assert (saved["target"], saved["against"]) == ("fear", "surprise")
    assert saved["baseline"] == "blur"


def test_explain_takes_many_photos_and_gives_a_table(run: Run, photo: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    twice = Path(shutil.copy(photo, tmp_path / "photo [1].png"))  # whatever its name says
    sheets = tmp_path / "sheets"
    done = run("explain", str(tmp_path), "-o", f"{sheets}/", "-f", "svg", "-m", "cam")
    assert done.returncode == 1
    assert "bad.jpg: " in done.stderr
    assert "2 faces in 2 photos, 1 not explained" in done.stderr
    names = [f"{path.name}.mien.{end}" for path in (photo, twice) for end in ("json", "svg")]
    assert sorted(p.name for p in sheets.iterdir()) == sorted([*names, "table.csv"])
    rows = list(csv.DictReader(io.StringIO((sheets / "table.csv").read_text())))
    assert [Path(row["input"]).name for row in rows] == ["bad.jpg", photo.name, twice.name]
    record = json.loads((sheets / f"{photo.name}.mien.json").read_text())[0]
    assert float(rows[1]["mouth"]) == pytest.approx(record["regions"]["mouth"])
    assert (rows[1]["method"], rows[1]["target"], rows[0]["target"]) == ("cam", "happy", "")
    assert "be read" in rows[0]["error"]


def test_predict_gives_csv_when_piped_and_a_row_for_every_input(
    run: Run, photo: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    Image.new("RGB", (64, 64)).save(tmp_path / "plain.png")
    done = run("predict", str(tmp_path))
    assert done.returncode == 1
    rows = {Path(r["input"]).name: r for r in csv.DictReader(io.StringIO(done.stdout))}
    assert rows["photo [1].jpg"]["dominant_emotion"] == "happy"
    assert rows["plain.png"]["face_id"] == ""
    assert rows["plain.png"]["error"] == ""
    assert "cannot be read" in rows["bad.jpg"]["error"]
    assert "cannot be read" in one_line(done)
    assert photo.exists()


def test_predict_writes_any_format_to_stdout(photo: Path) -> None:
    def said(kind: str) -> str:
        done = CliRunner().invoke(app, ["predict", "--format", kind, str(photo)])
        assert done.exit_code == 0, done.output
        return done.stdout

    for rows in (json.loads(said("json")), json.loads(f"[{said('jsonl').strip()}]")):
        assert rows[0]["box"][2] > 50
    table = said("table")
    assert "happy" in table
    assert "expression" in table


def test_predict_reads_a_list_from_stdin_and_globs(run: Run, photo: Path) -> None:
    done = run("predict", "-", stdin=f"{photo}\n\n{photo.parent}/*.jpg\n")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_predict_writes_a_file_and_says_how_many(run: Run, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.jsonl"
    done = run("predict", str(photo), "-o", str(out), "--contempt")
    assert done.returncode == 0, done.stderr
    assert "1 face in 1 image," in done.stderr
    assert "contempt" in json.loads(out.read_text())["emotions"]


def test_parquet_asks_for_its_extra_in_one_line(run: Run, photo: Path, tmp_path: Path) -> None:
    done = run("predict", str(photo), "-o", str(tmp_path / "rows.parquet"))
    assert done.returncode == 2
    assert install("parquet") in one_line(done)
    assert not list(tmp_path.glob("rows*"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("explain", "absent.jpg"), "no such file"),
        (("explain", "{photo}", "drawn.png", "-o", "a.png"), "a folder for 2 photos, as in a.png/"),
        (("explain", "{photo}", "drawn.png", "--target", "bored"), "unknown expression 'bored'"),
        (("explain", "{photo}", "--scale", "0"), "expected above 0"),
        (("explain", "{photo}", "-f", "pdf", "-o", "a.png"), "ending in .pdf"),
        (("explain", "drawn.png", "-o", "drawn.png"), "is the photo itself"),
        (("explain", "{photo}", "-o", "a.jpg"), ".png"),
        (("predict", "{photo}", "-f", "table", "-o", "rows.txt"), ".csv"),
        (("explain", "{photo}", "-m", "cam", "--baseline", "blur"), "takes no baseline"),
        (("explain", "{photo}", "--method", "gradcm"), "unknown method 'gradcm'"),
        (("explain", "{photo}", "--target", "bored"), "unknown expression 'bored'"),
        (("explain", "{photo}", "--option", "levels=3"), "known: quantity"),
        (("explain", "{photo}", "--seed", "-1"), "expected a seed of 0 to"),
        (("explain", "{photo}", "--face", "7"), "expected a face in 0..0, got 7"),
        (("explain", "{photo}", "-o", "no/such/folder/a.png"), "no such folder"),
        (("predict", "{photo}", "--detector", "har"), "did you mean 'haar'"),
        (("predict", "{photo}", "--model", "large"), "unknown model 'large'"),
        (("predict", "{photo}", "--model", "runs/none"), "runs/none: no such folder"),
        (("predict", "{photo}", "--head", "rafdb"), "unknown head 'rafdb'"),
        (("predict", "{photo}", "--prior", "evn"), "expected a prior (even, both, ferplus"),
        (("explain", "{photo}", "--prior", "happy=1"), "angry, disgust, fear, sad"),
        (("explain", "{photo}", "--prior", "estimate"), "under('estimate')"),
        (("evaluate", "mien"), "one Parquet file or more"),
        (("predict", "{photo}", "-o", "rows.xlsx"), ".csv"),
        (("predict", "{photo}", "-f", "parquet"), "--output"),
        (("predict", "*.nothing"), "no file matches"),
        (("explain",), "missing argument"),
        (("nothing",), "no such command 'nothing'; see mien --help"),
        (("predict", "{photo}", "-f", "xml"), "'xml' is not one of 'table', 'csv'"),
        (
            ("explain", "{photo}", "-m", "dncshap:by=1"),
            "unknown option 'by' of the method 'dncshap'",
        ),
        (("compare-groups", "rows.csv"), "expected --by"),
        (("predict", "-"), "empty list"),
        (("models", "fetch", "retina"), "nothing to fetch"),
        (("models", "card", "absent.onnx"), "no such model file"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    photo: Path,
    args: tuple[str, ...],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Image.new("RGB", (64, 64)).save(photo.parent / "drawn.png")
    monkeypatch.chdir(photo.parent)
    monkeypatch.setattr("sys.argv", ["mien", *(a.format(photo=photo) for a in args)])
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("warnings.showwarning", None)  # put back: main sets it for the process
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2, said
    assert words in one_line(CompletedProcess(args, 2, "", said))


def test_what_click_refuses_is_one_line_and_its_help_names_what_is_registered(run: Run) -> None:
    done = run("predict", "--colour")
    assert done.returncode == 2
    assert one_line(done).startswith("error: no such option: --colour")
    assert "see " in one_line(done)
    shown = " ".join(run("predict", "--help").stdout.replace("│", " ").split())
    listed = re.search(r"or ([\w, -]+); none is", shown)
    assert listed, shown
    assert sorted(listed[1].split(", ")) == sorted(DETECTORS.names())
    assert "{detectors}" not in shown
    assert "Usage" in run().stderr + run().stdout


def test_debug_shows_the_traceback_wherever_it_stands(run: Run) -> None:
    for args in (("--debug", "explain", "absent.jpg"), ("explain", "absent.jpg", "--debug")):
        done = run(*args)
        assert "Traceback" in done.stderr
        assert "InputError" in done.stderr


def test_a_fault_of_our_own_is_one_line_too(run: Run, photo: Path) -> None:
    code = (
        "import mien.loading as r\n"
        "r.load = lambda *a, **k: 1 / 0\n"
        "from mien.commands.main import main; main()"
    )
    done = run("predict", str(photo), code=code)
    assert done.returncode == 3
    assert "ZeroDivisionError" in one_line(done)


def test_models_are_listed_and_their_cards_shown(run: Run, tmp_path: Path) -> None:
    done = run("models", "list", MIEN_HOME=str(tmp_path))
    assert "mien" in done.stdout
    card = json.loads(run("models", "card").stdout)
    assert card["preprocess"]["size"] == 48


def test_version_and_help(run: Run) -> None:
    assert run("--version").stdout.strip() == __version__
    help_text = run("--help").stdout
    for command in ("predict", "explain", "models"):
        assert command in help_text


def test_lines_of_help_are_the_terminals(run: Run) -> None:
    assert "or where --output says. With several methods" in run("explain", "--help").stdout


def test_the_help_groups_the_commands_and_begins_with_what_most_people_need(run: Run) -> None:
    text = run("--help").stdout
    panels = ["Use", "predict", "explain", "video", "webcam", "batch", "Explain a model", "judge"]
    panels += [
        "atlas",
        "Data",
        "Train",
        "recipes",
        "evaluate",
        "compare",
        "export",
        "Serve",
        "models",
    ]
    places = [re.search(rf"(─|│) {name} ", text) for name in panels]
    starts = [place.start() for place in places if place is not None]
    assert len(starts) == len(panels)
    assert starts == sorted(starts)
    assert "mien explain photo.jpg" in text


def test_names_of_files_cannot_steer_the_terminal(run: Run, photo: Path) -> None:
    named = photo.with_name("a\x1b[31mred.jpg")
    shutil.copy(photo, named)
    done = run("explain", str(named), "-o", str(photo.with_name("b\x1b[2J.png")))
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "\x1b" not in run("predict", str(named), "--format", "table").stdout


def test_recipes_are_found_by_name_from_anywhere(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listed = run("recipes", cwd=tmp_path).stdout
    assert "gimefive/fer2013-15 " in listed
    assert "builtin" not in listed
    for name in ("gimefive/fer2013-15", "recipes/gimefive/fer2013-15.toml"):
        assert find_recipe(name) == ROOT / "recipes" / "gimefive" / "fer2013-15.toml"
    for name in ("gimefive/absent", "../recipes/gimefive/fer2013-15", "", "/gimefive"):
        assert find_recipe(name) == Path(name)


def test_recipes_are_listed_whole(run: Run) -> None:
    listed = run("recipes", str(ROOT / "recipes")).stdout
    for path in (ROOT / "recipes").rglob("*.toml"):
        assert (str(path) in listed) == (path.parent.name != "builtin")


@pytest.mark.parametrize("after", [0, 2])
def test_a_stopped_predict_leaves_an_older_file_and_says_where_its_rows_are(
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    after: int,
) -> None:
    def stopped(self: Recognizer, named: Iterable[Any], **how: Any) -> Iterator[Any]:
        del self, how
        for name, _ in islice(named, after):
            yield [Prediction(name)]
        raise KeyboardInterrupt

    monkeypatch.setattr(Recognizer, "predict_many", stopped)
    older = tmp_path / "rows.csv"
    older.write_text("older")
    with pytest.raises(typer.Exit) as end:
        predict([str(photo)] + [f"{i}.jpg" for i in range(4)], output=older)
    assert end.value.exit_code == 130
    assert older.read_text() == "older"
    written = sorted(p.name for p in tmp_path.glob("rows*"))
    assert written == (["rows.csv", "rows.partial.csv"] if after else ["rows.csv"])
    said = capsys.readouterr().err.replace("\n", "")
    assert f"stopped after {after} images" in said
    if after:
        assert len((tmp_path / "rows.partial.csv").read_text().splitlines()) == 1 + after


def test_long_work_says_how_far_it_is_and_how_long_it_takes_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(terminal, "FIRST", 0.0)
    with terminal.progress(20, "faces") as bar:
        time.sleep(0.01)
        bar.show(12, 20, "fast")  # eleven were done by an earlier run
        bar()
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"faces: 12 of 20, about 1 s left \(fast\)", line)
    with terminal.progress(3, "faces") as bar:  # too short to speak of
        bar()
    assert not capsys.readouterr().err
