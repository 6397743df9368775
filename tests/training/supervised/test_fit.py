"""What supervised methods share: classifiers, losses of several vectors, the loop over labelled batches."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from torch import nn

from reidbench.data import Sample, Split
from reidbench.errors import DataError
from reidbench.training import (
    IdentityLosses,
    Loop,
    TrainingCheckpoint,
    fit,
    identity_heads,
    labelled_source,
    stream,
)


def test_classifiers_start_near_zero() -> None:
    first, second = identity_heads([400, 300], 500, bias=True)
    assert [tuple(head.weight.shape) for head in (first, second)] == [(500, 400), (500, 300)]
    assert first.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert second.bias.abs().max() == 0
    (drawn,) = identity_heads([4], 3, generator=stream(0, "heads"))
    assert torch.allclose(drawn.weight, 0.001 * torch.randn(3, 4, generator=stream(0, "heads")))
    assert drawn.bias is None


def test_losses_of_several_vectors_by_hand() -> None:
    losses = IdentityLosses([2, 2], 2, smoothing=0.0, margin=1.0)
    with torch.no_grad():
        for classifier in losses.classifiers:
            classifier.weight.copy_(torch.eye(2))
    labels = torch.tensor([0, 0, 1, 1])
    line = torch.tensor([[0.0, 0.0], [2.0, 0.0], [3.0, 0.0], [7.0, 0.0]])
    # farthest of one's own, nearest other: 2 - 3, 2 - 1, 4 - 1, 4 - 5; each + 1, none below 0: 0, 2, 4, 0
    assert losses.triplets([line, 2 * line], labels).tolist() == pytest.approx([1.5, (0 + 3 + 7 + 0) / 4], abs=1e-4)
    logits = losses.logits([torch.zeros(4, 2), torch.eye(2)[labels] * 3])
    expected = [math.log(2), math.log(1 + math.exp(-3))]
    assert losses.cross_entropies(logits, labels).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_source_has_two_identities(tmp_path: Path) -> None:
    many, one = (Split(tmp_path, [Sample(f"{pid}", pid, 0) for pid in pids]) for pids in ((1, 2), (1, 1)))
    assert labelled_source(SimpleNamespace(source=many), "mine") is many  # type: ignore[arg-type]
    for source in (one, None):
        ctx: Any = SimpleNamespace(source=source)
        with pytest.raises(DataError, match=r"^mine needs a source of two or more identities$"):
            labelled_source(ctx, "mine")


def test_fit_gives_the_labels_of_each_batch_and_float32_vectors(tmp_path: Path) -> None:
    """Networks run in bfloat16, losses do not; hooks come before each epoch and before each step."""
    network = nn.Linear(3, 2)
    start = network.weight.detach().clone()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.5)
    lines: list[dict[str, float]] = []
    ctx: Any = SimpleNamespace(
        fabric=Fabric(accelerator="cpu", devices=1, precision="bf16-mixed"),
        checkpoint=TrainingCheckpoint(tmp_path / "checkpoint"),
        log=lambda line: lines.append(dict(line)),
    )
    images = torch.eye(3).repeat(2, 1)
    batches = [(images[rows], torch.tensor(rows)) for rows in ([0, 4], [5, 1, 3])]
    seen: list[Any] = []

    def losses(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(([vector.dtype for vector in vectors], labels.tolist()))
        return {"loss": F.cross_entropy(vectors[0], labels), "half": vectors[1].mean() * 0 + 0.5}

    def vectors(images: torch.Tensor, indices: torch.Tensor) -> list[torch.Tensor]:
        found = network(images)
        assert found.dtype == torch.bfloat16
        return [found, found]

    fit(
        Loop(ctx, 2, {"network": network}, {"optimiser": optimiser}),
        batches,
        torch.tensor([0, 1, 0, 1, 0, 1]).numpy(),
        vectors,
        losses,
        before_epoch=lambda epoch: seen.append(epoch),
        before_step=lambda: seen.append("step") or network.bias.grad.zero_(),  # type: ignore[union-attr, func-returns-value]
    )
    both = [torch.float32] * 2
    epoch = [(both, [0, 0]), "step", (both, [1, 1, 1]), "step"]
    assert seen == [0, *epoch, 1, *epoch]
    assert [line["half"] for line in lines] == [0.5, 0.5]
    assert not torch.equal(network.weight, start)
