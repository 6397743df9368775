"""Files of torch.save, read without running anything, and what else is found under their names."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench.errors import DataError
from reidbench.safeload import load_pickle_safely


@pytest.mark.parametrize("old", [False, True])
def test_arrays_of_numpy_and_plain_values(tmp_path: Path, old: bool) -> None:
    content = {
        "tensor": torch.arange(3),
        "array": np.arange(12, dtype=">i4").reshape(3, 4).T,
        "texts": np.array(["0002", "ä"]),
        "half": np.ones(2, np.float16),
        "number": np.float64(1.5),
        "list": [1, "a", None],
    }
    torch.save(content, tmp_path / "a.pt", _use_new_zipfile_serialization=not old)
    found = load_pickle_safely(tmp_path / "a.pt")
    assert found.keys() == content.keys()
    for name in ("tensor", "array", "texts", "half", "number"):
        np.testing.assert_array_equal(np.asarray(found[name]), np.asarray(content[name]))
    assert found["list"] == [1, "a", None]


def test_what_is_refused_is_named(tmp_path: Path) -> None:
    for content, name in ((Path("x"), "pathlib"), (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear")):
        torch.save({"query_pids": content}, tmp_path / "a.pt")
        with pytest.raises(DataError, match=rf"a\.pt: not a file of plain tensors .*: it holds {name}") as caught:
            load_pickle_safely(tmp_path / "a.pt")
        assert str(caught.value).isprintable()
        assert "two options" not in str(caught.value)
        assert "weights_only" not in str(caught.value)


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("a.txt", "x")
    return stream.getvalue()


def saved(**options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save({"x": torch.zeros(1000)}, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"a\.pt: is empty \(0 bytes\)"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a git-lfs pointer, .* run `git lfs pull`"),
        (b"\n<!DOCTYPE html>\n<html>", "an HTML page, not the file itself"),
        (b"hello world", "torch.save did not write it"),
        (pickle.dumps({"x": [1, 2]}, protocol=2), "torch.save did not write it"),
        (pickle.dumps({"x": np.arange(3)}, protocol=4), "torch.save did not write it"),
        (saved()[:900], "damaged or cut short"),
        (saved(_use_new_zipfile_serialization=False)[:900], "damaged or cut short"),
        (archive(), "damaged or cut short"),
    ],
    ids=range(9),
)
def test_what_is_not_such_a_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load_pickle_safely(tmp_path / "a.pt")
    assert str(caught.value).isprintable()


def test_what_is_not_there(tmp_path: Path) -> None:
    for name, message in (("gone.pt", "no such file"), (".", "not a file"), ("a\0b", "cannot be read|no such file")):
        with pytest.raises(DataError, match=message):
            load_pickle_safely(tmp_path / name)
