"""UP-ReID's step: patches, positives, banks, consistency (Yang et al., CVPR 2022)."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reidbench.errors import ReidbenchError
from reidbench.training import Encoder, MocoStep, MomentumEncoders, ProjectionHead, Views, info_nce, stream
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_upreid.mmd import mmd
from reidbench_upreid.params import UpReidParams
from reidbench_upreid.patches import mirror, mixed_banks, split_patches
from reidbench_upreid.pretrain import UpReidStep

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {"batch": 8, "splits": 2, "queue": 24, "dim": 16, "key_momentum": 0.9}


def encoders(splits: int = 2) -> MomentumEncoders:
    torch.manual_seed(0)
    backbone = resnet_tiny(TinyParams(width=4), (64, 32))
    return MomentumEncoders(Encoder(backbone, ProjectionHead(backbone.dim, 16)), momentum=0.9, splits=splits)


def step(**params: Any) -> UpReidStep:
    resolved = UpReidParams(**{**SMALL, **params})
    return UpReidStep(encoders(resolved.splits), resolved, 0)


def views(seed: int = 0, batch: int = 8) -> Views:
    return Views(*torch.randn(3, batch, 3, 64, 32, generator=stream(seed, "images")).unbind())


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=stream(seed, "unit")), dim=-1)


def test_defaults_are_the_papers() -> None:
    params = UpReidParams()
    assert (params.batch, params.lr, params.queue, params.patches) == (800, 0.1, 65536, 8)
    assert (params.temperature, params.patch_temperature) == (0.1, 0.1)
    assert (params.global_weight, params.patch_weight, params.consistency_weight) == (0.8, 0.2, 1.0)
    assert (params.key_momentum, params.weight_decay, params.epochs, params.dim) == (0.999, 1e-4, 200, 128)
    assert params.positives == ("same", "symmetric")


def test_equals_moco_bit_for_bit() -> None:
    """With lambda_g = 1, lambda_p = 0 and no consistency, loss and every weight and buffer are MoCo v2's."""
    ours = step(global_weight=1.0, patch_weight=0.0, consistency_weight=0.0)
    moco = MocoStep(encoders(), dim=16, queue=24, temperature=0.1, seed=0)
    for number in range(4):
        losses = []
        for one in (ours, moco):
            optimiser = torch.optim.SGD(one.encoders.online.parameters(), lr=0.1)
            output = one(views(number))
            optimiser.zero_grad()
            output.loss.backward()
            optimiser.step()
            one.queue.enqueue(output.keys)
            losses.append(output.loss.item())
        assert losses[0] == losses[1]
    states = ours.state_dict(), moco.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_patches_and_originals_leave_the_first_views_keys_alone() -> None:
    """Patches and plain images use separate streams, so the shuffle of the global keys is the same."""
    full, plain = step(), step(patch_weight=0.0, consistency_weight=0.0)
    for _ in range(2):
        full(views()), plain(views())
    assert torch.equal(full.generators["shuffle"].get_state(), plain.generators["shuffle"].get_state())


def test_each_position_has_a_bank_of_its_own() -> None:
    """Another Q_3 changes only the loss of patch 3; all banks share one pointer."""
    one = step()
    queries, keys = unit(8, 8, 16), unit(8, 8, 16, seed=1)
    before = one.patch_losses(queries, keys)
    assert before.shape == (8, 8)
    one.queue.keys[1 + 3] = F.normalize(torch.randn(16, 24, generator=stream(9, "bank")), dim=0)
    changed = (one.patch_losses(queries, keys) != before).any(1)
    assert changed.tolist() == [i == 3 for i in range(8)]
    assert one.queue.keys.shape == (9, 16, 24)
    assert one.queue.pointer.shape == (1,)


def test_column_j_of_every_bank_comes_from_the_same_image() -> None:
    """The key of patch i of image j is the key encoder's output for that patch."""
    one = step(splits=1)
    batch = views()
    keys = one(batch).keys
    one.queue.enqueue(keys)
    patches = split_patches(batch.second, 4, 2)
    expected = one.encoders.target(patches.flatten(0, 1)).view(8, 8, 16)
    assert torch.allclose(one.queue.keys[1:, :, :8], expected.permute(1, 2, 0), atol=1e-4)
    assert torch.allclose(one.queue.keys[0, :, :8], one.encoders.target(batch.second).t(), atol=1e-4)


