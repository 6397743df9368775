"""TransReID against its equations, written here in float64: a transformer, SIE, JPM, the losses and three steps.

Dosovitskiy et al. (ICLR 2021) for the transformer; He et al. (ICCV 2021), sections 3.2 and 3.3, for the rest, with the
weights of the released code: a half for the global branch, a half for the mean of the local ones.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from reidbench import FinetuneContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import Backbone, Loop
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import vit_tiny
from reidbench_transreid_ssl import finetune
from reidbench_transreid_ssl.embedder import TransReidEmbedder
from reidbench_transreid_ssl.transreid_params import TransReidParams, TransReidSieParams
from tests.support.contexts import make_context
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, DIM, DEPTH, HEADS, PATCH, CLASSES = (24, 8), 8, 2, 2, 4, 4
LAMBDA, SHIFT, GROUPS = 3.0, 5, 4
RATE, DECAY, MOMENTUM = 4e-4, 1e-4, 0.9
SINGLE = 2e-5  # the losses are computed in single precision
ROWS = torch.tensor([0, 1, 2, 4, 5, 6, 9, 10, 13, 14])  # of a source with four images per identity
Tensors = dict[str, torch.Tensor]


class Training(NamedTuple):
    """The stage's arguments of its loop over batches."""

    loop: Loop
    vectors: Callable[..., list[torch.Tensor]]
    losses: Callable[..., Tensors]
    labels: torch.Tensor
    camids: np.ndarray


