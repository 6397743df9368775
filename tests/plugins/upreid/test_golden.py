"""UP-ReID's numbers against its formulas in float64: consistency, and three steps of a small encoder."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from reidbench.training import Backbone, Encoder, Features, MomentumEncoders, ProjectionHead, Views
from reidbench_upreid.mmd import mmd, squared_distances
from reidbench_upreid.params import UpReidParams
from reidbench_upreid.pretrain import UpReidStep

pytestmark = pytest.mark.usefixtures("one_thread")
BATCH, DIM, QUEUE = 4, 4, 12
MOMENTUM, RATE = 0.9, 0.05
Weights = list[torch.Tensor]


# ---------------------------------------------------------------------- the formulas, in float64
def unit(vectors: torch.Tensor) -> torch.Tensor:
    return vectors / vectors.pow(2).sum(-1, keepdim=True).sqrt()


def mmd_by_formula(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """mean K(x, x) + mean K(y, y) - 2 mean K(x, y), five Gaussians around the mean squared distance of all pairs."""
    both = torch.cat([first, second])
    squares = (both[:, None] - both[None]).pow(2).sum(2)
    width = float(squares.detach().sum()) / (len(both) * (len(both) - 1))
    kernel = sum(torch.exp(-squares / (width * factor)) for factor in (0.25, 0.5, 1.0, 2.0, 4.0)) / 5.0
    half = len(first)
    return kernel[:half, :half].mean() + kernel[half:, half:].mean() - 2 * kernel[:half, half:].mean()


def encode(images: torch.Tensor, weights: Weights) -> torch.Tensor:
    """A linear layer of the means of 2 x 2 fields, then two layers, then unit length."""
    count, _, height, width = images.shape
    fields = images.reshape(count, 3, 2, height // 2, 2, width // 2).mean((3, 5)).flatten(1)
    layer, first, first_bias, second, second_bias = weights
    hidden = (fields @ layer.t() @ first.t() + first_bias).clamp_min(0)
    return unit(hidden @ second.t() + second_bias)


def contrast(query: torch.Tensor, positives: Weights, negatives: torch.Tensor) -> torch.Tensor:
    """-log of the positives' share of all, at a temperature of 0.1; negatives [N, D]."""
    near = sum(torch.exp((query * positive).sum(1) / 0.1) for positive in positives)
    far = torch.exp(query @ negatives.t() / 0.1).sum(1)
    return torch.as_tensor(-torch.log(near / (near + far))).mean()


def patch(images: torch.Tensor, position: int) -> torch.Tensor:
    """Position 0 to 7, two in a row, of images 8 x 4."""
    row, column = divmod(position, 2)
    return images[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]


