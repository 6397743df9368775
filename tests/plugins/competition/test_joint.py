"""Pseudo-labelled images join the labelled set: labels by hand, content of batches, loss, resume, workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench import AdaptContext, FinetuneContext
from reidbench.data import HiddenSplit, Sample, Split
from reidbench.errors import DataError
from reidbench.testing import run_matrix
from reidbench.training import Backbone, Preprocess
from reidbench.training.optim.losses import cosine_distances
from reidbench_baseline.frozen import ColourHistogram
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_competition import finetune as recipe
from reidbench_competition.joint import Joined, adapt, joined_labels
from reidbench_competition.params import CompetitionParams, JointParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "epochs": 3, "identities": 6, "images": 2, "lr": 1e-3, "warmup": 0, "patch_minimum": 2, "patch_pool": 100,
    "double_below": 0,
}  # fmt: skip


# Each colour is far from the others and in the middle of one of 4 x 4 x 4 bins, so that a histogram identifies persons.
COLOURS = [(32 + 64 * red, 32 + 64 * green, 32 + 64 * blue) for red in (0, 3) for green in (0, 3) for blue in (0, 3)]


def coloured(folder: Path, first: int, shots: tuple[int, ...]) -> Split:
    """An identity with each number of images in `shots`, all images of almost one colour."""
    rng, samples = np.random.default_rng(first), []
    for number, count in enumerate(shots):
        for shot in range(count):
            pixels = np.clip(rng.normal(COLOURS[first + number], 4, (32, 16, 3)), 0, 255).astype(np.uint8)
            name = f"{first + number}_{shot}.png"
            Image.fromarray(pixels).save(folder / name)
            samples.append(Sample(name, 1 + number, shot))
    return Split(folder, samples)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Split:
    return coloured(tmp_path_factory.mktemp("source"), 0, (3, 3, 3, 3))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> HiddenSplit:
    """Three identities of several images, and one image of another person."""
    return coloured(tmp_path_factory.mktemp("target"), 4, (3, 3, 2, 1)).hide()


def backbone() -> Backbone:
    torch.manual_seed(0)  # as the harness seeds a stage, whose new heads draw from the global generator
    network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(
    source: Split | None, target: HiddenSplit, out: Path, *, die_after: int = NEVER, **params: Any
) -> tuple[AdaptContext, Lines]:
    start = ColourHistogram(Preprocess((32, 16), (0, 0, 0), (1, 1, 1)), 1, 4, 1.0)
    return make_context(
        AdaptContext, out, JointParams(**{**SMALL, "threshold": 0.2, "mutual": "keep", **params}),
        die_after=die_after, source=source, target=target, backbone=backbone, start=start,
    )  # fmt: skip


def clusters_of(ctx: AdaptContext) -> tuple[AdaptContext, list[np.ndarray]]:
    found: list[np.ndarray] = []
    return replace(ctx, record_clusters=lambda _, labels: found.append(labels)), found


def test_labels_of_both_sets_by_hand() -> None:
    """Two labelled identities, then clusters 0 and 1 as identities 2 and 3; an unmatched image has none."""
    joined = joined_labels(np.array([0, 1, 1]), np.array([1, -1, 0, 1]))
    assert joined.tolist() == [0, 1, 1, 3, -1, 2, 3]


def test_images_of_both_sets_stand_one_after_the_other(source: Split, target: HiddenSplit) -> None:
    joined = Joined([source, target])
    assert len(joined) == 12 + 9
    assert np.array_equal(joined.image(11), source.image(11))
    assert np.array_equal(joined.image(12), target.image(0))
    with pytest.raises(IndexError):
        joined.image(21)


def test_both_sets_train_together_by_the_systems_loss_and_augmentations(
    source: Split, target: HiddenSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batch contains both; each cluster is an additional class; unmatched images never come."""
    batches: list[np.ndarray] = []
    made: list[tuple[recipe.Pictures, recipe.Losses, int]] = []
    pictures: list[recipe.Pictures] = []

    class KeptPictures(recipe.Pictures):
        def batch(self, indices: np.ndarray) -> torch.Tensor:
            pictures.append(self)
            batches.append(indices)
            return super().batch(indices)

    class KeptLosses(recipe.Losses):
        def __init__(self, params: CompetitionParams, classes: int, dims: list[int], wholes: int) -> None:
            super().__init__(params, classes, dims, wholes)
            made.append((pictures, self, classes))  # type: ignore[arg-type]

    monkeypatch.setattr(recipe, "Pictures", KeptPictures)
    monkeypatch.setattr(recipe, "Losses", KeptLosses)
    ctx, clusters = clusters_of(context(source, target, tmp_path)[0])
    adapt(ctx)

    alone = [index for index, label in enumerate(clusters[0]) if label < 0]
    assert sorted(np.bincount(clusters[0][clusters[0] >= 0])) == [2, 3, 3]
    assert len(alone) == 1
    for cluster in range(3):  # circular search found the persons
        colours = [target.image(i).mean((0, 1)) for i in np.flatnonzero(clusters[0] == cluster)]
        assert np.ptp(colours, axis=0).max() < 5
    ((_, losses, classes),) = made
    assert classes == 4 + 3
    assert (losses.params.id_weight, losses.params.triplet_weight) == (0.1, 0.9)
    assert losses.triplet.distances is cosine_distances
    assert any((rows < 12).any() and (rows >= 12).any() for rows in batches)
    seen = np.concatenate(batches)
    assert 12 + alone[0] not in seen
    assert set(clusters[0][seen[seen >= 12] - 12]) == {0, 1, 2}
    assert (pictures[0].params.random_patch, pictures[0].params.random_shift, pictures[0].params.jitter) == (0.5,) * 3


