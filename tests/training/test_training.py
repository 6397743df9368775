"""Samplers, schedules, augmentation, loading, embedders and checkpoints."""

from __future__ import annotations

import math
import random
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from reidbench.data import load_pixels, read_market_folder
from reidbench.errors import DataError
from reidbench.training import (
    Augment,
    Backbone,
    BackboneEmbedder,
    BNNeck,
    Embedder,
    Features,
    IdentitySampler,
    Preprocess,
    TrainingCheckpoint,
    embed,
    image_source,
    read_ahead,
    warmup_multistep,
)
from reidbench.training.weights.artifacts import load_embedder, save_embedder


def test_bot_learning_rates() -> None:
    """lr(e) of the official recipe: 0: 3.5e-6, 5: 1.77e-4, 10: 3.5e-4, 40: 3.5e-5, 70: 3.5e-6."""
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=3.5e-4)
    schedule = warmup_multistep(optimiser, 120)
    rates = []
    for _ in range(120):
        rates.append(schedule.get_last_lr()[0])
        optimiser.step()
        schedule.step()
    wanted = {0: 3.5e-6, 5: 1.7675e-4, 10: 3.5e-4, 39: 3.5e-4, 40: 3.5e-5, 69: 3.5e-5, 70: 3.5e-6, 119: 3.5e-6}
    for epoch, rate in wanted.items():
        assert rates[epoch] == pytest.approx(rate, rel=1e-6)


def sampler(labels: list[int], identities: int, images: int, seed: int = 0) -> IdentitySampler:
    return IdentitySampler(np.array(labels), identities, images, torch.Generator().manual_seed(seed))


def test_identity_batches_have_p_identities_of_k_images() -> None:
    labels = np.repeat(np.arange(10), 12)
    batches = list(sampler(labels.tolist(), 4, 4))
    for batch in batches:
        assert len(batch) == 16
        assert np.unique(labels[batch], return_counts=True)[1].tolist() == [4, 4, 4, 4]
    used = np.concatenate(batches)
    assert len(np.unique(used)) == len(used)  # no image twice in an epoch
    # 10 identities x 3 groups = 30 groups, 4 a batch; at most 3 identities may be left with up to 3 groups each
    assert math.ceil((30 - 9) / 4) <= len(batches) <= 30 // 4


def test_small_identities_are_drawn_with_replacement() -> None:
    batches = list(sampler([0, 0, 1, 1, 1, 1], 2, 4))
    assert len(batches) == 1
    assert sorted(np.unique(batches[0]).tolist())[-4:] == [2, 3, 4, 5]


def test_sampler_is_seeded_and_never_asks_for_more_identities_than_there_are() -> None:
    labels = np.repeat(np.arange(3), 8).tolist()
    first = np.concatenate(list(sampler(labels, 16, 4, seed=1)))
    assert len(list(sampler(labels, 16, 4))[0]) == 12  # noqa: RUF015 - the whole epoch is wanted
    assert first.tolist() == np.concatenate(list(sampler(labels, 16, 4, seed=1))).tolist()
    assert first.tolist() != np.concatenate(list(sampler(labels, 16, 4, seed=2))).tolist()
    with pytest.raises(ValueError, match="two or more identities"):
        sampler([0, 0, 0], 2, 2)


def test_flip_is_half_and_exact() -> None:
    images = torch.arange(400 * 3 * 2 * 3, dtype=torch.float32).view(400, 3, 2, 3)
    flipped = Augment(flip=0.5, pad=0, erase=0)(images, torch.Generator().manual_seed(0))
    same = (flipped == images).all(3).all(2).all(1)
    mirrored = (flipped == images.flip(3)).all(3).all(2).all(1)
    assert (same ^ mirrored).all()
    assert 150 < mirrored.sum() < 250


