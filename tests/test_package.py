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

PAGES = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
Run = Callable[..., "CompletedProcess[str]"]


def test_the_public_names_are_these_and_all_of_them_load() -> None:
    assert mien.__all__ == [
        "Explanation",
        "Explanations",
        "Face",
        "GroupComparison",
        "InputError",
        "InputTypeError",
        "MienError",
        "MissingExtraError",
        "ModelError",
        "Prediction",
        "Predictions",
        "Query",
        "Recognizer",
        "UnknownNameError",
        "__version__",
        "compare_groups",
        "explain",
        "load",
        "predict",
        "read_image",
    ]
    assert dir(mien) == sorted((*mien.__all__, *mien.PACKAGES))
    shown = [
        name
        for page in PAGES
        for name in re.findall(r"^(?:from|import) mien\.(\w+)", page.read_text("utf-8"), re.M)
    ]
    assert len(shown) > 20
    assert set(shown) <= set(mien.PACKAGES)  # what the pages import is public
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


#: Packages whose modules may need an extra when they are imported.
EXTRAS = ("mien.models.torch", "mien.train.", "mien.web.", "mien.runs.model", "mien.runs.export")


def test_every_module_of_the_base_loads_without_the_extras(run: Run) -> None:
    code = (
        "import importlib, pkgutil, mien\n"
        "walk = pkgutil.walk_packages(mien.__path__, 'mien.', onerror=lambda name: None)\n"
        f"names = [m.name for m in walk if not m.name.startswith({EXTRAS})]\n"
        "[importlib.import_module(n) for n in names]\n"
        "import sys; assert 'torch' not in sys.modules; print(len(names))"
    )
    done = run(code=code)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100


def test_the_package_is_typed_and_its_version_is_one() -> None:
    assert (Path(mien.__file__).parent / "py.typed").exists()
    assert importlib.metadata.version("mien") == mien.__version__