def test_mirror_is_an_involution_without_fixed_points() -> None:
    """hs = [1, 0, 3, 2, 5, 4, 7, 6], and splitting a flipped image is flipping the mirrored patch."""
    hs = mirror(4, 2)
    assert hs.tolist() == [1, 0, 3, 2, 5, 4, 7, 6]
    assert torch.equal(hs[hs], torch.arange(8))
    assert mirror(1, 3).tolist() == [2, 1, 0]
    images = torch.randn(2, 3, 64, 32)
    flipped = split_patches(images.flip(3), 4, 2)
    assert torch.equal(flipped, split_patches(images, 4, 2)[:, hs].flip(4))


def test_two_positives_stand_inside_one_logarithm() -> None:
    """The mirrored keys give the same loss; it is at most the least of the single ones, and not their mean."""
    both, same, symmetric = (step(positives=kind) for kind in (("same", "symmetric"), ("same",), ("symmetric",)))
    queries, keys = unit(8, 8, 16), unit(8, 8, 16, seed=1)
    losses = {name: one.patch_losses(queries, keys) for name, one in zip("bxy", (both, same, symmetric), strict=True)}
    mirrored = both.patch_losses(queries, keys[:, mirror(4, 2)])
    assert torch.allclose(losses["b"], mirrored, atol=1e-6)
    assert (losses["b"] <= torch.minimum(losses["x"], losses["y"]) + 1e-6).all()
    assert abs(float(losses["b"].mean() - (losses["x"].mean() + losses["y"].mean()) / 2)) > 0.1
    one_positive = info_nce(queries[:, 0], keys[:, :1], same.queue.keys[1], 0.1)
    assert torch.allclose(losses["x"][0], one_positive, atol=1e-6)
    assert torch.allclose(losses["y"][0], info_nce(queries[:, 0], keys[:, 1:2], same.queue.keys[1], 0.1), atol=1e-6)


def test_two_positive_loss_by_hand() -> None:
    """q = (1, 0), positives at cosine .6 and 0, one negative at .8, t = 1: -log((e^.6 + 1) / (e^.6 + 1 + e^.8))."""
    query = torch.tensor([[1.0, 0.0]])
    positives = torch.tensor([[[0.6, 0.8], [0.0, 1.0]]])
    negative = torch.tensor([[0.8], [0.6]])
    near = math.exp(0.6) + 1
    expected = -math.log(near / (near + math.exp(0.8)))
    assert info_nce(query, positives, negative, 1.0).item() == pytest.approx(expected, abs=1e-6)


def test_patches_are_cut_from_the_augmented_view() -> None:
    """8 patches of 64x64 of 256x128, patch 0 at the top left; joined they are the view."""
    images = torch.randn(2, 3, 256, 128)
    patches = split_patches(images, 4, 2)
    assert patches.shape == (2, 8, 3, 64, 64)
    assert torch.equal(patches[:, 0], images[:, :, :64, :64])
    assert torch.equal(patches[:, 3], images[:, :, 64:128, 64:])
    rows = [torch.cat([patches[:, 2 * r], patches[:, 2 * r + 1]], 3) for r in range(4)]
    assert torch.equal(torch.cat(rows, 2), images)
    with pytest.raises(ReidbenchError, match="64x32 cannot be divided into 5 x 2"):
        split_patches(torch.zeros(1, 3, 64, 32), 5, 2)


def test_originals_go_through_both_encoders() -> None:
    """At the start both encoders are equal, so the plain image's query and key are equal."""
    one = step(splits=1)
    images = views().original
    query = one.encoders.online(images)
    key = one.encoders.encode_keys(images, stream(0, "any"))
    assert torch.allclose((query @ key.t()).diagonal(), torch.ones(8), atol=1e-5)
    gradient = []
    for detach in (False, True):
        one = step(patch_weight=0.0, global_weight=0.0, detach_original=detach)
        batch = views()
        original = batch.original.clone().requires_grad_()
        one(Views(batch.first, batch.second, original)).loss.backward()
        gradient.append(original.grad is not None and bool(original.grad.abs().max() > 0))
    assert gradient == [True, False]  # through q_r, unless it is stopped


