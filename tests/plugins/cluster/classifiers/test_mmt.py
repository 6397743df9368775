"""MMT: a round compared with an independent loop, the second network, and the average that is kept."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidbench import AdaptContext
from reidbench.data import read_market_folder
from reidbench.errors import ReidbenchError
from reidbench.matrix import plan
from reidbench.matrix.reading import reader
from reidbench.metrics import pseudo_labels
from reidbench.metrics.products import unit
from reidbench.registry.plugins import Registry
from reidbench.testing import write_market_folder
from reidbench.training import BackboneEmbedder, Preprocess, embed
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_cluster.classifiers import mmt
from reidbench_cluster.classifiers.params import MMTParams
from reidbench_cluster.domains import DomainBatches
from tests.support.contexts import make_context, same, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
RATE = 1e-3
GIVEN: Any = {
    "rounds": 1, "iterations": 3, "identities": 3, "images": 2, "clusters": 3, "lr": RATE, "momentum": 0.6,
}  # fmt: skip


def tiny(seed: int, width: int = 4) -> BackboneEmbedder:
    torch.manual_seed(seed)
    network = resnet_tiny(TinyParams(width=width), SIZE)
    network.spec = {}
    return BackboneEmbedder(network, Preprocess(SIZE), neck=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_market_folder(tmp_path_factory.mktemp("target"), identities=6, cameras=2, images=3)


def context(folder: Path, out: Path, params: MMTParams, start: BackboneEmbedder, peer: Any = None) -> Any:
    target = read_market_folder(folder).train.hide()
    ctx, _ = make_context(
        AdaptContext, out, params, target=target, source=None, backbone=lambda: None, start=start,
        network=lambda field: {"peer": peer}[field],
    )  # fmt: skip
    return ctx


class Followed(nn.Module):
    """A network with a classifier, as the official code has it."""

    def __init__(self, embedder: BackboneEmbedder, centres: torch.Tensor) -> None:
        super().__init__()
        self.embedder = embedder
        self.classifier = nn.Linear(centres.shape[1], len(centres), bias=False)
        self.classifier.weight.data.copy_(centres)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        before = self.embedder.before_neck(images)
        return before, self.classifier(self.embedder.neck(before))


def soft_triplet(first: torch.Tensor, second: torch.Tensor | None, labels: torch.Tensor) -> torch.Tensor:
    """Log-softmax over the two distances of each image, against (0, 1) or the softmax of the other network."""
    same = labels[:, None] == labels
    distances = (first[:, None] - first[None]).pow(2).sum(2).clamp_min(1e-12).sqrt()
    positive = torch.where(same, distances, -1.0).argmax(1, keepdim=True)
    negative = torch.where(same, 1e9, distances).argmin(1, keepdim=True)
    pair = torch.cat([positive, negative], 1)
    logs = distances.gather(1, pair).log_softmax(1)
    if second is None:
        return -logs[:, 1].mean()
    others = (second[:, None] - second[None]).pow(2).sum(2).clamp_min(1e-12).sqrt()
    return -(others.gather(1, pair).softmax(1).detach() * logs).sum(1).mean()


def by_hand(ctx: Any, starts: list[BackboneEmbedder], steps: int) -> tuple[nn.Module, list[float]]:
    """One round in the order of the official script; the images of its steps are those of the method."""
    features = [embed(start, ctx.target, ctx.target.camids) for start in starts]
    features = [found / np.linalg.norm(found, axis=1, keepdims=True) for found in features]
    mean = unit((features[0] + features[1]) / 2)
    labels = pseudo_labels.k_means(mean, 3, ctx.seed)
    assert labels.min() >= 0
    centres = F.normalize(
        torch.from_numpy(np.stack([mean[labels == c].mean(0) for c in range(labels.max() + 1)])), dim=1
    )
    students = [Followed(start, centres) for start in starts]
    teachers = copy.deepcopy(students)
    optimiser = torch.optim.Adam(
        [w for network in students for w in network.parameters() if w.requires_grad], lr=RATE, weight_decay=5e-4
    )
    for network in (*students, *teachers):
        network.train()
    generator = torch.Generator().manual_seed(ctx.seed)
    losses = []
    for number, step in enumerate(DomainBatches(ctx, starts[0].preprocess, None).steps(labels, generator, 2)):
        wanted = torch.from_numpy(labels[step.target])
        found = [network(images) for network, images in zip(students, step.views, strict=True)]
        with torch.no_grad():
            other = [network(images) for network, images in zip(teachers, step.views, strict=True)]
        hard_ce = sum(F.cross_entropy(logits, wanted, label_smoothing=0.1) for _, logits in found)
        hard_tri = sum(soft_triplet(vectors, None, wanted) for vectors, _ in found)
        soft_ce = -(other[1][1].softmax(1) * found[0][1].log_softmax(1)).sum(1).mean()
        soft_ce = soft_ce - (other[0][1].softmax(1) * found[1][1].log_softmax(1)).sum(1).mean()
        soft_tri = soft_triplet(found[0][0], other[1][0], wanted) + soft_triplet(found[1][0], other[0][0], wanted)
        loss = 0.5 * hard_ce + 0.2 * hard_tri + 0.5 * soft_ce + 0.8 * soft_tri
        losses.append(loss.item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        alpha = min(1 - 1 / (number + 1), 0.6)
        for teacher, student in zip(teachers, students, strict=True):
            for average, current in zip(teacher.parameters(), student.parameters(), strict=True):
                average.data.mul_(alpha).add_(current.data, alpha=1 - alpha)
    assert number + 1 == steps
    return teachers[0].embedder, losses  # type: ignore[return-value]


def test_a_round_is_that_of_the_official_script(folder: Path, tmp_path: Path) -> None:
    """The loss of each step, and the average of the first network, with another training as the second network."""
    starts = [tiny(0), tiny(1)]
    ctx = context(folder, tmp_path, MMTParams(**GIVEN, peer={"use": "bot"}), starts[0], starts[1])
    wanted, losses = by_hand(ctx, copy.deepcopy(starts), 3)
    lines: list[Any] = []
    object.__setattr__(ctx, "log", lines.append)
    found = mmt.adapt(ctx)
    assert [line["loss"] for line in lines] == [pytest.approx(np.mean(losses), rel=1e-5)]
    theirs, ours = weights(wanted), weights(found)
    assert theirs.keys() == ours.keys()
    for name in theirs:
        assert torch.allclose(ours[name], theirs[name], atol=2e-4), name


def test_without_a_peer_both_networks_start_the_same_and_differ_by_their_views(folder: Path, tmp_path: Path) -> None:
    start = tiny(0)
    ctx = context(folder, tmp_path, MMTParams(**GIVEN), start)
    training = mmt._Training(ctx, [start, copy.deepcopy(start)])
    first, second = training.students
    assert same(first, second)
    assert same(first, training.means[0].network)
    training.run()
    assert not same(first, second)
    assert not same(training.means[0].network, training.means[1].network)
    assert [int(mean.steps) for mean in training.means] == [3, 3]


@pytest.mark.parametrize(
    ("peer", "reason"),
    [
        (lambda: tiny(0), "set `prepare_seed`, the seed of the peer, to a number that is not among `seeds`"),
        (lambda: tiny(1, width=8), "the peer must train a plain embedder with 28 features"),
        (lambda: tiny(1).backbone, "give both the same fine-tuner and backbone"),
    ],
)
def test_a_peer_that_cannot_be_one_is_refused(peer: Any, reason: str, folder: Path, tmp_path: Path) -> None:
    ctx = context(folder, tmp_path, MMTParams(**GIVEN, peer={"use": "bot"}), tiny(0), peer())
    with pytest.raises(ReidbenchError, match=reason):
        mmt.adapt(ctx)


def test_a_peer_is_a_training_of_the_source_with_the_prepare_seed(tmp_path: Path, registry: Registry) -> None:
    """Without one there is no such stage, and no word of the protocol that it would bring."""
    file = tmp_path / "matrix.yaml"
    file.write_text(
        "image_size: [32, 16]\nprepare_seed: 7\ndata: {a: {use: synthetic, size: tiny}}\n"
        "tasks: {t: {source: a, target: a}}\nbackbone: {use: resnet-tiny, width: 4}\nmethods:\n"
        "  alone: {finetune: &source {use: bot, epochs: 2}, adapt: {use: mmt, peer: null}}\n"
        "  peer:  {finetune: *source, adapt: {use: mmt, peer: *source}}\n"
    )
    found = plan.expand(reader.read(file, registry))
    parents: dict[tuple[str, ...], list[int | None]] = {}
    for stage in found.stages.values():
        if stage.use == "mmt":
            assert all(found.stages[key].use == "bot" for _, key in stage.parents)
            parents[tuple(role for role, _ in stage.parents)] = [found.stages[key].seed for _, key in stage.parents]
    assert parents == {("finetune",): [0], ("finetune", "prepared.peer"): [0, 7]}