def test_pad_and_crop_shifts_by_at_most_the_padding() -> None:
    images = torch.zeros(200, 3, 9, 7)
    images[:, :, 4, 3] = 1
    cropped = Augment(flip=0, pad=2, erase=0, pad_value=(-1, -2, -3))(images, torch.Generator().manual_seed(0))
    assert cropped.shape == images.shape
    spots = (cropped[:, 0] == 1).nonzero()
    assert len(spots) == 200  # the bright pixel stays in view
    shifts = spots[:, 1:] - torch.tensor([4, 3])
    assert shifts.abs().max() == 2
    assert set(cropped[:, 1].unique().tolist()) == {-2.0, 0.0, 1.0}


def test_erasing_area_aspect_and_value() -> None:
    images = torch.zeros(500, 3, 64, 32)
    erased = Augment(flip=0, pad=0, erase=0.5, erase_value=(1, 2, 3))(images, torch.Generator().manual_seed(0))
    touched = (erased != 0).flatten(1).any(1)
    assert 200 < touched.sum() < 300
    for image in erased[touched]:
        assert set(image[1].unique().tolist()) <= {0.0, 2.0}
        rows, columns = (image[0].any(1 - axis).sum().item() for axis in (0, 1))
        share = (image[0] != 0).float().mean().item()
        assert (image[0] != 0).sum().item() == rows * columns  # one rectangle
        assert 0.015 < share < 0.42


@pytest.fixture
def train(market: Path) -> Any:
    return read_market_folder(market).train


def test_pixels_are_the_same_from_memory_from_disk_and_with_threads(train: Any) -> None:
    indices = np.array([3, 0, 3])
    wanted = image_source(train, (16, 8))(indices)
    assert wanted.shape == (3, 16, 8, 3)
    assert (image_source(train, (16, 8), limit=0)(indices) == wanted).all()
    assert (image_source(train, (16, 8), limit=0, workers=3)(indices) == wanted).all()
    whole = load_pixels(train, (16, 8))
    assert whole is not None
    assert (load_pixels(train, (16, 8), workers=4) == whole).all()
    assert load_pixels(train, (16, 8), limit=100) is None


def test_what_is_read_ahead_comes_in_its_order_and_early() -> None:
    parts = [np.array([start, start + 1]) for start in (0, 2, 4)]
    begun = {int(part[0]): threading.Event() for part in parts}

    def fetch(indices: np.ndarray) -> torch.Tensor:
        begun[int(indices[0])].set()
        return torch.from_numpy(indices * 10)

    for workers in (0, 2):
        for event in begun.values():
            event.clear()
        given = []
        for pixels in read_ahead(fetch, parts, workers):
            given.append(pixels.tolist())
            following = begun.get(2 * len(given))
            # With workers the next part is read before this one was used; without them, not before it is asked for.
            assert following is None or following.wait(10 if workers else 0) == bool(workers)
        assert given == [[0, 10], [20, 30], [40, 50]]
        assert list(read_ahead(fetch, [], workers)) == []


def test_what_goes_wrong_ahead_is_raised_in_its_place() -> None:
    def fetch(indices: np.ndarray) -> torch.Tensor:
        if indices[0] == 2:
            raise DataError("b.jpg is damaged")
        return torch.from_numpy(indices)

    ahead = read_ahead(fetch, [np.array([1]), np.array([2]), np.array([3])], 1)
    assert next(ahead).tolist() == [1]
    with pytest.raises(DataError, match=r"b\.jpg is damaged"):
        next(ahead)
    stopped = read_ahead(fetch, [np.array([1]), np.array([3])], 1)
    next(stopped)
    stopped.close()  # a stage that ends early leaves no thread behind
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_normalising_by_hand() -> None:
    pixels = torch.full((1, 2, 2, 3), 255, dtype=torch.uint8)
    images = Preprocess((2, 2), (0.5, 0.25, 0.0), (0.5, 0.5, 2.0)).normalise(pixels)
    assert images[0, :, 0, 0].tolist() == [1.0, 1.5, 0.5]


