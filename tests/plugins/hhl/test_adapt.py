"""HHL (Zhong et al., ECCV 2018): batches, losses and the training loop, by the paper and its released code."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from benchmarks import style_distances
from reidbench import AdaptContext
from reidbench.data import Split, read_market_folder
from reidbench.data.pictures.size import ImageSize
from reidbench.errors import DataError
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix, write_market_folder
from reidbench.training import Backbone, BatchHardTriplet, Features, stream
from reidbench.training.batches.crops import CROPS, draw_boxes
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_hhl import adapt, batches, losses
from reidbench_hhl.composition import Composition
from reidbench_hhl.params import HHLParams
from reidbench_hhl.styles import StyleSet
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, with_workers_where_cut

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "epochs": 3, "id_batch": 8, "identities": 4, "images": 2, "target_images": 3, "width": 16, "embedding": 8,
    "probe": 4, "lr": 0.05,
}  # fmt: skip
CAMERAS = 2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Split, Path]:
    """Return source and target of 24 images of 32x16 (6 identities, 2 cameras), and fakes: images tinted by camera."""
    place = tmp_path_factory.mktemp("hhl")
    sets = [
        read_market_folder(write_market_folder(place / name, identities=6, seed=seed), name=name).train
        for seed, name in enumerate(("source", "target"))
    ]
    hidden, folder = sets[1].hide(), place / "styles"
    folder.mkdir()
    described = StyleSet(len(hidden), tuple(range(1, CAMERAS + 1)), 1, "png")
    described.save(folder)
    for index, name in enumerate(hidden.ids):
        for k in described.styles:
            tinted = np.clip(hidden.image(index).astype(int) + 20 * k, 0, 255).astype(np.uint8)
            Image.fromarray(tinted).save(folder / described.file(name, k))
    return sets[0], sets[1], folder


def backbone() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), (32, 16))
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(
    world: tuple[Split, Split, Path], out: Path, *, die_after: int = NEVER, target: Split | None = None, **params: Any
) -> tuple[AdaptContext, Lines]:
    return make_context(
        AdaptContext, out, HHLParams(**{**SMALL, **params}), die_after=die_after, seed=5, prepared={"style": world[2]},
        target=(target or world[1]).hide(), source=world[0], backbone=backbone,
    )  # fmt: skip


def run(world: tuple[Split, Split, Path], out: Path, **params: Any) -> adapt.HHL:
    return adapt.HHL(context(world, out, **params)[0])


# ---------------------------------------------------------------------- batches
def test_defaults_are_the_papers() -> None:
    params = HHLParams()
    assert (params.epochs, params.lr, params.base_factor, params.momentum, params.weight_decay) == (
        60,
        0.1,
        0.1,
        0.9,
        5e-4,
    )
    assert (params.beta, params.margin, params.dropout, params.width, params.embedding) == (0.5, 0.3, 0.5, 1024, 128)
    assert (params.loss, params.style.use) == ("L_CD", "stargan")


def rows_of(rows: Composition) -> tuple[int, int, int]:
    """Return numbers of rows: images to classify, P x K of the source's triplets, n_t x (1 + C) of the target."""
    return rows.classified, rows.identities * rows.images, rows.real * (1 + rows.fakes)


@pytest.mark.parametrize(("cameras", "target", "total"), [(8, 144, 336), (6, 112, 304)])
def test_rows_of_a_step_are_the_papers(cameras: int, target: int, total: int) -> None:
    """128 + 8 x 8 + 16 x (1 + C), for Duke's eight cameras and Market's six."""
    rows = Composition.of(HHLParams(), cameras)
    assert rows_of(rows) == (128, 64, target)
    assert sum(rows_of(rows)) == total


