from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mien.fetch import Remote, cache_folder, fetch, fetched
from mien.types import ModelError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def thing(tmp_path: Path) -> Remote:
    """A file behind a file: URL."""
    file = tmp_path / "server" / "thing.onnx"
    file.parent.mkdir()
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    return Remote("thing", file.as_uri(), digest, 7, "MIT", "a test")


def served(remote: Remote) -> Path:
    return Path(remote.url.removeprefix("file://"))


def test_a_file_is_fetched_once_checked_and_kept(home: Path, thing: Remote) -> None:
    assert fetched(thing) is None
    path = fetch(thing)
    assert path == home / "thing.onnx" == fetched(thing)
    served(thing).unlink()
    assert fetch(thing) == path


def test_wrong_bytes_are_refused_and_leave_nothing_behind(home: Path, thing: Remote) -> None:
    served(thing).write_bytes(b"other")
    with pytest.raises(ModelError, match="not the one that Mien was tested with"):
        fetch(thing)
    assert list(home.iterdir()) == []


def test_a_file_damaged_later_is_noticed(home: Path, thing: Remote) -> None:
    fetch(thing).write_bytes(b"damaged")
    with pytest.raises(ModelError, match=f"{home.name}.*delete it"):
        fetch(thing)


@pytest.mark.usefixtures("home")
def test_without_a_network_the_way_out_is_named(thing: Remote) -> None:
    served(thing).unlink()
    with pytest.raises(ModelError, match="copy it to"):
        fetch(thing)


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIEN_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    assert cache_folder() == Path("cache/mien")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "mien"
