"""transreid: neck, losses, groups, batches, erasing, jigsaw and cameras, as in the released code."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from reidbench import FinetuneContext
from reidbench.data import Dataset, Sample, Split, read_market_folder
from reidbench.errors import DataError, ReidbenchError
from reidbench.metrics import rank
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, Preprocess, embed, stream
from reidbench.training.batches.noise import NoiseErase
from reidbench.training.networks.droppath import drop_path_rates
from reidbench.training.optim.cosine import warmup_cosine
from reidbench.training.weights.artifacts import load_embedder, save_embedder
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import vit_tiny
from reidbench_transreid_ssl import finetune
from reidbench_transreid_ssl.embedder import TransReidEmbedder
from reidbench_transreid_ssl.jpm import jigsaw_order
from reidbench_transreid_ssl.transreid_augment import Bicubic, TrainAugment
from reidbench_transreid_ssl.transreid_params import TransReidParams, TransReidSieParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
REPLACED = "the method's drop_path 0.1 replaces the backbone's 0.3"
REPLACED_BY_0 = "the method's drop_path 0 replaces the backbone's 0.3"
SMALL: dict[str, Any] = {"epochs": 3, "identities": 4, "images": 2, "lr": 0.02}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """20 + 20 identities of two cameras with two images each, 32x16."""
    return read_market_folder(write_market_folder(tmp_path_factory.mktemp("people"), identities=20), name="people")


def vit(dim: int = 24) -> Backbone:
    """A transformer with 4x2 patches of 32x16 images."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = vit_tiny(ViTTinyParams(dim=dim, depth=3, heads=2), SIZE)
    network.spec = {"use": "vit-tiny", "params": {"dim": dim, "depth": 3, "heads": 2}, "image_size": [32, 16]}
    return network


def deep() -> Backbone:
    network = vit_tiny(ViTTinyParams(dim=24, depth=3, heads=2, drop_path=0.3), SIZE)
    network.spec = {}
    return network


def wider() -> Backbone:
    return vit(48)


def cnn() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": 4}, "image_size": [32, 16]}
    return network


def context(
    source: Split | None,
    params: TransReidParams,
    out: Path,
    *,
    build: Callable[[], Backbone] = vit,
    die_after: int = NEVER,
    precision: Any = "32-true",
) -> tuple[FinetuneContext, Lines]:
    def fabric() -> Any:
        from lightning_fabric import Fabric

        return Fabric(accelerator="cpu", devices=1, precision=precision)

    return make_context(
        FinetuneContext, out, params, die_after=die_after, image_size=SIZE, make_fabric=fabric, source=source,
        backbone=build,
    )  # fmt: skip


def embedder(build: Callable[[], Backbone] = vit, **how: Any) -> TransReidEmbedder:
    torch.manual_seed(0)
    return TransReidEmbedder(build(), Preprocess(SIZE), **how)


def recipe(classes: int = 10, *, params: TransReidParams | None = None, **how: Any) -> finetune.Recipe:
    return finetune.Recipe(embedder(**how), classes, params or TransReidParams())


def images(count: int = 4, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, *SIZE, generator=stream(seed, "images"))


# ---------------------------------------------------------------------- neck, classifier, losses
def test_defaults_are_the_papers() -> None:
    params = TransReidParams()
    assert (params.epochs, params.identities, params.images) == (120, 16, 4)
    assert (params.optimiser, params.lr, params.momentum, params.weight_decay) == ("sgd", 4e-4, 0.9, 1e-4)
    assert (params.bias_lr_factor, params.drop_path, params.label_smoothing, params.margin) == (2.0, None, 0.0, None)
    assert (params.triplet_weight, params.feature, params.jpm) == (1.0, "before", False)
    assert (round(params.warmup * 120), params.warmup_factor, params.floor_factor) == (20, 0.01, 0.002)
    assert (params.flip, params.erase, params.erase_area) == (0.5, 0.5, (0.02, 1 / 3))
    assert TransReidSieParams().camera_coefficient == 3.0


