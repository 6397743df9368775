"""ARN's paper form against the equations, computed in float64 as products of matrices, without convolutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench.training import Backbone, Features, Preprocess
from reidbench_arn.embedder import WholeEmbedder
from reidbench_arn.network import ArnNetwork
from reidbench_arn.params import PAPER_FORM, ArnParams
from tests.support.golden import wave

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGES, CHANNELS, DIM, CLASSES, SIDE = 6, 3, 8, 3, 7
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])
Tensors = dict[str, torch.Tensor]


class Pixels(Backbone):
    """X is a learnt multiple of the image: the simplest E_I with a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = CHANNELS
        self.spec = {}
        self.factor = nn.Parameter(torch.tensor(1.5))

    def forward(self, images: torch.Tensor) -> Features:
        features = self.factor * images
        return Features(features, features.mean((2, 3)))


def network(**params: Any) -> ArnNetwork:
    """Return the paper's network on a 7x7 map, with weights from a formula and without dropout."""
    embedder = WholeEmbedder(Pixels(), Preprocess((SIDE, SIDE)), DIM, kernel=(SIDE, SIDE))
    made = ArnNetwork(embedder, CLASSES, ArnParams(**{**PAPER_FORM, "dropout": 0.0, **params}), 0)
    made.groups()
    with torch.no_grad():
        for number, (name, tensor) in enumerate(made.named_parameters()):
            if name.endswith("factor"):
                continue
            values = wave(number, *tensor.shape) / max(tensor[0].numel(), 1) ** 0.5
            tensor.copy_(1 + values / 4 if name.endswith("1.weight") else values)
    return made.train()


def normed(values: torch.Tensor, known: Tensors, name: str) -> torch.Tensor:
    """Return [N, D] with each column's mean 0 and variance 1, times gamma, plus beta, and negative values at 0."""
    centred = values - values.mean(0)
    scaled = centred / (centred.square().mean(0) + 1e-5).sqrt()
    return (scaled * known[f"{name}.weight"] + known[f"{name}.bias"]).clamp_min(0)


def encoded(x: torch.Tensor, known: Tensors, name: str) -> torch.Tensor:
    """Map X [N, C, 7, 7] to e [N, D]: a 7x7 convolution that fits the map exactly is one matrix."""
    code = x.flatten(1)
    for layer in range(3):
        code = normed(code @ known[f"{name}.layers.{layer}.0.weight"].flatten(1).t(), known, f"{name}.layers.{layer}.1")
    return code


def decoded(code: torch.Tensor, known: Tensors) -> torch.Tensor:
    """Map e_c + e_p [N, D] to X_hat [N, C, 7, 7]; the last layer's batch norm is over images and positions."""
    for layer in range(2):
        weight = known[f"decoder.layers.{layer}.0.weight"].flatten(1)
        code = normed(code @ weight, known, f"decoder.layers.{layer}.1")
    rebuilt = (code @ known["decoder.layers.2.0.weight"].flatten(1)).reshape(-1, CHANNELS, SIDE * SIDE)
    columns = rebuilt.transpose(1, 2).reshape(-1, CHANNELS)
    columns = normed(columns, known, "decoder.layers.2.1")
    return columns.reshape(-1, SIDE * SIDE, CHANNELS).transpose(1, 2).reshape(-1, CHANNELS, SIDE, SIDE)


def differing(form: str, shared: torch.Tensor, private: torch.Tensor) -> torch.Tensor:
    """Return L_diff of one domain's codes [N, D]."""
    if form == "raw":
        return (shared.t() @ private).square().sum()
    shared, private = ((h - h.mean(0)) / (h - h.mean(0)).norm(dim=1, keepdim=True) for h in (shared, private))
    if form == "frobenius":
        return (shared.t() @ private).square().sum() / DIM**2
    return (shared * private).sum(1).square().mean()


def contrasted(codes: torch.Tensor) -> torch.Tensor:
    """Mean over pairs: d^2 for the same identity, max(0, 2 - d)^2 for different ones; d is a root mean square."""
    terms = []
    for i in range(IMAGES):
        for j in range(i + 1, IMAGES):
            squared = (codes[i] - codes[j]).square().mean()
            terms.append(squared if LABELS[i] == LABELS[j] else (2 - squared.sqrt()).clamp_min(0) ** 2)
    return torch.stack(terms).mean()


