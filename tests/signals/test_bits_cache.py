"""Where files that can be made again lie."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from fastsnf.errors import InputError
from fastsnf.signals.cache import cache_folder, key_of, sha256_of


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FASTSNF_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()


def test_the_folder_is_the_first_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == tmp_path / "home/.cache/fastsnf"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg/fastsnf"
    monkeypatch.setenv("FASTSNF_CACHE", str(tmp_path / "own one é"))
    assert cache_folder() == tmp_path / "own one é"
    assert cache_folder(tmp_path / "a/b") == tmp_path / "a/b"
    assert all(folder.is_dir() for folder in (tmp_path / "own one é", tmp_path / "a/b"))


def test_without_a_home_the_temporary_folder_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    folder = cache_folder()
    assert folder.parent == tmp_path / "temporary"
    assert folder.stat().st_mode & 0o077 == 0
    assert cache_folder() == folder
    folder.chmod(0o777)  # somebody else may write into it
    with pytest.raises(InputError, match="belongs to somebody else"):
        cache_folder()
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(InputError, match="belongs to somebody else"):
        cache_folder()


def test_a_folder_that_was_asked_for_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="FASTSNF_CACHE"):
        cache_folder(tmp_path / "file")
    monkeypatch.setenv("FASTSNF_CACHE", str(tmp_path / "file/below"))
    with pytest.raises(InputError, match="FASTSNF_CACHE"):
        cache_folder()
    with pytest.raises(InputError, match="null"):
        cache_folder("a\0b")


def test_keys_stand_for_facts_and_hashes_for_contents(tmp_path: Path) -> None:
    assert key_of({"a": 1, "b": None}) == key_of({"b": None, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    folder = tmp_path / "store"
    (folder / "c/0").mkdir(parents=True)
    (folder / "zarr.json").write_text("{}")
    before = sha256_of(folder)
    assert before == sha256_of(folder)
    (folder / "c/0/0").write_bytes(b"x")
    after = sha256_of(folder)
    (folder / "c/0/0").rename(folder / "c/0/1")
    assert len({before, after, sha256_of(folder), sha256_of(folder / "zarr.json")}) == 4