def test_classifier_has_no_bias_and_starts_at_log_c() -> None:
    """N(0, .001) without bias, so that the first cross-entropy is log C."""
    one = recipe(751)
    assert one.classifiers[0].bias is None
    assert one.classifiers[0].weight.std().item() == pytest.approx(0.001, rel=0.05)
    loss = one.losses(one.embedder.vectors(images(8), torch.zeros(8, dtype=torch.long)), torch.arange(8) // 2)
    assert loss.cross_entropy.item() == pytest.approx(math.log(751), abs=0.05)
    assert loss.loss.item() == pytest.approx(loss.cross_entropy.item() + loss.triplet.item(), abs=1e-6)


def test_triplet_reads_before_and_cross_entropy_after_the_neck() -> None:
    """By an independent formulation: batch-hard softplus on raw vectors, softmax after batch norm."""
    one = recipe(5)
    vectors, labels = torch.randn(6, 24) * 3 + 1, torch.tensor([0, 0, 1, 1, 2, 2])
    distances = torch.cdist(vectors, vectors)
    gaps = []
    for i in range(6):
        positive = max(distances[i, j] for j in range(6) if labels[i] == labels[j])
        negative = min(distances[i, j] for j in range(6) if labels[i] != labels[j])
        gaps.append(math.log1p(math.exp(positive - negative)))
    normed = (vectors - vectors.mean(0)) / (vectors.var(0, unbiased=False) + 1e-5).sqrt()
    expected = F.nll_loss((normed @ one.classifiers[0].weight.t()).log_softmax(1), labels)
    found = one.losses([vectors], labels)
    assert found.triplet.item() == pytest.approx(np.mean(gaps), abs=1e-4)
    assert found.cross_entropy.item() == pytest.approx(expected.item(), abs=1e-5)


def test_equal_distances_cost_log_2_and_perfect_logits_nothing() -> None:
    """The soft margin at a gap of 0 is .6931; without smoothing a perfect cross-entropy is 0."""
    one = recipe(2)
    square = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]]) * 1e-6  # all gaps within 1e-6
    assert one.triplet(square, torch.tensor([0, 0, 1, 1])).item() == pytest.approx(math.log(2), abs=1e-4)
    perfect = torch.eye(2) * 100
    assert one.cross_entropy(perfect, torch.arange(2)).item() == pytest.approx(0, abs=1e-6)
    smooth = recipe(2, params=TransReidParams(label_smoothing=0.1))
    assert smooth.cross_entropy(perfect, torch.arange(2)).item() == pytest.approx(5.0, abs=1e-4)  # 0.1 / 2 x 100


def test_test_feature_is_before_the_neck_and_of_unit_length() -> None:
    """After the neck on request. In evaluation a fresh neck divides by sqrt(1 + eps) only."""
    for feature in ("before", "after"):
        one = embedder(feature=feature).eval()
        one.necks[0].norm.running_mean.add_(torch.randn(24, generator=stream(0, "mean")))
        vector = one.backbone(images()).vector
        wanted = vector if feature == "before" else one.necks[0](vector)
        assert torch.allclose(one(images()), wanted / wanted.norm(dim=1, keepdim=True), atol=1e-6)
        assert one(images()).norm(dim=1).tolist() == pytest.approx([1.0] * 4, abs=1e-5)


# ---------------------------------------------------------------------- groups, rates, batches
@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_biases_have_twice_the_base_rate(kind: Any) -> None:
    """Two groups, every trained parameter once, the neck's frozen bias in neither; decay on all."""
    one = recipe(jpm_groups=2, jpm_shuffle=2)
    optimiser = finetune.make_optimiser(one, TransReidParams(optimiser=kind))
    weights, biases = optimiser.param_groups
    assert biases["lr"] == 2 * weights["lr"] == 8e-4
    assert weights["weight_decay"] == biases["weight_decay"] == 1e-4
    ids = [id(tensor) for group in optimiser.param_groups for tensor in group["params"]]
    trained = {id(tensor): name for name, tensor in one.named_parameters() if tensor.requires_grad}
    assert sorted(ids) == sorted(trained)
    assert {trained[id(tensor)].rpartition(".")[2] for tensor in biases["params"]} == {"bias"}
    assert not any("bias" in trained[id(tensor)] for tensor in weights["params"])
    assert [neck.norm.bias.requires_grad for neck in one.embedder.necks] == [False] * 3
    schedule = warmup_cosine(optimiser, 120, 4e-4)
    assert weights["lr"] == pytest.approx(biases["lr"]) == 4.0e-6  # epoch 1
    for _ in range(20):
        optimiser.step()
        schedule.step()
    assert weights["lr"] == pytest.approx(3.73e-4, rel=2e-3)  # epoch 21
    assert biases["lr"] / weights["lr"] == pytest.approx(2, abs=0.002)