class Toy(Backbone):
    """A backbone of one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.dim = 4
        self.spec = {"use": "toy", "params": {}, "image_size": [16, 8]}

    def forward(self, images: torch.Tensor) -> Features:
        x = self.norm(self.conv(images))
        return Features(x, x.mean((2, 3)))


def test_an_embedder_is_rebuilt_from_its_spec_and_safetensors(tmp_path: Path, train: Any) -> None:
    torch.manual_seed(0)
    embedder = BackboneEmbedder(Toy(), Preprocess((16, 8), (0.1, 0.2, 0.3), (0.5, 0.5, 0.5)), neck=True)
    with torch.no_grad():
        for buffer in embedder.buffers():
            buffer += 1
    save_embedder(tmp_path, embedder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["embedder.json", "embedder.safetensors"]
    again = load_embedder(tmp_path, lambda spec: Toy(), {"reidbench": "reidbench"})
    first, second = (embed(e, train, train.camids, batch=5) for e in (embedder, again))
    assert first.dtype == np.float32
    assert (first == second).all()
    assert again.preprocess == embedder.preprocess
    # Whoever trains the backbone further must normalise as before.
    assert (again.backbone.mean, again.backbone.std) == ((0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


def test_an_embedder_of_a_foreign_package_is_refused(tmp_path: Path) -> None:
    save_embedder(tmp_path, BackboneEmbedder(Toy(), Preprocess((16, 8))))
    with pytest.raises(Exception, match="which is no loaded plugin"):
        load_embedder(tmp_path, lambda spec: Toy(), {"another": "another"})


def test_embedding_leaves_the_mode_as_it_was_and_gives_cameras(train: Any) -> None:
    seen = []

    class Watching(Embedder):
        def __init__(self) -> None:
            super().__init__(preprocess=Preprocess((16, 8)))

        def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
            assert not self.training
            assert camids is not None
            seen.extend(camids.tolist())
            return images.flatten(1)

    watching = Watching().train()
    embed(watching, train, train.camids, batch=3)
    assert watching.training
    assert seen == train.camids.tolist()


def test_bnneck_bias_is_held_at_zero() -> None:
    neck = BNNeck(4)
    neck(torch.randn(8, 4) + 3).pow(2).sum().backward()
    assert not neck.norm.bias.requires_grad
    assert neck.norm.bias.tolist() == [0, 0, 0, 0]


def train_toy(file: Path, *, stop_after: int | None = None) -> dict[str, torch.Tensor]:
    """A few epochs with every source of randomness; `stop_after` leaves in the middle, as a kill would."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)
    network = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 2)
    generator = torch.Generator().manual_seed(3)
    state = {"network": network, "optimiser": optimiser, "schedule": schedule, "generator": generator}
    for epoch in TrainingCheckpoint(file).epochs(5, **state):
        for _ in range(3):
            noise = float(np.random.rand()) + random.random() + float(torch.rand(()))
            loss = (network(torch.randn(16, 3, generator=generator)) - noise).pow(2).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        if stop_after == epoch:
            break
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("stop_after", [0, 1, 3])
def test_a_resumed_run_is_bit_identical(tmp_path: Path, stop_after: int) -> None:
    whole = train_toy(tmp_path / "whole")
    # leaving in epoch n loses that epoch: its checkpoint was not written yet
    train_toy(tmp_path / "killed", stop_after=stop_after)
    assert (tmp_path / "killed").exists() == (stop_after > 0)
    resumed = train_toy(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty"])
def test_a_damaged_checkpoint_is_not_used(tmp_path: Path, damage: str) -> None:
    whole = train_toy(tmp_path / "whole")
    file = tmp_path / "damaged"
    train_toy(file, stop_after=3)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes({"truncate": content[:-10], "flip": content, "empty": b""}[damage])
    resumed = train_toy(file)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_checkpoint_of_other_names_is_not_used(tmp_path: Path) -> None:
    file = tmp_path / "checkpoint"
    train_toy(file, stop_after=3)
    network = nn.Linear(1, 1)
    assert list(TrainingCheckpoint(file).epochs(5, other=network)) == [0, 1, 2, 3, 4]
