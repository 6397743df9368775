"""MoCo's queue, update, shuffle-BN and loss: He et al. (CVPR 2020), equations 1 and 2, and its released code."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import (
    Backbone,
    Encoder,
    Features,
    KeyQueue,
    MocoStep,
    MomentumEncoders,
    ProjectionHead,
    Views,
    cosine_per_epoch,
    info_nce,
    reestimate_batch_norm,
    split_batch_norm,
    stream,
)
from reidbench.training.contrastive.params import ContrastiveParams, linear_lr

pytestmark = pytest.mark.usefixtures("one_thread")


class Tiny(Backbone):
    """One convolution with or without batch norm."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.dim = 8
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8) if norm else nn.Identity())

    def forward(self, images: torch.Tensor) -> Features:
        maps = self.layers(images)
        return Features(maps, F.relu(maps).mean((2, 3)))


def step(momentum: float = 0.9, splits: int = 2, queue: int = 32, temperature: float = 0.1) -> MocoStep:
    torch.manual_seed(0)
    encoders = MomentumEncoders(Encoder(Tiny(), ProjectionHead(8, 4)), momentum=momentum, splits=splits)
    return MocoStep(encoders, dim=4, queue=queue, temperature=temperature, seed=0)


def views(batch: int = 8, seed: int = 0) -> Views:
    return Views(*torch.randn(3, batch, 3, 9, 9, generator=stream(seed, "images")).unbind())


def fill(size: int, batch: int, steps: int) -> tuple[KeyQueue, torch.Tensor]:
    """A queue after `steps` batches of the numbers 0, 1, 2, ..., and all the numbers."""
    queue = KeyQueue(size, 1, [stream(0, "queue")])
    numbers = torch.arange(batch * steps, dtype=torch.float32)
    for part in numbers.split(batch):
        queue.enqueue(part.view(1, batch, 1))
    return queue, numbers


@pytest.mark.parametrize(
    ("size", "batch", "steps", "pointer"),
    [(65536, 800, 100, 14464), (10, 4, 7, 8), (10, 10, 3, 0), (10, 25, 2, 0), (10, 13, 3, 9)],
)
def test_the_queue_wraps_and_keeps_the_last_keys(size: int, batch: int, steps: int, pointer: int) -> None:
    """65536 and 800 do not divide; after 100 steps the pointer is 80000 mod 65536 = 14464."""
    queue, numbers = fill(size, batch, steps)
    assert int(queue.pointer) == pointer == batch * steps % size
    rolled = queue.keys[0, 0].roll(-pointer)  # the oldest key first
    assert torch.equal(rolled, numbers[-size:])


def test_negatives_are_the_queue_of_the_step_before() -> None:
    """Equation 1: with a queue of zeros every negative logit is 0, so the loss is -s/t + log(exp(s/t) + N)."""
    moco, batch = step(), views()
    moco.queue.keys.zero_()
    loss = moco(batch).loss.item()
    queries, keys = moco.encoders.online(batch.first), moco.encoders.target(batch.second)
    assert queries.shape == keys.shape == (8, 4)
    fresh = step()
    fresh.queue.keys.zero_()
    online = fresh.encoders.online(batch.first)
    key = fresh.encoders.encode_keys(batch.second, stream(0, "shuffle"))
    near = (online * key).sum(1) / 0.1
    expected = (torch.log(near.exp() + 32) - near).mean().item()
    assert loss == pytest.approx(expected, abs=1e-5)
    # The caller enqueues; after that the columns are this step's keys, which the next step meets.
    fresh.queue.enqueue(key[None])
    assert torch.equal(fresh.queue.keys[0, :, :8], key.t())