def test_each_batch_has_16_identities_of_4_images(tmp_path: Path) -> None:
    """The epoch continues until fewer than 16 identities have four images left."""
    samples = [Sample(f"{pid}_{number}", pid, 0) for pid in range(1, 41) for number in range(9)]
    source = Split(tmp_path, samples)
    source.image = lambda index: np.zeros((32, 16, 3), np.uint8)  # type: ignore[method-assign]
    ctx, _ = context(source, TransReidParams(), tmp_path)
    streams = {name: stream(0, name) for name in ("order", "augmentation")}
    labels = source.labels()
    batches = [found for _, found in finetune._batches(ctx, source, labels, Preprocess(SIZE), streams)]
    for found in batches:
        assert np.unique(labels[found], return_counts=True)[1].tolist() == [4] * 16
    used = torch.cat(batches).tolist()
    assert len(used) == len(set(used))
    # 40 identities x 2 groups of four; at the end at most 15 identities are left, with at most 2 groups each
    assert (80 - 30) / 16 <= len(batches) <= 80 // 16


def test_training_keeps_the_neck_bias_and_logs_the_rates(people: Dataset, tmp_path: Path) -> None:
    params = TransReidParams(**SMALL)
    ctx, lines = context(people.train, params, tmp_path)
    trained = finetune.finetune(ctx)
    assert trained.necks[0].norm.bias.abs().max() == 0
    assert trained.necks[0].norm.weight.sub(1).abs().max() > 0
    wanted = warmup_cosine(finetune.make_optimiser(recipe(), params), 3, 0.02)
    for line in lines:
        assert line["lr"] == pytest.approx(wanted.get_last_lr()[0], rel=1e-9)
        wanted.optimizer.step()
        wanted.step()
    assert {"loss", "cross_entropy", "triplet", "accuracy", "steps"} < set(lines[0])


def test_stochastic_depth_is_set_on_the_network(people: Dataset, tmp_path: Path) -> None:
    """Drop path .1 in the last of three blocks, .05 in the middle one, in the copy as in the last; CNNs have none."""
    ctx, _ = context(people.train, TransReidParams(jpm=True), tmp_path)
    one = finetune._recipe(ctx, 20, {})
    assert drop_path_rates(one.embedder.backbone) == pytest.approx([0.0, 0.05, 0.1])
    assert drop_path_rates(one.embedder.local) == pytest.approx([0.1])
    ctx, _ = context(people.train, TransReidParams(), tmp_path, build=cnn)
    assert drop_path_rates(finetune._recipe(ctx, 20, {}).embedder.backbone) == []


def test_a_rate_that_the_backbone_was_built_with_stays(people: Dataset, tmp_path: Path) -> None:
    """.3 of the backbone trains with .3; a given rate replaces it with a note, an equal one without."""
    for given, rate, said in ((None, 0.3, []), (0.3, 0.3, []), (0.1, 0.1, [REPLACED]), (0.0, 0.0, [REPLACED_BY_0])):
        ctx, _ = context(people.train, TransReidParams(drop_path=given), tmp_path, build=deep)
        notes: list[str] = []
        network = finetune._recipe(replace(ctx, note=notes.append), 20, {}).embedder.backbone
        assert drop_path_rates(network) == pytest.approx([0, rate / 2, rate])
        assert notes == said


