"""Files that would run code when a careless reader opened them: every reader refuses, and nothing is run."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench.errors import ReidbenchError
from reidbench.report.formats.curves import read_arrays, read_notes
from reidbench.scoring import score
from reidbench.store.artifact import Artifact
from reidbench.training import Backbone, BackboneEmbedder, Preprocess, TrainingCheckpoint
from reidbench.training.weights.artifacts import load_backbone, load_embedder, save_backbone, save_embedder
from reidbench.training.weights.files import read_checkpoint, read_state
from reidbench.training.weights.resnets import load_weights
from reidbench.training.weights.transformers import backbone_state, load_transformer, read_head
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny

SUFFIXES = (".pth", ".pt", ".tar", ".pth.tar", ".bin", ".safetensors", ".npz", ".mat")
READERS: dict[str, Callable[[Path], Any]] = {
    "weights": read_state,
    "transformer": read_checkpoint,
    "score": score.read_features,
}


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def hostile_files(folder: Path, owned: Path) -> list[Path]:
    """The same code as a bare pickle, inside torch's archive, inside a dictionary, and as an array of objects."""
    found = []
    for suffix in SUFFIXES:
        names = [folder / f"{kind}{suffix}" for kind in ("bare", "torch", "inner", "old", "array")]
        names[0].write_bytes(pickle.dumps(Touch(owned)))
        torch.save(Touch(owned), names[1])
        torch.save({"state_dict": {"conv1.weight": torch.zeros(1), "x": Touch(owned)}}, names[2])
        torch.save({"model": Touch(owned)}, names[3], _use_new_zipfile_serialization=False)
        with names[4].open("wb") as stream:
            np.savez(stream, query_pids=np.array([Touch(owned)], dtype=object))
        found += names
    return found


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_runs_a_pickle(reader: str, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    for file in hostile_files(tmp_path, owned):
        with pytest.raises(ReidbenchError) as caught:
            READERS[reader](file)
        assert "\n" not in str(caught.value)
        assert str(file) in str(caught.value)
        assert not owned.exists(), file.name
    pickle.loads((tmp_path / "bare.pth").read_bytes())  # noqa: S301 - the files are what they are said to be
    assert owned.exists()


def test_the_page_reads_no_objects(tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    artifact = Artifact("k", tmp_path, {})
    file = tmp_path / "per_query.npz"
    for content in (pickle.dumps(Touch(owned)), b"", b"PK\3\4", b"\x93NUMPY"):
        file.write_bytes(content)
        assert read_arrays(artifact, file.name) == {}
    with file.open("wb") as stream:
        np.savez(stream, ap=np.array([Touch(owned)], dtype=object))
    assert read_arrays(artifact, file.name) == {}
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))  # a single array has no names
    assert read_arrays(artifact, file.name) == {}
    (tmp_path / "notes.json").write_text("[" * 100_000)
    assert read_notes(artifact) == {}
    assert not owned.exists()


def test_a_checkpoint_whose_digest_is_wrong_is_not_opened(tmp_path: Path) -> None:
    owned, file = tmp_path / "owned", tmp_path / "checkpoint"
    file.write_bytes(hashlib.sha256(b"another").digest() + pickle.dumps(Touch(owned)))
    assert list(TrainingCheckpoint(file).epochs(2)) == [0, 1]
    assert not owned.exists()


# ------------------------------------------------------------------ containers and tensors that are none
def test_a_container_that_holds_itself(tmp_path: Path) -> None:
    """A pickle may be a circle; looking for the innermost dictionary must end all the same."""
    for key in ("state_dict", "model", "teacher"):
        circle: dict[str, Any] = {"conv1.weight": torch.zeros(2)}
        circle[key] = circle
        file = tmp_path / f"{key}.pth"
        torch.save(circle, file)
        assert set(read_state(file)) <= {"conv1.weight"}
        assert set(backbone_state(read_checkpoint(file))[1]) == {"conv1.weight"}


LABELS = ("query_pids", "query_camids", "gallery_pids", "gallery_camids")


def complete() -> dict[str, Any]:
    """All that a feature file needs, to which something hostile is added."""
    features = {f"{side}_features": torch.ones(1, 2) for side in ("query", "gallery")}
    return {**{name: torch.ones(1, dtype=torch.int64) for name in LABELS}, **features}


