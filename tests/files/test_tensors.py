"""Files of torch.save and safetensors are read; all others are refused with a sentence that identifies them."""

from __future__ import annotations

import argparse
import bz2
import collections
import datetime
import decimal
import gzip
import io
import lzma
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save as to_safetensors

from reidbench.errors import DataError
from reidbench.files.tensors import load_checkpoint_safely, load_pickle_safely

TENSORS = {"conv1.weight": torch.arange(6.0).reshape(2, 3)}
BESIDE: dict[str, Any] = {
    "rank1 of torchreid": np.float64(0.94),
    "numpy float32": np.float32(0.5),
    "numpy integer": np.int64(3),
    "numpy truth": np.bool_(True),
    "numpy text": np.str_("market1501"),
    "numpy date": np.datetime64("2026-11-28"),
    "numpy array": np.arange(4.0),
    "Fortran array": np.asfortranarray(np.arange(6, dtype=np.int32).reshape(2, 3)),
    "names": np.array(["0001_c1.jpg", "0002_c2.jpg"]),
    "numpy generator": np.random.RandomState(0).get_state(),
    "python generator": random.Random(0).getstate(),
    "moment": datetime.datetime(2026, 11, 28, 12, 30),
    "moment of a zone": datetime.datetime(2026, 11, 28, tzinfo=datetime.UTC),
    "day": datetime.date(2026, 11, 28),
    "duration": datetime.timedelta(hours=3),
    "settings": argparse.Namespace(lr=0.1, steps=[40, 70]),
    "milestones of a schedule": collections.Counter([40, 70]),
    "ordered": collections.OrderedDict(a=1),
    "device": torch.device("cpu"),
    "nothing": None,
}