class Transformer:
    """The network on plain tensors; `known` are the embedder's weights by name."""

    def __init__(self, known: Tensors, stride: int) -> None:
        self.known = known
        self.stride = stride

    def linear(self, x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ self.known[f"{name}.weight"].t() + self.known[f"{name}.bias"]

    def layer_norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        centred = x - x.mean(-1, keepdim=True)
        normed = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return normed * self.known[f"{name}.weight"] + self.known[f"{name}.bias"]

    def tokens(self, images: torch.Tensor) -> torch.Tensor:
        """Each patch times a matrix, the class token before them, positions added."""
        kernel, bias = (self.known[f"backbone.patch_embed.proj.{leaf}"] for leaf in ("weight", "bias"))
        corners = itertools.product(*(range(0, side - PATCH + 1, self.stride) for side in SIZE))
        patches = [
            images[:, :, y : y + PATCH, x : x + PATCH].flatten(1) @ kernel.flatten(1).t() + bias for y, x in corners
        ]
        cls = self.known["backbone.cls_token"].expand(len(images), -1, -1)
        return torch.cat([cls, torch.stack(patches, 1)], 1) + self.known["backbone.pos_embed"]

    def attention(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Heads one by one: softmax(q k^T / sqrt(d)) v."""
        width, found = DIM // HEADS, []
        query, key, value = self.linear(x, f"{name}.qkv").split(DIM, dim=2)
        for head in range(HEADS):
            own = slice(head * width, (head + 1) * width)
            scores = query[..., own] @ key[..., own].transpose(1, 2) / math.sqrt(width)
            weights = scores.exp() / scores.exp().sum(2, keepdim=True)
            found.append(weights @ value[..., own])
        return self.linear(torch.cat(found, 2), f"{name}.proj")

    def block(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """x + attention(norm(x)), then the same with two layers and GELU between."""
        x = x + self.attention(self.layer_norm(x, f"{name}.norm1"), f"{name}.attn")
        hidden = self.linear(self.layer_norm(x, f"{name}.norm2"), f"{name}.mlp.fc1")
        hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
        return x + self.linear(hidden, f"{name}.mlp.fc2")

    def vectors(self, images: torch.Tensor, cameras: Sequence[int]) -> list[torch.Tensor]:
        """The class token after the last norm; with JPM also that of each group of shuffled patches."""
        x = self.tokens(images)
        if "cameras.vectors" in self.known:
            x = x + torch.stack([LAMBDA * self.known["cameras.vectors"][camera] for camera in cameras])[:, None]
        for number in range(DEPTH - 1):
            x = self.block(x, f"backbone.blocks.{number}")
        found = [self.layer_norm(self.block(x, f"backbone.blocks.{DEPTH - 1}"), "backbone.norm")[:, 0]]
        if "local.norm.weight" in self.known:
            for group in jigsaw(x.shape[1] - 1):
                part = self.block(torch.stack([x[:, 0], *(x[:, 1 + patch] for patch in group)], 1), "local.block")
                found.append(self.layer_norm(part, "local.norm")[:, 0])
        return found


def jigsaw(patches: int) -> list[list[int]]:
    """The first m patches move to the end; the sequence is cut into k runs, and their patches are interleaved."""
    shifted = [*range(SHIFT, patches), *range(SHIFT)]
    length = patches // GROUPS
    runs = [shifted[number * length : (number + 1) * length] for number in range(GROUPS)]
    shuffled = [patch for turn in zip(*runs, strict=True) for patch in turn]
    return [shuffled[number * length : (number + 1) * length] for number in range(GROUPS)]


def test_the_jigsaw_by_hand() -> None:
    assert jigsaw(12) == [[5, 8, 11], [2, 6, 9], [0, 3, 7], [10, 1, 4]]


def neck(vector: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (vector - vector.mean(0)) / (vector.var(0, unbiased=False) + 1e-5).sqrt() * scale


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [-(row.exp()[label] / row.exp().sum()).log() for row, label in zip(logits, labels, strict=True)]
    ).mean()


def soft_triplet(vector: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """log(1 + exp(farthest of the same identity - nearest of another)) of each image."""
    terms = []
    for own, label in zip(vector, labels, strict=True):
        distance = (vector - own).square().sum(1).clamp_min(1e-12).sqrt()
        terms.append((1 + (distance[labels == label].max() - distance[labels != label].min()).exp()).log())
    return torch.stack(terms).mean()


def terms(vectors: list[torch.Tensor], known: Tensors, labels: torch.Tensor) -> Tensors:
    """Cross-entropy after each vector's neck, triplet before it; a half for each kind of branch."""
    found = []
    for number, vector in enumerate(vectors):
        after = neck(vector, known[f"necks.{number}.norm.weight"])
        identity = cross_entropy(after @ known[f"classifiers.{number}.weight"].t(), labels)
        found.append(torch.stack([identity, soft_triplet(vector, labels)]))
    whole = found[0] if len(found) == 1 else 0.5 * found[0] + 0.5 * torch.stack(found[1:]).mean(0)
    return {"cross_entropy": whole[0], "triplet": whole[1], "loss": whole.sum()}


def by_formula(loop: Loop) -> Tensors:
    """All trained weights in float64, set by a formula that keeps tokens near 1."""
    recipe = loop.networks["recipe"].double()
    weights = {name.removeprefix("embedder."): weight for name, weight in recipe.named_parameters()}
    weights = {
        name: weight for name, weight in weights.items() if not name.endswith("norm.bias") or "necks" not in name
    }
    with torch.no_grad():
        for number, (name, weight) in enumerate(weights.items()):
            spread = 1 / math.sqrt(weight[0].numel()) if weight.ndim in (2, 4) and "classifiers" not in name else 0.3
            shift = 1.0 if "norm" in name and name.endswith("weight") else 0.0
            weight.copy_(shift + spread * wave(number + 2, *weight.shape))
    return weights


def compare(training: Training, weights: Tensors, stride: int, epoch: int, moments: Tensors) -> None:
    """One step: vectors, losses, gradients, and the weights after SGD's step, those of biases by twice the rate."""
    known = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    images, labels = wave(60 + epoch, len(ROWS), 3, *SIZE), training.labels[ROWS]
    cameras = np.unique(training.camids).searchsorted(training.camids[ROWS.numpy()]).tolist()
    expected = Transformer(known, stride).vectors(images, cameras)
    losses = terms(expected, known, labels)
    losses["loss"].backward()
    vectors = training.vectors(images, ROWS)
    for number, (vector, wanted) in enumerate(zip(vectors, expected, strict=True)):
        close(f"{'local' if number else 'global'} vector {number}", vector, wanted, 1e-9)
    found = training.losses(vectors, labels)
    for name, wanted in losses.items():
        close(name, found[name], wanted, SINGLE)
    training.loop.update.backward(found["loss"])
    training.loop.update.step()
    for name, weight in weights.items():
        slope, wanted = weight.grad, known[name].grad
        assert slope is not None
        assert wanted is not None
        if wanted.norm() < 1e-9:  # one shift of all vectors changes nothing
            assert slope.norm() < 1e-5, f"gradient norm of {name}"
            continue
        close(f"gradient norm of {name}", slope.norm(), wanted.norm(), 10 * SINGLE)
        start, base = known[name].detach(), RATE * (2 if "bias" in name else 1)
        rate = 0.01 * RATE + (base - 0.01 * RATE) * epoch / 20
        gradient = wanted + DECAY * start
        moments[name] = MOMENTUM * moments[name] + gradient if name in moments else gradient
        close(f"step of {name}", weight - start, -rate * moments[name], 5e-4)


def stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Training], None], *, sie: bool, stride: int,
    **params: Any,
) -> tuple[TransReidEmbedder, list[dict[str, float]]]:  # fmt: skip
    """Run the stage with `run` as its loop over batches; return its log lines."""
    source = read_market_folder(write_market_folder(tmp_path / "source", identities=CLASSES)).train

    def fit(loop: Loop, batches: Any, labels: np.ndarray, vectors: Any, losses: Any, **others: Any) -> None:
        run(Training(loop, vectors, losses, torch.from_numpy(labels), source.camids))

    def backbone() -> Backbone:
        network = vit_tiny(ViTTinyParams(dim=DIM, depth=DEPTH, heads=HEADS, patch=PATCH, stride=stride), SIZE)
        network.spec = {}
        return network

    monkeypatch.setattr(finetune, "fit", fit)
    chosen = (TransReidSieParams if sie else TransReidParams)(drop_path=0, **params)
    ctx, lines = make_context(
        FinetuneContext, tmp_path / "out", chosen, image_size=SIZE, source=source, backbone=backbone
    )
    return (finetune.finetune_sie if sie else finetune.finetune)(ctx), lines