def test_pixels_are_normalised_as_the_backbone_was_or_as_the_parameters_say(people: Dataset, tmp_path: Path) -> None:
    """The same statistics in all stages unless the matrix says otherwise."""
    half = (0.5, 0.5, 0.5)
    for params, wanted in ((TransReidParams(), Backbone.mean), (TransReidParams(mean=half, std=half), half)):
        ctx, _ = context(people.train, params, tmp_path)
        assert finetune._recipe(ctx, 20, {}).embedder.preprocess.mean == wanted
    with pytest.raises(ValueError, match="give mean and std, or neither"):
        TransReidParams(mean=half)


# ---------------------------------------------------------------------- augmentation
def test_training_images_are_resized_with_bicubic(people: Dataset) -> None:
    resized = Bicubic(people.train, (24, 12))
    assert len(resized) == len(people.train)
    reference = Image.fromarray(people.train.image(3)).resize((12, 24), Image.Resampling.BICUBIC)
    assert np.array_equal(resized.image(3), np.asarray(reference))
    assert np.array_equal(Bicubic(people.train, SIZE).image(3), people.train.image(3))


def test_erased_rectangles_hold_noise() -> None:
    """p .5, area .02 to 1/3, N(0, 1) for each pixel and channel, aspect symmetric around 1."""
    blank = torch.full((2000, 3, 64, 64), 9.0)
    erased = NoiseErase()(blank, stream(0, "erase"))
    assert blank.min() == 9
    changed = (erased != 9).flatten(1).any(1)
    assert changed.float().mean().item() == pytest.approx(0.5, abs=0.04)
    shares, aspects, values = [], [], []
    for image in erased[changed]:
        rows, columns = ((image[0] != 9).any(1 - axis).sum().item() for axis in (0, 1))
        assert (image != 9).sum().item() == 3 * rows * columns  # one rectangle, in all channels
        shares.append(rows * columns / 64**2)
        aspects.append(math.log(rows / columns))
        values.append(image[image != 9])
    assert min(shares) > 0.018
    assert max(shares) < 0.345
    assert np.mean(shares) == pytest.approx((0.02 + 1 / 3) / 2, abs=0.01)
    assert np.mean(aspects) == pytest.approx(0, abs=0.06)
    assert max(abs(aspect) for aspect in aspects) < math.log(3.34) + 0.15  # sides are rounded
    noise = torch.cat(values)
    assert (noise.mean().item(), noise.std().item()) == (pytest.approx(0, abs=0.01), pytest.approx(1, abs=0.01))


def test_padding_is_black_and_scales_with_the_height() -> None:
    half = (0.5, 0.5, 0.5)
    for height, pad in ((256, 10), (64, 2), (384, 15)):
        augment = TrainAugment(TransReidParams(flip=0, erase=0), height, half, half)
        assert augment.place.pad == pad
        assert augment.place.pad_value == [-1.0] * 3  # (0 - .5) / .5
    shifted = TrainAugment(TransReidParams(flip=0, erase=0, pad=2), 32, half, half)(
        torch.ones(50, 3, *SIZE), stream(0, "x")
    )
    assert set(shifted.unique().tolist()) == {-1.0, 1.0}


# ---------------------------------------------------------------------- jigsaw patches
def test_jigsaw_order_by_hand() -> None:
    """Shift 2 of eight: 2 3 4 5 | 6 7 0 1; interleaved 2 6 3 7 4 0 5 1, then cut in two."""
    assert jigsaw_order(8, 2, 2, 2).tolist() == [[2, 6, 3, 7], [4, 0, 5, 1]]


