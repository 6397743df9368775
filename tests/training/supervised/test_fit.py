"""Shared parts of supervised methods: classifiers, losses of several vectors, the loop over labelled batches."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision
from torch import nn

from reidbench.data import Sample, Split
from reidbench.errors import DataError, ReidbenchError
from reidbench.training import (
    BatchHardTriplet,
    IdentityLosses,
    Loop,
    TrainingCheckpoint,
    fit,
    identity_heads,
    labelled_source,
    stream,
)
from reidbench.training.supervised.fit import identity_parts
from reidbench_baseline.params import BotParams, MgnParams


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
    # farthest of the same identity, nearest other: 2 - 3, 2 - 1, 4 - 1, 4 - 5; each + 1, none below 0: 0, 2, 4, 0
    assert losses.triplets([line, 2 * line], labels).tolist() == pytest.approx([1.5, (0 + 3 + 7 + 0) / 4], abs=1e-4)
    logits = losses.logits([torch.zeros(4, 2), torch.eye(2)[labels] * 3])
    expected = [math.log(2), math.log(1 + math.exp(-3))]
    assert losses.cross_entropies(logits, labels).tolist() == pytest.approx(expected, abs=1e-5)


def test_a_source_has_two_identities(tmp_path: Path) -> None:
    many, one = (Split(tmp_path, [Sample(f"{pid}", pid, 0) for pid in pids]) for pids in ((1, 2), (1, 1)))
    assert labelled_source(SimpleNamespace(source=many), "mine") is many  # type: ignore[arg-type]
    for source in (one, None):
        ctx: Any = SimpleNamespace(source=source)
        with pytest.raises(DataError, match=r"^mine needs a source with at least two identities$"):
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


# ---------------------------------------------------------------------- a batch in parts
LABELS = np.repeat(np.arange(6), 2)  # six identities of two images


def test_parts_hold_whole_identities() -> None:
    cut = np.array([5, 5, 5, 1, 7, 7, 0, 0, 2, 2])
    assert [part.tolist() for part in identity_parts(cut, 1)] == [list(range(10))]
    assert [cut[part].tolist() for part in identity_parts(cut, 2)] == [[5, 5, 5, 7, 7, 2, 2], [1, 0, 0]]
    assert [LABELS[part].tolist() for part in identity_parts(LABELS, 3)] == [[0, 0, 3, 3], [1, 1, 4, 4], [2, 2, 5, 5]]


def test_a_part_needs_two_identities() -> None:
    sentence = r"^a batch of 5 identities cannot be split into 3 parts of two or more: set `accumulate` to 2 or less$"
    with pytest.raises(ReidbenchError, match=sentence):
        identity_parts(np.repeat(np.arange(5), 4), 3)
    with pytest.raises(ValueError, match="16 identities cannot be split into 9 parts of two or more"):
        BotParams(accumulate=9)
    assert MgnParams(accumulate=8).accumulate == 8


def fit_linear(
    folder: Path, network: nn.Linear, batches: Any, labels: np.ndarray, losses: Any, accumulate: int, **how: Any
) -> tuple[list[dict[str, float]], torch.optim.Optimizer]:
    """Two epochs of a layer without batch norm; what is logged, and the optimiser."""
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = how.get("optimiser", torch.optim.SGD)(network.parameters(), lr=0.1)
    lines: list[dict[str, float]] = []
    ctx: Any = SimpleNamespace(
        fabric=Fabric(accelerator="cpu", devices=1, plugins=how.get("plugins")),
        checkpoint=TrainingCheckpoint(folder / "checkpoint"),
        log=lambda line: lines.append(dict(line)),
    )
    loop = Loop(ctx, 2, {"network": network}, {"optimiser": optimiser})
    fit(loop, batches, labels, lambda images, _: [network(images)], losses, accumulate=accumulate)
    return lines, optimiser


def cross_entropy(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"loss": F.cross_entropy(vectors[0], labels), "top": vectors[0].amax(1).mean()}


def train_in_parts(
    folder: Path, accumulate: int, losses: Any = cross_entropy, **how: Any
) -> tuple[nn.Linear, list[dict[str, float]], torch.optim.Optimizer]:
    """Three batches of two images of each of six identities, for two epochs."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, len(LABELS), 5, generator=generator)
    network = nn.Linear(5, 6)
    with torch.no_grad():
        network.weight.copy_(torch.randn(6, 5, generator=generator))
        network.bias.zero_()
    batches = [(part, torch.arange(len(LABELS))) for part in images]
    return network, *fit_linear(folder / str(accumulate), network, batches, LABELS, losses, accumulate, **how)


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_make_the_step_of_the_whole_batch_by_a_mean_over_images(parts: int, tmp_path: Path) -> None:
    whole, lines, _ = train_in_parts(tmp_path, 1)
    split, lines_of_parts, _ = train_in_parts(tmp_path, parts)
    assert torch.allclose(split.weight, whole.weight, rtol=0, atol=1e-6)
    assert torch.allclose(split.bias, whole.bias, rtol=0, atol=1e-6)
    for line, other in zip(lines, lines_of_parts, strict=True):
        assert other == pytest.approx(line, abs=1e-6)  # the steps too: three, not six


def test_parts_of_unequal_size_weigh_as_many_images_as_they_have(tmp_path: Path) -> None:
    """Of five identities one part has three: the gradient of w in the mean of w x is the mean of all x, 31 / 5."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    images = torch.tensor([[1.0], [2.0], [4.0], [8.0], [16.0]])
    sizes: list[int] = []

    def losses(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        sizes.append(len(labels))
        return {"loss": vectors[0].mean()}

    fit_linear(tmp_path, network, [(images, torch.arange(5))], np.arange(5), losses, 2)
    assert sizes == [3, 2] * 2
    assert network.weight.item() == pytest.approx(-0.1 * 2 * 31 / 5, abs=1e-6)


def test_triplets_see_one_part_and_an_optimiser_steps_once_a_batch(tmp_path: Path) -> None:
    seen: list[Any] = []

    def losses(vectors: list[torch.Tensor], labels: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.append(sorted(set(labels.tolist())))
        return {"loss": BatchHardTriplet(0.3)(vectors[0], labels)}

    _, lines, adam = train_in_parts(tmp_path, 3, losses, optimiser=torch.optim.Adam)
    assert seen == [[0, 3], [1, 4], [2, 5]] * 6
    assert {int(state["step"]) for state in adam.state.values()} == {6}
    assert [line["steps"] for line in lines] == [3, 3]


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_parts_in_mixed_precision(precision: str, tmp_path: Path) -> None:
    """Gradients of parts are in half precision and are summed in float32; a scale is taken away once."""
    scaler = torch.amp.GradScaler("cpu", init_scale=64) if precision == "16-mixed" else None
    how = {"plugins": MixedPrecision(precision, "cpu", scaler=scaler)}  # type: ignore[arg-type]
    start = train_in_parts(tmp_path / "start", 1, lambda vectors, _: {"loss": 0 * vectors[0].sum()})[0].weight.detach()
    whole = train_in_parts(tmp_path, 1, **how)[0].weight.detach()
    split = train_in_parts(tmp_path, 3, **how)[0].weight.detach()
    assert float((split - whole).norm()) < 0.02 * float((whole - start).norm())
