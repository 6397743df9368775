"""Distillation: the divergence in float64, the teacher's logits, its stage in a matrix, and errors about it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from reidbench import FinetuneContext
from reidbench.components import Nested
from reidbench.data import Split, read_market_folder
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import Choice
from reidbench.registry import plugins
from reidbench.store.artifacts import Store
from reidbench.testing import run_matrix
from reidbench.training import Backbone, BackboneEmbedder, Preprocess, read_state
from reidbench_baseline import bot, distill
from reidbench_baseline.heads import CosFace, CosineHead
from reidbench_baseline.params import BotParams, DistillParams, TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_baseline.teachers import Teacher, divergence, plain_logits, read_classifier, write_classifier
from tests.support.contexts import Lines, make_context, same, weights
from tests.support.golden import close, wave

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)


def tiny(width: int = 4) -> Backbone:
    torch.manual_seed(width)
    network = resnet_tiny(TinyParams(width=width), SIZE)
    network.spec = {"use": "resnet-tiny", "params": {"width": width}, "image_size": list(SIZE)}
    return network


def embedder(width: int = 4, **preprocess: Any) -> BackboneEmbedder:
    return BackboneEmbedder(tiny(width), Preprocess(**{"size": SIZE, **preprocess}), neck=True)


# ---------------------------------------------------------------------- the loss
def by_class(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 (KL(teacher, student) + KL(student, teacher)) / 2, image by image and class by class."""
    total = torch.zeros((), dtype=student.dtype)
    for own, other in zip(student, teacher, strict=True):
        p, q = ((row / temperature).exp() for row in (own, other))
        p, q = p / p.sum(), q / q.sum()
        for a, b in zip(p, q, strict=True):
            total = total + temperature**2 * (b * (b / a).log() + a * (a / b).log()) / 2
    return total / len(student)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 16.0])
def test_the_divergence_has_both_directions(temperature: float) -> None:
    student, teacher = (10 * wave(2, 5, 7)).requires_grad_(), 10 * wave(3, 5, 7)
    found, wanted = divergence(student, teacher, temperature), by_class(student, teacher, temperature)
    close("divergence", found, wanted, 1e-9)
    (mine,), (theirs,) = torch.autograd.grad(found, student), torch.autograd.grad(wanted, student)
    assert theirs.norm() > 1e-2
    close("gradient", mine, theirs, 1e-7)


def test_the_divergence_by_hand() -> None:
    """Shares of 3/4 and 1/4 against 1/2 each, at T = 2: 4 x (1/4 log 3) / 2."""
    student = torch.tensor([[2 * math.log(3), 0.0]])
    assert divergence(student, torch.zeros(1, 2), 2.0).item() == pytest.approx(math.log(3) / 2)
    assert divergence(student, student, 2.0).item() == 0


# ---------------------------------------------------------------------- the teacher
@pytest.mark.parametrize(
    "head", [nn.Linear(3, 5, bias=False), CosFace(torch.randn(5, 3), 30.0, 0.4)], ids=["linear", "cosface"]
)
def test_a_classifier_on_disk_has_the_logits_without_margin(head: nn.Linear | CosineHead, tmp_path: Path) -> None:
    vectors, rows = torch.randn(4, 3), head.weight.detach()
    wanted = vectors @ rows.t()
    if isinstance(head, CosineHead):
        wanted = 30 * torch.tensor([[torch.cosine_similarity(one, row, 0) for row in rows] for one in vectors])
    write_classifier(tmp_path, head)
    found = plain_logits(read_classifier(tmp_path), vectors).detach()
    assert torch.allclose(found, wanted, atol=1e-4)
    assert torch.equal(found, plain_logits(head, vectors).detach())