def by_the_equations(made: ArnNetwork, source: torch.Tensor, target: torch.Tensor) -> tuple[Tensors, Tensors]:
    """Return all quantities of a step in float64, and the weights they were computed from, with gradients."""
    params = made.params
    known = {name: p.detach().double().requires_grad_() for name, p in made.named_parameters()}
    found: Tensors = {}
    sums = {"reconstruction": torch.zeros((), dtype=torch.float64), "difference": torch.zeros((), dtype=torch.float64)}
    for domain, images in (("source", source), ("target", target)):
        x = known["embedder.backbone.factor"] * images.double()
        shared, private = encoded(x, known, "embedder.shared"), encoded(x, known, f"private.{domain}")
        rebuilt = decoded(shared + private, known)
        errors = (x.detach() if params.detach else x) - rebuilt
        sums["reconstruction"] += errors.square().sum() if params.reconstruction == "sum" else errors.square().mean()
        sums["difference"] += differing(params.difference, shared, private)
        found |= {f"e_c of the {domain}": shared, f"e_p of the {domain}": private, f"X_hat of the {domain}": rebuilt}
    codes = found["e_c of the source"]
    logits = codes @ known["classifier.weight"].t() + known["classifier.bias"]
    found["class"] = (logits.logsumexp(1) - logits[torch.arange(IMAGES), LABELS]).mean()
    found |= {"contrast": contrasted(codes), **sums}
    gamma = {"raw": 1500.0, "frobenius": 1500 * (DIM / 2048) ** 2, "cosine": 1.0}[params.difference]
    found["loss"] = found["class"] + 0.01 * found["contrast"] + 2 * sums["reconstruction"] + gamma * sums["difference"]
    return found, known


FORMS: list[dict[str, Any]] = [
    {},
    {"reconstruction": "mean", "difference": "frobenius", "difference_weight": None, "detach": True},
    {"reconstruction": "mean", "difference": "cosine", "difference_weight": None, "detach": True},
]


@pytest.mark.parametrize("form", FORMS, ids=["paper", "frobenius", "cosine"])
def test_the_step_is_the_papers(form: dict[str, Any]) -> None:
    """Codes, X_hat, each loss, their weighted sum and the norm of each part's gradient, in both domains."""
    made = network(**form)
    source, target = wave(40, IMAGES, CHANNELS, SIDE, SIDE).float(), wave(41, IMAGES, CHANNELS, SIDE, SIDE).float()
    expected, known = by_the_equations(made, source, target)
    for domain, images in (("source", source), ("target", target)):
        passed = made.encode(images, domain)  # type: ignore[arg-type]
        assert passed.private is not None
        assert passed.rebuilt is not None
        for name, value in (
            (f"e_c of the {domain}", passed.vector),
            (f"e_p of the {domain}", passed.private.flatten(1)),
            (f"X_hat of the {domain}", passed.rebuilt),
        ):
            assert torch.allclose(value.double(), expected[name], rtol=1e-4, atol=1e-4), name
    output = made(source, LABELS, target)
    for name in ("class", "contrast", "reconstruction", "difference", "loss"):
        assert output.facts[name].item() == pytest.approx(expected[name].item(), rel=1e-4), name
    output.loss.backward()
    expected["loss"].backward()
    for name, parameter in made.named_parameters():
        gradient = known[name].grad
        assert parameter.grad is not None, name
        assert gradient is not None, name
        assert torch.allclose(parameter.grad.double(), gradient, rtol=1e-2, atol=1e-4 * gradient.norm().item()), name
        assert parameter.grad.norm().item() == pytest.approx(gradient.norm().item(), rel=1e-3, abs=1e-6), name


def test_the_feature_is_e_c_with_running_statistics() -> None:
    """At test time batch norm uses its running statistics, here after one step: a tenth of the batch's, unbiased."""
    made = network()
    images = wave(40, IMAGES, CHANNELS, SIDE, SIDE).float()
    made.encode(images, "source")
    known = {name: p.detach().double() for name, p in made.named_parameters()}
    code = trained = 1.5 * images.double().flatten(1)
    for layer in range(3):
        weight = known[f"embedder.shared.layers.{layer}.0.weight"].flatten(1).t()
        before, code = trained @ weight, code @ weight
        mean, variance = 0.1 * before.mean(0), 0.9 + 0.1 * before.var(0)
        gamma, beta = (known[f"embedder.shared.layers.{layer}.1.{leaf}"] for leaf in ("weight", "bias"))
        code = F.relu((code - mean) / (variance + 1e-5).sqrt() * gamma + beta)
        trained = normed(before, known, f"embedder.shared.layers.{layer}.1")
    with torch.no_grad():
        assert torch.allclose(made.embedder.eval()(images).double(), code, rtol=1e-4, atol=1e-5)