@pytest.mark.parametrize(
    ("sie", "jpm", "stride"),
    [(False, False, 2), (True, False, 4), (False, True, 4), (True, True, 4)],
    ids=["overlapping patches", "SIE", "JPM", "SIE and JPM"],
)
def test_three_steps_are_the_papers(
    sie: bool, jpm: bool, stride: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step in each of the first three epochs of the warm-up, then the feature of a test image."""
    moments: Tensors = {}

    def run(training: Training) -> None:
        weights = by_formula(training.loop)
        for epoch in itertools.islice(training.loop.epochs(), 3):
            compare(training, weights, stride, epoch, moments)

    embedder, _ = stage(tmp_path, monkeypatch, run, sie=sie, stride=stride, jpm=jpm)
    known = {name: weight.detach() for name, weight in embedder.named_parameters()}
    images, cameras = wave(70, 2, 3, *SIZE), embedder.spec["cameras"] or [0, 1]
    whole, *parts = Transformer(known, stride).vectors(images, [0, 1])
    feature = torch.cat([whole, *(part / GROUPS for part in parts)], 1)
    feature = feature / feature.square().sum(1, keepdim=True).sqrt()
    with torch.no_grad():
        close("feature at test", embedder.eval()(images, torch.tensor(cameras[:2])), feature, 1e-6)


def test_the_learning_rates_are_the_released_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 epochs up from a hundredth, then the cosine as if it had run from the start, to .002 of the base rate."""

    def run(training: Training) -> None:
        for _ in training.loop.epochs():
            training.loop.update.step()

    _, lines = stage(tmp_path, monkeypatch, run, sie=False, stride=4)
    table = {1: 4.0e-6, 2: 2.38e-5, 20: 3.802e-4, 21: 3.733e-4, 61: 2.004e-4, 120: 8.68e-7}
    assert len(lines) == 120
    for epoch, rate in table.items():
        close(f"learning rate of epoch {epoch}", lines[epoch - 1]["lr"], rate, 1e-3)
