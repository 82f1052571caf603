"""The recipes: each is read, resolved, and states its paper's own numbers; recipe.py itself."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from mien.data.augmentation import preset
from mien.data.base import DATASETS
from mien.extras import present
from mien.runs.recipe import MARKS, About, Data, Network, Recipe, Training, read_recipe
from mien.types import InputError, UnknownNameError
from tests.conftest import ROOT

FOLDER = ROOT / "recipes"
PAPERS = ("vit-kdef", "gimefive", "vit-fer2013", "timm-thesis", "dncshap")
FILES = sorted(path for paper in PAPERS for path in (FOLDER / paper).glob("*.toml"))
PAGE = ROOT / "docs" / "recipes.md"


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).as_posix().removesuffix(".toml")


#: Transcribed from the papers, in the tables' own form: cell -> printed per cent. Section 3.3 of
#: two papers describes experiments without a number.
PRINTED: dict[str, dict[str, float | None]] = {
    "vit-kdef": {"Table 2, ViT, accuracy": 95},
    "gimefive": {
        "Table 2, RAF-DB, ResNet18 Residual Block, testing": 81.3,
        "Table 2, RAF-DB, Ours (13 layers) +BN-SE, testing": 80.6,
        "Table 2, RAF-DB, Ours (10 layers) -BN-SE, testing": 76.9,
        "Table 2, RAF-DB, Ours (16 layers) +BN+SE, testing": 81.7,
        "Table 2, RAF-DB, Ours (15 layers) +BN-SE, testing": 83.1,
        "Table 2, RAF-DB, Ours (17 layers) +BN-SE, testing": 82.5,
        "Table 2, FER2013, Ours (13 layers) +BN-SE, testing": 64.1,
        "Table 2, FER2013, Ours (15 layers) +BN-SE, testing": 65.6,
        "Table 2, FER2013, Ours (17 layers) +BN-SE, testing": 65.5,
        "Results, RAF-DB, best row, testing": 86.5,
        "Results, FER2013, best row, testing": 67.5,
        "Results, the five sets pooled, best row, testing": 75.3,
        "Table 3 (the explored space, no number)": None,
        "Section 4.4, random augmentation or none (no number)": None,
        "Hyperparameters (the explored space, no number)": None,
    },
    "vit-fer2013": {
        "Table 1, ViT": 64.02,
        "Table 1, ResNet18": 44.73,
        "Table 1, VGG16": 33.87,
        "Section 3.3, Baseline (no number)": None,
        "Section 3.3, Partial Fine-tuning (no number)": None,
        "Section 3.3, Full Fine-tuning (no number)": None,
        "Section 3.2, Hyperparameter Selection (no number)": None,
    },
    "timm-thesis": {
        "Table 4.1, resnet50d, accuracy": 100,
        "Table 4.1, vgg16, accuracy": 100,
        "Table 4.1, vgg19, accuracy": 100,
        "Table 4.1, convit_base, accuracy": 100,
        "Table 4.1, crossvit_base, accuracy": 99.5,
        "Table 4.1, vit_base_resnet50, accuracy": 98.51,
        "Table 4.1, vit_base_patch16, accuracy": 92.04,
        "Table 4.2, resnet50d, accuracy": 92.86,
        "Table 4.2, vgg16, accuracy": 92.86,
        "Table 4.2, vgg19, accuracy": 94.29,
        "Table 4.2, convit_base, accuracy": 91.42,
        "Table 4.2, crossvit_base, accuracy": 90,
        "Table 4.2, vit_base_resnet50, accuracy": 95.71,
        "Table 4.2, vit_base_patch16, accuracy": 97.14,
        "Section 3.3, VGG19 with SVM (no number)": None,
        "Section 3.3, VGG19's five groups with SVM (no number)": None,
        "Section 3.3, ResNet50 with dense layers (no number)": None,
    },
    "dncshap": {
        "Table 1, VGG-16, FER-13": 26.98,
        "Table 1, VGG-16, FERG": 99.20,
        "Table 1, VGG-16, JAFFE": 99.20,
        "Table 1, VGG-16, CK+": 90.82,
        "Table 1, ResNet-50, FER-13": 30.50,
        "Table 1, ResNet-50, FERG": 88.80,
        "Table 1, ResNet-50, JAFFE": 71.00,
        "Table 1, ResNet-50, CK+": 75.52,
        "Table 1, Baseline, FER-13": 60.12,
        "Table 1, Baseline, FERG": 99.68,
        "Table 1, Baseline, JAFFE": 90.16,
        "Table 1, Baseline, CK+": 99.02,
        "Table 1, Proposed, FER-13": 62.62,
        "Table 1, Proposed, FERG": 99.68,
        "Table 1, Proposed, JAFFE": 91.97,
        "Table 1, Proposed, CK+": 99.67,
    },
}

#: What the papers state of training, by the start of the recipe's name. It must hold in the
#: resolved recipe, so that a changed default does not silently change an experiment.
STATED: dict[str, dict[str, Any]] = {
    "vit-kdef/": {
        "batch_size": 16, "learning_rate": 1e-4, "warmup_epochs": 0.1 * 50, "weight_decay": 0.01,
        "epochs": 50, "schedule": "linear",
    },
    "gimefive/": {"loss": "cross-entropy", "class_weights": "none"},
    "gimefive/final-": {
        "optimizer": "sgd", "learning_rate": 1e-3, "momentum": 0.9, "weight_decay": 1e-4,
        "batch_size": 16, "epochs": 80, "patience": 15,
    },
    "gimefive/grid-final": {"momentum": 0.9, "weight_decay": 1e-4},
    "vit-fer2013/": {"batch_size": 32, "epochs": 15, "patience": 3},
    "vit-fer2013/baseline": {"optimizer": "adamw", "strategy": "head", "weight_decay": 0.02},
    "vit-fer2013/partial": {"optimizer": "adamw", "strategy": "partial", "weight_decay": 0.02},
    "vit-fer2013/full": {"optimizer": "adamw", "strategy": "full", "weight_decay": 0.02},
    "vit-fer2013/warmup": {
        "optimizer": "adamw", "learning_rate": 10 * 1e-5, "warmup_multiplier": 10.0,
        "warmup_epochs": 3.0, "weight_decay": 1e-4, "schedule": "plateau",
        "class_weights": "balanced", "focal_gamma": 2.0,
    },
    "vit-fer2013/resnet18": {"optimizer": "sgd", "schedule": "step", "schedule_factor": 0.1},
    "vit-fer2013/vgg16": {"optimizer": "sgd", "schedule": "step", "loss": "cross-entropy"},
    "timm-thesis/": {"epochs": 50, "batch_size": 10},
    "timm-thesis/ck48-vit": {"optimizer": "sgd", "learning_rate": 0.003, "strategy": "full"},
    "timm-thesis/jaffe-resnet50-dense": {"optimizer": "adam", "learning_rate": 0.0005},
    "dncshap/": {
        "optimizer": "adam", "loss": "cross-entropy", "epochs": 100, "schedule": "plateau",
    },
    "dncshap/fer2013-": {"batch_size": 32},
    "dncshap/ferg-": {"batch_size": 16},
    "dncshap/jaffe-": {"batch_size": 16},
    "dncshap/ckplus-": {"batch_size": 16},
}  # fmt: skip

#: Both readings of a paper that contradicts itself.
READINGS = [
    ("vit-fer2013/warmup", "vit-fer2013/warmup-cross-entropy"),
    ("vit-fer2013/resnet18-focal", "vit-fer2013/resnet18"),
]

MINIMAL = """\
[about]
title = "A title"
paper = "A paper"