def test_a_teacher_gives_logits_by_the_statistics_of_the_batch_and_has_no_gradient() -> None:
    head = nn.Linear(tiny().dim, 5, bias=False)
    teacher = Teacher(embedder(), head, DistillParams(temperature=3.0))
    images = torch.randn(6, 3, *SIZE)
    before = teacher.before_neck(images)
    student = torch.randn(6, 5, requires_grad=True)
    normed = (before - before.mean(0)) / (before.var(0, unbiased=False) + 1e-5).sqrt()
    wanted = divergence(student, normed @ head.weight.t(), 3.0).item()
    loss = teacher.loss(student, before)
    assert loss.item() == pytest.approx(wanted, rel=1e-4)
    loss.backward()
    assert student.grad is not None
    assert not before.requires_grad
    assert all(weight.grad is None for network in (teacher.embedder, head) for weight in network.parameters())


def context(
    folder: Path, source: Split, taught: BackboneEmbedder, out: str = "out", **params: Any
) -> tuple[FinetuneContext[DistillParams], Lines]:
    """The context of a student whose teacher's classifier is in the folder, and the lines of its log."""
    few = {"epochs": 2, "identities": 4, "images": 2, "lr": 3e-3}
    return make_context(
        FinetuneContext, folder / out, DistillParams(**{**few, **params}), image_size=SIZE, source=source,
        backbone=tiny, network={"teacher": taught}.__getitem__, prepared={"teacher": folder},
    )  # fmt: skip


@pytest.fixture
def source(market: Path) -> Split:
    return read_market_folder(market).train


def test_the_teacher_stays_as_it_is(tmp_path: Path, source: Split) -> None:
    taught = embedder(6)
    write_classifier(tmp_path, nn.Linear(taught.backbone.dim, source.num_pids, bias=False))
    before = {name: tensor for name, tensor in weights(taught).items() if "running" not in name and "num" not in name}
    student = distill.finetune(context(tmp_path, source, taught)[0])
    after = weights(taught)
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert len(before) > 10
    assert student.backbone.dim != taught.backbone.dim


@pytest.mark.slow
def test_a_strong_weight_makes_the_student_agree(tmp_path: Path, source: Split) -> None:
    """The divergence falls to a fraction, in training without augmentation."""
    taught = embedder(6)
    torch.manual_seed(3)
    write_classifier(tmp_path, nn.Linear(taught.backbone.dim, source.num_pids, bias=False))
    plain: dict[str, Any] = {
        "flip": 0.0,
        "pad": 0,
        "erase": 0.0,
        "warmup": 0.0,
        "triplet_weight": 0.0,
        "temperature": 1.0,
    }
    values = {}
    for weight in (1e-6, 100.0):
        ctx, lines = context(tmp_path, source, taught, str(weight), epochs=25, distill_weight=weight, **plain)
        distill.finetune(ctx)
        values[weight] = [line["distillation"] for line in lines]
    assert values[100.0][-1] < 0.5 * values[100.0][0]
    assert values[100.0][-1] < 0.5 * values[1e-6][-1]


@pytest.mark.parametrize(
    ("changed", "classes", "reason"),
    [
        ({"size": (64, 32)}, 4, "the teacher reads images of .*64, 32.*: give both steps the same image size"),
        ({"mean": (0.5, 0.5, 0.5)}, 4, "networks with the same pixel statistics"),
        ({}, 7, "the teacher distinguishes 7 identities, the source has 4: train both on the same source"),
    ],
)
def test_a_teacher_of_other_images_is_an_error(
    changed: dict[str, Any], classes: int, reason: str, tmp_path: Path, source: Split
) -> None:
    taught = embedder(6, **changed)
    write_classifier(tmp_path, nn.Linear(taught.backbone.dim, classes, bias=False))
    with pytest.raises(ReidbenchError, match=reason):
        distill.finetune(context(tmp_path, source, taught)[0])