@pytest.mark.parametrize(
    ("loss", "source", "target"),
    [("none", 0, 0), ("forward", 0, 144), ("L_T", 64, 0), ("L_D", 64, 16), ("L_C", 0, 144), ("L_CD", 64, 144)],
)
def test_rows_of_each_loss(loss: Any, source: int, target: int) -> None:
    """L_T has no target row, L_D no fake, L_C no source row, L_CD has all."""
    rows = Composition.of(HHLParams(loss=loss), 8)
    assert rows_of(rows)[1:] == (source, target)


def test_identities_come_in_runs_and_once_in_a_pass() -> None:
    """Eight identities with eight images each are grouped; the 3 steps of a pass over 26 have 24 different ones."""
    labels = np.repeat(np.arange(26), 10)
    passes = batches.IdentityPasses(labels, 8, 8, seed=0)
    steps = [passes.at(step) for step in range(6)]
    for rows in steps:
        runs = labels[rows].reshape(8, 8)
        assert (runs == runs[:, :1]).all()
        assert len(set(rows.tolist())) == 64  # ten images are enough for eight different ones
    for start in (0, 3):
        met = Counter(int(label) for rows in steps[start : start + 3] for label in labels[rows][::8])
        assert set(met.values()) == {1}
        assert len(met) == 24
    few = batches.IdentityPasses(np.repeat(np.arange(2), 3), 2, 8, seed=0).at(0)
    assert Counter(few // 3) == {0: 8, 1: 8}  # with replacement


def test_clusters_give_one_image_each() -> None:
    clusters = np.array([0] * 50 + [1] * 3 + [2] * 2 + [4])
    drawn = [batches.one_of_each(clusters, 4, seed=0, step=step) for step in range(20)]
    assert all(sorted(clusters[rows].tolist()) == [0, 1, 2, 4] for rows in drawn)
    assert len({tuple(sorted(rows.tolist())) for rows in drawn}) > 10
    assert Counter(clusters[batches.one_of_each(clusters, 6, seed=0, step=0)].tolist()).most_common(1)[0][1] == 2


# ---------------------------------------------------------------------- the loss
def duke() -> tuple[losses.Rows, Composition]:
    rows = Composition.of(HHLParams(), 8)
    return losses.triplet_rows("L_CD", rows, torch.arange(8).repeat_interleave(8), 702), rows


def test_positives_and_negatives_are_as_many_as_in_the_paper() -> None:
    """Duke as target: a source anchor has 7 and 200, a target anchor 8 and 199."""
    members, _ = duke()
    same_person = members.labels[:, None] == members.labels[None]
    positives, negatives = same_person.sum(1) - 1, (~same_person).sum(1)
    assert len(members.labels) == 208
    assert set(positives[:64].tolist()) == {7}
    assert set(negatives[:64].tolist()) == {200}
    assert set(positives[64:].tolist()) == {8}
    assert set(negatives[64:].tolist()) == {199}
    assert members.anchors.all()
    assert members.target.tolist() == [False] * 64 + [True] * 144


def test_pseudo_identities_meet_no_source_identity() -> None:
    """Each target image has one pseudo identity, shared by its nine views, and above all of the source's."""
    labels = duke()[0].labels[64:].view(16, 9)
    assert (labels == labels[:, :1]).all()
    assert labels[:, 0].tolist() == list(range(702, 718))


def test_in_l_d_target_images_are_negatives_only() -> None:
    rows = Composition.of(HHLParams(loss="L_D"), 8)
    members = losses.triplet_rows("L_D", rows, torch.arange(8).repeat_interleave(8), 702)
    assert len(members.labels) == 80
    assert members.anchors.tolist() == [True] * 64 + [False] * 16
    assert len(set(members.labels[64:].tolist())) == 16
    # A target image between two persons is the nearest neighbour of all their images.
    features = torch.cat([torch.arange(8.0).repeat_interleave(8), torch.full((16,), 3.5)])[:, None]
    loss, crossed = losses.batch_hard(features, members, 0.3)
    # distances to 3.5: 3.5 .5 .5 3.5 ...; persons 3 and 4 have it at .5, the others a neighbour at 1
    assert crossed.item() == pytest.approx(2 / 8)
    assert loss.item() == 0  # positives at 0, all negatives beyond .3


def test_batch_hard_by_hand_and_by_the_shared_loss() -> None:
    """Euclidean, not squared, mean over anchors; equal embeddings give the margin exactly."""
    members = losses.Rows(torch.tensor([0, 0, 1]), torch.ones(3, dtype=torch.bool), torch.tensor([False, False, True]))
    features = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    # rows 0: positive 5, negative 10; 1: 5 and 5; 2: itself (1e-6) and 5
    loss, crossed = losses.batch_hard(features, members, 0.3)
    assert loss.item() == pytest.approx((0 + 0.3 + 0) / 3, abs=1e-5)
    assert crossed.item() == 1
    assert losses.batch_hard(torch.ones(3, 4), members, 0.3)[0].item() == pytest.approx(0.3)
    apart = torch.tensor([[0.0], [0.0], [0.31]])
    assert losses.batch_hard(apart, members, 0.3)[0].item() == pytest.approx(0, abs=1e-5)
    members, _ = duke()
    features = torch.randn(208, 16, generator=stream(0, "features"))
    ours = losses.batch_hard(features, members, 0.3)[0]
    assert ours.item() == pytest.approx(BatchHardTriplet(0.3)(features, members.labels).item(), abs=1e-6)


def test_loss_at_the_start_is_the_papers() -> None:
    """Deviation .001 on 1024 inputs makes batch-hard about .36, so the loss is ln(702) + .18 = 6.734."""

    class Vectors(Backbone):
        """Features as far from each other as those of different pictures are in a wide network."""

        dim = 2048

        def forward(self, images: torch.Tensor) -> Features:
            return Features(images, images.flatten(1))

    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = adapt.Network(Vectors(), 702, HHLParams(), stream(0, "drops"))
    images = torch.randn(208, 2048, 1, 1, generator=stream(0, "images"))
    members, _ = duke()
    triplet = losses.batch_hard(network(images, "embedding"), members, 0.3)[0]
    cross = F.cross_entropy(network(images[:128], "classes"), torch.arange(128))
    assert cross.item() == pytest.approx(math.log(702), abs=0.01)
    assert triplet.item() == pytest.approx(0.36, abs=0.02)
    assert cross.item() + 0.5 * triplet.item() == pytest.approx(6.734, abs=0.02)


# ---------------------------------------------------------------------- the network
def test_dropout_is_in_the_branch_of_classes_alone(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """In training mode the triplet branch repeats, the classes do not; half of the values are dropped."""
    network = run(world, tmp_path, width=4096).network.train()
    images = torch.randn(6, 3, 32, 16, generator=stream(0, "images"))
    assert torch.equal(network(images, "embedding"), network(images, "embedding"))
    assert not torch.equal(network(images, "classes"), network(images, "classes"))
    assert torch.equal(network.eval()(images, "classes"), network(images, "classes"))
    torch.nn.init.ones_(network.classifier.weight)
    torch.nn.init.zeros_(network.classifier.bias)
    hidden = F.relu(network.norm(network.shared(network.backbone(images).vector))).sum(1)
    network.training = True  # the dropout alone: batch norm stays in evaluation
    ratios = torch.stack([network(images, "classes")[:, 0] / hidden for _ in range(8)])
    assert ratios.mean().item() == pytest.approx(1, abs=0.02)  # what is kept is doubled


def test_every_parameter_is_in_one_group(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """The backbone learns at a tenth; the three modules that the official code forgets are left out on request only."""
    one = run(world, tmp_path)
    base, new = one.optimiser.param_groups
    grouped = [id(parameter) for group in (base, new) for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in one.network.parameters())
    one.set_rate(0)
    assert (base["lr"], new["lr"]) == (pytest.approx(0.005), pytest.approx(0.05))
    official = run(world, tmp_path, train_embedding=False)
    left = {id(p) for p in official.network.parameters()} - {
        id(p) for group in official.optimiser.param_groups for p in group["params"]
    }
    names = {name.partition(".")[0] for name, p in official.network.named_parameters() if id(p) in left}
    assert names == {"shared", "norm", "embedding"}
    before = {name: tensor.clone() for name, tensor in official.network.named_parameters()}
    official.network.train()
    official.step(official.batch(0))
    still = {name for name, tensor in official.network.named_parameters() if torch.equal(before[name], tensor)}
    assert {name.partition(".")[0] for name in still} == {"shared", "norm", "embedding"}


def test_rate_really_falls(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """The rate falls to a tenth after 40 of 60 epochs."""
    one = run(world, tmp_path, epochs=60)
    rates = []
    for epoch in range(60):
        one.set_rate(epoch)
        rates.append(one.optimiser.param_groups[1]["lr"])
    assert rates == pytest.approx([0.05] * 40 + [0.005] * 20)


# ---------------------------------------------------------------------- a step
@pytest.mark.parametrize(
    ("loss", "forwards"), [("none", 1), ("forward", 2), ("L_T", 2), ("L_D", 3), ("L_C", 2), ("L_CD", 3)]
)
def test_each_kind_of_image_is_normalised_by_itself(
    world: tuple[Split, Split, Path], tmp_path: Path, loss: Any, forwards: int
) -> None:
    """A step takes three forward passes instead of one over all images, the target's last."""
    one = run(world, tmp_path, loss=loss)
    one.network.train()
    seen: list[int] = []
    one.network.backbone.register_forward_pre_hook(lambda module, given: seen.append(len(given[0])))
    one.step(one.batch(0))
    assert int(one.network.norm.num_batches_tracked) == forwards
    target = {"forward": 9, "L_C": 9, "L_CD": 9, "L_D": 3}.get(loss)
    source = {"L_T": 8, "L_D": 8, "L_CD": 8}.get(loss)
    assert seen == [8, *([source] if source else []), *([target] if target else [])]


def test_without_weight_the_triplet_changes_no_gradient(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """beta 0 gives the baseline's gradient for backbone and classifier; beta scales the triplet loss only."""
    gradients = {}
    for name, params in {"none": {"loss": "none"}, "zero": {"beta": 0.0}, "half": {}, "whole": {"beta": 1.0}}.items():
        one = run(world, tmp_path, **params)
        one.network.train()
        one.drops.manual_seed(0)
        loss, _ = one.loss(one.batch(0))
        loss.backward()
        gradients[name] = {n: p.grad.clone() for n, p in one.network.named_parameters() if p.grad is not None}
    kept = [name for name in gradients["none"] if name.startswith(("backbone", "classifier"))]
    assert len(kept) > 20
    for name in kept:
        base = gradients["none"][name]
        assert torch.allclose(gradients["zero"][name], base, atol=1e-6)
        assert torch.allclose(gradients["whole"][name] - base, 2 * (gradients["half"][name] - base), atol=1e-5)
    assert gradients["half"]["embedding.weight"].abs().max() > 0


def test_loss_is_the_sum_of_its_parts(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    one = run(world, tmp_path, beta=0.7)
    one.network.train()
    loss, facts = one.loss(one.batch(0))
    assert loss.item() == pytest.approx(facts["cross"].item() + 0.7 * facts["triplet"].item(), abs=1e-6)
    assert 0 <= facts["negatives_across_domains"].item() <= 1


def test_real_and_fakes_stand_together_and_are_augmented_apart(
    world: tuple[Split, Split, Path], tmp_path: Path
) -> None:
    """Rows are the image, its fake by camera 1, and by camera 2; augmentation differs even for equal images."""
    one = run(world, tmp_path)
    rows = one.targets.at(4)
    pixels = one.target_pixels(4).view(3, 3, 32, 16, 3).int()
    for place, index in enumerate(rows.tolist()):
        real = torch.from_numpy(one.ctx.target.image(index).copy()).int()
        assert torch.equal(pixels[place, 0], real)
        for k in (1, 2):
            assert torch.equal(pixels[place, k], (real + 20 * k).clamp(0, 255))
    augmented = one.augment(one.fetch_target(rows[:1]).expand(8, -1, -1, -1))
    assert len({tuple(image.flatten().tolist()) for image in augmented}) > 4
    still = run(world, tmp_path, crop="none", flip=0.0)
    plain = still.preprocess.normalise(still.fetch_target(rows))
    assert torch.equal(still.augment(still.fetch_target(rows)), plain)


def test_crops_of_stored_pictures(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """With a network of 16x8, crops are cut from the stored 32x16 pixels, of real images and of fakes."""
    small = (16, 8)
    found = {}
    for kind in ("resized", "original"):
        ctx = dataclasses.replace(
            context(world, tmp_path / kind, flip=0.0)[0], image_size=ImageSize(small, crop_from=kind)
        )
        one = adapt.HHL(ctx)
        found[kind] = one.batch(0)
        if kind == "resized":
            continue
        again = adapt.HHL(ctx)
        again.batch(0)  # to draw the same for step 1 on both sides
        stored, state = again.stored_target(1), again.draws.get_state()
        rows = again.targets.at(1)
        for place, index in enumerate(rows.tolist()):
            real = ctx.target.image(index)
            assert np.array_equal(stored.pictures[3 * place], real)
            for k in (1, 2):
                tinted = np.clip(real.astype(int) + 20 * k, 0, 255)
                assert np.array_equal(stored.pictures[3 * place + k], tinted)
        views = again.augment(stored)
        boxes = draw_boxes(CROPS["rect"], 9, (32, 16), generator_at(state))
        for picture, (top, left, tall, wide), view in zip(stored.pictures, boxes.tolist(), views, strict=True):
            cut = Image.fromarray(picture[top : top + tall, left : left + wide])
            pixels = np.asarray(cut.resize((8, 16), Image.Resampling.BILINEAR))
            expected = again.preprocess.normalise(torch.from_numpy(pixels.copy())[None])[0]
            assert torch.allclose(view, expected, atol=1e-5)
    assert torch.equal(found["resized"].labels, found["original"].labels)
    assert not torch.equal(found["resized"].classified, found["original"].classified)


def test_crops_of_stored_pictures_resumed_with_workers(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """The killed run makes batches ahead with two workers, the other run within its step."""

    def made(out: Path, die_after: int) -> Any:
        ctx, lines = context(world, out, die_after=die_after)
        size = ImageSize((16, 8), crop_from="original")
        return with_workers_where_cut((dataclasses.replace(ctx, image_size=size), lines), out)

    check_resumes(tmp_path, made, adapt.adapt, 2)


def generator_at(state: torch.Tensor) -> torch.Generator:
    generator = torch.Generator()
    generator.set_state(state)
    return generator


def test_a_target_without_images_in_the_batch_is_l_t(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """n_t = 0, the left end of the paper's figure."""
    losses_ = []
    for params in ({"target_images": 0}, {"loss": "L_T"}):
        one = run(world, tmp_path, **params)
        one.network.train()
        losses_.append(one.loss(one.batch(0))[0].item())
    assert losses_[0] == losses_[1]


# ---------------------------------------------------------------------- whole trainings
def test_training_is_as_long_as_the_sources_passes(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """24 source images in batches of 8 are 3 steps an epoch; the log has losses, rates and invariance."""
    ctx, lines = context(world, tmp_path)
    adapt.adapt(ctx)
    assert [line["steps"] for line in lines] == [3, 3, 3]
    assert [line["lr"] for line in lines] == pytest.approx([0.05, 0.05, 0.005])
    assert all(np.isfinite(list(line.values())).all() for line in lines)
    kinds = {f"{kind}_distance" for kind in ("crop", "flip", "style")}
    assert {name for name in lines[0] if name.endswith("_at_start")} == {f"{kind}_at_start" for kind in kinds}
    assert {name for name in lines[2] if name.endswith("_at_end")} == {f"{kind}_at_end" for kind in kinds}


def test_feature_is_the_backbones_at_unit_length(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """The feature comes from neither branch: setting their layers to zero changes nothing."""
    one = run(world, tmp_path)
    one.train()
    embedder = one.embedder.eval()
    images = torch.randn(3, 3, 32, 16, generator=stream(0, "images"))
    features = embedder(images)
    assert torch.allclose(features, F.normalize(embedder.backbone(images).vector, dim=1), atol=1e-6)
    assert torch.allclose(features.norm(dim=1), torch.ones(3), atol=1e-6)
    for layer in (one.network.shared, one.network.classifier, one.network.embedding):
        torch.nn.init.zeros_(layer.weight)
    assert torch.equal(embedder(images), features)
    assert embedder.spec.keys() == {"backbone", "preprocess", "neck"}


def test_no_target_identity_is_read(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """The result is bit-identical with poisoned target pids."""
    target = world[1]
    poisoned = Split.of_columns(target.root, target.paths, target.pids[::-1].copy(), target.camids)
    embedders = [
        adapt.adapt(context(world, tmp_path / name, target=given)[0])
        for name, given in (("plain", target), ("poisoned", poisoned))
    ]
    assert same(*embedders)


@pytest.mark.parametrize("sampling", ["random", "cluster"])
def test_a_killed_training_goes_on_bit_identical(
    world: tuple[Split, Split, Path], tmp_path: Path, sampling: Any
) -> None:
    def made(out: Path, die_after: int) -> Any:
        return with_workers_where_cut(context(world, out, die_after=die_after, sampling=sampling), out)

    check_resumes(tmp_path, made, adapt.adapt, 2)


def test_clusters_are_those_of_the_features(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """Each image of a batch is of another cluster, and the number of clusters is the requested one."""
    one = run(world, tmp_path, sampling="cluster", clusters=5)
    one._cluster()
    assert one.clusters is not None
    assert len(np.unique(one.clusters)) == 5
    drawn = one.target_pixels(0).view(3, 3, 32, 16, 3)[:, 0]
    everything = one.fetch_target(np.arange(24))
    found = [int((everything == picture).flatten(1).all(1).nonzero()[0]) for picture in drawn]
    assert len(set(one.clusters[found].tolist())) == 3


def test_style_counts_in_the_distances(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    """Only cameras other than the image's own count; a network blind to colour has distance 0."""
    from reidbench_hhl import invariance

    one = run(world, tmp_path)
    count = 24
    found = invariance.distances(one.embedder, one.fetch_target, one.fakes, count, one.ctx)
    features = [
        one.embedder.eval()(one.preprocess.normalise(pixels))
        for pixels in (one.fetch_target(np.arange(24)), *one.fakes.fetch(np.arange(24), stream(0, "none")).unbind(1))
    ]
    moved = [
        (features[1 + camera][index] - features[0][index]).norm().item()
        for index in range(24)
        for camera in range(CAMERAS)
        if camera != one.ctx.target.camids[index]
    ]
    assert len(moved) == 24
    assert found["style"] == pytest.approx(np.mean(moved), abs=1e-5)
    with torch.no_grad():
        flipped = one.embedder(one.preprocess.normalise(one.fetch_target(np.arange(24)).flip(2)))
    assert found["flip"] == pytest.approx((flipped - features[0]).norm(dim=1).mean().item(), abs=1e-5)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"loss": "L_C", "target_images": 1}, "needs target_images of at least 2"),
        ({"loss": "L_D", "target_images": 1}, "cannot be batch-normalised"),
        ({"sampling": "cluster", "clusters": 2}, "2 clusters are too few"),
        ({"sampling": "cluster", "target_images": 0}, "sampling: cluster needs"),
    ],
)
def test_what_cannot_work_is_refused_when_planning(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HHLParams(**params)


def test_what_is_missing_is_reported(world: tuple[Split, Split, Path], tmp_path: Path) -> None:
    from dataclasses import replace

    ctx, _ = context(world, tmp_path)
    with pytest.raises(DataError, match="needs a source with at least two"):
        adapt.HHL(replace(ctx, source=None))
    with pytest.raises(DataError, match="source images to classify: a batch of 25 exceeds the 24 available"):
        run(world, tmp_path, id_batch=25)
    with pytest.raises(DataError, match="identities of a triplet batch: a batch of 7"):
        run(world, tmp_path, identities=7)


@pytest.mark.slow
def test_styles_are_stages_of_their_own_shared_by_seeds_and_methods(tmp_path: Path, market: Path) -> None:
    """Two methods and two seeds share one StarGAN; fakes, sheet and protocol words are where they should be."""
    other = write_market_folder(tmp_path / "other", seed=9)
    gan = "{use: stargan, channels: 4, blocks: 1, critic_channels: 4, critic_layers: 3, batch: 4, steps: 6}"
    small = "epochs: 1, id_batch: 8, identities: 2, images: 2, target_images: 2, width: 16, embedding: 8, probe: 2"
    text = f"""
title: HHL
image_size: [32, 16]
seeds: [0, 1]
data:
  a: {{use: market-folder, root: {market}}}
  b: {{use: market-folder, root: {other}}}
tasks: {{a->b: {{source: a, target: b}}}}
backbone: {{use: resnet-tiny, width: 4}}
evaluate: cosine
methods:
  L_C: {{finetune: none, adapt: {{use: hhl, loss: L_C, style: {gan}, {small}}}}}
  L_CD: {{finetune: none, adapt: {{use: hhl, style: {gan}, {small}}}}}
  copies: {{finetune: none, adapt: {{use: hhl, style: self-style, {small}}}}}
"""
    board = run_matrix(text, tmp_path)
    assert len(board.results) == 6
    store = Store(tmp_path / "store")
    stages = [store.manifest(key).manifest["stage"] for key in sorted(store.keys())]
    prepared = [stage for stage in stages if stage["kind"] == "prepare"]
    assert Counter(stage["use"] for stage in prepared) == {"stargan": 1, "self-style": 1}
    folder = next(store.path(stage["key"]) for stage in prepared if stage["use"] == "stargan")
    assert len(list(folder.glob("*_fake_*.jpg"))) == 16 * 2
    assert (folder / "contact-sheet.png").is_file()
    assert json.loads((folder / "log.jsonl").read_text().splitlines()[-1])["steps"] == 6
    assert {"cameras", "source labels", "target images"} <= set(board.results[0].row.protocol.split(", "))

    adapted = [one for one in stages if one["kind"] == "adapt" and one["params"]["loss"] == "L_CD"]
    wanted = [one["key"] for one in adapted if one["params"]["style"]["use"] == "stargan"]
    logs = ["".join((store.path(key) / "log.jsonl").read_text().splitlines()) for key in wanted]
    styles = [float(re.findall(r'"style_distance_at_start": ([\d.e-]+)', log)[0]) for log in logs]
    flips = [float(re.findall(r'"flip_distance_at_start": ([\d.e-]+)', log)[0]) for log in logs]
    found = style_distances.found(store)
    assert {target: sorted(values["style_distance_at_start"]) for target, values in found.items()} == {
        "b": sorted(styles)
    }
    table = {line[0]: line[1:] for line in style_distances.lines(found["b"])}
    assert table["style"][0].startswith(f"{sum(styles) / 2:.3f} ± ")
    assert table["style - flip"][0].startswith(f"{(sum(styles) - sum(flips)) / 2:+.3f} [")
