"""CLIP-ReID against its equations, written here in float64: losses, gradients, learning rates and steps."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from reidbench import FinetuneContext
from reidbench.data import read_market_folder
from reidbench.testing import write_market_folder
from reidbench.training import Backbone
from reidbench_clip import finetune
from reidbench_clip.encoders import clip_vit_tiny
from reidbench_clip.losses import ClipReidLosses, contrastive
from reidbench_clip.params import ClipReidParams, ClipViTTinyParams
from reidbench_clip.rates import network_rate, prompt_rate, rate
from tests.support.contexts import make_context
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE, CLASSES = (32, 16), 4
LABELS = torch.tensor([0, 0, 1, 1, 2, 3, 3, 3])
SINGLE = 2e-5  # the losses are computed in single precision


def by_sums(first: torch.Tensor, second: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Equation 6, term by term: - 1/|P| sum over p of log exp(s(p, t)) / sum over a of exp(s(a, t))."""
    terms = []
    for row, label in zip(first, labels, strict=True):
        similar = [(row * other).sum() for other in second]
        everything = torch.stack([one.exp() for one in similar]).sum()
        positive = [one for one, other in zip(similar, labels, strict=True) if other == label]
        terms.append(-sum((one.exp() / everything).log() for one in positive) / len(positive))
    return torch.stack(terms).mean()


def test_the_contrastive_losses_are_equations_3_to_6() -> None:
    """With texts of identities, image to text is the plain loss of a pair: the same text counts once per image."""
    images, texts = wave(1, 8, 6).requires_grad_(), wave(2, CLASSES, 6).requires_grad_()
    found = [contrastive(images, texts[LABELS], LABELS), contrastive(texts[LABELS], images, LABELS)]
    expected = [by_sums(images, texts[LABELS], LABELS), by_sums(texts[LABELS], images, LABELS)]
    pairs = -((images @ texts[LABELS].t()).log_softmax(1)).diagonal().mean()
    close("image to text of pairs", found[0], pairs, 1e-12)
    for name, ours, theirs in zip(("i2t", "t2i"), found, expected, strict=True):
        close(name, ours, theirs, 1e-12)
        slopes = [torch.autograd.grad(one, (images, texts), retain_graph=True) for one in (ours, theirs)]
        close(f"gradient of {name} by images", slopes[0][0], slopes[1][0], 1e-10)
        close(f"gradient of {name} by texts", slopes[0][1], slopes[1][1], 1e-10)


def test_two_identities_by_hand() -> None:
    """Images e1, e1 and e2, texts e1 and e2 times log 3: softmax 3/7, 3/7, 1/7, and 1/5, 1/5, 3/5."""
    labels = torch.tensor([0, 0, 1])
    images, texts = torch.eye(2)[labels], math.log(3) * torch.eye(2)[labels]
    expected = (2 * math.log(7 / 3) + math.log(5 / 3)) / 3
    assert contrastive(images, texts, labels).item() == pytest.approx(expected, abs=1e-6)
    assert contrastive(texts, images, labels).item() == pytest.approx(expected, abs=1e-6)