@pytest.mark.parametrize(
    ("teacher", "reason"),
    [
        ({"use": "bot"}, "the teacher must be `bot` or `distill` with `keep_classifier: true`"),
        ({"use": "bdb", "dim": 8}, "the teacher must be `bot` or `distill` with `keep_classifier: true`"),
        ({"use": "bot", "keep_classifier": True, "data": "auxiliary"}, "must learn from the source; remove `data`"),
    ],
)
def test_a_teacher_without_a_classifier_of_the_source_is_an_error(teacher: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        DistillParams(teacher=Nested(**teacher))


# ---------------------------------------------------------------------- in a matrix
FEW = "epochs: 2, identities: 4, images: 2, lr: 3e-3"
MATRIX = f"""
image_size: [32, 16]
seeds: [0, 1]
data: {{tiny: {{use: market-folder, root: MARKET}}}}
tasks: {{tiny: {{source: tiny, target: tiny}}}}
backbone: {{use: resnet-tiny, width: 4}}
methods:
  large: {{finetune: &teacher {{use: bot, {FEW}, head: circle, keep_classifier: true, backbone: {{use: resnet-tiny, width: 8}}}}}}
  student: {{finetune: {{use: distill, {FEW}, teacher: *teacher}}}}
  student of a student: {{finetune: {{use: distill, {FEW}, teacher: {{use: distill, {FEW}, keep_classifier: true, teacher: *teacher}}}}}}
  alone: {{finetune: {{use: bot, {FEW}}}}}
"""  # noqa: E501


@pytest.mark.slow
def test_a_teacher_is_a_stage_that_rows_and_seeds_share(tmp_path: Path, market: Path) -> None:
    """Teacher and the row `large` are the same stage for seed 0; both students' seeds have the one teacher."""
    board = run_matrix(MATRIX.replace("MARKET", str(market)), tmp_path)
    assert {result.status for result in board.results} == {"ok"}
    store = Store(tmp_path / "store")
    stages = {key: store.manifest(key).manifest["stage"] for key in store.keys()}  # noqa: SIM118
    tuned = {key: stage for key, stage in stages.items() if stage["kind"] == "finetune"}
    by_use = sorted((stage["use"], stage["seed"]) for stage in tuned.values())
    assert by_use == [("bot", 0)] * 2 + [("bot", 1)] * 2 + [("distill", 0)] * 3 + [("distill", 1)] * 2
    kept = {key for key in tuned if (store.path(key) / "classifier.safetensors").is_file()}
    assert len(kept) == 3  # two seeds of `large`, and the student that teaches
    teachers = {parent for stage in tuned.values() for role, parent in stage["parents"] if role == "prepared.teacher"}
    assert len(teachers) == 2
    assert teachers <= kept
    for key in kept & {key for key, stage in tuned.items() if stage["use"] == "bot"}:
        found = read_state(store.path(key) / "classifier.safetensors")
        assert found["weight"].shape[0] == 4
        assert found["scale"].item() == 64
    (line, *_) = (store.path(max(tuned, key=lambda key: tuned[key]["use"])) / "log.jsonl").read_text().splitlines()
    assert json.loads(line)["distillation"] > 0


def test_keeping_the_classifier_is_no_part_of_the_key_unless_asked() -> None:
    component = plugins.load().get("finetuner", "bot")
    assert "keep_classifier" not in Choice("finetuner", component, BotParams()).identity["params"]
    assert Choice("finetuner", component, BotParams(keep_classifier=True)).identity["params"]["keep_classifier"]


def test_the_classifier_of_another_epoch_than_the_embedder_is_an_error() -> None:
    with pytest.raises(ValidationError, match="keep_classifier requires `choose_epoch: last`"):
        BotParams(keep_classifier=True, choose_epoch="best")


def test_keeping_the_classifier_changes_nothing_else(tmp_path: Path, source: Split) -> None:
    found = []
    for keep in (False, True):
        params = BotParams(epochs=1, identities=4, images=2, keep_classifier=keep)
        out = tmp_path / str(keep)
        ctx, _ = make_context(FinetuneContext, out, params, image_size=SIZE, source=source, backbone=tiny)
        torch.manual_seed(1)
        found.append(bot.finetune(ctx))
        assert (out / "classifier.safetensors").is_file() == keep
    assert same(*found)
