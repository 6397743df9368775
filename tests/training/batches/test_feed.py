"""Batches are the same however they are made: in the step or ahead of it, by any number of workers, for any device."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from reidbench.data import Split, read_market_folder
from reidbench.errors import ReidbenchError
from reidbench.training import Augment, Batches, Endless, IdentitySampler, Preprocess, ShuffledSampler
from reidbench.training.batches.feed import Feed, Plan
from reidbench.training.devices import Share

SIZE = (48, 20)
PREPROCESS = Preprocess(SIZE)
WORKERS = (0, 1, 4)


@pytest.fixture
def train(market: Path) -> Split:
    return read_market_folder(market).train


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def in_the_step(train: Split, sampler: Any, augment: Any, draws: torch.Generator) -> Iterator[torch.Tensor]:
    """Normalise and augment whole batches of Pillow's pixels, one after the other."""
    pictures = [Image.fromarray(train.image(index)) for index in range(len(train))]
    resized = [np.asarray(picture.resize(SIZE[::-1], Image.Resampling.BILINEAR)) for picture in pictures]
    whole = torch.from_numpy(np.stack(resized))
    for indices in sampler:
        images = PREPROCESS.normalise(whole[indices])
        yield augment(images, draws) if augment else images


AUGMENTS = [None, Augment(pad=2), Augment(pad=0), Augment(pad=0, erase=0.0), Augment(pad=30)]


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize("workers", WORKERS)
def test_batches_are_those_of_the_step(train: Split, augment: Augment | None, workers: int) -> None:
    """One generator for sampler and augmentation, over two epochs: digits, order in memory, and what is drawn next."""
    draws, mine = generator(), generator()
    batches = Batches(train, PREPROCESS, ShuffledSampler(len(train), 3, mine), augment, mine, workers)
    sampler = ShuffledSampler(len(train), 3, draws)
    for _ in range(2):
        wanted = list(in_the_step(train, sampler, augment, draws))
        found = [images for images, _ in batches]
        assert len(found) == len(wanted) == len(train) // 3
        for one, other in zip(found, wanted, strict=True):
            assert torch.equal(one, other)
            assert one.stride() == other.stride()
        assert torch.equal(mine.get_state(), draws.get_state())


@pytest.mark.parametrize("workers", WORKERS)
def test_a_pass_that_is_left_early_draws_nothing_more(train: Split, workers: int) -> None:
    """As with an endless sampler, of which each epoch takes some batches."""
    states = []
    for counted in (True, False):
        draws = generator()
        sampler = IdentitySampler(train.labels(), 2, 2, draws)
        batches = Batches(train, PREPROCESS, Endless(sampler, 4 if counted else None), Augment(pad=2), draws, workers)
        for _ in range(2):
            assert len(list(islice(batches, 4))) == 4
        states.append(draws.get_state())
    assert torch.equal(*states)
    assert torch.equal(states[0], reached(train))


def reached(train: Split) -> torch.Tensor:
    """The generator after two times four batches, each drawn when it is taken."""
    draws = generator()
    for _ in range(2):
        for indices in islice(Endless(IdentitySampler(train.labels(), 2, 2, draws)), 4):
            Augment(pad=2).draw(len(indices), SIZE, draws)
    return draws.get_state()


def test_a_step_that_draws_from_the_batches_generator_is_named(train: Split) -> None:
    """With workers it would change what they drew ahead; without, and with ahead=False, it is the order of old."""
    taken: dict[tuple[int, bool], list[torch.Tensor]] = {}
    for workers, ahead in ((0, True), (2, False)):
        draws = generator()
        sampler = ShuffledSampler(len(train), 2, draws)
        batches = Batches(train, PREPROCESS, sampler, Augment(pad=2), draws, workers, ahead=ahead)
        taken[workers, ahead] = [images + torch.rand((), generator=draws) for images, _ in batches]
    assert all(map(torch.equal, *taken.values()))
    for draws, order in ((generator(), generator()), (shared := generator(), shared)):
        batches = Batches(train, PREPROCESS, ShuffledSampler(len(train), 2, order), Augment(pad=2), draws, 2)
        with pytest.raises(
            ReidbenchError, match="use a separate generator for the step, or ahead=False for the batches"
        ):
            for _ in batches:
                torch.rand((), generator=order)