@pytest.mark.parametrize(("shift", "groups", "shuffle"), [(5, 4, 4), (4, 4, 2), (0, 2, 2)])
def test_jigsaw_covers_the_picture(shift: int, groups: int, shuffle: int) -> None:
    """128 patches: each part has every patch at most once and all parts together each once; TransReID's view."""
    order = jigsaw_order(128, shift, groups, shuffle)
    assert order.shape == (groups, 128 // groups)
    assert sorted(order.flatten().tolist()) == list(range(128))
    row = [*range(shift, 128), *range(shift)]
    run = 128 // shuffle
    dealt = [row[g * run + i] for i in range(run) for g in range(shuffle)]
    assert order.flatten().tolist() == dealt
    if shuffle == groups:  # every part has a patch of every run
        assert all({(patch - shift) % 128 // run for patch in part} == set(range(shuffle)) for part in order.tolist())


def test_jigsaw_drops_what_is_left_over() -> None:
    """210 patches at stride 12: the code interleaves 105 pairs, whose first 208 patches make four parts of 52."""
    row = [*range(5, 210), *range(5)]
    pairs = [patch for pair in zip(row[:105], row[105:], strict=True) for patch in pair]
    assert jigsaw_order(210, 5, 4, 2).flatten().tolist() == pairs[:208]
    assert sorted(set(range(210)) - set(pairs[:208])) == [4, 109]
    order = jigsaw_order(
        210, 5, 4, 4
    )  # the code has no rule for this; the last two of the shifted sequence are dropped
    assert order.shape == (4, 52)
    assert sorted(order.flatten().tolist()) == sorted(row[:208])
    with pytest.raises(ReidbenchError, match="needs at least as many patches, but the backbone has 3"):
        jigsaw_order(3, 1, 4, 4)


def test_jigsaw_fills_runs_that_lack_one_patch_as_the_code_does() -> None:
    """Seven shifted by 2: 2 3 4 5 6 0 1 and 0 again, in two runs 2 3 4 5 | 6 0 1 0: three parts of two, two left."""
    assert jigsaw_order(7, 2, 3, 2).tolist() == [[2, 6], [3, 0], [4, 1]]


def test_local_branches_are_a_copy_of_the_last_block_on_parts() -> None:
    """Equal initial weights in separate storage; each part passes alone with CLS through block and norm."""
    one = embedder(jpm_groups=4, jpm_shift=5, jpm_shuffle=4).eval()
    backbone, block = one.backbone, one.backbone.blocks[-1]
    for ours, theirs in zip(one.local.block.parameters(), block.parameters(), strict=True):
        assert torch.equal(ours, theirs)
        assert ours.data_ptr() != theirs.data_ptr()
    whole, *parts = one.vectors(images())
    assert torch.allclose(whole, backbone(images()).vector, atol=1e-6)
    tokens = backbone.blocks[:-1](backbone.tokens(images()))
    for part, members in zip(parts, jigsaw_order(8, 5, 4, 4).tolist(), strict=True):
        alone = backbone.norm(block(tokens[:, [0, *(1 + member for member in members)]]))[:, 0]
        assert torch.allclose(part, alone, atol=1e-5)
    features = one(images())
    assert features.shape == (4, 5 * 24)
    wanted = torch.cat([whole, *(part / 4 for part in parts)], 1)
    assert torch.allclose(features, F.normalize(wanted, dim=1), atol=1e-6)


def test_jigsaw_losses_are_half_global_and_half_the_mean_of_the_locals() -> None:
    one = recipe(3, jpm_groups=2, jpm_shuffle=2)
    vectors, labels = [torch.randn(4, 24) for _ in range(3)], torch.tensor([0, 0, 1, 1])
    triplets = [one.triplet(vector, labels).item() for vector in vectors]
    found = one.losses(vectors, labels)
    assert found.triplet.item() == pytest.approx(0.5 * triplets[0] + 0.25 * (triplets[1] + triplets[2]), abs=1e-6)
    assert len(one.classifiers) == len(one.embedder.necks) == 3
    one.losses(one.embedder.vectors(images(), torch.zeros(4, dtype=torch.long)), labels).loss.backward()
    assert [name for name, tensor in one.named_parameters() if tensor.requires_grad and tensor.grad is None] == []


# ---------------------------------------------------------------------- cameras
def test_a_camera_shifts_every_token_by_its_vector() -> None:
    """TransReID: tokens + 3.0 x S[camera]; cameras by number, in any order."""
    one = embedder(cameras=[4, 1]).eval()
    assert one.cameras.vectors.shape == (2, 24)
    assert one.cameras.vectors.abs().max() < 0.1  # truncated normal, std .02
    with torch.no_grad():
        one.cameras.vectors.copy_(torch.randn(2, 24, generator=stream(0, "cameras")))
    low, high = 3.0 * one.cameras.vectors
    vectors = one.vectors(images(3), torch.tensor([4, 1, 4]))[0]
    assert torch.allclose(vectors, one.backbone(images(3), torch.stack([high, low, high])).vector, atol=1e-6)
    plain = one.backbone.tokens(images(3))
    shifted = one.backbone.tokens(images(3), one.cameras(torch.tensor([4, 1, 4]), 3))
    assert torch.allclose(shifted - plain, torch.stack([high, low, high])[:, None].expand_as(plain), atol=1e-5)


@pytest.mark.parametrize("how", [{}, {"jpm_groups": 2, "jpm_shuffle": 2}])
def test_an_unknown_camera_has_the_mean(how: dict[str, Any]) -> None:
    """Camids that the source does not have, -1, and no camids get the mean; with `mean` every test image does."""
    one = embedder(cameras=[0, 1, 2], **how).eval()
    with torch.no_grad():
        one.cameras.vectors.normal_(generator=stream(0, "cameras"))
    mean = 3.0 * one.cameras.vectors.mean(0)
    assert torch.allclose(one.cameras(torch.tensor([7, -1]), 2), mean.expand(2, -1), atol=1e-6)
    assert torch.allclose(one(images(2)), one(images(2), torch.tensor([7, -1])), atol=1e-6)
    assert not torch.allclose(one(images(2)), one(images(2), torch.tensor([0, 1])), atol=1e-3)
    always = embedder(cameras=[0, 1, 2], camera_at_test="mean", **how).eval()
    always.load_state_dict(one.state_dict())
    assert torch.equal(always(images(2), torch.tensor([0, 1])), always(images(2)))
    always.cameras.train()
    assert not torch.equal(always.cameras(torch.tensor([0, 1]), 2), always.cameras(None, 2))


def test_cameras_are_learned_by_transreid_sie_alone(people: Dataset, tmp_path: Path) -> None:
    ctx, _ = context(people.train, TransReidSieParams(**SMALL, camera_coefficient=1.5), tmp_path / "sie")
    with_cameras = finetune.finetune_sie(ctx)
    assert with_cameras.spec["cameras"] == [0, 1]
    assert with_cameras.cameras.coefficient == 1.5
    start = finetune._recipe(ctx, 20, {"cameras": [0, 1]}).embedder.cameras.vectors
    assert (with_cameras.cameras.vectors - start).abs().min() > 0
    blind = Split(people.train.root, [s._replace(camid=-1) for s in people.train.samples])
    ctx, _ = context(blind, TransReidSieParams(**SMALL), tmp_path / "blind")
    with pytest.raises(DataError, match="transreid-sie needs a source with camera ids"):
        finetune.finetune_sie(ctx)
    states = []
    for name, source in (("seen", people.train), ("unseen", blind)):
        ctx, _ = context(source, TransReidParams(**SMALL), tmp_path / name)
        states.append(finetune.finetune(ctx).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


# ---------------------------------------------------------------------- whole stages
def test_a_cnn_is_trained_and_refused_what_needs_tokens(people: Dataset, tmp_path: Path) -> None:
    ctx, lines = context(people.train, TransReidParams(**{**SMALL, "epochs": 1}), tmp_path, build=cnn)
    assert finetune.finetune(ctx)(images()).shape == (4, 28)
    assert len(lines) == 1
    ctx, _ = context(people.train, TransReidParams(jpm=True), tmp_path, build=cnn)
    with pytest.raises(ReidbenchError, match="jpm needs a backbone with tokens, such as vit-tiny; TinyResNet has none"):
        finetune.finetune(ctx)
    ctx, _ = context(people.train, TransReidSieParams(), tmp_path, build=cnn)
    with pytest.raises(ReidbenchError, match=r"camera embeddings \(SIE\) needs a backbone with tokens"):
        finetune.finetune_sie(ctx)


def test_sources_that_cannot_be_learned_are_refused(people: Dataset, tmp_path: Path) -> None:
    lonely = people.train.subset(np.flatnonzero(people.train.pids == people.train.pids[0]))
    for source in (None, lonely):
        ctx, _ = context(source, TransReidParams(), tmp_path)
        with pytest.raises(DataError, match="transreid needs a source with at least two identities"):
            finetune.finetune(ctx)
    with pytest.raises(ValueError, match="erase_area must rise"):
        TransReidParams(erase_area=(0.4, 0.1))


@pytest.mark.parametrize(
    "how", [{}, {"jpm_groups": 4}, {"cameras": [3, 0], "camera_at_test": "mean"}, {"feature": "after", "cameras": [1]}]
)
def test_embedders_are_rebuilt_from_disk(how: dict[str, Any], tmp_path: Path) -> None:
    one = embedder(**how).eval()
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    save_embedder(tmp_path, one)
    assert json.loads((tmp_path / "embedder.json").read_text())["spec"] == json.loads(json.dumps(one.spec))
    loaded = load_embedder(tmp_path, lambda spec: vit(), {"reidbench_transreid_ssl": ""}).eval()
    camids = torch.tensor([0, 3, 1, -1])
    assert torch.equal(loaded(images(), camids), one(images(), camids))


def test_half_precision_trains_nearly_the_same(people: Dataset, tmp_path: Path) -> None:
    """Networks in bfloat16, losses and weights in float32: the first loss differs by less than a hundredth."""
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        params = TransReidSieParams(**{**SMALL, "epochs": 1}, jpm=True)
        ctx, lines = context(people.train, params, tmp_path / precision, precision=precision)
        trained = finetune.finetune_sie(ctx)
        assert {tensor.dtype for tensor in trained.parameters()} == {torch.float32}
        losses.append(lines[0]["loss"])
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "sie and jpm"])
def test_killed_and_resumed_is_uninterrupted(kind: str, people: Dataset, tmp_path: Path) -> None:
    """Networks, optimiser, schedule and streams are restored, including drop path's draws."""
    both = kind != "plain"
    params = TransReidSieParams(**SMALL, jpm=True, drop_path=0.3) if both else TransReidParams(**SMALL, drop_path=0.3)
    run = finetune.finetune_sie if both else finetune.finetune
    check_resumes(tmp_path, lambda out, die_after: context(people.train, params, out, die_after=die_after), run, 1)


def mean_ap(one: TransReidEmbedder, people: Dataset) -> float:
    assert people.query is not None
    assert people.gallery is not None
    query, gallery = (embed(one, split, split.camids) for split in (people.query, people.gallery))
    labels = people.query.pids, people.query.camids, gallery, people.gallery.pids, people.gallery.camids
    return rank(query, *labels).mAP


LEARN: dict[str, Any] = {"epochs": 40, "identities": 10, "images": 4, "drop_path": 0.0, "erase": 0.0, "flip": 0.0}
ADAMW = {"optimiser": "adamw", "lr": 6e-3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("build", "params"),
    [
        (wider, TransReidParams(**LEARN, **ADAMW)),
        (wider, TransReidParams(**LEARN, lr=0.1)),
        (wider, TransReidSieParams(**LEARN, **ADAMW, jpm=True)),
        (cnn, TransReidParams(**LEARN, lr=0.03)),
    ],
    ids=["adamw", "sgd", "sie and jpm", "cnn"],
)
def test_it_learns_to_tell_unseen_people_apart(
    build: Callable[[], Backbone], params: TransReidParams, people: Dataset, tmp_path: Path
) -> None:
    """After training, stripes of 20 identities are recognised, and those of 20 others better than before."""
    ctx, lines = context(people.train, params, tmp_path, build=build)
    run = finetune.finetune_sie if isinstance(params, TransReidSieParams) else finetune.finetune
    before, after = mean_ap(embedder(build), people), mean_ap(run(ctx), people)
    assert lines[-1]["accuracy"] > lines[0]["accuracy"] + 0.3
    assert after > before + 0.1
