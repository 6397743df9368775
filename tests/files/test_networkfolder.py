"""A folder from anywhere is read without torch, or refused in one sentence that names the file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from reidbench.errors import DataError
from reidbench.files.networkfolder import CONFIG, LARGEST_CONFIG, LARGEST_HEADER, WEIGHTS, read_network, tensor_shapes

CONTENT: dict[str, Any] = {
    "format": "reidbench-network",
    "format_version": 1,
    "reidbench": "0.2.0",
    "component": {"kind": "finetuner", "name": "bot", "plugin": "reidbench_baseline"},
    "class": "reidbench.training.networks.embedder:BackboneEmbedder",
    "preprocess": {"size": [64, 32], "mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
    "spec": {
        "backbone": {"backbone": {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [64, 32]}},
        "neck": True,
    },
    "capabilities": ["stages", "bn"],
    "labels": ["plaza labels"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a description and two tensors."""
    place = tmp_path / "net"
    place.mkdir()
    (place / CONFIG).write_text(json.dumps(CONTENT))
    save_file({"a": np.zeros((2, 3), np.float32), "b": np.zeros(4, np.float32)}, place / WEIGHTS)
    return place


def test_a_description_is_read_and_written_without_a_change(folder: Path) -> None:
    found = read_network(folder)
    assert (found.trained_by, found.plugin) == (("finetuner", "bot"), "reidbench_baseline")
    assert found.backbones == {"backbone": CONTENT["spec"]["backbone"]["backbone"]}
    assert (found.capabilities, found.labels) == ({"stages", "bn"}, ("plaza labels",))
    assert found.described() == {**CONTENT, "capabilities": ["bn", "stages"]}
    assert tensor_shapes(folder / WEIGHTS) == {"a": [2, 3], "b": [4]}