def test_without_any_cluster_it_is_the_recipe_on_the_source(source: Split, target: HiddenSplit, tmp_path: Path) -> None:
    notes: list[str] = []
    apart = target.subset([0])
    ctx = replace(context(source, apart, tmp_path / "a")[0], note=notes.append)
    plain = make_context(
        FinetuneContext, tmp_path / "b", CompetitionParams(**SMALL), source=source, backbone=backbone
    )[0]  # fmt: skip
    assert same(weights(adapt(ctx)), weights(recipe.finetune(plain)))
    assert notes == ["no image of the target found another one: the labelled source alone was trained on"]
    joint = adapt(context(source, target, tmp_path / "c")[0])
    assert not same(weights(joint), weights(adapt(ctx)))


def test_workers_change_nothing(source: Split, target: HiddenSplit, tmp_path: Path) -> None:
    found = [
        weights(adapt(replace(context(source, target, tmp_path / str(workers))[0], workers=workers)))
        for workers in (0, 1, 4)
    ]
    assert same(found[0], found[1])
    assert same(found[0], found[2])


def test_killed_and_resumed_is_uninterrupted(source: Split, target: HiddenSplit, tmp_path: Path) -> None:
    made: Callable[..., Any] = lambda out, die_after: context(source, target, out, die_after=die_after)  # noqa: E731
    check_resumes(tmp_path, made, adapt, 2)


def test_what_it_needs_is_said(source: Split, target: HiddenSplit, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="competition-joint needs a source with at least two identities"):
        adapt(context(None, target, tmp_path / "a")[0])
    with pytest.raises(DataError, match="starts from a trained embedder"):
        adapt(replace(context(source, target, tmp_path / "b")[0], start=None))


def test_in_a_matrix_it_uses_labels_and_target_images(tmp_path: Path, market: Path) -> None:
    small = "epochs: 1, identities: 2, images: 2, warmup: 0"
    board = run_matrix(
        f"""
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks: {{t: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  joint: {{finetune: {{use: competition, {small}}}, adapt: {{use: competition-joint, {small}}}}}
  alone: {{adapt: {{use: competition-joint, {small}}}}}
""",
        tmp_path,
    )
    found = {result.row.method: result for result in board.results}
    assert (found["joint"].status, found["joint"].error) == ("ok", "")
    assert {"source labels", "target images"} <= set(found["joint"].row.protocol.split(", "))
    assert "starts from a trained embedder" in found["alone"].row.reason
