from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import mien
from tests.conftest import ROOT

Run = Callable[..., "CompletedProcess[str]"]


def test_the_public_names_are_these_and_all_of_them_load() -> None:
    assert mien.__all__ == [
        "Explanation",
        "Explanations",
        "Face",
        "InputError",
        "MienError",
        "MissingExtraError",
        "ModelError",
        "Prediction",
        "Predictions",
        "Recognizer",
        "UnknownNameError",
        "__version__",
        "explain",
        "load",
    ]
    assert all(getattr(mien, name) is not None for name in mien.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = mien.nothing


def test_importing_mien_loads_no_framework_and_touches_no_image_library(run: Run) -> None:
    code = "import sys, json, mien; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run(code=code).stdout))
    assert not loaded & {"torch", "onnxruntime", "cv2", "numpy", "PIL", "typer"}


def test_the_guard_refuses_what_the_base_install_lacks(run: Run) -> None:
    done = run(code="import hypothesis")
    assert done.returncode != 0
    assert "not in the base install" in done.stderr


def test_every_module_of_the_base_loads_without_the_extras(run: Run) -> None:
    code = (
        "import importlib, pkgutil, mien\n"
        "extras = ('mien.models', 'mien.train.', 'mien.data.', 'mien.web.')\n"
        "names = [m.name for m in pkgutil.walk_packages(mien.__path__, 'mien.')\n"
        "         if not m.name.startswith(extras)]\n"
        "[importlib.import_module(n) for n in names]\n"
        "import sys; assert 'torch' not in sys.modules; print(len(names))"
    )
    done = run(code=code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_the_package_is_typed_and_its_version_is_one() -> None:
    assert (Path(mien.__file__).parent / "py.typed").exists()
    assert importlib.metadata.version("mien") == mien.__version__


def test_the_layers_import_one_way_only() -> None:
    layers = [
        {"types", "registry", "emotions", "terminal"},
        {"landmarks", "media", "images", "metrics", "draw", "mosaic", "regions"},
        {"faces", "runtime", "weights", "data", "models", "results"},
        {"words", "sheets", "explanation"},
        {"explainers"},
        {"crops"},
        {"recognizer", "recipe", "evaluate", "runs"},
        {"report", "sampling"},
        {"judging"},
        {"train", "video"},
        {"batch"},
        {"web"},
        {"cli"},
    ]
    height = {name: i for i, names in enumerate(layers) for name in names}
    package = ROOT / "src" / "mien"
    for file in package.rglob("*.py"):
        if file.name == "__init__.py" and file.parent == package:
            continue
        own = file.relative_to(package).parts[0].removesuffix(".py")
        text = re.sub(r"\n {4,}(from|import) mien[^\n]*", "", file.read_text(encoding="utf-8"))
        for used in re.findall(r"^\s*(?:from|import) mien\.(\w+)", text, flags=re.MULTILINE):
            if used != own:
                assert height[used] <= height[own], f"{file} imports mien.{used}"
