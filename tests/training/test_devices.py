"""Two processes that share every batch do what one process does with the whole: gradients, keys, centre, views.

The tests below are one side; the other is this file run as a program, twice at once, which does every case of CASES in
a gloo group and leaves what it found for the tests to compare with what one process finds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reidbench import FinetuneContext, Params, PretrainContext
from reidbench.data import read_market_folder
from reidbench.errors import ReidbenchError
from reidbench.stages import distributed
from reidbench.stages.worker import seed_torch
from reidbench.testing import write_market_folder
from reidbench.training import (
    Augment,
    Backbone,
    BatchHardTriplet,
    Encoder,
    KeyQueue,
    LabelSmoothingCrossEntropy,
    MomentumEncoders,
    TrainingCheckpoint,
    Update,
    ViewAugment,
    info_nce,
    stream,
)
from reidbench.training.batches.feed import Feed
from reidbench.training.contrastive.pretraining import _Run
from reidbench.training.devices import Share, average_batch_norm, gather, this_share
from reidbench.training.networks.backbone import Features
from reidbench.training.networks.splitnorm import batch_norm_in_parts, join_batch_norm, part_batch_norm
from reidbench.training.optim import loop
from reidbench.training.params import EpochParams
from reidbench.training.supervised.epochs import EpochChoice
from reidbench_agw import finetune as agw
from reidbench_agw.params import AgwParams
from reidbench_baseline import bot, moco
from reidbench_baseline.params import BotParams, MocoParams, TinyParams
from reidbench_baseline.resnet import resnet_tiny
from reidbench_baseline.transformer_params import ViTTinyParams
from reidbench_baseline.vit import vit_tiny
from reidbench_transreid_ssl.dino import Run as DinoRun
from reidbench_transreid_ssl.dino import setting
from reidbench_transreid_ssl.dino_loss import DinoLoss
from reidbench_transreid_ssl.multicrop import MultiCrop
from reidbench_transreid_ssl.params import DinoParams
from reidbench_upreid.mmd import mmd
from reidbench_upreid.params import UpReidParams
from reidbench_upreid.pretrain import UpReidStep
from tests.support.contexts import make_context

pytestmark = pytest.mark.usefixtures("one_thread")
SIZE = (32, 16)
RANKS = 2
CONTRASTIVE: dict[str, Any] = {
    "epochs": 2, "batch": 8, "splits": 2, "queue": 20, "dim": 8, "key_momentum": 0.9, "lr": 0.01, "held_out": 0.2,
    "monitor_every": 9, "clean_batches": 1, "head_norm": True, "preset": "imagenet",
}  # fmt: skip
DINO: dict[str, Any] = {
    "epochs": 2, "batch": 8, "out_dim": 24, "hidden_dim": 16, "bottleneck_dim": 8, "warmup_epochs": 1, "drop_path": 0,
    "local_crops": 2, "held_out": 0.2, "base_lr": 0.01,
}  # fmt: skip
Found = dict[str, Any]


# ---------------------------------------------------------------------- what both sides build
def resnet() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = resnet_tiny(TinyParams(width=4), SIZE)
    network.spec = {}
    return network


def vit() -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return vit_tiny(ViTTinyParams(dim=12, depth=1, heads=3), SIZE)


def context(kind: type, folder: Path, params: Any, backbone: Callable[[], Backbone], **more: Any) -> tuple[Any, list]:
    """The context of a stage on as many devices as there are processes here, and what it logs."""
    seed_torch(3)
    return make_context(
        kind, folder / f"rank-{this_share().rank}", params, image_size=SIZE, seed=3, backbone=backbone,
        checkpoint=TrainingCheckpoint(folder / "checkpoint"),
        make_fabric=lambda: distributed.fabric(this_share().ranks, "32-true", "cpu"), **more,
    )  # fmt: skip


def train_split(folder: Path) -> Any:
    """32 images of 8 persons, by 2 cameras, written by each side for itself; the same numbers every time."""
    place = folder / f"images-{this_share().rank}"
    if not place.exists():
        write_market_folder(place, identities=8)
    return read_market_folder(place, name="tiny").train


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None}


# ---------------------------------------------------------------------- the cases
def contrastive(folder: Path, name: str, **changes: Any) -> Found:
    """One step; then a whole run of small steps: gradients, loss, keys and all that is left at the end.

    At the ordinary rate six steps of a network this small turn another processor's last digits into other losses
    (by .2, measured), so the run goes slowly: what two processes do differently from one still shows.
    """
    make: Any = UpReidStep if name == "up-reid" else moco._step
    kind = UpReidParams if name == "up-reid" else MocoParams
    params = kind(**{**CONTRASTIVE, **changes})
    ctx, lines = context(PretrainContext, folder, params, resnet, pool=train_split(folder).hide())
    run = _Run(ctx, make)
    for generator in run.streams.values():
        generator.manual_seed(11)
    views, overlap = next(iter(run._batches()))
    output = run.step(views)
    run.update.backward(output.loss)
    found = {"gradients": gradients(run.step.encoders.online), "loss": output.loss.detach(), "overlap": overlap}
    run.step.queue.enqueue(output.keys)
    found |= {"queue": run.step.queue.keys.clone(), "pointer": run.step.queue.pointer.clone()}
    slowly = kind(**{**CONTRASTIVE, **changes, "lr": 1e-4})
    again, lines = context(PretrainContext, folder / "whole", slowly, resnet, pool=train_split(folder).hide())
    whole = _Run(again, make)
    whole.train()
    found |= {"lines": lines, "final queue": whole.step.queue.keys, "order": whole.streams["order"].get_state()}
    start = dict(resnet().named_parameters())
    moved = {name: (tensor - start[name]).detach() for name, tensor in whole.result().named_parameters()}
    return {**found, "moved": moved, "buffers": dict(whole.result().named_buffers())}


def dino(folder: Path, backbone: Callable[[], Backbone], **changes: Any) -> Found:
    """One step on all devices, and the run's log."""
    params = DinoParams(**{**DINO, **changes})
    ctx, _ = context(PretrainContext, folder, params, backbone, pool=train_split(folder).hide())
    run = DinoRun(ctx)
    first = run.step(*next(iter(run.views())), setting(params, run.steps, run.steps), frozen=False)
    again, lines = context(PretrainContext, folder / "whole", params, backbone, pool=train_split(folder).hide())
    whole = DinoRun(again)
    whole.train()
    return {
        "gradients": gradients(run.networks.student), "told": [float(value) for value in first],
        "centre": run.loss.center.clone(), "lines": lines, "buffers": dict(run.networks.named_buffers()),
        "final centre": whole.loss.center.clone(),
    }  # fmt: skip