[data]
sets = ["fer2013"]

[model]
name = "gimefive-15"
"""


@pytest.fixture
def minimal(tmp_path: Path) -> Recipe:
    file = tmp_path / "minimal.toml"
    file.write_text(MINIMAL, encoding="utf-8")
    return read_recipe(file)


# every recipe

RECIPES = {name_of(path): read_recipe(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_recipe(path: Path, tmp_path: Path) -> None:
    """It repeats what its paper prints, by names that exist, and says so in three places."""
    recipe = RECIPES[name_of(path)]
    check_resolved(recipe, tmp_path / "copy.toml")
    check_names(recipe)
    check_about(path, recipe)
    check_paper(path, recipe)
    check_page(path, recipe)


def check_resolved(recipe: Recipe, copy: Path) -> None:
    """Its resolved copy reads back equal, with the same hash."""
    copy.write_text(recipe.to_toml(), encoding="utf-8")
    again = read_recipe(copy)
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()
    assert re.fullmatch(r"[0-9a-f]{64}", recipe.hash)
    assert again.hash == recipe.hash


def check_names(recipe: Recipe) -> None:
    """Its sets, their classes, its augmentation and its network exist."""
    for name in recipe.data.sets:
        assert set(recipe.data.labels) <= set(DATASETS.get(name).card.labels)
    preset(recipe.data.augmentation)
    if present("torch"):
        from mien.models.torch import names

        assert recipe.model.name in names()


def check_about(path: Path, recipe: Recipe) -> None:
    """It says what it repeats, and states only what differs from the defaults."""
    about = recipe.about
    for field in fields(About):
        if field.name not in ("expected", "metric", *MARKS):
            assert getattr(about, field.name).strip(), field.name
    assert about.metric == "accuracy"
    assert recipe.data.protocol == ("official" if path.stem == "final-pooled" else "paper")
    text = path.read_text(encoding="utf-8")
    first = text.split("\n\n")[0].splitlines()
    assert 1 <= len(first) <= 2
    assert all(line.startswith("# ") for line in first)
    plain = Recipe(
        About("t", "p"), Data(recipe.data.sets), Network(recipe.model.name), Training()
    ).to_dict()
    for section in ("data", "model", "training"):
        body = text.partition(f"[{section}]\n")[2].partition("\n\n")[0]
        for key in re.findall(r"^(\w+) =", body, re.M):
            if (section, key) not in (("data", "sets"), ("model", "name")):
                assert recipe.to_dict()[section][key] != plain[section][key], (section, key)


def check_paper(path: Path, recipe: Recipe) -> None:
    """Its number is the printed one, and what the paper states of training holds."""
    printed = PRINTED[path.parent.name][recipe.about.table]
    expected = None if printed is None else pytest.approx(printed / 100, abs=1e-9)
    assert recipe.about.expected == expected
    if path.stem.endswith("svm"):  # fitted by scikit-learn: no epochs
        assert recipe.training.strategy == "svm"
        return
    for start, stated in STATED.items():
        if name_of(path).startswith(start):
            have = {name: getattr(recipe.training, name) for name in stated}
            assert have == pytest.approx(stated), start


def check_page(path: Path, recipe: Recipe) -> None:
    """It stands in the table of the page."""
    start = f"| `{name_of(path)}.toml` |"
    lines = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith(start)]
    assert len(lines) == 1
    _, _, table, printed, protocol, uncertain, _ = (cell.strip() for cell in lines[0].split("|"))
    assert table == recipe.about.table
    expected = recipe.about.expected
    assert printed == ("none" if expected is None else f"{100 * expected:.6g} %")
    assert protocol
    assert uncertain


def test_the_experiments_of_the_papers_are_all_there() -> None:
    counts = {paper: len(list((FOLDER / paper).glob("*.toml"))) for paper in PAPERS}
    assert counts == {
        "vit-kdef": 1,
        "gimefive": 6 + 3 + 3 + 3,
        "vit-fer2013": 6 + 2 + 1,
        "timm-thesis": 7 * 2 + 2 * 2 + 1,
        "dncshap": 4 * 4,
    }
    folders = {p.parent.name for p in FOLDER.glob("*/*.toml")} - {"builtin"}
    assert folders == {*PAPERS, "from-scratch", "transfer"}
    assert len({recipe.hash for recipe in RECIPES.values()}) == len(FILES)
    for paper in PAPERS:
        mine = [r for name, r in RECIPES.items() if name.startswith(f"{paper}/")]
        assert {recipe.about.table for recipe in mine} == set(PRINTED[paper])


def test_both_readings_of_a_contradiction_differ_in_the_loss_alone() -> None:
    for one, other in READINGS:
        focal, plain = RECIPES[one], RECIPES[other]
        assert (focal.training.loss, plain.training.loss) == ("focal", "cross-entropy")
        loss = {"loss": "focal", "focal_alpha": focal.training.focal_alpha}
        assert plain.change(training=loss).hash == focal.hash
        assert focal.about.expected == plain.about.expected
        for name, counterpart in ((one, other), (other, one)):
            text = (FOLDER / f"{name}.toml").read_text("utf-8")
            assert "contradicts itself" in text
            assert f"{counterpart.partition('/')[2]}.toml" in text


def test_the_page_names_no_recipe_that_is_not_there() -> None:
    for name in re.findall(r"`((?:[\w-]+)/[\w-]+\.toml)`", PAGE.read_text("utf-8")):
        assert (FOLDER / name).is_file(), name


# grids

#: Transcribed from the two reports; patience 0 is "no early stopping".
GRIDS: dict[str, dict[str, list[Any]]] = {
    "gimefive/grid-preliminary": {
        "training.learning_rate": [0.01, 0.001, 0.0001],
        "training.batch_size": [8, 16, 32, 64],
        "model.options.dropout": [0.2, 0.5],
        "training.epochs": [20, 30, 40],
        "training.patience": [0, 5],
    },
    "gimefive/grid-final": {
        "training.learning_rate": [0.01, 0.001, 0.0001],
        "training.batch_size": [8, 16, 32, 64],
        "model.options.dropout": [0.2, 0.5],
        "model.options.depth": [4, 5, 6],
        "model.options.linear": [1, 2, 3],
        "model.options.norm": [True, False],
        "model.options.pooling": ["max", "average"],
        "training.optimizer": ["adam", "adamw", "sgd"],
        "training.epochs": [10, 20, 40, 80],
        "training.patience": [0, 5, 10, 15],
    },
    # the section names the transforms, the presets their amounts
    "gimefive/grid-augmentation": {"data.augmentation": ["none", "gimefive", "flip", "small"]},
    # ends of the ranges of section 3.2, and a value between
    "vit-fer2013/search": {
        "data.under": [0.35, 0.4, 0.6],
        "data.over": [1.5, 2.0, 3.0],
        "training.learning_rate": [3e-5, 1e-4, 1e-3, 1e-2],
        "training.schedule_epochs": [5, 10],
        "training.patience": [2, 3, 5],
        "training.focal_alpha": [0.25, 0.5, 1.0],
        "training.batch_size": [32, 64],
    },
    "timm-thesis/ck48-vgg19-groups-svm": {"model.options.group": [1, 2, 3, 4, 5]},
}


def test_the_grids_are_the_papers() -> None:
    grids = {name: recipe for name, recipe in RECIPES.items() if recipe.points > 1}
    assert {name: recipe.grid for name, recipe in grids.items()} == GRIDS
    assert sorted(recipe.points for recipe in grids.values()) == [4, 5, 144, 1296, 41_472]


def test_gimefive_tests_on_both_of_fer2013s_test_sets() -> None:
    for name in ("fer2013-13", "fer2013-15", "fer2013-17", "final-fer2013"):
        assert RECIPES[f"gimefive/{name}"].data.scheme == "train-test"


def test_a_point_of_a_grid_is_a_recipe_without_one(minimal: Recipe) -> None:
    grid = {"training.epochs": [3, 5], "model.options.depth": [4], "data.split_seed": [1]}
    recipe = minimal.change(model={"options": {"linear": 1}}, grid=grid)
    assert recipe.points == 2
    point = recipe.at({"training.epochs": 5, "model.options.depth": 4, "data.split_seed": 1})
    assert point.grid == {}
    assert (point.training.epochs, point.data.split_seed) == (5, 1)
    assert point.model.options == {"linear": 1, "depth": 4}
    assert recipe.model.options == {"linear": 1}
    assert recipe.hash != minimal.hash
    assert recipe.change(grid={}).hash == minimal.change(model={"options": {"linear": 1}}).hash


def test_the_last_epoch_counts_only_where_no_validation_image_decides(minimal: Recipe) -> None:
    last = minimal.change(data={"validation": "last"})
    assert last.hash != minimal.hash
    for what in ({"schedule": "plateau"}, {"patience": 3}):
        with pytest.raises(InputError, match="validation images"):
            last.change(training=what)


def test_a_grid_is_read_with_quotes_and_without_and_written_back(tmp_path: Path) -> None:
    file = tmp_path / "grid.toml"
    text = '[grid]\n"training.epochs" = [3, 5]\nmodel.options.widths = [[8, 16], [8]]\n'
    file.write_text(f"{MINIMAL}\n{text}", encoding="utf-8")
    recipe = read_recipe(file)
    assert recipe.grid == {"training.epochs": [3, 5], "model.options.widths": [[8, 16], [8]]}
    file.write_text(recipe.to_toml(), encoding="utf-8")
    assert read_recipe(file) == recipe


@pytest.mark.parametrize(
    ("line", "kind", "parts"),
    [
        ('"training.epochs" = 3', InputError, ["grid.training.epochs", "list of values"]),
        ('"training.epochs" = []', InputError, ["grid.training.epochs", "list of values"]),
        ('"training.epochs" = [3, 3]', InputError, ["grid.training.epochs", "different"]),
        ('"training.epochs" = [3, 0]', InputError, ["training.epochs", "1 to 10000"]),
        ('"training.epoch" = [3]', UnknownNameError, ["'epoch'", "'epochs'"]),
        ('"about.title" = ["x"]', UnknownNameError, ["section of [grid]", "'about'"]),
        ('"epochs" = [3]', UnknownNameError, ["section of [grid]", "'epochs'"]),
    ],
)
def test_a_wrong_grid_names_the_field(
    tmp_path: Path, line: str, kind: type[Exception], parts: list[str]
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(f"{MINIMAL}\n[grid]\n{line}\n", encoding="utf-8")
    check_error(file, kind, parts)


# wrong files


@pytest.mark.parametrize(
    ("change", "kind", "parts"),
    [
        (("sets = ", "sest = "), UnknownNameError, ["field of [data]", "'sest'", "'sets'"]),
        (("[model]", "[modle]"), UnknownNameError, ["section", "'modle'", "'model'"]),
        (("name = ", "seed = 1\nname = "), UnknownNameError, ["field of [model]", "'seed'"]),
        (('["fer2013"]', '"fer2013"'), InputError, ["data.sets", "list of texts"]),
        (('"gimefive-15"', "15"), InputError, ["model.name", "str", "15"]),
        (('"A title"', "true"), InputError, ["about.title", "str", "True"]),
        (('title = "A title"\n', ""), InputError, ["[about]", "'title'"]),
        (('name = "gimefive-15"\n', ""), InputError, ["[model]", "'name'"]),
        (('"A paper"', '"A paper"\nexpected = 62.62'), InputError, ["about.expected", "0 to 1"]),
        (('"A paper"', '"A paper"\nmetric = "f1"'), UnknownNameError, ["metric", "'f1'"]),
    ],
)
def test_a_wrong_file_is_answered_in_one_line_that_names_file_and_field(
    tmp_path: Path, change: tuple[str, str], kind: type[Exception], parts: list[str]
) -> None:
    file = tmp_path / "wrong.toml"
    assert change[0] in MINIMAL
    file.write_text(MINIMAL.replace(*change), encoding="utf-8")
    check_error(file, kind, parts)


@pytest.mark.parametrize(
    ("line", "kind", "parts"),
    [
        ("epochs = 0", InputError, ["training.epochs", "1 to 10000", "0"]),
        ("epochs = 3.5", InputError, ["training.epochs", "int", "3.5"]),
        ("epochs = true", InputError, ["training.epochs", "int", "True"]),
        ("batch_size = 70000", InputError, ["training.batch_size", "65536"]),
        ('learning_rate = "1e-4"', InputError, ["training.learning_rate", "number", "'1e-4'"]),
        ("learning_rate = 0", InputError, ["training.learning_rate"]),
        ("learning_rate = nan", InputError, ["training.learning_rate", "nan"]),
        ("learning_rate = true", InputError, ["training.learning_rate", "True"]),
        ("label_smoothing = 1", InputError, ["training.label_smoothing", "0 to 0.9"]),
        ("ema = 1.0", InputError, ["training.ema"]),
        ("warmup_multiplier = 0.5", InputError, ["training.warmup_multiplier"]),
        ("nesterov = 1", InputError, ["training.nesterov", "bool", "1"]),
        ('optimizer = "adamW"', UnknownNameError, ["optimizer", "'adamW'", "adamw"]),
        ('schedule = "steps"', UnknownNameError, ["schedule", "'steps'", "'step'"]),
        ('loss = "hinge"', UnknownNameError, ["loss", "'hinge'"]),
        ('strategy = "partial"', InputError, ["training.blocks", "1 or more"]),
        ("learningrate = 0.1", UnknownNameError, ["field of [training]", "'learning_rate'"]),
    ],
)
def test_a_wrong_value_of_training_names_the_field(
    tmp_path: Path, line: str, kind: type[Exception], parts: list[str]
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(f"{MINIMAL}\n[training]\n{line}\n", encoding="utf-8")
    check_error(file, kind, parts)


@pytest.mark.parametrize(
    ("line", "kind", "parts"),
    [
        ('labels = ["happy"]', InputError, ["data.labels", "two or more"]),
        ('labels = ["happy", "happy"]', InputError, ["data.labels"]),
        ('labels = ["happy", "bored"]', UnknownNameError, ["expression", "'bored'"]),
        ('labels = ["happy", 3]', InputError, ["data.labels", "list of texts"]),
        ('protocol = "random"', UnknownNameError, ["protocol", "'random'"]),
        ("under = 0", InputError, ["data.under", "0.05 to 1"]),
        ("over = 0.5", InputError, ["data.over", "1 to 10"]),
        ('over = "twice"', InputError, ["data.over", "number"]),
    ],
)
def test_a_wrong_value_of_data_names_the_field(
    tmp_path: Path, line: str, kind: type[Exception], parts: list[str]
) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(MINIMAL.replace("[model]", f"{line}\n\n[model]"), encoding="utf-8")
    check_error(file, kind, parts)


@pytest.mark.parametrize(
    "content",
    [
        b"a = " + b"[" * 9999,
        b"no toml at all",
        b'[about]\ntitle = "',
        b"\xff\xfe\x00",
        b"[about]\n[about]\n",
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "wrong.toml"
    file.write_bytes(content)
    check_error(file, InputError, ["expected TOML"])


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    check_error(tmp_path / "absent.toml", InputError, ["no such recipe"])
    check_error(tmp_path, InputError, ["no such recipe"])


def check_error(file: Path, kind: type[Exception], parts: list[str]) -> None:
    with pytest.raises(kind) as caught:
        read_recipe(file)
    assert caught.type is kind
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    for part in parts:
        assert part in message, (part, message)


# recipe.py


def test_the_defaults_fill_what_a_file_leaves_out(minimal: Recipe) -> None:
    assert minimal == Recipe(
        About("A title", "A paper"), Data(("fer2013",)), Network("gimefive-15"), Training()
    )


def test_whole_numbers_serve_as_floats(minimal: Recipe) -> None:
    changed = minimal.change(training={"weight_decay": 1})
    assert isinstance(changed.training.weight_decay, float)
    assert changed.hash == minimal.change(training={"weight_decay": 1.0}).hash


def test_change_leaves_the_original_and_the_other_sections_alone(minimal: Recipe) -> None:
    changed = minimal.change(
        training={"epochs": 3, "batch_size": 8},
        data={"protocol": "honest"},
        model={"options": {"dropout": 0.3}},
    )
    assert (changed.training.epochs, changed.training.batch_size) == (3, 8)
    assert changed.data.protocol == "honest"
    assert changed.model.options == {"dropout": 0.3}
    assert changed.about == minimal.about
    assert minimal.training == Training()
    assert minimal.change() == minimal


@pytest.mark.parametrize(
    ("section", "values", "kind", "part"),
    [
        ("training", {"epochs": 0}, InputError, "training.epochs"),
        ("training", {"epochs": "3"}, InputError, "training.epochs"),
        ("training", {"epoch": 3}, UnknownNameError, "'epochs'"),
        ("training", {"strategy": "partial"}, InputError, "training.blocks"),
        ("data", {"labels": ["happy"]}, InputError, "data.labels"),
        ("about", {"expected": 2}, InputError, "about.expected"),
    ],
)
def test_change_checks_again(
    minimal: Recipe, section: str, values: dict[str, Any], kind: type[Exception], part: str
) -> None:
    with pytest.raises(kind, match=re.escape(part)):
        minimal.change(**{section: values})


def test_the_hash_ignores_about_and_nothing_else(minimal: Recipe) -> None:
    about = {
        "title": "Other",
        "paper": "Other",
        "table": "1",
        "metric": "macro_f1",
        "expected": 0.5,
        "protocol": "x",
        "cost": "y",
        "notes": "z",
        "shortened": "2 of 30 epochs",
        "changed": "training.seed = 1",
    }
    assert set(about) == {field.name for field in fields(About)}
    assert minimal.change(about=about).hash == minimal.hash
    assert minimal.change(data={"split_seed": 1}).hash != minimal.hash
    assert minimal.change(model={"options": {"dropout": 0.1}}).hash != minimal.hash
    assert minimal.change(training={"seed": 1}).hash != minimal.hash


def test_options_and_awkward_texts_survive_being_written(minimal: Recipe, tmp_path: Path) -> None:
    recipe = minimal.change(
        about={"notes": 'quotes " and \\, a line\nbreak, a tab\t, ć and é', "expected": 0.6262},
        model={"options": {"channels": [64, 128], "norm": False, "pooling": "max"}},
    )
    file = tmp_path / "copy.toml"
    file.write_text(recipe.to_toml(), encoding="utf-8")
    assert read_recipe(file) == recipe


def test_a_paper_without_a_number_stays_without(minimal: Recipe) -> None:
    assert minimal.about.expected is None
    assert "expected" not in minimal.to_toml()