def torch_bytes(content: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def old_bytes(content: Any) -> bytes:
    return torch_bytes(content, _use_new_zipfile_serialization=False)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(np.array_equal(one, other)) and type(one) is type(other)


@pytest.mark.parametrize("write", [torch_bytes, old_bytes])
@pytest.mark.parametrize("name", BESIDE)
def test_plain_values_beside_the_tensors_are_read(name: str, write: Callable[[Any], bytes], tmp_path: Path) -> None:
    file = tmp_path / "model.pth.tar-60"
    file.write_bytes(write({"state_dict": TENSORS, "beside": BESIDE[name]}))
    found = load_pickle_safely(file)
    assert torch.equal(found["state_dict"]["conv1.weight"], TENSORS["conv1.weight"])
    assert equal(found["beside"], BESIDE[name])


READ_AS: dict[str, tuple[Any, Any]] = {
    "folder of the data": (PosixPath("/data/x"), PurePosixPath("/data/x")),
    "pure path": (PurePosixPath("runs/1"), PurePosixPath("runs/1")),
    "path of Windows": (PureWindowsPath("d:/x"), PureWindowsPath("d:/x")),
    "losses by name": (collections.defaultdict(list, {"id": [0.5, 0.25]}), {"id": [0.5, 0.25]}),
    "counts": (collections.defaultdict(int, {"a": 2}), {"a": 2}),
    "last losses": (collections.deque([0.5, 0.25], maxlen=5), [0.5, 0.25]),
    "frozen layers": (frozenset([1, 2]), frozenset([1, 2])),
    "custom settings": (
        SimpleNamespace(lr=0.1, root=PosixPath("x")),
        SimpleNamespace(lr=0.1, root=PurePosixPath("x")),
    ),
}


@pytest.mark.skipif(os.name == "nt", reason="only a POSIX system makes such a path")
@pytest.mark.parametrize("write", [torch_bytes, old_bytes])
@pytest.mark.parametrize("name", READ_AS)
def test_paths_and_containers_beside_the_tensors_are_read(
    name: str, write: Callable[[Any], bytes], tmp_path: Path
) -> None:
    given, expected = READ_AS[name]
    file = tmp_path / "last.ckpt"
    file.write_bytes(write({"state_dict": TENSORS, "beside": given}))
    found = load_pickle_safely(file)
    assert torch.equal(found["state_dict"]["conv1.weight"], TENSORS["conv1.weight"])
    assert found["beside"] == expected
    assert type(found["beside"]) is type(expected)


def test_a_path_of_another_python_or_system_is_its_text(tmp_path: Path) -> None:
    """Python 3.13 calls the class pathlib._local.PosixPath; a real Windows path cannot be made elsewhere."""
    pickled = old_bytes({"at": PureWindowsPath("d:/x")})
    for name in (b"pathlib\nWindowsPath", b"pathlib._local\nWindowsPath", b"pathlib._local\nPureWindowsPath"):
        file = tmp_path / "model.pth"
        file.write_bytes(pickled.replace(b"pathlib\nPureWindowsPath", name))
        assert load_pickle_safely(file) == {"at": PureWindowsPath("d:/x")}


def test_files_of_either_numpy_are_read(tmp_path: Path) -> None:
    """numpy 2 renamed the module that its pickles name."""
    content = old_bytes({"best_mAP": np.float64(0.5), "ranks": np.arange(3)})
    (here,) = {name for name in (b"numpy._core.multiarray\n", b"numpy.core.multiarray\n") if name in content}
    for name in (b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"):
        (tmp_path / "a.pth").write_bytes(content.replace(here, name))
        found = load_pickle_safely(tmp_path / "a.pth")
        assert found["best_mAP"] == 0.5
        assert found["ranks"].tolist() == [0, 1, 2]


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    for content, name in ((torch_bytes(TENSORS), "a.safetensors"), (to_safetensors(TENSORS), "a.pth")):
        (tmp_path / name).write_bytes(content)
        assert torch.equal(load_checkpoint_safely(tmp_path / name)["conv1.weight"], TENSORS["conv1.weight"])


class Meter:
    """A class of a training script."""

    def __init__(self) -> None:
        self.value = 3


REFUSED = {
    "a whole network": (lambda: torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
    "a class of the script": (Meter, "Meter"),
    "a decimal number": (lambda: decimal.Decimal("0.1"), "decimal.Decimal"),
    "a call of a path": (lambda: Path.touch, "getattr"),
    "an array of objects": (lambda: np.array([{"a": 1}], dtype=object), "ObjectDType"),
    "a record array": (lambda: np.zeros(2, dtype=[("a", "f4")]), "VoidDType"),
}


@pytest.mark.parametrize("write", [torch_bytes, old_bytes])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named_with_the_cure(name: str, write: Callable[[Any], bytes], tmp_path: Path) -> None:
    make, sentence = REFUSED[name]
    file = tmp_path / "a.pth"
    for content in (make(), {"state_dict": TENSORS, "x": make()}):
        file.write_bytes(write(content))
        with pytest.raises(
            DataError, match=rf"a\.pth: not a file of plain tensors .*: it contains \S*{sentence}"
        ) as caught:
            load_pickle_safely(file)
        assert "torch.save(model.state_dict(), FILE)" in str(caught.value)


def zipped(**files: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def tarred(content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        entry = tarfile.TarInfo("model.pth")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def half(content: bytes) -> bytes:
    return content[: len(content) // 2]


OTHERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", r"is empty \(0 bytes\)"),
    "lfs": (
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a git-lfs pointer, not the file itself",
    ),
    "page": (lambda: b"\n<!DOCTYPE html><html><title>Google Drive</title>", "an HTML page, not the file itself"),
    "page without a type": (lambda: b"<html><body>404</body></html>", "an HTML page"),
    "answer": (lambda: b'{"error": "no such file"}', "a text file.*no such file"),
    "umlauts": (lambda: "größe\n".encode() * 400, "a text file.*größe"),
    "cut zip": (lambda: half(torch_bytes(TENSORS)), "damaged or cut short"),
    "cut old": (lambda: half(old_bytes(TENSORS)), "damaged or cut short"),
    "cut at the end": (lambda: old_bytes(TENSORS)[:-5], "damaged or cut short"),
    "cut safetensors": (lambda: to_safetensors(TENSORS)[:-5], "safetensors file that is damaged or cut short"),
    "gzip": (lambda: gzip.compress(torch_bytes(TENSORS)), "a gzip archive: unpack it first"),
    "bzip2": (lambda: bz2.compress(torch_bytes(TENSORS)), "a bzip2 archive: unpack it first"),
    "xz": (lambda: lzma.compress(torch_bytes(TENSORS)), "an xz archive: unpack it first"),
    "tar": (lambda: tarred(torch_bytes(TENSORS)), "a tar archive: unpack it"),
    "zip of a checkpoint": (
        lambda: zipped(**{"best.pth": torch_bytes(TENSORS)}),
        r"a zip archive, and torch\.save did not write it \(its first entry is best\.pth\): unpack it",
    ),
    "zip of nothing": (lambda: zipped(), "a zip archive, and torch.save did not write it"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"),
    "bare pickle": (lambda: pickle.dumps({"a": np.zeros(2)}, 2), "a pickle that torch.save did not write"),
    "another protocol": (lambda: torch_bytes(TENSORS, pickle_protocol=4), "its pickle_protocol is not"),
    "noise": (lambda: bytes(range(130, 256)) * 9, "not written by torch.save or safetensors"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_file_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    make, sentence = OTHERS[name]
    for suffix in (".pth", ".safetensors"):
        file = tmp_path / f"a{suffix}"
        file.write_bytes(make())
        with pytest.raises(DataError, match=rf"a\{suffix}: .*{sentence}") as caught:
            load_checkpoint_safely(file)
        assert str(caught.value).isprintable()


def test_a_torchscript_archive_is_called_one(tmp_path: Path) -> None:
    layout = {"model/data.pkl": b"", "model/constants.pkl": b"", "model/code/a.py": b""}
    (tmp_path / "a.pt").write_bytes(zipped(**layout))
    with pytest.raises(DataError, match=r"a\.pt: a TorchScript archive: load it with torch\.jit\.load"):
        load_pickle_safely(tmp_path / "a.pt")


def test_places_without_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        load_pickle_safely(tmp_path / "none.pth")
    with pytest.raises(DataError, match="not a file"):
        load_pickle_safely(tmp_path)


def test_a_name_with_an_escape_code_is_made_visible(tmp_path: Path) -> None:
    file = tmp_path / "a\x1b[2J.pth"
    file.write_bytes(b"\x1b[2J text")
    with pytest.raises(DataError) as caught:
        load_pickle_safely(file)
    assert str(caught.value).isprintable()
