from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mien.fetch import FETCHABLE, Remote, cache_folder, fetch, fetched
from mien.types import ModelError, UnknownNameError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file behind a file: URL, known under the name ``thing``."""
    file = tmp_path_factory.mktemp("server") / "thing.onnx"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setitem(FETCHABLE, "thing", Remote(file.as_uri(), digest, 7, "MIT", "a test"))
    return file


def test_a_file_is_fetched_once_checked_and_kept(home: Path, served: Path) -> None:
    assert fetched("thing") is None
    path = fetch("thing")
    assert path == home / "thing.onnx" == fetched("thing")
    served.unlink()
    assert fetch("thing") == path


def test_wrong_bytes_are_refused_and_leave_nothing_behind(home: Path, served: Path) -> None:
    served.write_bytes(b"other")
    with pytest.raises(ModelError, match="not the one that Mien was tested with"):
        fetch("thing")
    assert list(home.iterdir()) == []


def test_a_file_damaged_later_is_noticed(home: Path, served: Path) -> None:
    assert served.exists()
    fetch("thing").write_bytes(b"damaged")
    with pytest.raises(ModelError, match=f"{home.name}.*delete it"):
        fetch("thing")


@pytest.mark.usefixtures("home")
def test_without_a_network_the_way_out_is_named(served: Path) -> None:
    served.unlink()
    with pytest.raises(ModelError, match="copy it to"):
        fetch("thing")
    with pytest.raises(UnknownNameError, match="yunet"):
        fetch("retina")


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert cache_folder() == Path("cache/mien")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mien"


def test_every_remote_file_is_pinned() -> None:
    for remote in FETCHABLE.values():
        assert len(remote.sha256) == 64
        assert remote.url.startswith("https://")
        assert remote.licence