def supervised(
    folder: Path, finetune: Callable[..., Any] = bot.finetune, kind: type[Params] = BotParams, **changes: Any
) -> Found:
    """The gradients of the first step of bot or another method, centre loss included, and its log."""
    params = kind(**{"epochs": 2, "identities": 4, "images": 2, "center_weight": 0.0005, **changes})
    ctx, lines = context(FinetuneContext, folder, params, resnet, source=train_split(folder))
    found: Found = {}

    class Watched(Update):
        def step(self) -> None:
            if not found:
                groups = [group for optimiser in self.optimisers for group in optimiser.param_groups]
                found["gradients"] = {
                    f"{i}.{j}": weight.grad.clone() for i, group in enumerate(groups)
                    for j, weight in enumerate(group["params"]) if weight.grad is not None
                }  # fmt: skip
            super().step()

    loop.Update = Watched  # type: ignore[misc]
    try:
        embedder = finetune(ctx)
    finally:
        loop.Update = Update  # type: ignore[misc]
    norms = {type(module).__name__ for module in embedder.modules() if "BatchNorm" in type(module).__name__}
    return {**found, "lines": lines, "norms": sorted(norms), "buffers": dict(embedder.backbone.named_buffers())}


def batch_norm(folder: Path) -> Found:
    """A small network with batch norm over vectors and maps, trained for one step on half of a batch each."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.Flatten(), nn.Linear(5 * 36, 4),
        nn.BatchNorm1d(4, affine=False), nn.Linear(4, 1),
    )  # fmt: skip
    whole = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 3 + 100
    join_batch_norm(network)
    values = network(this_share().of(whole))
    fabric = distributed.fabric(this_share().ranks, "32-true", "cpu")
    Update(fabric, torch.optim.SGD(network.parameters(), lr=0.1))(values.square().mean())
    kinds = [type(module).__name__ for module in part_batch_norm(network)]
    state = {name: tensor for name, tensor in network.state_dict().items() if "running" in name or "tracked" in name}
    return {"gradients": gradients(network), "values": gather(values.detach()), "state": state, "kinds": kinds}


class Seen(Backbone):
    """Its vector is the mean of an image, and it keeps what it was shown."""

    dim = 1

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.shown: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> Features:
        means = images.mean((1, 2, 3))[:, None] * self.scale
        self.shown.append(means.detach()[:, 0])
        return Features(images, torch.cat([means, torch.ones_like(means)], 1))


def shuffled(folder: Path) -> Found:
    """Keys of images 0 .. 15, each telling its number by its brightness: who encoded which, and who got which back."""
    encoders = MomentumEncoders(Encoder(Seen(), nn.Identity()), momentum=0.9, splits=2)
    share = this_share()
    images = share.of(torch.arange(16.0)[:, None, None, None].expand(16, 3, 4, 4).contiguous())
    keys = encoders.encode_keys(images, stream(0, "shuffle"))
    target: Any = encoders.target.backbone
    queue = KeyQueue(20, 2, [stream(0, "queue")])
    for _ in range(3):  # around the end
        queue.enqueue(keys[None])
    return {"keys": keys, "encoded": target.shown[0], "queue": queue.keys, "pointer": queue.pointer}


class Stopped(Exception):
    """The exception that ends a case's run."""


