"""A released first stage of GCL from a file: backbone, linear layer and batch norm, and the memory after them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench import AdaptContext, FinetuneContext
from reidbench.data import read_market_folder
from reidbench.errors import ReidbenchError
from reidbench.registry.plugins import load
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, stream
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_gcl.contrast.contrast import RealArm
from reidbench_gcl.contrast.released import HeadEmbedder, finetune
from reidbench_gcl.params import GCLWeightsParams, RealParams
from tests.support.contexts import make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
DIM = 5


def backbone(seed: int = 7) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": list(SIZE)}
    return network


def released(seed: int = 1, *, dim: int | None = DIM, norm: str = "feat_bn") -> dict[str, torch.Tensor]:
    """The tensors of a trained first stage, as JVTC (with `dim`) or MMCL and ACT (without) save them."""
    generator = stream(seed, "head")
    state = dict(backbone(seed).state_dict())
    width = backbone().dim
    if dim is not None:
        state |= {"feat.weight": torch.randn(dim, width, generator=generator)}
        state |= {"feat.bias": torch.randn(dim, generator=generator)}
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        state[f"{norm}.{leaf}"] = torch.rand(dim or width, generator=generator) + 0.5
    return state


def context(folder: Path, state: dict[str, Any], seed: int = 7) -> FinetuneContext[GCLWeightsParams]:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "first.pth")
    params = GCLWeightsParams(file=folder / "first.pth")
    ctx, _ = make_context(
        FinetuneContext, folder, params, image_size=SIZE, source=None, backbone=lambda: backbone(seed)
    )
    return ctx


def by_hand(state: dict[str, torch.Tensor], vector: torch.Tensor, norm: str = "feat_bn") -> np.ndarray:
    """(W v + b - mean) / sqrt(var + 1e-5) * gamma + beta in float64."""
    known = {name: tensor.double().numpy() for name, tensor in state.items()}
    found = vector.double().numpy()
    if "feat.weight" in known:
        found = found @ known["feat.weight"].T + known["feat.bias"]
    found = (found - known[f"{norm}.running_mean"]) / np.sqrt(known[f"{norm}.running_var"] + 1e-5)
    return np.asarray(found * known[f"{norm}.weight"] + known[f"{norm}.bias"])


@pytest.mark.parametrize(("dim", "norm"), [(DIM, "feat_bn"), (None, "feat_bn"), (None, "bn")])
@pytest.mark.parametrize("container", ["", "state_dict", "id"])
def test_the_feature_is_the_files_whole_network(tmp_path: Path, dim: int | None, norm: str, container: str) -> None:
    """Backbone, linear layer and batch norm with running statistics come from the file, nothing from the seed.

    JVTC saves the plain tensors, MMCL and ACT a "state_dict", GCL itself an "id".
    """
    state = released(dim=dim, norm=norm)
    prefix = "module." if container == "state_dict" else ""
    saved = {container: {prefix + name: tensor for name, tensor in state.items()}} if container else state
    embedder = finetune(context(tmp_path, saved)).eval()
    images = torch.randn(3, 3, *SIZE, generator=stream(0, "images"))
    with torch.no_grad():
        vector = backbone(1).eval()(images).vector
        assert embedder(images).numpy() == pytest.approx(by_hand(state, vector, norm), abs=1e-4)
    save_embedder(tmp_path, embedder)
    rebuilt = load_embedder(tmp_path, lambda described: backbone(2), {"reidbench_gcl": "reidbench_gcl"}).eval()
    assert isinstance(rebuilt, HeadEmbedder)
    with torch.no_grad():
        assert torch.equal(rebuilt(images), embedder(images))


def test_the_memory_has_the_length_of_the_files_head(tmp_path: Path) -> None:
    """Row i of GCL's memory is the file's feature of image i at unit length; the head is trained with the rest."""
    state = released()
    split = read_market_folder(write_market_folder(tmp_path / "target", identities=6, seed=1)).train
    embedder = finetune(context(tmp_path, state))
    small = {"epochs": 1, "iterations": 2, "batch": 8, "k1": 6, "k2": 2, "rho": 0.05, "min_samples": 2, "lr": 0.01}
    ctx, _ = make_context(
        AdaptContext, tmp_path / "gcl", RealParams(**small), image_size=SIZE, target=split.hide(), source=None,
        backbone=lambda: None, start=embedder,
    )  # fmt: skip
    arm = RealArm(ctx)
    arm.bank.fill(torch.from_numpy(arm.features()))
    assert arm.bank.rows.shape == (len(split), DIM)
    target = ctx.target
    pixels = torch.from_numpy(np.stack([target.image(index) for index in range(len(target))]))
    with torch.no_grad():
        vectors = backbone(1).eval()(embedder.preprocess.normalise(pixels)).vector
    expected = by_hand(state, vectors)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert arm.bank.rows.numpy() == pytest.approx(expected, abs=1e-4)
    before = [
        parameter.detach().clone() for parameter in (*embedder.embedded.parameters(), *embedder.norm.parameters())
    ]
    arm.train()
    after = [*embedder.embedded.parameters(), *embedder.norm.parameters()]
    moved = [not torch.equal(old, new) for old, new in zip(before, after, strict=True)]
    moved.pop(1)  # the bias of a layer before a batch norm, whose gradient is rounding
    assert all(moved)


def test_every_seed_gives_the_same(tmp_path: Path) -> None:
    first, second = (finetune(context(tmp_path / str(seed), released(), seed)).state_dict() for seed in (3, 4))
    assert all(torch.equal(first[name], second[name]) for name in first)


def without(name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in released().items() if key != name}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (dict(backbone().state_dict()), "the head is missing.*pretrain: {use: weights"),
        (without("feat_bn.weight"), "incomplete: norm.weight is missing"),
        (without("feat.bias"), "incomplete: embedded.bias is missing"),
        ({**released(), "feat.weight": torch.zeros(DIM, 3)}, "does not fit this backbone: embedded.weight is 5x3"),
        (without("feat.weight"), "norm.weight is 5 and"),
        ({**released(), "feat.bias": torch.full((DIM,), float("nan"))}, "embedded.bias contains NaN or infinity"),
        ({name: tensor for name, tensor in released().items() if name.startswith("feat")}, "fit the backbone"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, state: dict[str, Any], message: str) -> None:
    with pytest.raises(ReidbenchError, match=message):
        finetune(context(tmp_path, state))


def test_the_protocol_column_names_the_labels_behind_the_file(tmp_path: Path) -> None:
    """A row that starts from others' weights never shows "no labels", unless the user says so."""
    component = load(builtin=("reidbench_baseline", "reidbench_gcl")).get("finetuner", "gcl-weights")
    file = tmp_path / "first.pth"
    file.write_bytes(b"")
    assert component.traits == {"label-free", "seedless"}
    for labels, words in ((None, {"unknown pre-training"}), ("none", set()), ("Duke labels", {"Duke labels"})):
        assert component.protocol_with(GCLWeightsParams(file=file, labels=labels)) == words