STRANGE = {
    "sparse": lambda: torch.zeros(2, 2).to_sparse(),
    "complex": lambda: torch.zeros(2, 2, dtype=torch.complex64),
    "meta": lambda: torch.zeros(2, 2, device="meta"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_tensors_that_are_no_plain_arrays(name: str, tmp_path: Path) -> None:
    file = tmp_path / "strange.pth"
    torch.save({"conv1.weight": STRANGE[name](), **complete(), "query_pids": STRANGE[name]()}, file)
    for refuse in (read_state, lambda file: backbone_state(read_checkpoint(file)), score.read_features):
        with pytest.raises(ReidbenchError) as caught:
            refuse(file)
        assert "\n" not in str(caught.value)


def test_a_tensor_that_claims_more_than_its_file_holds(tmp_path: Path) -> None:
    """One stored number, spread without a copy over four thousand million rows."""
    file = tmp_path / "claims.pt"
    torch.save({**complete(), "query_pids": torch.zeros(1, dtype=torch.int64).expand(2**32)}, file)
    assert file.stat().st_size < 8192
    with pytest.raises(ReidbenchError, match=r"query_pids is not a plain array \(its declared size exceeds the file"):
        score.read_features(file)


def test_an_array_that_claims_more_than_the_machine_has(tmp_path: Path) -> None:
    """The archive's list names the size, so nothing is read until the memory is full."""
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in complete().items():
            if name != "query_pids":
                with archive.open(f"{name}.npy", "w") as stream:
                    np.lib.format.write_array(stream, value.numpy())
        archive.writestr("query_pids.npy", bytes(1 << 20))
    data = bytearray(file.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = b"\xfe\xff\xff\xff"  # four GB; zipfile reads larger sizes in their 64-bit form
    file.write_bytes(data)
    with pytest.raises(ReidbenchError, match=r"bomb\.npz: query_pids\.npy cannot be read") as caught:
        score.read_features(file)
    assert "\n" not in str(caught.value)


def test_cells_and_structs_of_matlab_are_not_opened(tmp_path: Path) -> None:
    import scipy.io

    nested: Any = np.zeros(1)
    for _ in range(200):
        holder = np.empty(1, dtype=object)
        holder[0] = nested
        nested = holder
    labels = {name: value.numpy() for name, value in complete().items()}
    scipy.io.savemat(tmp_path / "a.mat", {**labels, "query_pids": nested})
    with pytest.raises(ReidbenchError, match=r"a\.mat: query_pids must contain real numbers or strings, not cell"):
        score.read_features(tmp_path / "a.mat")


def test_positions_of_another_shape_are_one_sentence() -> None:
    network = Backbone()
    network.register_buffer("pos_embed", torch.zeros(1, 5, 4))
    for shape in ((), (5,), (2, 5, 4), (1, 1, 4), (1, 5, 4, 4)):
        with pytest.raises(ReidbenchError, match=r"here: positions must have the shape"):
            load_transformer(network, {"pos_embed": torch.zeros(shape)}, where="here")
    with pytest.raises(ReidbenchError, match="no teacher head"):
        read_head({"teacher": {1: torch.zeros(1), "head.x": "no tensor"}})


def test_what_dino_saves_beside_its_weights_is_still_read(tmp_path: Path) -> None:
    content = {"teacher": {"module.backbone.norm.weight": torch.ones(4)}, "args": argparse.Namespace(lr=0.1)}
    torch.save({**content, "best": np.float64(0.5)}, tmp_path / "dino.pth")
    assert set(backbone_state(read_checkpoint(tmp_path / "dino.pth"))[1]) == {"norm.weight"}


def test_names_in_a_file_are_no_orders_to_a_terminal() -> None:
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    with pytest.raises(ReidbenchError) as caught:
        load_weights(network, {"a\x1b[2J\nb": torch.zeros(1)}, where="w.pth")
    assert str(caught.value).isprintable()


# ------------------------------------------------------------------ a store from elsewhere
def build(described: dict[str, Any]) -> Backbone:
    network = resnet_tiny(TinyParams(**described["params"]), tuple(described["image_size"]))
    network.spec = described
    return network


def saved(folder: Path) -> Backbone:
    """A backbone and an embedder as stages leave them."""
    network = build({"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]})
    save_backbone(folder, network)
    save_embedder(folder, BackboneEmbedder(network, Preprocess((32, 16))))
    return network


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("reidbench.testing:write_market_folder", {"folder": "owned"}),
        ("reidbench.testing:make_plugin", {"site": "owned", "name": "x", "source": ""}),
        ("reidbench.data.layouts.folders:Path", {}),
        ("reidbench.stages.run:main", {"arguments": []}),
        ("os:system", {"command": "touch owned"}),
        ("builtins:print", {}),
        ("reidbench.training:NoSuchThing", {}),
        ("reidbench.no_such_module:X", {}),
        ("no colon at all", {}),
    ],
)
def test_only_embedders_are_built(
    name: str, spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path)
    monkeypatch.chdir(tmp_path)
    pixels = {"preprocess": {"size": [32, 16], "mean": [0, 0, 0], "std": [1, 1, 1]}}
    (tmp_path / "embedder.json").write_text(json.dumps({"class": name, "spec": {**pixels, **spec}}))
    with pytest.raises(ReidbenchError, match="embedder") as caught:
        load_embedder(tmp_path, build, {"reidbench": "reidbench"})
    assert str(caught.value).isprintable()
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b'{"class": 3}',
        b'{"class": "reidbench.training:BackboneEmbedder"}',
        b"[" * 99_999,
    ],
)
def test_specs_that_are_none(content: bytes, tmp_path: Path) -> None:
    saved(tmp_path)
    for what, load in (
        ("backbone", lambda: load_backbone(tmp_path, build)),
        ("embedder", lambda: load_embedder(tmp_path, build, {"reidbench": "reidbench"})),
    ):
        load()
        (tmp_path / f"{what}.json").write_bytes(content)
        with pytest.raises(ReidbenchError) as caught:
            load()
        assert str(caught.value).isprintable()


def test_weights_of_an_artifact_that_are_a_pickle(tmp_path: Path) -> None:
    saved(tmp_path)
    owned = tmp_path / "owned"
    for what in ("backbone", "embedder"):
        (tmp_path / f"{what}.safetensors").write_bytes(pickle.dumps(Touch(owned)))
    with pytest.raises(ReidbenchError, match="the backbone cannot be rebuilt"):
        load_backbone(tmp_path, build)
    with pytest.raises(ReidbenchError, match="the embedder cannot be rebuilt"):
        load_embedder(tmp_path, build, {"reidbench": "reidbench"})
    assert not owned.exists()