def resumed(folder: Path) -> Found:
    """Numbers of the global generator over six epochs, in one go and in two, with a checkpoint between them."""

    weights: list[float] = []

    def numbers(file: Path, stop: int) -> list[float]:
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(5)
        network = nn.Linear(1, 1)
        weights.append(float(network.weight.detach()))
        drawn: list[float] = []
        try:
            for epoch in TrainingCheckpoint(file).epochs(6, network=network, stream=torch.Generator()):
                drawn.append(float(torch.rand(())))
                if epoch == stop:
                    raise Stopped
        except Stopped:
            pass
        return drawn

    whole = numbers(folder / "whole", 99)
    first = numbers(folder / "cut", 3)  # the checkpoint is of three epochs, the fourth is lost
    torch.manual_seed(99)
    return {"whole": whole, "first": first, "second": numbers(folder / "cut", 99), "weights": weights}


def measured(folder: Path) -> Found:
    """The value of an epoch where each process finds another one: a quarter more by rank."""
    nothing: Any = None
    choice = EpochChoice(nothing, nothing, EpochParams(patience=1), [(nothing, nothing)])
    choice._of_one = lambda query, gallery: (1 + this_share().rank) / 4  # type: ignore[method-assign]
    return {"value": choice.measured()}


CASES: dict[str, Callable[[Path], Found]] = {
    "moco": lambda folder: contrastive(folder, "moco"),
    "moco-joined": lambda folder: contrastive(folder, "moco", splits=1),
    "up-reid": lambda folder: contrastive(folder, "up-reid"),
    "dino": lambda folder: dino(folder, vit),
    "dino-joined": lambda folder: dino(folder, resnet),
    "bot": supervised,
    "bot-gem": lambda folder: supervised(folder, pool="gem"),
    "agw": lambda folder: supervised(folder, agw.finetune, AgwParams, inner=None, erase=0.0),
    "bot-in-parts": lambda folder: supervised(folder, identities=8, accumulate=2),
    "batch-norm": batch_norm,
    "shuffled": shuffled,
    "resumed": resumed,
    "measured": measured,
}


def program(rank: int, folder: Path) -> None:
    """One of the two processes."""
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0", **distributed._loopback()}
    with distributed.joined(rank, RANKS, folder / "meeting"):
        for name, case in CASES.items():
            torch.save(case(folder / name), folder / f"{name}-{rank}.pt")


