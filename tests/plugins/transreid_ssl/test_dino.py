"""DINO: schedules, weights, whole runs: Caron et al. (ICCV 2021) and its released defaults."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from reidbench import PretrainContext
from reidbench.data import HiddenSplit, read_market_folder
from reidbench.errors import DataError, ReidbenchError
from reidbench.testing import run_matrix, write_market_folder
from reidbench.training import Backbone, stream
from reidbench.training.contrastive.heldout import hold_out, rank_1
from reidbench.training.devices import Share
from reidbench.training.networks.droppath import drop_path_rates
from reidbench_baseline.params import TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import vit_tiny
from reidbench_transreid_ssl.dino import Collapse, Run, pretrain, setting
from reidbench_transreid_ssl.dino_head import DinoHead
from reidbench_transreid_ssl.dino_loss import DinoLoss, collapse, cosine_schedule, warmed_up
from reidbench_transreid_ssl.dino_networks import Networks, clip_each, decay_groups
from reidbench_transreid_ssl.params import DinoParams
from tests.support.contexts import NEVER, Lines, check_resumes, make_context, same, weights

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL: dict[str, Any] = {
    "epochs": 4, "batch": 8, "base_lr": 0.02, "warmup_epochs": 1, "momentum": 0.9, "out_dim": 32, "hidden_dim": 24,
    "bottleneck_dim": 16, "local_crops": 2, "held_out": 0.2, "monitor_every": 2,
}  # fmt: skip
PATCH = {"dim": 24, "depth": 3, "heads": 2, "patch": 4}


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> HiddenSplit:
    """32 unlabelled images of 32x16: 8 identities, 2 cameras."""
    folder = write_market_folder(tmp_path_factory.mktemp("pool") / "tiny", identities=8)
    return read_market_folder(folder, name="tiny").train.hide()


def vit(stem: str = "patchify", size: tuple[int, int] = (32, 16)) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return vit_tiny(ViTTinyParams(**PATCH, stem=stem, stem_width=4), size)


def ics() -> Backbone:
    return vit("ics")


def resnet() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return resnet_tiny(TinyParams(width=4), (32, 16))


def context(
    pool: HiddenSplit | None,
    out: Path,
    backbone: Callable[[], Backbone] = vit,
    *,
    seed: int = 0,
    die_after: int = NEVER,
    **params: Any,
) -> tuple[PretrainContext, Lines]:
    small = DinoParams(**{**SMALL, **params})
    return make_context(PretrainContext, out, small, die_after=die_after, seed=seed, pool=pool, backbone=backbone)


def dino_loss(outputs: int = 32) -> DinoLoss:
    return DinoLoss(outputs, student_temperature=0.1, centre_momentum=0.9)


def started(pool: HiddenSplit, out: Path, backbone: Callable[[], Backbone] = vit, **params: Any) -> Run:
    return Run(context(pool, out, backbone, **params)[0])


def one_step(run: Run, *, frozen: bool = False, **changes: float) -> Any:
    now = setting(run.params, run.steps, run.steps)._replace(**changes)
    return run.step(*next(iter(run.views())), now, frozen=frozen)


# ---------------------------------------------------------------------- parameters and schedules
def test_defaults_are_the_papers() -> None:
    """Each default of the released code, as TransReID-SSL's scripts use it."""
    params = DinoParams()
    assert (params.epochs, params.batch, params.peak_lr, params.final_lr, params.warmup_epochs) == (
        100, 512, pytest.approx(1e-3), 1e-6, 10
    )  # fmt: skip
    assert (params.global_scale, params.local_scale, params.local_crops) == ((0.4, 1.0), (0.05, 0.4), 8)
    assert (params.flip, params.jitter, params.jitter_probability) == (0.5, (0.4, 0.4, 0.2, 0.1), 0.8)
    assert (params.grayscale, params.blur, params.blur_sigma) == (0.2, (1.0, 0.1, 0.5), (0.1, 2.0))
    assert (params.solarise, params.crop_ratio) == (0.2, "imagenet")
    assert (params.mean, params.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (params.hidden_dim, params.bottleneck_dim, params.out_dim) == (2048, 256, 65536)
    assert (params.norm_last_layer, params.freeze_last_layer, params.drop_path) == (True, 1, None)
    assert (params.student_temperature, params.teacher_temperature) == (0.1, 0.04)
    assert (params.warmup_teacher_temperature, params.warmup_teacher_epochs) == (0.04, 0)
    assert (params.momentum, params.centre_momentum, params.weight_decay, params.clip) == (0.996, 0.9, (0.04, 0.4), 3)


def test_schedules_of_the_official_run() -> None:
    """4898 steps an epoch, batch 512; lr(50) = 5.872e-4, m(50) = .998, m(99) = .99999901, wd(50) = .22."""
    steps, params = 4898, DinoParams()

    def at(epoch: int) -> Any:
        return setting(params, epoch * steps, steps)

    last = setting(params, 100 * steps - 1, steps)
    assert at(0).lr == 0
    assert setting(params, 10 * steps - 1, steps).lr == pytest.approx(1e-3, rel=1e-12)
    assert at(10).lr == pytest.approx(1e-3, rel=1e-12)
    assert f"{at(50).lr:.3e}" == "5.872e-04"
    assert last.lr == pytest.approx(1e-6, rel=1e-4)
    assert at(0).momentum == 0.996
    assert at(50).momentum == pytest.approx(0.998, abs=1e-12)
    assert f"{at(99).momentum:.8f}" == "0.99999901"
    assert 1 - last.momentum < 1e-12
    assert [at(0).weight_decay, at(50).weight_decay, last.weight_decay] == pytest.approx([0.04, 0.22, 0.4], abs=1e-9)
    assert {at(epoch).teacher_temperature for epoch in range(100)} == {0.04}


def test_schedule_by_hand() -> None:
    """Warm-up of 3 steps 0, 1/2, 1, then half a cosine over 4: 1, .8536, .5, .1464 of the way from end to start."""
    values = [cosine_schedule(step, 7, 2.0, 0.0, warmup=3) for step in range(7)]
    half = math.sqrt(0.5)
    assert values == pytest.approx([0, 1, 2, 2, 1 + half, 1, 1 - half])
    assert [warmed_up(epoch, 0.04, 0.07, 4) for epoch in range(6)] == pytest.approx(
        [0.04, 0.05, 0.06, 0.07, 0.07, 0.07]
    )


def test_settings_reach_the_optimiser(pool: HiddenSplit, tmp_path: Path) -> None:
    """Rates and decay at every step; vectors never decay, and the first rate of 0 does not change the student."""
    run = started(pool, tmp_path, epochs=2, freeze_last_layer=0)
    before = weights(run.networks.student)
    seen = []
    for step in range(2 * run.steps):
        now = setting(run.params, step, run.steps)
        run.step(*next(iter(run.views())), now, frozen=False)
        decay, plain = run.optimiser.param_groups
        assert decay["lr"] == plain["lr"] == now.lr
        seen.append((decay["weight_decay"], plain["weight_decay"]))
        if step == 0:
            assert same(weights(run.networks.student), before)
    assert seen[0] == (pytest.approx(0.04), 0.0)
    assert seen[-1][0] == pytest.approx(0.4 - 0.18 * (1 - math.cos(math.pi / len(seen))))  # one step short of .4
    assert {plain for _, plain in seen} == {0.0}


# ---------------------------------------------------------------------- loss and centre
def test_what_counts_as_a_collapse() -> None:
    """Uniform outputs, or one output for all, are collapses; sharp outputs that differ between images are not."""
    most = math.log(256)
    assert "uniform" in collapse(0.995 * most, most, 256)
    assert "one output for all" in collapse(0.005 * most, 0.005 * most, 256)
    assert collapse(0.001 * most, 0.6 * most, 256) == ""
    assert collapse(0.98 * most, 0.999 * most, 256) == ""
    one_for_all = torch.zeros(4, 32)
    one_for_all[:, 3] = 9.0
    found = dino_loss()(torch.zeros(8, 32), one_for_all, 0.04)
    assert "one output for all" in collapse(found.entropy.item(), found.mean_entropy.item(), 32)
    found = dino_loss()(torch.zeros(8, 32), torch.eye(32)[:4] * 9, 0.04)
    assert collapse(found.entropy.item(), found.mean_entropy.item(), 32) == ""


def test_a_collapse_stops_the_run_after_its_grace() -> None:
    """Outputs are uniform at the start; consecutive epochs count, and a checkpoint stores their number."""
    guard = Collapse(2)
    for epoch, kind in enumerate(("uniform", "uniform", "", "uniform")):
        guard.check(kind, epoch)
    again = Collapse(2)
    again.load_state_dict(guard.state_dict())
    again.check("uniform", 4)
    with pytest.raises(
        ReidbenchError, match="collapsed for 3 epochs up to epoch 6: uniform; on small pools try a lower teacher_temp"
    ):
        again.check("uniform", 5)


def test_a_run_that_collapses_fails(pool: HiddenSplit, tmp_path: Path) -> None:
    """A teacher temperature of 100 makes all outputs uniform; within the grace the run continues."""
    ctx, lines = context(pool, tmp_path / "a", teacher_temperature=100, collapse_grace=1)
    with pytest.raises(ReidbenchError, match="collapsed for 2 epochs up to epoch 2: the teacher's outputs are uniform"):
        pretrain(ctx)
    assert len(lines) == 2
    ctx, lines = context(pool, tmp_path / "b", teacher_temperature=100)
    pretrain(ctx)
    assert len(lines) == 4


def test_a_loss_that_is_not_finite_stops_the_run(pool: HiddenSplit, tmp_path: Path) -> None:
    ctx, _ = context(pool, tmp_path, base_lr=1e30)
    with pytest.raises(ReidbenchError, match=r"the loss is (nan|inf) at epoch \d, step \d"):
        pretrain(ctx)


# ---------------------------------------------------------------------- networks
def test_the_teacher_sees_two_views_and_the_student_all(pool: HiddenSplit, tmp_path: Path) -> None:
    """Views of one size pass together, also local views with fewer tokens."""
    run = started(pool, tmp_path, local_crops=3)
    seen: dict[str, list[tuple[int, int]]] = {"student": [], "teacher": []}
    for name, lengths in seen.items():
        block = getattr(run.networks, name).backbone.blocks[0]
        block.register_forward_hook(lambda m, i, o, lengths=lengths: lengths.append(tuple(i[0].shape[:2])))
    one_step(run)
    assert seen == {"teacher": [(2 * 8, 1 + 8 * 4)], "student": [(2 * 8, 1 + 8 * 4), (3 * 8, 1 + 4 * 2)]}


def test_token_counts_at_the_papers_size() -> None:
    """129 tokens at 256x128 and 33 at 128x64, with patches of 16."""
    network = vit_tiny(ViTTinyParams(dim=12, depth=1, heads=1, patch=16), (256, 128))
    counts = []
    network.blocks[0].register_forward_hook(lambda m, i, o: counts.append(i[0].shape[1]))
    for size in ((256, 128), (128, 64)):
        network(torch.zeros(1, 3, *size))
    assert counts == [129, 33]


@pytest.mark.parametrize("backbone", [vit, ics, resnet])
def test_both_networks_start_equal(backbone: Callable[[], Backbone], pool: HiddenSplit, tmp_path: Path) -> None:
    """Equal weights, heads included; none of the teacher's has a gradient."""
    networks = started(pool, tmp_path, backbone).networks
    assert same(weights(networks.student), weights(networks.teacher))
    assert not any(weight.requires_grad for weight in networks.teacher.parameters())
    assert same(weights(networks.student.backbone), weights(backbone()))


def test_the_teacher_is_an_average_of_students(pool: HiddenSplit, tmp_path: Path) -> None:
    """After each step teacher = m teacher + (1 - m) student, with the student after the step."""
    run = started(pool, tmp_path)
    before = {name: weight.clone() for name, weight in run.networks.teacher.named_parameters()}
    one_step(run, momentum=0.7)
    student = dict(run.networks.student.named_parameters())
    for name, weight in run.networks.teacher.named_parameters():
        assert torch.allclose(weight, 0.7 * before[name] + 0.3 * student[name], atol=1e-6)
    assert (student["backbone.pos_embed"] - run.networks.teacher.backbone.pos_embed).abs().max() > 0
    assert all(weight.grad is None for weight in run.networks.teacher.parameters())


def test_rows_of_the_last_layer_keep_length_one(pool: HiddenSplit, tmp_path: Path) -> None:
    """After training rows are unit vectors within 1e-5, no logit exceeds 1; without the option they are free."""
    lengths = {}
    for fixed in (True, False):
        run = started(pool, tmp_path / str(fixed), norm_last_layer=fixed)
        for _ in range(5):
            one_step(run, lr=0.05)
        head = run.networks.student.head
        lengths[fixed] = head.last_layer.weight.detach().norm(dim=1)
        vectors = torch.randn(64, 24) * 10
        if fixed:
            assert head(vectors).abs().max() <= 1 + 1e-5
            assert (head.last_layer.weight_v.norm(dim=1) - 1).abs().max() > 0.01  # the length of the direction is free
    assert (lengths[True] - 1).abs().max() < 1e-5
    assert (lengths[False] - 1).abs().max() > 1e-3


def test_head_is_dinos() -> None:
    """Three layers with GELU, hidden 2048, 256 before K; biases 0, names and shapes of the checkpoints."""
    head = DinoHead(384, 512, hidden=2048, bottleneck=256, norm_last_layer=True)
    shapes = {name: tuple(tensor.shape) for name, tensor in head.state_dict().items()}
    assert shapes == {
        "mlp.0.weight": (2048, 384), "mlp.0.bias": (2048,), "mlp.2.weight": (2048, 2048), "mlp.2.bias": (2048,),
        "mlp.4.weight": (256, 2048), "mlp.4.bias": (256,),
        "last_layer.weight_g": (512, 1), "last_layer.weight_v": (512, 256),
    }  # fmt: skip
    assert not any(bool(layer.bias.any()) for layer in head.mlp if isinstance(layer, nn.Linear))
    assert head.mlp[2].weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert [type(layer).__name__ for layer in head.mlp] == ["Linear", "GELU", "Linear", "GELU", "Linear"]
    vectors = torch.randn(4, 384, generator=stream(0, "v"))
    reference = nn.utils.parametrizations.weight_norm(nn.Linear(256, 512, bias=False))
    reference.load_state_dict({
        "parametrizations.weight.original0": head.last_layer.weight_g,
        "parametrizations.weight.original1": head.last_layer.weight_v,
    })  # fmt: skip
    expected = reference(F.normalize(head.mlp(vectors), dim=1))
    assert torch.allclose(head(vectors), expected, atol=1e-5)
    trained = [name for name, weight in head.named_parameters() if not weight.requires_grad]
    assert trained == ["last_layer.weight_g"]


def test_the_last_layer_is_frozen_for_an_epoch(pool: HiddenSplit, tmp_path: Path) -> None:
    """Bit-identical through epoch 0, changed in epoch 1."""
    run = started(pool, tmp_path)
    layer = run.networks.student.head.last_layer
    states = [weights(layer)]
    for epoch in (0, 1):
        run.epoch(epoch)
        states.append(weights(layer))
    assert same(states[0], states[1])
    assert not torch.equal(states[1]["weight_v"], states[2]["weight_v"])


def test_gradients_are_clipped_one_tensor_at_a_time() -> None:
    """30 becomes 3 and 1 stays 1."""
    large, small, none = (nn.Parameter(torch.zeros(4)) for _ in range(3))
    large.grad, small.grad = torch.full((4,), 15.0), torch.full((4,), 0.5)
    clip_each([large, small, none], 3.0)
    assert large.grad.norm().item() == pytest.approx(3, abs=1e-5)
    assert torch.equal(small.grad, torch.full((4,), 0.5))


@pytest.mark.parametrize(("clip", "most"), [(1e-4, 1e-4), (0.0, math.inf)])
def test_a_step_clips(clip: float, most: float, pool: HiddenSplit, tmp_path: Path) -> None:
    """In a real step every tensor of the student is clipped; 0 disables it."""
    run = started(pool, tmp_path, clip=clip)
    one_step(run)
    norms = [float(weight.grad.norm()) for weight in run.networks.student.parameters() if weight.grad is not None]
    assert len(norms) > 30
    assert max(norms) <= most * 1.001
    assert (max(norms) > 1e-2) == (clip == 0)


@pytest.mark.parametrize("backbone", [vit, ics, resnet])
def test_groups_of_the_weight_decay(backbone: Callable[[], Backbone]) -> None:
    """Vectors do not decay; positions and class token do; no parameter is missing."""
    head = DinoHead(backbone().dim, 32, hidden=24, bottleneck=16, norm_last_layer=True)
    networks = Networks(backbone(), head, drop_path=0.1)
    names = {id(weight): name for name, weight in networks.student.named_parameters()}
    decay, plain = ({names[id(weight)] for weight in group["params"]} for group in decay_groups(networks.student))
    assert decay | plain == set(names.values()) - {"head.last_layer.weight_g"}
    assert not decay & plain
    shapes = {name: weight.ndim for name, weight in networks.student.named_parameters()}
    assert {name for name in shapes if shapes[name] == 1} == plain
    assert "head.last_layer.weight_v" in decay
    if backbone is not resnet:
        assert {"backbone.pos_embed", "backbone.cls_token"} <= decay
        assert {"backbone.norm.weight", "backbone.blocks.0.attn.qkv.bias"} <= plain


def test_paths_drop_in_the_student_alone(pool: HiddenSplit, tmp_path: Path) -> None:
    """0, .05, .1 in three blocks and 0 in the teacher, whose output repeats in training mode."""
    networks = started(pool, tmp_path).networks
    assert drop_path_rates(networks.student.backbone) == pytest.approx([0, 0.05, 0.1])
    assert drop_path_rates(networks.teacher.backbone) == [0, 0, 0]
    assert networks.teacher.training
    images = torch.randn(32, 3, 32, 16)
    assert torch.equal(networks.teacher(images), networks.teacher(images))
    assert not torch.equal(networks.student(images), networks.student(images))


@pytest.mark.parametrize(("given", "rate", "said"), [(None, 0.3, 0), (0.3, 0.3, 0), (0.1, 0.1, 1)])
def test_a_rate_that_the_backbone_was_built_with_stays(
    given: float | None, rate: float, said: int, pool: HiddenSplit, tmp_path: Path
) -> None:
    """A given rate replaces the backbone's, with a note."""

    def deep() -> Backbone:
        return vit_tiny(ViTTinyParams(dim=24, depth=3, heads=2, drop_path=0.3), (32, 16))

    notes: list[str] = []
    networks = Run(replace(context(pool, tmp_path, deep, drop_path=given)[0], note=notes.append)).networks
    assert drop_path_rates(networks.student.backbone) == pytest.approx([0, rate / 2, rate])
    assert drop_path_rates(networks.teacher.backbone) == [0, 0, 0]
    assert notes == ["the method's drop_path 0.1 replaces the backbone's 0.3"][:said]


@pytest.mark.parametrize("backbone", [ics, resnet])
def test_the_teachers_batch_norm_keeps_its_own_statistics(
    backbone: Callable[[], Backbone], pool: HiddenSplit, tmp_path: Path
) -> None:
    """The teacher's statistics move without an average of students (m = 1), see only whole views, and are stored."""
    run = started(pool, tmp_path, backbone)
    before = weights(run.networks.teacher)
    one_step(run, momentum=1.0)
    after, student = weights(run.networks.teacher), weights(run.networks.student)
    means = [name for name in after if name.endswith("running_mean")]
    parameters = {name for name, _ in run.networks.teacher.named_parameters()}
    assert means
    assert all(not torch.equal(before[name], after[name]) for name in means)
    assert all(not torch.equal(student[name], after[name]) for name in means)
    assert all(torch.equal(before[name], after[name]) for name in parameters)
    counts = [name for name in after if name.endswith("num_batches_tracked")]
    assert {int(after[name]) for name in counts} == {1}
    assert {int(student[name]) for name in counts} == {2}  # whole views, then local ones
    kept = run.result().state_dict()
    assert all(torch.equal(kept[name.removeprefix("backbone.")], after[name]) for name in means)


# ---------------------------------------------------------------------- whole runs
@pytest.mark.parametrize("backbone", [vit, ics, resnet])
def test_what_is_kept_is_the_teachers_backbone(
    backbone: Callable[[], Backbone], pool: HiddenSplit, tmp_path: Path
) -> None:
    """The artifact has the names of the plain backbone and no head; with keep_state everything, in DINO's names."""
    ctx, lines = context(pool, tmp_path, backbone, epochs=2, keep_state=True, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    kept = pretrain(ctx)
    state = load_file(tmp_path / "dino.safetensors")
    assert kept.state_dict().keys() == backbone().state_dict().keys()
    for name, tensor in kept.state_dict().items():
        assert torch.equal(tensor, state[f"teacher.backbone.{name}"])
    assert any(not torch.equal(state[f"student.backbone.{n}"], t) for n, t in kept.state_dict().items())
    assert state["dino_loss.center"].shape == (1, 32)
    assert int(state["epoch"]) == 2
    assert state["student.head.last_layer.weight_v"].shape == (32, 16)
    assert (kept.mean, kept.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    assert len(lines) == 2


def test_rates_of_the_backbone_itself_come_back(pool: HiddenSplit, tmp_path: Path) -> None:
    """The stored backbone is built as in the recipe, without the student's drop path."""
    run = started(pool, tmp_path)
    assert drop_path_rates(run.result()) == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("backbone", [vit, resnet])
def test_killed_and_resumed_is_uninterrupted(
    backbone: Callable[[], Backbone], pool: HiddenSplit, tmp_path: Path
) -> None:
    """Both networks, centre, optimiser, streams and the number of collapsed epochs are restored."""

    def made(out: Path, die_after: int) -> Any:
        return context(pool, out, backbone, die_after=die_after, keep_state=True)

    check_resumes(tmp_path, made, pretrain, 2)
    assert (tmp_path / "cut" / "dino.safetensors").is_file()


def test_seeds_matter_and_global_generators_do_not(pool: HiddenSplit, tmp_path: Path) -> None:
    """This includes drop path, which draws from the global generator, seeded from a stream."""
    results = []
    for number, seed in enumerate((0, 0, 1)):
        torch.manual_seed(number)
        results.append(weights(pretrain(context(pool, tmp_path / str(number), seed=seed, epochs=2)[0])))
    assert same(results[0], results[1])
    assert not same(results[0], results[2])


def test_workers_change_nothing(pool: HiddenSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading ahead from the disk with several threads gives the same weights."""
    held = weights(pretrain(context(pool, tmp_path / "held", epochs=2)[0]))
    monkeypatch.setattr("reidbench.training.batches.reading.memory_limit", lambda: 0)
    ctx, _ = context(pool, tmp_path / "read", epochs=2)
    assert same(weights(pretrain(dataclasses.replace(ctx, workers=3))), held)


def test_logs_what_a_reader_needs(pool: HiddenSplit, tmp_path: Path) -> None:
    """Loss, entropies, settings; the monitor runs before the first epoch, every second one and after the last."""
    ctx, lines = context(pool, tmp_path, epochs=3)
    pretrain(ctx)
    for line in lines:
        assert {"loss", "teacher_entropy", "mean_entropy", "lr", "weight_decay", "momentum"} <= line.keys()
        assert 0 < line["teacher_entropy"] <= line["mean_entropy"] <= math.log(32) + 1e-5
        assert line["steps"] == 26 // 8  # 32 less 6 held out; the incomplete last batch is dropped
    assert {"retrieval_at_start", "retrieval_backbone_at_start"} <= lines[0].keys()
    assert ["retrieval" in line for line in lines] == [False, True, True]
    assert lines[2]["held_out_images"] == 6


def test_the_monitor_changes_nothing(pool: HiddenSplit, tmp_path: Path) -> None:
    """Monitoring each epoch or never gives the same weights; the same teacher gives the same number."""
    results = [
        weights(pretrain(context(pool, tmp_path / str(every), resnet, epochs=2, monitor_every=every)[0]))
        for every in (1, 9)
    ]
    assert same(*results)
    run = started(pool, tmp_path, resnet)
    before = weights(run.networks)
    assert run.monitor(run.networks.teacher, 0) == run.monitor(run.networks.teacher, 0)
    assert same(weights(run.networks), before)
    nothing = started(pool, tmp_path, held_out=0)
    assert nothing.monitor(nothing.networks.teacher, 0) == {}


def test_held_out_images_are_never_learnt_from(pool: HiddenSplit, tmp_path: Path) -> None:
    seen, held = hold_out(1000, 0.05, 0)
    assert len(held) == 50
    assert sorted([*seen, *held]) == list(range(1000))
    assert len(hold_out(100_000, 0.05, 0)[1]) == 1000
    run = started(pool, tmp_path)
    read: list[int] = []
    fetch = run.pool.fetch
    run.pool.fetch = lambda indices: (read.extend(indices.tolist()), fetch(indices))[1]  # type: ignore[func-returns-value]
    run.epoch(0)
    assert len(read) == len(set(read)) == 24
    assert not set(read) & set(run.pool.held_out.tolist())
    vectors = torch.eye(4)
    assert rank_1(vectors, vectors) == 1.0
    assert rank_1(vectors, vectors[[1, 0, 2, 3]]) == 0.5


def test_without_local_views(pool: HiddenSplit, tmp_path: Path) -> None:
    ctx, lines = context(pool, tmp_path, epochs=1, local_crops=0)
    pretrain(ctx)
    assert math.isfinite(lines[0]["loss"])


def test_what_cannot_be_trained_says_so(pool: HiddenSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="26 pool images to train on, fewer than one batch of 64"):
        started(pool, tmp_path, batch=64)
    with pytest.raises(DataError, match="needs a pool"):
        Run(context(None, tmp_path)[0])
    monkeypatch.setattr("reidbench.training.contrastive.pool.this_share", lambda: Share(1, 3))
    with pytest.raises(ReidbenchError, match="a batch of 8 cannot be divided among 3 devices"):
        started(pool, tmp_path)


MATRIX = """
image_size: [32, 16]
data: {{tiny: {{use: market-folder, root: {market}}}}}
tasks:
  with:    {{source: tiny, target: tiny, pool: tiny}}
  without: {{source: tiny, target: tiny}}
backbone: {{use: {backbone}}}
methods:
  m:
    pretrain: {{use: dino, epochs: 1, batch: 8, warmup_epochs: 0, out_dim: 16, hidden_dim: 8, bottleneck_dim: 8}}
    finetune: none
"""


@pytest.mark.parametrize("backbone", ["vit-tiny, patch: 4, stem: ics", "resnet-tiny, width: 4"])
def test_runs_in_a_matrix_and_needs_a_pool(backbone: str, tmp_path: Path, market: Path) -> None:
    """Works for transformers and residual networks; labels are not read."""
    board = run_matrix(MATRIX.format(market=market, backbone=backbone), tmp_path)
    found = {result.row.task: result for result in board.results}
    assert found["with"].status == "ok"
    assert found["with"].row.protocol == "pool, AP step"
    assert "needs a pool" in found["without"].row.reason


@pytest.mark.parametrize(("params", "message"), [
    ({"epochs": 5}, "warmup_epochs 10 exceeds epochs 5"),
    ({"warmup_teacher_epochs": 101}, "warmup_teacher_epochs 101"),
    ({"local_scale": (0.4, 0.05)}, "local_scale .* must rise and be within 0 and 1"),
    ({"global_scale": (0.4, 1.1)}, "global_scale"),
    ({"blur": (1.0, 0.1, 1.5)}, "must be probabilities"),
    ({"blur_sigma": (2.0, 0.1)}, "blur_sigma"),
    ({"jitter": (0.4, 0.4, 0.2, 1.6)}, "jitter"),
])  # fmt: skip
def test_what_cannot_work_is_refused_when_planning(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DinoParams(**params)


def test_mixed_precision_keeps_the_loss_in_float32(pool: HiddenSplit, tmp_path: Path) -> None:
    """Under autocast loss, centre and the kept weights are float32, and the run is finite."""
    from lightning_fabric import Fabric

    ctx, lines = context(pool, tmp_path, epochs=2)
    run = Run(replace(ctx, make_fabric=lambda: Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")))
    kinds = []
    run.networks.student.backbone.blocks[0].mlp.register_forward_hook(lambda m, i, o: kinds.append(o.dtype))
    run.train()
    kept = run.result()
    assert set(kinds) == {torch.bfloat16}
    assert one_step(run).loss.dtype == run.loss.center.dtype == torch.float32
    assert {tensor.dtype for tensor in kept.state_dict().values() if tensor.is_floating_point()} == {torch.float32}
    assert all(bool(torch.isfinite(tensor).all()) for tensor in kept.state_dict().values())
    assert math.isfinite(lines[-1]["loss"])
