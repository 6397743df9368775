"""HHL's network and loss against the equations in float64, for every choice of the triplet's rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from reidbench.training import Preprocess, stream
from reidbench_hhl.adapt import HHL, Batch, Network, UnitEmbedder
from reidbench_hhl.composition import Composition
from reidbench_hhl.params import HHLParams
from tests.support.contexts import cpu_fabric
from tests.support.golden import Matrix, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (4, 2)
PIXELS, CHANNELS, WIDTH, EMBEDDING, CLASSES, FAKES, REAL = 3 * 4 * 2, 6, 7, 4, 5, 2, 3
LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])  # of the images that are classified
MEMBERS = torch.tensor([0, 0, 1, 1, 2, 2])  # of the source's triplets
BETA, MARGIN = 0.5, 0.3
Tensors = dict[str, torch.Tensor]


def network(params: HHLParams) -> Network:
    made = Network(Matrix(CHANNELS, PIXELS), CLASSES, params, stream(0, "drops"))
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.copy_(wave(number + 1, *parameter.shape))
    return made.train()


def hidden(images: torch.Tensor, known: Tensors) -> torch.Tensor:
    """relu(BN(W v + b)) with the batch's own mean and variance."""
    values = images.double().flatten(1) @ known["backbone.weight"].t()
    values = values @ known["shared.weight"].t() + known["shared.bias"]
    values = (values - values.mean(0)) / (values.var(0, unbiased=False) + 1e-5).sqrt()
    return (values * known["norm.weight"] + known["norm.bias"]).clamp_min(0)


def triplet(loss: str, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Anchor by anchor: max(0, .3 + farthest positive - nearest negative), the anchor among its own positives."""
    real = torch.arange(REAL).repeat_interleave(1 if loss == "L_D" else 1 + FAKES)
    owners = [f"person {pid}" for pid in MEMBERS.tolist()] + [f"image {image}" for image in real.tolist()]
    rows = list(torch.cat([source, target]))
    if loss == "L_T":
        owners, rows = owners[: len(MEMBERS)], rows[: len(MEMBERS)]
    if loss == "L_C":
        owners, rows = owners[len(MEMBERS) :], rows[len(MEMBERS) :]
    anchors = range(len(MEMBERS) if loss == "L_D" else len(rows))
    hinges = []
    for a in anchors:
        far = [(rows[a] - rows[p]).norm() for p in range(len(rows)) if owners[p] == owners[a] and p != a]
        near = [(rows[a] - rows[n]).norm() for n in range(len(rows)) if owners[n] != owners[a]]
        hinges.append((MARGIN + torch.stack(far).max() - torch.stack(near).min()).clamp_min(0))
    return torch.stack(hinges).mean()


@pytest.mark.parametrize("loss", ["L_T", "L_D", "L_C", "L_CD"])
def test_the_loss_is_the_papers(loss: Any) -> None:
    """L_cross, the triplet, L_cross + beta L_triplet, and the norm of each weight's gradient.

    Three batches, each normalised by itself: images to classify, source of the triplets, target next to its fakes.
    """
    params = HHLParams(
        loss=loss, beta=BETA, margin=MARGIN, dropout=0, width=WIDTH, embedding=EMBEDDING, id_batch=len(LABELS),
        identities=3, images=2, target_images=REAL,
    )  # fmt: skip
    composition = Composition.of(params, FAKES)
    count = REAL * (1 + composition.fakes)
    images = wave(20, len(LABELS) + len(MEMBERS) + count, 3, *SIZE).float()
    classified, source, target = images.split([len(LABELS), len(MEMBERS), count])
    one = object.__new__(HHL)  # the loss needs a run, but no source, target or styles
    one.params, one.composition, one.classes = params, composition, CLASSES
    one.network = network(params)
    one.ctx, one.update = Fabric(), Fabric()  # type: ignore[assignment]
    batch = Batch(
        classified, LABELS, source if composition.identities else None,
        MEMBERS if composition.identities else MEMBERS[:0], target if composition.real else None,
    )  # fmt: skip

    known = {name: p.detach().double().requires_grad_() for name, p in one.network.named_parameters()}
    logits = hidden(classified, known) @ known["classifier.weight"].t() + known["classifier.bias"]
    cross = (logits.logsumexp(1) - logits[torch.arange(len(LABELS)), LABELS]).mean()
    embedded = [
        hidden(part, known) @ known["embedding.weight"].t() + known["embedding.bias"] for part in (source, target)
    ]
    hinge = triplet(loss, *embedded)
    expected = cross + BETA * hinge

    total, facts = one.loss(batch)
    assert facts["cross"].item() == pytest.approx(cross.item(), rel=1e-5), "L_cross"
    assert facts["triplet"].item() == pytest.approx(hinge.item(), rel=1e-4), "L_triplet"
    assert total.item() == pytest.approx(expected.item(), rel=1e-5), "loss"
    assert hinge.item() > 0
    total.backward()
    expected.backward()
    for name, parameter in one.network.named_parameters():
        assert parameter.grad is not None, name
        norm = known[name].grad.norm().item()  # type: ignore[union-attr]
        assert parameter.grad.norm().item() == pytest.approx(norm, rel=1e-3, abs=1e-5), name


class Fabric:
    """The parts of a context and an update that a loss uses: a device, and full precision."""

    def __init__(self) -> None:
        self.fabric = cpu_fabric()

    def precision(self) -> Any:
        return self.fabric.autocast()


def test_the_feature_is_the_vector_at_unit_length() -> None:
    embedder = UnitEmbedder(Matrix(CHANNELS, PIXELS), Preprocess(SIZE)).eval()
    images = wave(21, 3, 3, *SIZE).float()
    vector = images.double().flatten(1) @ wave(1, CHANNELS, PIXELS).t()
    with torch.no_grad():
        assert torch.allclose(embedder(images).double(), F.normalize(vector, dim=1), atol=1e-5)
