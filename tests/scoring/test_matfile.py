"""Level 5 .mat files: what scipy writes, what MATLAB writes and scipy does not, and what nobody should write."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from reidbench.scoring import matfile
from reidbench.scoring.matfile import DamagedMatError, Variable, read_variables

EVERYTHING = 2**30


def element(code: int, data: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}II", code, len(data)) + data + bytes(-len(data) % 8)


def variable(
    name: bytes, kind: int, shape: tuple[int, ...], stored: int, data: bytes, order: str = "<", flags: int = 0
) -> bytes:
    body = element(6, struct.pack(f"{order}II", kind | flags, 0), order)
    body += element(5, struct.pack(f"{order}{len(shape)}i", *shape), order)
    body += element(1, name, order) + element(stored, data, order)
    return element(14, body, order)


def file(folder: Path, *elements: bytes, order: str = "<") -> Path:
    path = folder / "a.mat"
    mark = {"<": b"IM", ">": b"MI"}[order]
    path.write_bytes(b"MATLAB".ljust(124) + struct.pack(f"{order}H", 0x0100) + mark + b"".join(elements))
    return path


class All:
    """Wants every variable."""

    def __contains__(self, name: object) -> bool:
        return True


@pytest.mark.parametrize("compressed", [False, True])
def test_what_scipy_writes(tmp_path: Path, compressed: bool) -> None:
    draws = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        kind: (draws.normal(size=(3, 4)) * 50).astype(kind)
        for kind in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    }
    arrays |= {"cube": draws.normal(size=(2, 3, 4)), "one": np.array([[7.0]]), "none": np.zeros((0, 5))}
    arrays |= {"true": np.array([[True, False]]), "a_name_of_more_than_eight_letters": np.arange(30000.0)[None]}
    scipy.io.savemat(tmp_path / "a.mat", arrays, do_compression=compressed)
    found = read_variables(tmp_path / "a.mat", All(), EVERYTHING)
    theirs = scipy.io.loadmat(tmp_path / "a.mat")
    assert found.keys() == arrays.keys()
    for name in arrays:
        assert found[name].values is not None
        np.testing.assert_array_equal(found[name].values, theirs[name])
        assert found[name].values.dtype == theirs[name].dtype


def test_what_is_no_matrix_of_real_numbers_is_named_and_not_read(tmp_path: Path) -> None:
    cell = np.empty(1, dtype=object)
    cell[0] = np.ones(3)
    sparse = scipy.sparse.csc_array(np.eye(3))
    others = {"c": np.array([[1 + 2j]]), "cells": cell, "s": {"field": 1.0}, "sp": sparse}
    scipy.io.savemat(tmp_path / "a.mat", others)
    found = read_variables(tmp_path / "a.mat", All(), EVERYTHING)
    kinds = {"c": "complex", "cells": "cell", "s": "struct", "sp": "sparse"}
    assert found == {name: Variable(kind) for name, kind in kinds.items()}


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_and_cells_of_texts_or_numbers(tmp_path: Path, compressed: bool) -> None:
    def cell(*items: Any) -> Any:
        found = np.empty((len(items), 1), dtype=object)
        found[:, 0] = items
        return found

    texts = {
        "one": "text", "lines": np.array(["q", "abc", "é😀"]), "none": "", "cells": cell("", "bcdé", "x 😀"),
        "numbers": cell(3, 4.5), "both": cell(3, "a"), "rows": cell("a", np.array(["b", "c"])),
    }  # fmt: skip
    scipy.io.savemat(tmp_path / "a.mat", texts, do_compression=compressed)
    found = read_variables(tmp_path / "a.mat", All(), EVERYTHING)
    read = {name: None if variable.values is None else variable.values.tolist() for name, variable in found.items()}
    assert read == {
        "one": ["text"], "lines": ["q", "abc", "é😀"], "none": [""], "cells": ["", "bcdé", "x 😀"],
        "numbers": [3, 4.5], "both": None, "rows": None,
    }  # fmt: skip


@pytest.mark.parametrize("order", ["<", ">"])
def test_texts_as_matlab_stores_them(tmp_path: Path, order: str) -> None:
    """Units of 16 bits, column by column, the shorter line filled up."""
    data = np.array([ord(char) for char in "ax2y "] + [0], f"{order}u2").tobytes()  # "a2 ", "xy\0"
    path = file(tmp_path, variable(b"t", 4, (2, 3), 4, data, order), order=order)
    found = read_variables(path, All(), EVERYTHING)["t"].values
    assert found is not None
    assert found.tolist() == ["a2", "xy"]
    with pytest.raises(DamagedMatError, match="the text of t is damaged"):
        read_variables(file(tmp_path, variable(b"t", 4, (2, 4), 4, data, order), order=order), All(), EVERYTHING)
    with pytest.raises(DamagedMatError, match="the text of t is damaged"):
        read_variables(file(tmp_path, variable(b"t", 4, (1, 2), 16, b"\xff\xff")), All(), EVERYTHING)


def test_only_what_is_wanted_is_read(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "a.mat", {"big": np.zeros((100, 100)), "small": np.ones((2, 2))}, do_compression=True)
    found = read_variables(tmp_path / "a.mat", {"small"}, limit=1000)
    assert found["big"] == Variable("f8")
    assert found["small"].values is not None
    with pytest.raises(DamagedMatError, match="big has 80048 bytes, more than half of this machine's memory"):
        read_variables(tmp_path / "a.mat", {"big"}, limit=1000)


@pytest.mark.parametrize("order", ["<", ">"])
def test_doubles_that_matlab_stores_as_smaller_integers_column_by_column(tmp_path: Path, order: str) -> None:
    data = struct.pack(f"{order}6h", 1, 2, 3, -4, 5, 6)
    path = file(tmp_path, variable(b"x", 6, (2, 3), 3, data, order), order=order)
    found = read_variables(path, All(), EVERYTHING)["x"].values
    assert found is not None
    assert found.tolist() == [[1, 3, 5], [2, -4, 6]]
    assert found.dtype == np.float64


def test_levels_are_distinguished(tmp_path: Path) -> None:
    file(tmp_path)
    start = (tmp_path / "a.mat").read_bytes()
    assert matfile.is_level_5(start)
    assert not matfile.is_level_5(start[:124] + b"\x00\x02IM")  # HDF5
    assert not matfile.is_level_5(start[:100])
    assert not matfile.is_level_5(start[:126] + b"xx")


DOUBLE = struct.pack("<4d", 1, 2, 3, 4)
GOOD = variable(b"x", 6, (2, 2), 9, DOUBLE)


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (variable(b"x", 6, (2, 2), 70_000, DOUBLE), "the numbers of x are damaged"),  # an index beyond every table
        (variable(b"x", 6, (2, 3), 9, DOUBLE), r"x of shape \[2, 3\] has 32 bytes of float64"),
        (variable(b"x", 6, (2, -2), 9, DOUBLE), r"x of shape \[2, -2\] has 32 bytes"),
        (variable(b"x", 6, (2**31 - 1,) * 3, 9, DOUBLE), "x of shape"),
        (variable(b"x", 6, (1,), 9, DOUBLE[:8]), "flags or dimensions are damaged"),
        (variable(b"x", 6, (1,) * 40, 9, DOUBLE[:8]), "flags or dimensions are damaged"),
        (GOOD[:-8], "a variable of 88 bytes exceeds the 80 bytes left"),
        (GOOD + b"\x0e\0\0", "it ends within the file"),
        (element(9, DOUBLE), "found an element of type 9, expected a variable"),
        (element(15, b"no zlib"), "incorrect header check|Error -3"),
        (
            struct.pack("<II", 15, len(zlib.compress(GOOD[:-16]))) + zlib.compress(GOOD[:-16]),
            "the numbers of x are damaged",
        ),
        (struct.pack("<II", 15, 11) + zlib.compress(b"abc"), "it ends within a compressed variable"),
    ],
    ids=range(12),
)
def test_what_tags_claim_is_not_believed(tmp_path: Path, damaged: bytes, message: str) -> None:
    with pytest.raises(DamagedMatError, match=message):
        read_variables(file(tmp_path, damaged), All(), EVERYTHING)


def test_any_word_may_lie(tmp_path: Path) -> None:
    """Each word of a file set to values that lead astray, and each length of file: numbers or one error."""
    cell = np.array([["ab", "c"]], dtype=object)
    numbers = {"x": np.arange(6.0).reshape(2, 3), "y": np.ones((1, 2), np.int16)}
    scipy.io.savemat(tmp_path / "b.mat", {**numbers, "t": np.array(["one", "two"]), "z": cell})
    whole = (tmp_path / "b.mat").read_bytes()
    path = tmp_path / "c.mat"
    refused = 0
    for at in range(128, len(whole), 4):
        for word in (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\1\0\xff\xff"):
            path.write_bytes(whole[:at] + word + whole[at + 4 :])
            try:
                read_variables(path, All(), EVERYTHING)
            except DamagedMatError:
                refused += 1
    assert refused > 50
    for length in range(128, len(whole)):
        path.write_bytes(whole[:length])
        try:
            assert len(read_variables(path, All(), EVERYTHING)) < 4
        except DamagedMatError:
            refused += 1
    assert refused > 200


def nested(path: Path) -> Path:
    """Cells of strings and of cells, a struct with fields of several kinds, numbers, as data sets come."""
    names = np.empty((3, 1), dtype=object)
    names[:, 0] = ["1_001_1_01.png", "1_001_2_02.png", "x"]
    inner = np.empty((1, 2), dtype=object)
    inner[0] = [np.arange(3.0), names]
    struct_ = {"trainIdx": np.arange(4, dtype=np.uint8), "name": "grid", "deep": inner}
    scipy.io.savemat(path, {"filelist": names, "s": struct_, "labels": np.ones((3, 1)), "z": np.array([[1j]])})
    return path


def test_what_passes_the_check_is_what_scipy_reads(tmp_path: Path) -> None:
    path = nested(tmp_path / "a.mat")
    found, theirs = matfile.load(path), scipy.io.loadmat(path)
    assert found.keys() == theirs.keys()
    assert [str(cell[0]) for cell in found["filelist"].ravel()] == ["1_001_1_01.png", "1_001_2_02.png", "x"]
    np.testing.assert_array_equal(found["s"]["trainIdx"][0, 0], [[0, 1, 2, 3]])
    scipy.io.savemat(tmp_path / "b.mat", {"x": scipy.io.loadmat(path)["filelist"]}, do_compression=True)
    assert matfile.load(tmp_path / "b.mat")["x"].shape == (3, 1)


@pytest.mark.slow
def test_no_lie_of_a_nested_file_reaches_scipy(tmp_path: Path) -> None:
    """Each word set astray; scipy's own reader may end the process then."""
    whole = nested(tmp_path / "a.mat").read_bytes()
    path = tmp_path / "b.mat"
    refused = 0
    for at in range(128, len(whole), 4):
        for word in (b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0" * 4, b"\1\0\xff\xff", b"\x10\0\0\0"):
            path.write_bytes(whole[:at] + word + whole[at + 4 :])
            try:
                matfile.load(path)
            except DamagedMatError:
                refused += 1
    assert refused > 500


def test_what_is_nested_too_deep_or_of_another_kind_is_not_read(tmp_path: Path) -> None:
    inner: Any = np.zeros(1)
    for _ in range(100):
        holder = np.empty(1, dtype=object)
        holder[0] = inner
        inner = holder
    scipy.io.savemat(tmp_path / "a.mat", {"x": inner})
    with pytest.raises(DamagedMatError, match="nested too deep"):
        matfile.load(tmp_path / "a.mat")
    scipy.io.savemat(tmp_path / "b.mat", {"x": scipy.sparse.csc_array(np.eye(3))})
    with pytest.raises(DamagedMatError, match="x is sparse; only numbers, strings, cells and structs are supported"):
        matfile.load(tmp_path / "b.mat")
    (tmp_path / "c.mat").write_bytes(b"\0" * 200)
    with pytest.raises(DamagedMatError, match="not a level 5 file"):
        matfile.load(tmp_path / "c.mat")