def test_keys_follow_by_parameters_only_and_before_they_are_made() -> None:
    """Equation 2: step 1 leaves theta_k; step 2 makes it m th0 + (1 - m) th1; batch-norm statistics are f_k's own."""
    moco = step(momentum=0.9)
    start = [p.detach().clone() for p in moco.encoders.online.parameters()]
    optimiser = torch.optim.SGD(moco.encoders.online.parameters(), lr=0.5)
    moco(views()).loss.backward()
    optimiser.step()
    assert all(torch.equal(a, b) for a, b in zip(start, moco.encoders.target.parameters(), strict=True))
    after = [p.detach().clone() for p in moco.encoders.online.parameters()]
    moco(views(seed=1))
    for th0, th1, target in zip(start, after, moco.encoders.target.parameters(), strict=True):
        assert torch.allclose(target, 0.9 * th0 + 0.1 * th1, atol=1e-7)
        assert not target.requires_grad
    online_mean = moco.encoders.online.backbone.layers[1].running_mean
    target_mean = moco.encoders.target.backbone.layers[1].running_mean
    assert not torch.allclose(online_mean, target_mean, atol=1e-4)
    half_life = [math.log(0.5) / math.log(m) for m in (0.999, 0.99)]
    assert [round(steps) for steps in half_life] == [693, 69]


def test_no_gradient_reaches_keys_or_queue() -> None:
    """The loss knows nothing of the second view."""
    moco, batch = step(), views()
    second = batch.second.requires_grad_()
    first = batch.first.requires_grad_()
    moco(Views(first, second, batch.original)).loss.backward()
    assert second.grad is None
    assert first.grad is not None
    assert first.grad.abs().max() > 0
    assert not moco.queue.keys.requires_grad
    assert all(p.grad is None for p in moco.encoders.target.parameters())


def difference(norm: bool, splits: int) -> float:
    """Effect of a random order on the key encoder's output."""
    torch.manual_seed(0)
    encoders = MomentumEncoders(Encoder(Tiny(norm), ProjectionHead(8, 4)), momentum=0.9, splits=splits)
    images = torch.randn(8, 3, 9, 9) * torch.arange(1, 9).view(8, 1, 1, 1)
    with torch.no_grad():
        plain = copy.deepcopy(encoders.target)(images)
    return float((encoders.encode_keys(images, stream(0, "shuffle")) - plain).abs().max())


def test_shuffling_does_something_only_with_split_batch_norm() -> None:
    """With whole-batch norm, or none, keys come back as if unshuffled; with parts they differ by over 1e-3."""
    assert difference(norm=True, splits=1) < 1e-6
    assert difference(norm=False, splits=2) < 1e-7
    assert difference(norm=True, splits=2) > 1e-3


def test_split_norm_is_plain_norm_of_each_part() -> None:
    torch.manual_seed(0)
    images = torch.randn(8, 3, 4, 4)
    split, plain = split_batch_norm(nn.BatchNorm2d(3), 2), nn.BatchNorm2d(3)
    expected = torch.cat([copy.deepcopy(plain)(part) for part in images.split(4)])
    assert torch.allclose(split(images), expected, atol=1e-6)
    means = torch.stack([part.mean((0, 2, 3)) for part in images.split(4)]).mean(0)
    assert torch.allclose(split.running_mean, 0.1 * means, atol=1e-6)
    assert list(split.state_dict()) == list(plain.state_dict())
    split.eval()
    plain.load_state_dict(split.state_dict())
    assert torch.equal(split(images), plain.eval()(images))


def test_batch_norm_is_reestimated_by_the_plain_average() -> None:
    torch.manual_seed(0)
    norm = nn.Sequential(nn.BatchNorm2d(3)).eval()
    norm[0].running_mean.fill_(9)
    batches = [torch.randn(4, 3, 2, 2) + shift for shift in range(3)]
    reestimate_batch_norm(norm, iter(batches))
    expected = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    assert torch.allclose(norm[0].running_mean, expected, atol=1e-6)
    assert norm.training is False
    assert norm[0].momentum == 0.1