class Noise:
    """An augmentation of a plugin: numbers first, then the pictures."""

    def draw(self, count: int, size: tuple[int, int], generator: torch.Generator) -> Any:
        noise = torch.rand(count, generator=generator)

        class Drawn:
            def __init__(self, noise: torch.Tensor) -> None:
                self.noise = noise

            def part(self, part: slice) -> Drawn:
                return Drawn(self.noise[part])

        return Drawn(noise)

    def apply(self, images: torch.Tensor, drawn: Any) -> torch.Tensor:
        return images + drawn.noise.to(images)[:, None, None, None]

    def __call__(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return self.apply(images, self.draw(len(images), SIZE, generator))


@pytest.mark.parametrize("workers", WORKERS)
def test_augmentations_of_others(train: Split, workers: int) -> None:
    """One with `draw` and `apply` is drawn ahead; a function of images and generator is called in the step."""
    called_in = set()

    def function(images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
        called_in.add(threading.current_thread())
        return Noise()(images, draws)

    for augment in (Noise(), function):
        draws, mine = generator(), generator()
        batches = Batches(train, PREPROCESS, ShuffledSampler(len(train), 3, mine), augment, mine, workers)
        wanted = in_the_step(train, ShuffledSampler(len(train), 3, draws), Noise(), draws)
        assert all(torch.equal(images, other) for (images, _), other in zip(batches, wanted, strict=True))
        assert torch.equal(mine.get_state(), draws.get_state())
    assert called_in == {threading.current_thread()}


@pytest.mark.parametrize("augment", [*AUGMENTS, Noise()])
def test_the_path_of_a_device(train: Split, augment: Any) -> None:
    """Run on the CPU it gives the same digits; on `meta`, where nothing can be computed, shape and order in memory."""
    feed = Feed(train, PREPROCESS, augment)
    plan = feed.plan(np.array([3, 0, 5, 3]), generator())
    wanted = feed.make(plan)
    assert torch.equal(feed._on_device(plan), wanted)
    there = Feed(train, PREPROCESS, augment, device="meta").make(plan)
    assert there.device.type == "meta"
    assert there.shape == wanted.shape
    assert there.stride() == wanted.stride()


def test_fast_pictures_by_the_path_of_a_device(train: Split) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("simplejpeg")
    for augment in (None, Augment(pad=2), Augment(pad=30, erase=0.0)):
        feed = Feed(train, PREPROCESS, augment, fast=True)
        plan = feed.plan(np.arange(6), generator())
        assert torch.equal(feed._on_device(plan), feed.make(plan))


def test_memory_and_shares_change_nothing(train: Split) -> None:
    """Decoded as needed; and each of two devices its half, with all numbers drawn."""
    indices = np.array([1, 4, 2, 7])
    feed = Feed(train, PREPROCESS, Augment(pad=2))
    whole = feed.make(feed.plan(indices, generator()))
    for workers in WORKERS:
        again = Feed(train, PREPROCESS, Augment(pad=2), limit=0, workers=workers)
        assert torch.equal(again.make(again.plan(indices, generator())), whole)
    halves = []
    for rank in range(2):
        draws = generator()
        halves.append(feed.make(feed.plan(indices, draws, Share(rank, 2))))
        after = draws.get_state()
    assert torch.equal(torch.cat(halves), whole)
    feed.plan(indices, draws := generator())
    assert torch.equal(draws.get_state(), after)


def test_every_value_is_that_of_normalise() -> None:
    """All 256 values of all channels, to the last bit."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1), 3, 3)

    class Ramp:
        def __len__(self) -> int:
            return 1

        def image(self, index: int) -> np.ndarray:
            return ramp[0]

    preprocess = Preprocess((16, 16), (0.3, 0.4, 0.5), (0.2, 0.3, 0.7))
    found = Feed(Ramp(), preprocess).make(Plan(np.array([0])))
    assert torch.equal(found, preprocess.normalise(torch.from_numpy(ramp)))
    with pytest.raises(ReidbenchError, match="requires a generator"):
        Feed(Ramp(), preprocess, Augment()).plan(np.array([0]))
