"""The competition recipe: training images, losses by hand, branches, resume, workers."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file

from reidbench import FinetuneContext
from reidbench.data import Sample, Split
from reidbench.errors import DataError
from reidbench.testing import run_matrix
from reidbench.training import Backbone, BackboneEmbedder, Preprocess
from reidbench.training.batches.patching import RandomPatch
from reidbench.training.networks.stripes import Apart
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_competition.embedder import PARTS, CompetitionEmbedder
from reidbench_competition.finetune import Losses, finetune, training_images
from reidbench_competition.params import CompetitionParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "epochs": 3, "identities": 4, "images": 2, "lr": 1e-3, "dim": 8, "warmup": 0, "patch_minimum": 2, "patch_pool": 100,
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Six identities of three noisy one-coloured images, and one of a single image."""
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    samples = []
    for pid in range(7):
        for shot in range(3 if pid < 6 else 1):
            pixels = np.clip(rng.normal(40 * pid, 20, (32, 16, 3)) * rng.uniform(0.5, 1, 3), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{pid}_{shot}.png")
            samples.append(Sample(f"{pid}_{shot}.png", 10 + pid, shot))
    return Split(folder, samples)


def backbone() -> Backbone:
    torch.manual_seed(0)
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(
    source: Split | None, out: Path, *, die_after: int = NEVER, workers: int = 0, **params: Any
) -> tuple[FinetuneContext, Lines]:
    small = CompetitionParams(**{**SMALL, **params})
    return make_context(
        FinetuneContext, out, small, die_after=die_after, workers=workers, source=source, backbone=backbone
    )


def test_defaults_are_the_systems() -> None:
    params = CompetitionParams()
    assert (params.identities, params.images) == (16, 4)
    assert (params.id_weight, params.triplet_weight, params.distance) == (0.1, 0.9, "cosine")
    assert (params.double_below, params.double_probability, params.drop_singles) == (100, 0.5, True)
    assert (params.random_patch, params.patch_pool, params.patch_minimum) == (0.5, 50_000, 100)
    assert params.shift_least == 0.7


def test_margins_grow_with_the_epochs() -> None:
    params = CompetitionParams(epochs=10)
    assert [params.margin(epoch) for epoch in range(10)] == [0.1] * 5 + [0.3] * 5
    for wrong in ([], [[0.5, 0.3]], [[0, 0.1], [0, 0.2]], [[0, 0.1], [1.0, 0.2]]):
        with pytest.raises(ValidationError, match="margins must start at fraction 0 and rise below 1"):
            CompetitionParams(margins=wrong)  # type: ignore[arg-type]


def test_which_images_train() -> None:
    labels = np.array([0, 0, 1, 2, 2, 2])
    params = CompetitionParams(double_probability=1.0, double_below=3)
    assert training_images(labels, params, 0).tolist() == [0, 1, 3, 4, 5, 0, 1]
    off = CompetitionParams(drop_singles=False, double_below=0)
    assert training_images(labels, off, 0).tolist() == [0, 1, 2, 3, 4, 5]


def test_loss_by_hand() -> None:
    """Two identities at a right angle: cosine distances 0 within and 1 between; zero classifiers give log C."""
    params = CompetitionParams(id_weight=0.1, triplet_weight=0.9, margins=((0, 1.5),), label_smoothing=0.0)
    losses = Losses(params, 2, [2], 1)
    torch.nn.init.zeros_(losses.classifiers[0].weight)  # type: ignore[arg-type]
    vectors = torch.tensor([[1.0, 0], [5, 0], [0, 2], [0, 1]])
    labels = torch.tensor([0, 0, 1, 1])
    value = losses([vectors], [vectors], labels)
    assert float(value.detach()) == pytest.approx(0.1 * math.log(2) + 0.9 * (1.5 + 0 - 1), abs=1e-6)
    losses.triplet.margin = 0.3
    assert losses([vectors], [vectors], labels).item() == pytest.approx(0.1 * math.log(2), abs=1e-6)


def test_only_global_vectors_have_a_triplet_and_all_have_a_classifier() -> None:
    params = CompetitionParams(id_weight=1.0, triplet_weight=1.0, label_smoothing=0.0, margins=((0, 0.0),))
    losses = Losses(params, 2, [2, 2], 1)
    for classifier in losses.classifiers:
        torch.nn.init.zeros_(classifier.weight)  # type: ignore[arg-type]
    vectors = torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    swapped = vectors[[0, 2, 1, 3]]  # a triplet on it would cost
    labels = torch.tensor([0, 0, 1, 1])
    assert losses([vectors, swapped], [vectors, swapped], labels).item() == pytest.approx(math.log(2), abs=1e-6)
    assert losses([swapped, vectors], [swapped, vectors], labels).item() == pytest.approx(math.log(2) + 1, abs=1e-6)


def test_the_triplet_before_the_neck_or_after_it() -> None:
    """A neck that separates the vectors: before it they are equal, so the hinge is the margin; after it 0."""
    labels = torch.tensor([0, 0, 1, 1])
    equal, apart = torch.ones(4, 2), torch.tensor([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    for triplet_on, expected in (("before", 0.3), ("after", 0.0)):
        params = CompetitionParams(id_weight=0.0, triplet_weight=1.0, margins=((0, 0.3),), triplet_on=triplet_on)
        losses = Losses(params, 2, [2], 1)
        assert losses([equal], [apart], labels).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("branches", "vectors", "wholes"), [("global", 1, 1), ("mgn", 8, 3), ("rmgl", 8, 3), ("grid", 13, 4)]
)
def test_branches_give_their_vectors(branches: str, vectors: int, wholes: int) -> None:
    network = backbone()
    embedder = CompetitionEmbedder(network, Preprocess((32, 16)), branches, dim=8).eval()
    found = embedder.vectors(torch.randn(2, 3, 32, 16))
    dim = network.dim if branches == "global" else 8
    assert [vector.shape for vector in found] == [(2, dim)] * vectors
    assert embedder.globals == wholes == len(PARTS[branches])
    features = embedder(torch.randn(2, 3, 32, 16))
    assert features.shape == (2, vectors * dim)
    assert torch.allclose(features.view(2, vectors, dim).norm(dim=2), torch.ones(2, vectors))
    apart = sum(isinstance(module, Apart) for module in embedder.modules())
    assert apart == (2 if branches == "rmgl" else 0)


def test_rmgl_without_its_parts_is_mgn() -> None:
    images = torch.randn(2, 3, 64, 32)
    answers = {}
    for name, options in {
        "mgn": {"branches": "mgn"},
        "plain": {"branches": "rmgl", "apart": False, "balanced": False},
        "apart": {"branches": "rmgl", "balanced": False},
        "balanced": {"branches": "rmgl", "apart": False},
    }.items():
        torch.manual_seed(0)
        network = resnet_tiny(TinyParams(width=4), (64, 32))
        network.spec = {}
        torch.manual_seed(1)
        embedder = CompetitionEmbedder(network, Preprocess((64, 32)), dim=8, **options).eval()  # type: ignore[arg-type]
        answers[name] = torch.stack(embedder.vectors(images))
    assert torch.equal(answers["plain"], answers["mgn"])
    assert torch.equal(answers["apart"][0], answers["mgn"][0])  # the branch without stripes
    assert not torch.equal(answers["apart"], answers["mgn"])
    assert torch.equal(answers["balanced"][:3], answers["mgn"][:3])  # global vectors do not depend on borders
    assert not torch.equal(answers["balanced"][3:], answers["mgn"][3:])


@pytest.mark.parametrize("branches", ["global", "rmgl"])
def test_killed_and_resumed_is_uninterrupted(branches: str, source: Split, tmp_path: Path) -> None:
    """A resumed run also restores the pool of patches."""

    def made(out: Path, die_after: int) -> Any:
        return context(source, out, die_after=die_after, branches=branches)

    _, lines = check_resumes(tmp_path, made, finetune, 1)
    assert [line["margin"] for line in lines[1:]] == [0.1, 0.3]


def test_the_pool_and_all_else_is_the_same_for_one_and_two_workers(
    source: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images are read from disk by one thread or two: weights, the pool and its inputs are the same."""
    patches: list[RandomPatch] = []

    class Kept(RandomPatch):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            patches.append(self)

    monkeypatch.setattr("reidbench_competition.finetune.RandomPatch", Kept)
    trained = []
    for workers, limit in ((0, None), (1, 0), (2, 0)):
        if limit == 0:
            monkeypatch.setattr("reidbench.training.batches.reading.memory_limit", lambda: 0)
        ctx, _ = context(source, tmp_path / str(workers), workers=workers, epochs=2, random_patch=1.0)
        trained.append(weights(finetune(ctx)))
    assert same(trained[0], trained[1])
    assert same(trained[1], trained[2])
    held, one, two = (weights(patch) for patch in patches)
    assert one["given"] > 10
    assert same(held, one)
    assert same(one, two)


def test_without_branches_it_is_a_backbone_under_its_neck(source: Split, tmp_path: Path) -> None:
    """Adapters continue from both: the trained neck is kept."""
    embedder = finetune(context(source, tmp_path, epochs=2, branches="global")[0]).eval()
    assert isinstance(embedder, BackboneEmbedder)
    assert embedder.spec["neck"]
    assert embedder.neck.norm.running_mean.abs().sum() > 0
    images = torch.randn(2, 3, 32, 16)
    assert torch.equal(embedder(images), embedder.neck(embedder.backbone(images).vector))


@pytest.mark.parametrize("branches", ["mgn", "rmgl", "grid"])
def test_the_backbone_of_branches_is_the_trained_one(branches: str, source: Split, tmp_path: Path) -> None:
    """The shared part, and the last stages of the branch with halves, as one network for adapters."""
    embedder = finetune(context(source, tmp_path, epochs=2, branches=branches, apart=False)[0]).eval()
    assert isinstance(embedder, CompetitionEmbedder)
    images = torch.randn(2, 3, 32, 16)
    found = embedder.backbone.eval()(images)
    assert torch.equal(found.map, embedder.branches[1](embedder.shared(images)))
    assert not same(weights(embedder.backbone), weights(backbone()))


def test_adapting_branches_goes_on_from_what_they_learnt(tmp_path: Path, market: Path) -> None:
    """A whole matrix: after an adaptation without weight changes the row's network is not the untrained one."""
    tune = "{use: competition, branches: rmgl, epochs: 1, identities: 2, images: 2, dim: 8}"
    adapt = "{use: pseudo-label, rounds: 1, iterations: 1, clustering: circular, threshold: 1.0e-9}"
    text = f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods: {{m: {{finetune: {tune}, adapt: {adapt}}}}}
"""
    board = run_matrix(text, tmp_path)
    assert [(result.status, result.error) for result in board.results] == [("ok", "")]
    stages = {}
    for file in (tmp_path / "store" / "objects").rglob("embedder.safetensors"):
        stages[json.loads((file.parent / "manifest.json").read_text())["stage"]["kind"]] = load_file(file)
    trained, adapted = stages["finetune"], stages["adapt"]
    assert torch.equal(adapted["backbone.stem.0.weight"], trained["shared.0.0.weight"])


@pytest.mark.parametrize(
    "option",
    [
        "flip",
        "jitter",
        "affine",
        "random_patch",
        "patch_rotate",
        "random_shift",
        "erase",
        "double_probability",
        "pad",
        "triplet_weight",
        "label_smoothing",
    ],
)
def test_every_part_changes_the_result(option: str, source: Split, tmp_path: Path) -> None:
    with_it = finetune(context(source, tmp_path / "a", epochs=1)[0])
    without = finetune(context(source, tmp_path / "b", epochs=1, **{option: 0})[0])
    assert not same(weights(with_it), weights(without))


@pytest.mark.parametrize(
    "option", [{"distance": "euclidean"}, {"triplet_on": "after"}, {"branches": "mgn", "pool": "avg"}]
)
def test_every_choice_changes_the_result(option: dict[str, Any], source: Split, tmp_path: Path) -> None:
    default = {"branches": "mgn"} if "branches" in option else {}
    with_it = finetune(context(source, tmp_path / "a", epochs=1, **default)[0])
    without = finetune(context(source, tmp_path / "b", epochs=1, **option)[0])
    assert not same(weights(with_it), weights(without))


def test_the_loss_falls(source: Split, tmp_path: Path) -> None:
    quiet = {"jitter": 0, "affine": 0, "random_patch": 0, "random_shift": 0, "erase": 0, "margins": [[0, 0.3]]}
    ctx, lines = context(source, tmp_path, epochs=25, id_weight=1.0, lr=5e-3, milestones=(0.9,), **quiet)
    finetune(ctx)
    assert lines[-1]["loss"] < 0.7 * lines[0]["loss"]


def test_a_source_of_single_images_is_refused(source: Split, tmp_path: Path) -> None:
    ctx, _ = context(None, tmp_path)
    with pytest.raises(DataError, match="competition requires a source"):
        finetune(ctx)
    alone = Split(source.root, [sample for sample in source.samples if sample.path.endswith("_0.png")])
    with pytest.raises(DataError, match="at least two identities that have two images each"):
        finetune(replace(ctx, source=alone))