@pytest.mark.parametrize(
    ("similarity", "temperature", "expected"), [(1, 0.07, 0.087), (1, 0.1, 1.686), (1, 0.2, 6.190), (0, 0.1, 11.48)]
)
def test_loss_with_a_random_queue(similarity: int, temperature: float, expected: float) -> None:
    """log(1 + N exp(1 / (2 D t^2)) exp(-s / t)), not log(N + 1), with D = 128 and N = 65536."""
    theory = math.log(1 + 65536 * math.exp(1 / (2 * 128 * temperature**2)) * math.exp(-similarity / temperature))
    assert theory == pytest.approx(expected, abs=6e-3)
    queue = KeyQueue(65536, 128, [stream(0, "queue")])
    queries = F.normalize(torch.randn(64, 128, generator=stream(0, "q")), dim=1)
    keys = queries
    if similarity == 0:
        other = torch.randn(64, 128, generator=stream(1, "q"))
        keys = F.normalize(other - (other * queries).sum(1, keepdim=True) * queries, dim=1)
    loss = info_nce(queries, keys[:, None], queue.keys[0], temperature).mean().item()
    assert loss == pytest.approx(theory, abs=0.02)


def test_loss_climbs_to_the_theory_while_real_keys_fill_the_queue() -> None:
    """At lr 0, after N / B steps, the loss is log(1 + N exp(-(s_pos - s_neg) / t)) within 5 %."""
    moco = step(queue=256, temperature=0.1)
    for number in range(256 // 8):
        moco.queue.enqueue(moco(views(seed=number)).keys)
    batch = views(seed=99)
    queries = moco.encoders.online(batch.first)
    output = moco(batch)
    positive = (queries * output.keys[0]).sum(1) / 0.1
    negative = torch.logsumexp(queries @ moco.queue.keys[0] / 0.1, 1) - math.log(256)  # the mean, in the exponent
    theory = torch.log(1 + 256 * torch.exp(negative - positive)).mean().item()
    assert output.loss.item() == pytest.approx(theory, rel=0.05)
    start = step(queue=256)(batch).loss.item()
    assert output.loss.item() > start


def test_equal_similarities() -> None:
    """log(N + 1) = 11.0904; with two positives log((N + 2) / 2) = 10.3972; together 10.9517."""
    query = F.normalize(torch.ones(1, 128), dim=1)
    negatives = query.t().expand(128, 65536)
    whole = info_nce(query, query[:, None], negatives, 0.1).item()
    patch = info_nce(query, query.expand(1, 2, 128), negatives, 0.1).item()
    assert whole == pytest.approx(11.0904, abs=1e-3)
    assert patch == pytest.approx(10.3972, abs=1e-3)
    assert 0.8 * whole + 0.2 * patch == pytest.approx(10.9517, abs=1e-3)


def test_cosine_and_linear_scaling() -> None:
    """lr(0) = base, lr(E / 2) = base / 2; .03 * B / 256 is .3 at 2560 and about .094 at 800."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = cosine_per_epoch(optimiser, 200)
    rates = []
    for _ in range(200):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    assert rates[0] == 0.3
    assert rates[100] == pytest.approx(0.15)
    assert rates[50] == pytest.approx(0.3 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert linear_lr(2560) == pytest.approx(0.3)
    assert linear_lr(800) == pytest.approx(0.09375)
    assert ContrastiveParams(batch=512).start_lr == pytest.approx(0.06)


def test_queues_start_as_unit_columns_of_their_seed() -> None:
    """Unit columns, two seeds differ, and more banks leave the first as it is."""
    first, again, other = (KeyQueue(50, 16, [stream(seed, "queue")]) for seed in (0, 0, 1))
    assert torch.allclose(first.keys.norm(dim=1), torch.ones(1, 50), atol=1e-6)
    assert torch.equal(first.keys, again.keys)
    assert not torch.equal(first.keys, other.keys)
    more = KeyQueue(50, 16, [stream(0, "queue"), stream(0, "queue of patch 0")])
    assert torch.equal(more.keys[0], first.keys[0])
    assert not torch.equal(more.keys[1], first.keys[0])


def test_loss_stays_in_float32_under_autocast() -> None:
    """Half precision would round logits of 10 to steps of 0.06 and more."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moco = step()
        output = moco(views())
        assert output.loss.dtype == output.keys.dtype == torch.float32
        queries = F.normalize(torch.randn(4, 8), dim=1)
        inside = info_nce(queries, queries[:, None], queries.t(), 0.1)
    assert torch.equal(inside, info_nce(queries, queries[:, None], queries.t(), 0.1))