def loss_by_formula(
    views: Views, online: Weights, slow: Weights, banks: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """0.8 L_g + 0.2 mean_i L_p,i + L_consist, and the keys [9, B, D]: of the image, then of each position."""
    key = encode(views.second, slow)
    patch_keys = [encode(patch(views.second, i), slow) for i in range(8)]
    query = encode(views.first, online)
    whole = contrast(query, [key], banks[0])
    parts = [
        contrast(encode(patch(views.first, i), online), [patch_keys[i], patch_keys[i ^ 1]], banks[1 + i])
        for i in range(8)
    ]
    plain = encode(views.original, online) @ encode(views.original, slow).t()
    consistency = mmd_by_formula(query @ key.t(), plain)
    return 0.8 * whole + 0.2 * torch.stack(parts).mean() + consistency, torch.stack([key, *patch_keys])


# ---------------------------------------------------------------------- the same for both sides
class Fields(Backbone):
    """The mean of each quarter of an image, and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = 6
        self.layer = nn.Linear(12, 6, bias=False)

    def forward(self, images: torch.Tensor) -> Features:
        fields = nn.functional.adaptive_avg_pool2d(images, 2)
        return Features(fields, self.layer(fields.flatten(1)))


def waves(*shape: int, phase: float) -> torch.Tensor:
    """Return numbers of a formula: sin(1.7 i + phase)."""
    count = int(torch.tensor(shape).prod())
    return torch.sin(1.7 * torch.arange(count, dtype=torch.float64) + phase).view(shape)


def start() -> Weights:
    shapes = ((6, 12), (6, 6), (6,), (DIM, 6), (DIM,))
    return [waves(*shape, phase=float(place)) / 2 for place, shape in enumerate(shapes)]


def views_of(number: int) -> Views:
    return Views(*waves(3, BATCH, 3, 8, 4, phase=0.3 * number).unbind())


def test_three_steps_have_the_formulas_loss_gradient_and_queues() -> None:
    online = [weight.clone().requires_grad_() for weight in start()]
    slow, banks = start(), unit(waves(9, QUEUE, DIM, phase=9.0))

    encoders = MomentumEncoders(Encoder(Fields(), ProjectionHead(6, DIM)), momentum=MOMENTUM, splits=1)
    params = UpReidParams(batch=BATCH, splits=1, queue=QUEUE, dim=DIM)
    step = UpReidStep(encoders, params, 0)
    with torch.no_grad():
        for network in (encoders.online, encoders.target):
            for parameter, weight in zip(network.parameters(), start(), strict=True):
                parameter.copy_(weight)
    step.queue.keys.copy_(banks.transpose(1, 2))
    optimiser = torch.optim.SGD(encoders.online.parameters(), lr=RATE)

    for number in range(3):
        views = views_of(number)
        slow = [MOMENTUM * old + (1 - MOMENTUM) * new.detach() for old, new in zip(slow, online, strict=True)]
        loss, keys = loss_by_formula(views, online, slow, banks)
        gradients = torch.autograd.grad(loss, online)
        output = step(Views(*(view.float() for view in views)))
        optimiser.zero_grad()
        output.loss.backward()
        norm = torch.cat([weight.grad.flatten() for weight in encoders.online.parameters() if weight.grad is not None])
        expected = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        assert output.loss.item() == pytest.approx(loss.item(), rel=2e-5), f"loss of step {number}"
        assert norm.norm().item() == pytest.approx(expected.item(), rel=1e-4), f"gradient norm of step {number}"
        optimiser.step()
        step.queue.enqueue(output.keys)
        with torch.no_grad():
            online = [
                (weight - RATE * gradient).requires_grad_() for weight, gradient in zip(online, gradients, strict=True)
            ]
            banks = banks.clone()
            banks[:, BATCH * number : BATCH * (number + 1)] = keys
    rows = step.queue.keys.transpose(1, 2).double()
    assert torch.allclose(rows, banks, atol=1e-5), "rows of the nine queues after three steps"
    for parameter, weight in zip(encoders.target.parameters(), slow, strict=True):
        assert torch.allclose(parameter.double(), weight, atol=1e-6), "weights of the key encoder"


# ---------------------------------------------------------------------- consistency where samples lie close together
def similarities(cosine: float, phase: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return queries and keys [16, 8] with about this cosine to one common direction."""
    common = unit(waves(8, phase=1.0))
    noise = [waves(16, 8, phase=phase + shift) for shift in (0.0, 5.0)]
    away = [unit(one - (one @ common)[:, None] * common) for one in noise]
    first, second = (unit(cosine * common + (1 - cosine**2) ** 0.5 * one) for one in away)
    return first, second


@pytest.mark.parametrize("cosine", [0.3, 0.9, 0.997, 0.99999])
@pytest.mark.parametrize("mixed", [False, True])
def test_consistency_and_its_gradient_near_collapse(cosine: float, mixed: bool) -> None:
    """Also under autocast: the more features agree, the smaller the differences in the loss."""
    (queries, keys), (original, original_keys) = similarities(cosine, 2.0), similarities(cosine, 3.0)
    leaf = queries.clone().requires_grad_()
    expected = mmd_by_formula(leaf @ keys.t(), original @ original_keys.t())
    (gradient,) = torch.autograd.grad(expected, leaf)

    step = UpReidStep(
        MomentumEncoders(Encoder(Fields(), ProjectionHead(6, DIM)), momentum=MOMENTUM, splits=1),
        UpReidParams(batch=16, splits=1, queue=QUEUE, dim=DIM),
        0,
    )
    ours = queries.float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        found = step.consistency(ours, keys.float(), original.float(), original_keys.float())
    found.backward()
    assert ours.grad is not None
    # A similarity near 1 has 24 bits, which leave fewer for smaller differences.
    tolerance = 1e-4 + 1e-6 / (1 - cosine)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(expected.item(), rel=tolerance), "consistency"
    error = (ours.grad.double() - gradient).norm() / gradient.norm()
    assert error < tolerance, f"gradient of the consistency: {error:.2%} off"


def test_distances_of_close_samples_keep_their_digits() -> None:
    """Samples near 1 that differ by 1e-4: |a|^2 + |b|^2 - 2 a b would have an error of the size of the distance."""
    samples = (1 + 1e-4 * waves(20, 30, phase=0.0)).float()
    exact = (samples.double()[:, None] - samples.double()).pow(2).sum(2)
    assert torch.allclose(squared_distances(samples).double(), exact, rtol=1e-5, atol=0)


def test_blocks_change_neither_distances_nor_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = waves(7, 5, phase=0.0).float()
    weights = waves(7, 7, phase=4.0).float()
    results = []
    for block in (1 << 22, 2 * samples.numel(), 1):
        monkeypatch.setattr("reidbench_upreid.mmd.BLOCK", block)
        leaf = samples.clone().requires_grad_()
        squares = squared_distances(leaf)
        squares.backward(weights)
        assert leaf.grad is not None
        results.append((squares.detach(), leaf.grad))
    double = samples.double().requires_grad_()
    expected = (double[:, None] - double[None]).pow(2).sum(2)
    expected.backward(weights.double())
    assert double.grad is not None
    for squares, gradient in results:
        assert torch.allclose(squares.double(), expected.detach(), atol=1e-5)
        assert torch.allclose(gradient.double(), double.grad, atol=1e-5)


def test_the_mmd_is_never_negative() -> None:
    """For sets that differ only by rounding, the sums of kernels cancel to within a few units of the last digit."""
    base = waves(16, 16, phase=0.5).float()
    values = torch.stack([mmd(base, base.roll(shift, 0) + 1e-7) for shift in range(16)])
    assert (values >= 0).all()
    assert (values < 1e-6).all()