def smoothed(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy against 0.9 one-hot + 0.1 / C."""
    logs = (logits.exp() / logits.exp().sum(1, keepdim=True)).log()
    targets = torch.full_like(logs, 0.1 / logs.shape[1])
    targets[torch.arange(len(labels)), labels] += 0.9
    return -(targets * logs).sum(1).mean()


def triplet(vectors: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """max(0, 0.3 + farthest of the same identity - nearest of another) of each image."""
    terms = []
    for row, label in zip(vectors, labels, strict=True):
        distances = (vectors - row).square().sum(1).clamp_min(1e-12).sqrt()
        terms.append((0.3 + distances[labels == label].max() - distances[labels != label].min()).clamp_min(0))
    return torch.stack(terms).mean()


def neck(vectors: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    return (vectors - vectors.mean(0)) / (vectors.var(0, unbiased=False) + 1e-5).sqrt() * scale


def test_the_second_stages_loss_is_equations_7_to_9() -> None:
    """0.25 of two cross-entropies, three triplets, and the cross-entropy over the texts of all identities."""
    losses = ClipReidLosses([5, 3], CLASSES, ClipReidParams()).double()
    matrices = [wave(3, CLASSES, 5), wave(4, CLASSES, 3)]
    with torch.no_grad():
        for classifier, matrix in zip(losses.classifiers, matrices, strict=True):
            classifier.weight.copy_(matrix)
    vectors, texts = [wave(5, 8, 5), wave(6, 8, 5), wave(7, 8, 3)], wave(8, CLASSES, 3)
    after = [vector * 2 for vector in vectors[1:]]
    found = losses(vectors, after, texts, LABELS)
    identity = sum(smoothed(one @ matrix.t(), LABELS) for one, matrix in zip(after, matrices, strict=True))
    triplets = sum(triplet(one, LABELS) for one in vectors)
    text = smoothed(vectors[2] @ texts.t(), LABELS)
    for name, expected in (("identity", identity), ("triplet", triplets), ("text", text)):
        close(name, found[name], torch.as_tensor(expected), SINGLE)
    close("loss", found["loss"], 0.25 * identity + triplets + text, SINGLE)
    right = ((vectors[2] @ texts.t()).argmax(1) == LABELS).double().mean()
    assert found["accuracy"].item() == pytest.approx(right.item())


def test_learning_rates_are_the_official_schedulers() -> None:
    """The schedulers step before an epoch: the first has a fifth of the warm-up, and 0.19 of the second stage's rate.

    The cosine counts from the first epoch, so that the sixth has half a degree more than 1; milestones are 30 and 50.
    """
    params = ClipReidParams()
    cosine = {epoch: 1e-6 + 3.49e-4 * (1 + math.cos(math.pi * epoch / 120)) / 2 for epoch in (5, 60, 119)}
    table = {1: 1e-5 + 3.4e-4 / 5, 4: 1e-5 + 4 * 3.4e-4 / 5, **cosine, 120: 1e-6}
    for epoch, expected in table.items():
        assert prompt_rate(params, epoch) == pytest.approx(expected, rel=1e-9), epoch
        assert rate(params, epoch - 1) == pytest.approx(expected, rel=1e-9)
    drops = {1: 0.19, 9: 0.91, 10: 1, 29: 1, 30: 0.1, 49: 0.1, 50: 0.01, 60: 0.01}
    for epoch, factor in drops.items():
        assert network_rate(params, epoch) == pytest.approx(5e-6 * factor, rel=1e-9), epoch
        assert rate(params, 119 + epoch) == pytest.approx(5e-6 * factor, rel=1e-9)


def backbone() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        made = clip_vit_tiny(ClipViTTinyParams(dim=8, depth=2, heads=2, shared=6), SIZE)
    made.spec = {"use": "clip-vit-tiny", "params": {}, "image_size": [32, 16]}
    return made


@pytest.fixture
def training(tmp_path: Path) -> finetune.Training:
    source = read_market_folder(write_market_folder(tmp_path / "source", identities=CLASSES)).train
    params = ClipReidParams(
        text_dim=8, text_depth=1, text_heads=2, tokens=2, prompt_epochs=1, prompt_batch=6, epochs=1, identities=2,
        images=2, lr=1e-3, warmup=0, milestones=(), label_smoothing=0.1, flip=0, pad=0, erase=0,
    )  # fmt: skip
    ctx, _ = make_context(FinetuneContext, tmp_path / "out", params, image_size=SIZE, source=source, backbone=backbone)
    return finetune.Training(ctx, source)


def test_each_stage_trains_its_part_only(training: finetune.Training) -> None:
    """Texts, then the rest but the necks' biases; Adam's first step is the rate times the gradient's sign."""
    recipe = training.recipe
    before = {name: one.detach().clone() for name, one in recipe.named_parameters()}

    def moved() -> set[str]:
        return {name for name, one in recipe.named_parameters() if not torch.equal(one, before[name])}

    for epoch in training.loop.epochs():
        if epoch == 0:
            training.learn_texts()
            assert moved() == {"prompts"}
            before["prompts"] = recipe.prompts.detach().clone()
            continue
        images, indices = next(iter(training.batches))
        training.texts = training._all_texts()
        vectors = list(training.encoder.encode(images))
        training.loop.step(recipe.values(vectors, training.texts, training.labels[indices]))
    frozen = {"prompts", "necks.0.norm.bias", "necks.1.norm.bias"}
    assert moved() == before.keys() - frozen
    for name in ("embedder.backbone.blocks.0.fc1.weight", "losses.classifiers.1.weight"):
        step = dict(recipe.named_parameters())[name].detach() - before[name]
        close(f"largest step of {name}", step.abs().max(), torch.tensor(1e-3), 1e-2)
    biases = dict(recipe.named_parameters())["embedder.backbone.blocks.0.fc1.bias"].detach()
    step = (biases - before["embedder.backbone.blocks.0.fc1.bias"]).abs().max()
    close("largest step of a bias", step, torch.tensor(2e-3), 1e-2)


def test_the_losses_read_frozen_features_and_frozen_texts(training: finetune.Training) -> None:
    """First stage: unaugmented features and the texts of their identities. Second: necks on batch statistics."""
    training.features = features = training._projected()
    source, encoder = training.source, training.encoder.eval()
    pixels = torch.stack([torch.tensor(source.image(index)) for index in range(len(source))])
    assert pixels.shape[1:3] == SIZE
    with torch.no_grad():
        expected = encoder.encode(training.recipe.embedder.preprocess.normalise(pixels)).projected
    close("features", features, expected, 1e-5)
    with torch.no_grad():
        texts = training._all_texts()
        close("texts", texts, training.text(training.recipe.prompts), 1e-6)
    assert texts.shape == (CLASSES, 6)
    training.recipe.train()
    vectors = [wave(number, 8, length).float() for number, length in ((1, 8), (2, 8), (3, 6))]
    found = training.recipe.values(vectors, texts, LABELS)
    weights = [classifier.weight for classifier in training.recipe.losses.classifiers]
    after = [neck(vector, torch.ones(())) for vector in vectors[1:]]
    identity = sum(smoothed(one @ weight.t(), LABELS) for one, weight in zip(after, weights, strict=True))
    close("identity", found["identity"], torch.as_tensor(identity), SINGLE)


def test_every_image_is_used_once_per_epoch(training: finetune.Training) -> None:
    """Sixteen images in batches of six: 6, 6 and 4."""
    count = len(training.source)
    batches = list(training._shuffled(count))
    assert [len(batch) for batch in batches] == [6] * (count // 6) + [count % 6] * (count % 6 > 0)
    assert sorted(torch.cat(batches).tolist()) == list(range(count))