def test_mmd_properties() -> None:
    """0 for equal sets, symmetric, independent of order, finite when all rows are equal, bounded, growing."""
    first, second = torch.rand(8, 8), torch.rand(8, 8) * 2 - 1
    value = mmd(first, second)
    assert mmd(first, first).item() == pytest.approx(0, abs=1e-6)
    assert value > 0
    assert mmd(second, first).item() == pytest.approx(value.item(), abs=1e-6)
    assert mmd(first[torch.randperm(8)], second).item() == pytest.approx(value.item(), abs=1e-6)
    assert mmd(torch.ones(8, 8), torch.ones(8, 8)).item() == 0
    shifts = [mmd(first, first + shift).item() for shift in (0.0, 0.1, 0.3, 1.0)]
    assert shifts == sorted(shifts)
    far = torch.zeros(8, 8), torch.full((8, 8), 1e3)
    assert 0 < mmd(*far).item() <= 2
    assert 2 < mmd(*far, join="sum").item() <= 10
    assert mmd(*far, join="sum").item() == pytest.approx(5 * mmd(*far).item(), rel=1e-5)
    leaf = torch.rand(4, 4).requires_grad_()
    mmd(leaf, second[:4, :4]).backward()
    assert leaf.grad is not None
    assert torch.isfinite(leaf.grad).all()


def test_mmd_by_a_plain_loop() -> None:
    """The same sum as a loop, one kernel of the mean squared distance of the six samples."""
    first, second = torch.rand(3, 2), torch.rand(3, 2) + 0.5
    samples = [*first, *second]
    squares = [float((a - b).pow(2).sum()) for i, a in enumerate(samples) for j, b in enumerate(samples) if i != j]
    width = sum(squares) / 30

    def kernel(a: torch.Tensor, b: torch.Tensor) -> float:
        return sum(math.exp(-float((a - b).pow(2).sum()) / (width * 2.0**u)) for u in (-2, -1, 0, 1, 2)) / 5

    within = sum(kernel(a, b) for a in first for b in first) + sum(kernel(a, b) for a in second for b in second)
    across = sum(kernel(a, b) for a in first for b in second)
    assert mmd(first, second).item() == pytest.approx(within / 9 - 2 * across / 9, abs=1e-5)


def test_bandwidth_carries_no_gradient() -> None:
    """Scaling both sets by c does not change the value; a bandwidth with gradient would make it stationary."""
    first, second = torch.rand(4, 4), torch.rand(4, 4) + 1
    scale = torch.tensor(1.0, requires_grad=True)
    mmd(first * scale, second * scale).backward()
    assert mmd(first * 3, second * 3).item() == pytest.approx(mmd(first, second).item(), abs=1e-5)
    assert scale.grad is not None
    assert scale.grad.abs() > 1e-3


def test_similarities_are_within_one_and_flat_is_another_loss() -> None:
    """A is B x B with entries in -1..1; a batch of one has no pairs and is an error."""
    queries, keys = unit(8, 16), unit(8, 16, seed=1)
    similarities = queries @ keys.t()
    assert similarities.shape == (8, 8)
    assert similarities.abs().max() <= 1 + 1e-6
    values = [step(samples=kind).consistency(queries, keys, queries, queries) for kind in ("rows", "flat")]
    assert values[0] != values[1]
    with pytest.raises(ValueError, match="greater than or equal to 2"):
        UpReidParams(batch=1, splits=1)


def test_mixed_negatives_are_as_many_and_of_all_positions() -> None:
    banks = torch.arange(8.0).view(8, 1, 1).expand(8, 1, 64)
    mixed = mixed_banks(banks)
    assert mixed.shape == (1, 1, 64)
    assert mixed.long().flatten().bincount().tolist() == [8] * 8
    queries, keys = unit(8, 8, 16), unit(8, 8, 16, seed=1)
    one, other = step(negatives="mixed"), step()
    assert not torch.equal(one.patch_losses(queries, keys), other.patch_losses(queries, keys))


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (2, 2), (4, 2), (8, 2), (4, 4)])
def test_numbers_of_patches(rows: int, columns: int) -> None:
    one = step(rows=rows, columns=columns)
    output = one(views())
    assert output.keys.shape == (rows * columns + 1, 8, 16)
    assert torch.isfinite(output.loss)
    assert output.loss.item() == pytest.approx(
        0.8 * output.facts["global_loss"].item()
        + 0.2 * output.facts["patch_loss"].item()
        + output.facts["consistency"].item(),
        abs=1e-5,
    )


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rows": 1, "columns": 1, "positives": ["same"]}, "2 to 16 patches"),
        ({"rows": 9, "columns": 2}, "2 to 16 patches"),
        ({"rows": 4, "columns": 3}, "its own mirror"),
        ({"positives": ["same", "same"]}, "list each value once"),
        ({"samples": "flat", "batch": 64}, "batch of at most 32"),
        ({"batch": 8, "splits": 8}, "requires two images per split"),
    ],
)
def test_what_cannot_work_is_refused_when_planning(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UpReidParams(**params)