def test_reading_needs_no_torch(folder: Path) -> None:
    """Plans are made without it."""
    code = (
        "import sys; from pathlib import Path; from reidbench.files.networkfolder import read_network; "
        f"read_network(Path({str(folder)!r})); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


def changed(**fields: Any) -> Callable[[Path], None]:
    """A change of fields of the description; a path such as `preprocess.size` is one of an inner map."""

    def apply(folder: Path) -> None:
        content = json.loads(json.dumps(CONTENT))
        for path, value in fields.items():
            *outer, last = path.split("__")
            place = content
            for name in outer:
                place = place[name]
            if value is KeyError:
                del place[last]
            else:
                place[last] = value
        (folder / CONFIG).write_text(json.dumps(content))

    return apply


def text(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / CONFIG).write_bytes(content) and None


def weights(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / WEIGHTS).write_bytes(content) and None


def linked(name: str, target: str) -> Callable[[Path], None]:
    """A link in place of a file; `{}` is the folder around."""

    def apply(folder: Path) -> None:
        (folder.parent / "outside").write_bytes((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / name).symlink_to(target.format(folder.parent))

    return apply


def header(value: Any, more: bytes = b"") -> bytes:
    body = json.dumps(value).encode()
    return len(body).to_bytes(8, "little") + body + more


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
NESTED: list[Any] = []
for _ in range(30):
    NESTED = [NESTED]

WRONG = {
    "no-config": (lambda folder: (folder / CONFIG).unlink(), r"net: has no config\.json; use a folder that"),
    "no-weights": (lambda folder: (folder / WEIGHTS).unlink(), r"net: has no model\.safetensors; "),
    "folder": (lambda folder: ((folder / CONFIG).unlink(), (folder / CONFIG).mkdir()), r"config\.json: not a regular"),
    "pipe": (lambda folder: ((folder / CONFIG).unlink(), os.mkfifo(folder / CONFIG)), r"config\.json: not a regular"),
    "link": (linked(CONFIG, "{}/outside"), r"config\.json: a link that leads out of the folder, .*hf download"),
    "link-up": (linked(WEIGHTS, "../outside"), r"model\.safetensors: a link that leads out of the folder"),
    "loop": (linked(CONFIG, CONFIG), r"config\.json: cannot be read"),
    "large": (text(b" " * (LARGEST_CONFIG + 1)), r"config\.json: larger than 1048576 bytes"),
    "no-json": (text(b"\x80\x02"), r"config\.json: not valid JSON"),
    "deep": (text(b"[" * 100_000), r"config\.json: not valid JSON: nested too deeply"),
    "nan": (text(b'{"format": NaN}'), r"config\.json: not valid JSON: NaN is not a number"),
    "foreign": (text(b'{"model_type": "bert"}'), r"config\.json: not the description of a network by reidbench"),
    "list": (text(b"[1]"), r"not the description of a network by reidbench"),
    "version": (changed(format_version=2), r"format_version is not 1; another version"),
    "no-class": (changed(**{"class": KeyError}), r"config\.json: class is missing"),
    "class": (changed(**{"class": ["os:system"]}), r"must be short texts"),
    "component": (changed(component__name=3), r"must be short texts"),
    "spec": (changed(spec="none"), r"spec must be a map"),
    "no-backbone": (changed(spec={"stripes": 6}), r"spec must describe a backbone"),
    "two-pixels": (changed(spec__preprocess={}), r"and not preprocess, which is a field of the file"),
    "depth": (changed(spec__neck=NESTED), r"spec is nested more than 20 levels deep"),
    "backbone": (changed(spec__backbone={"backbone": {"use": "x"}}), r'spec\.backbone must be \{"backbone"'),
    "more": (changed(spec__backbone__path="/etc"), r'spec\.backbone must be \{"backbone"'),
    "params": (changed(spec__backbone__backbone__params=[]), r"spec\.backbone: use must be the name"),
    "huge": (changed(spec__backbone__backbone__image_size=[64, 10**9]), r"spec\.backbone\.image_size must be \[height"),
    "size": (changed(preprocess__size=[64]), r"preprocess\.size must be \[height, width\] in pixels from 8 to 4096"),
    "true": (changed(preprocess__size=[True, 64]), r"preprocess\.size must be"),
    "mean": (changed(preprocess__mean=[0.5, 0.5, "x"]), r"preprocess\.mean must be three numbers; use"),
    "std": (changed(preprocess__std=[0.2, 0.2, 0]), r"preprocess\.std must be three numbers, all above 0"),
    "filter": (changed(preprocess__resize="nearest"), r"preprocess\.resize must be bilinear or bicubic"),
    "pixels": (changed(preprocess__crop=1), r"preprocess has the unknown field crop"),
    "labels": (changed(labels="plaza labels"), r"labels must be a list of words"),
    "words": (changed(capabilities=[{}]), r"capabilities must be a list of words"),
    "empty": (weights(b""), r"model\.safetensors: its header claims 0 bytes of 0"),
    "header": (weights((1 << 62).to_bytes(8, "little")), r"its header claims 4611686018427387904 bytes of 8"),
    "long": (weights((LARGEST_HEADER + 1).to_bytes(8, "little") + b"{}"), r"its header claims 16777217 bytes"),
    "not-a-map": (weights(header([])), r"its header is not a map of tensors"),
    "tensor": (weights(header({"a": 1})), r"tensor a is not described"),
    "cut": (weights(header({"a": TENSOR}, b"123")), r"tensor a is not described, or not all of it is in the file"),
    "negative": (weights(header({"a": {**TENSOR, "shape": [-1]}}, b"1234")), r"tensor a is not described"),
}


@pytest.mark.parametrize(("change", "sentence"), WRONG.values(), ids=WRONG.keys())
def test_anything_else_is_refused_in_one_sentence(
    change: Callable[[Path], object], sentence: str, folder: Path
) -> None:
    change(folder)
    with pytest.raises(DataError, match=sentence) as raised:
        read_network(folder)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


def test_a_link_inside_the_folder_is_followed(folder: Path) -> None:
    (folder / CONFIG).rename(folder / "real.json")
    (folder / CONFIG).symlink_to("real.json")
    assert read_network(folder).plugin == "reidbench_baseline"