# ---------------------------------------------------------------------- the tests
@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Found]]:
    """Results of each of two processes in a case."""
    folder = tmp_path_factory.mktemp("two")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    errors = [folder / f"errors-{rank}" for rank in range(RANKS)]
    started = []
    for rank, file in enumerate(errors):
        with file.open("wb") as stderr:
            command = [sys.executable, __file__, str(rank), str(folder)]
            started.append(subprocess.Popen(command, env=environment, stderr=stderr))
    try:
        codes = [process.wait(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
            process.wait()
    assert codes == [0] * RANKS, "\n".join(file.read_text() for file in errors)
    return lambda name: [torch.load(folder / f"{name}-{rank}.pt") for rank in range(RANKS)]


def one(name: str) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        return CASES[name](Path(folder) / name)


def close(found: Any, expected: Any, *, atol: float = 1e-5, rtol: float = 1e-4) -> None:
    """Equal to float tolerance, through lists and maps."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            close(found[name], value, atol=atol, rtol=rtol)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for mine, theirs in zip(found, expected, strict=True):
            close(mine, theirs, atol=atol, rtol=rtol)
    else:
        torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected), atol=atol, rtol=rtol)


def without_monitor(lines: list[dict[str, float]]) -> list[dict[str, float]]:
    """The first rank measures for all, so that only its lines have these."""
    return [{k: v for k, v in line.items() if "retrieval" not in k and "held_out" not in k} for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["moco", "moco-joined", "up-reid"])
def test_contrastive_steps_are_those_of_one_process(name: str, two: Callable[[str], list[Found]]) -> None:
    """The gradient, averaged; the mean of both losses; the queue, equal on both; the log of the whole run."""
    alone, (first, second) = one(name), two(name)
    assert max(float(g.abs().max()) for g in alone["gradients"].values()) > 1e-3
    for found in (first, second):
        close(found["gradients"], alone["gradients"])
        close(found["queue"], alone["queue"])
        assert found["pointer"] == alone["pointer"] == 8
        assert torch.equal(found["order"], alone["order"])
    close((first["loss"] + second["loss"]) / 2, alone["loss"])
    close((first["overlap"] + second["overlap"]) / 2, alone["overlap"])
    assert float((first["loss"] - second["loss"]).abs()) > 1e-4  # each has the losses of its share
    assert torch.equal(first["queue"], second["queue"])
    assert torch.equal(first["final queue"], second["final queue"])
    assert without_monitor(first["lines"]) == without_monitor(second["lines"])
    close(without_monitor(first["lines"]), without_monitor(alone["lines"]), atol=1e-4)
    close(first["buffers"], alone["buffers"], atol=1e-4)
    assert all(torch.equal(first["moved"][name], second["moved"][name]) for name in first["moved"])
    path, expected = (torch.cat([step.flatten() for step in found["moved"].values()]) for found in (first, alone))
    assert float((path - expected).norm()) < 0.02 * float(expected.norm())
    assert any("retrieval" in name for name in first["lines"][0])


@pytest.mark.parametrize("name", ["dino", "dino-joined"])
def test_dino_has_the_centre_and_the_loss_of_one_process(name: str, two: Callable[[str], list[Found]]) -> None:
    alone, (first, second) = one(name), two(name)
    assert float(alone["centre"].abs().max()) > 1e-4
    for found in (first, second):
        close(found["gradients"], alone["gradients"])
        close(found["told"], alone["told"])
        close(found["centre"], alone["centre"])
        close(found["buffers"], alone["buffers"])
    assert torch.equal(first["final centre"], second["final centre"])
    assert without_monitor(first["lines"]) == without_monitor(second["lines"])
    close(without_monitor(first["lines"]), without_monitor(alone["lines"]), atol=2e-3)


@pytest.mark.parametrize(("name", "atol"), [("bot", 1e-5), ("bot-gem", 1e-5), ("agw", 5e-4), ("bot-in-parts", 1e-4)])
def test_bot_and_agw_have_the_triplets_of_the_whole_batch(
    name: str, atol: float, two: Callable[[str], list[Found]]
) -> None:
    """In parts, those of the same part; batch norm over half as many images makes more of rounding."""
    alone, (first, second) = one(name), two(name)
    for found in (first, second):
        close(found["gradients"], alone["gradients"], atol=atol)
        assert found["norms"] == ["BatchNorm1d", "BatchNorm2d"]  # what is handed on knows nothing of devices
    assert first["lines"] == second["lines"]
    assert all(torch.equal(first["buffers"][name], second["buffers"][name]) for name in first["buffers"])
    close(first["lines"], alone["lines"], atol=2e-3)


def test_batch_norm_is_of_both_halves(two: Callable[[str], list[Found]]) -> None:
    """Against torch's own, on images far from zero, where a sum of squares would lose its digits."""
    alone = one("batch-norm")
    assert alone["kinds"].count("BatchNorm2d") == alone["kinds"].count("BatchNorm1d") == 1
    for found in two("batch-norm"):
        assert found.pop("kinds") == alone["kinds"]
        close(found, {name: value for name, value in alone.items() if name != "kinds"})


def test_keys_are_encoded_among_images_of_both(two: Callable[[str], list[Found]]) -> None:
    """Real shuffle-BN: a process encodes images of the other, and gets back the keys of its images."""
    alone, (first, second) = one("shuffled"), two("shuffled")
    numbers = torch.cat([first["encoded"], second["encoded"]])
    assert sorted(numbers.tolist()) == list(range(16))
    assert numbers.tolist() == alone["encoded"].tolist()  # by the same permutation as one process
    assert len(set(first["encoded"].tolist()) & set(range(8))) not in (0, 8)
    angles = torch.nn.functional.normalize(torch.stack([torch.arange(16.0), torch.ones(16)], 1), dim=1)
    assert torch.equal(first["keys"], angles[:8])
    assert torch.equal(second["keys"], angles[8:])
    expected = torch.cat([angles, angles, angles])[-20:].roll(3 * 16 - 20, 0).t()
    for found in (first, second):
        assert torch.equal(found["queue"][0], expected)
        assert found["pointer"] == 48 % 20
    assert torch.equal(alone["queue"], first["queue"])


def test_global_generators_differ_and_come_back_each_to_its_own(two: Callable[[str], list[Found]]) -> None:
    alone, (first, second) = one("resumed"), two("resumed")
    assert alone["whole"] == first["whole"]  # the first draws what one process draws
    assert not set(first["whole"]) & set(second["whole"])
    for found in (alone, first, second):
        assert found["first"] == found["whole"][:4]
        assert found["second"] == found["whole"][3:]
    assert first["weights"] == second["weights"]  # everything before the first epoch is equal on both


def test_all_devices_choose_the_epoch_of_the_first(two: Callable[[str], list[Found]]) -> None:
    assert [one("measured"), *two("measured")] == [{"value": 0.25}] * 3


def test_shares_of_random_numbers_and_views_are_those_of_the_whole() -> None:
    """Crop, jitter, blur and erasing of a share are those of its images in the whole batch, and of no others."""
    images = torch.rand(8, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    halves = [(Share(rank, 2), images[4 * rank : 4 * rank + 4]) for rank in range(2)]
    strong = {"jitter_probability": 0.8, "erase": 0.7, "blur": 0.9}
    view = ViewAugment(MocoParams(**{**CONTRASTIVE, **strong}))
    whole, boxes = view(images, stream(1, "view"))
    parts = [view(half, stream(1, "view"), share) for share, half in halves]
    close(torch.cat([part for part, _ in parts]), whole, atol=1e-6)
    assert torch.equal(torch.cat([box for _, box in parts]), boxes)

    crops = MultiCrop(DinoParams(**{**DINO, "blur": (0.8, 0.5, 0.5), "solarise": 0.5}), SIZE)
    for kind in (crops.whole, crops.local):
        everything = kind(images, stream(1, "crops")).images.unflatten(0, (2, 8))
        for share, half in halves:
            close(kind(half, stream(1, "crops"), share).images.unflatten(0, (2, 4)), share.of(everything, 1), atol=1e-6)

    augment = Augment(pad=2, erase=0.7)
    bags = augment(images, stream(1, "bot"))
    close(torch.cat([augment(half, stream(1, "bot"), share) for share, half in halves]), bags, atol=0)
    assert not torch.equal(bags, images)


def test_fast_pictures_of_a_share_are_those_of_the_whole(tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    from reidbench.training import Preprocess

    feed = Feed(train_split(tmp_path), Preprocess(SIZE), Augment(pad=2, erase=0.7), fast=True)
    indices = np.array([3, 1, 4, 15, 9, 2, 6, 5])
    halves = [feed.make(feed.plan(indices, stream(1, "bot"), Share(r, 2))) for r in range(2)]
    assert torch.equal(torch.cat(halves), feed.make(feed.plan(indices, stream(1, "bot"))))


def test_streams_are_left_in_the_same_state() -> None:
    states = []
    for share in (Share(), Share(0, 4), Share(3, 4)):
        generator = stream(0, "numbers")
        numbers = share.rand(2, 24 // share.ranks, 3, generator=generator, dim=1, groups=2)
        assert numbers.shape == (2, 24 // share.ranks, 3)
        states.append(generator.get_state())
    assert torch.equal(states[0], states[1])
    assert torch.equal(states[0], states[2])


def test_a_batch_or_its_parts_that_cannot_be_divided_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ReidbenchError, match="a batch of 10 cannot be divided among 4 devices"):
        Share(1, 4).part(10)
    monkeypatch.setattr("reidbench.training.networks.splitnorm.this_share", lambda: Share(0, 4))
    with pytest.raises(ReidbenchError, match="6 parts of batch norm cannot be divided among 4 devices"):
        batch_norm_in_parts(resnet(), 6)

    class Own(nn.BatchNorm2d):
        """A batch norm with other behaviour."""

    with pytest.raises(ReidbenchError, match="Own cannot be joined"):
        join_batch_norm(nn.Sequential(Own(3)))


def test_alone_nothing_changes() -> None:
    network = resnet()
    kinds = [type(module) for module in network.modules()]
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    join_batch_norm(network)
    average_batch_norm(network)
    assert [type(module) for module in network.modules()] == kinds
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    share = torch.randn(3, 2)
    assert gather(share) is share
    assert Share().of(share) is share


def test_losses_are_float32_under_bfloat16() -> None:
    """Against the same formulas in float64 on the very numbers that bfloat16 left; distances are the hardest."""
    generator = torch.Generator().manual_seed(0)

    def unit(*size: int) -> torch.Tensor:
        return nn.functional.normalize(torch.randn(*size, generator=generator), dim=-1).bfloat16()

    queries, keys, bank = unit(8, 16), unit(8, 16), unit(32, 16).t().contiguous()
    features = (torch.randn(8, 16, generator=generator) + 20).bfloat16()
    labels = torch.arange(4).repeat_interleave(2)
    student, teacher = (torch.randn(count, 12, generator=generator).bfloat16() for count in (16, 8))

    def losses(kind: torch.dtype) -> dict[str, torch.Tensor]:
        q, k, b, f, s, t = (tensor.to(kind) for tensor in (queries, keys, bank, features, student, teacher))
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ b], 1) / 0.1
        distances = (f[:, None] - f[None]).square().sum(-1).clamp_min(1e-12).sqrt()
        same = labels[:, None] == labels[None]
        gap = (distances - 1e9 * ~same).amax(1) - (distances + 1e9 * same).amin(1)
        targets, logs = (t / 0.04).softmax(1), (s / 0.1).log_softmax(1)
        pairs = [
            -(targets[4 * i : 4 * i + 4] * logs[4 * v : 4 * v + 4]).sum(1).mean()
            for i in range(2)
            for v in range(4)
            if i != v
        ]
        return {
            "info_nce": (logits.logsumexp(1) - logits[:, 0]).mean(), "triplet": torch.relu(gap + 0.3).mean(),
            "dino": torch.stack(pairs).mean(), "cross_entropy": nn.functional.cross_entropy(t, labels.repeat(1)),
        }  # fmt: skip

    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = {
            "info_nce": info_nce(queries, keys[:, None], bank, 0.1).mean(),
            "triplet": BatchHardTriplet(0.3)(features, labels),
            "dino": DinoLoss(12, student_temperature=0.1, centre_momentum=0.9)(student, teacher, 0.04).loss,
            "cross_entropy": LabelSmoothingCrossEntropy(0.0)(teacher, labels),
        }
        distance = mmd(queries, keys)
    for name, exact in losses(torch.float64).items():
        assert ours[name].dtype == torch.float32
        assert float(ours[name]) == pytest.approx(float(exact), rel=1e-4), name
    assert distance.dtype == torch.float32
    assert 0 < float(distance) < 2


def test_bot_trains_in_bfloat16_with_float32_losses(tmp_path: Path) -> None:
    from dataclasses import replace

    params = BotParams(epochs=1, identities=4, images=2)
    ctx, lines = context(FinetuneContext, tmp_path, params, resnet, source=train_split(tmp_path))
    seen: list[torch.dtype] = []

    class Watched(Update):
        def backward(self, loss: torch.Tensor) -> None:
            seen.append(loss.dtype)
            super().backward(loss)

    loop.Update = Watched  # type: ignore[misc]
    try:
        embedder = bot.finetune(replace(ctx, make_fabric=lambda: distributed.fabric(1, "bf16-mixed", "cpu")))
    finally:
        loop.Update = Update  # type: ignore[misc]
    assert set(seen) == {torch.float32}
    assert np.isfinite(lines[0]["loss"])
    assert {tensor.dtype for tensor in embedder.state_dict().values() if tensor.is_floating_point()} == {torch.float32}


if __name__ == "__main__":
    program(int(sys.argv[1]), Path(sys.argv[2]))
