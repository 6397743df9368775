"""Location of the cache."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from reidbench.errors import DataError
from reidbench.files.cache import cache_folder


def test_the_cache_is_where_the_user_or_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("REIDBENCH_CACHE", "~/mine")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("REIDBENCH_CACHE", "")
    assert cache_folder() == tmp_path / "xdg" / "reidbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    system = "Library/Caches" if sys.platform == "darwin" else ".cache"
    assert cache_folder() == tmp_path / system / "reidbench"
    assert not any(tmp_path.iterdir())  # it is named, not made


def test_without_a_home_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "REIDBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    with pytest.raises(DataError, match="set REIDBENCH_CACHE"):
        cache_folder()
    monkeypatch.setenv("REIDBENCH_CACHE", "~/cache")
    with pytest.raises(DataError, match="set REIDBENCH_CACHE"):
        cache_folder()
