"""Pixels from memory, from disk and read ahead are the same, in their order."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from reidbench.data import load_pixels, read_market_folder
from reidbench.errors import DataError
from reidbench.training import Embedder, Preprocess, embed, image_source, read_ahead
from reidbench.training.batches.reading import made_ahead, upload


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


def test_items_are_made_ahead_in_their_order() -> None:
    """Random draws keep their order; with workers the next item exists before the previous one is used."""
    drawn: dict[int, list[float]] = {}
    for workers in (0, 1, 4):
        begun = [threading.Event() for _ in range(5)]
        numbers = torch.Generator().manual_seed(0)

        def items(begun: list[threading.Event] = begun, numbers: torch.Generator = numbers) -> Any:
            for event in begun:
                event.set()
                yield float(torch.rand((), generator=numbers))

        drawn[workers] = []
        for number, item in enumerate(made_ahead(items(), workers)):
            drawn[workers].append(item)
            following = begun[number + 1 : number + 2]
            assert all(event.wait(10 if workers else 0) == bool(workers) for event in following)
        assert list(made_ahead(iter(()), workers)) == []
    assert len(drawn[0]) == 5
    assert drawn[0] == drawn[1] == drawn[4]


def test_what_goes_wrong_while_it_is_made_is_raised_in_its_place() -> None:
    def items() -> Any:
        yield 1
        raise DataError("b.jpg is damaged")

    ahead = made_ahead(items(), 1)
    assert next(ahead) == 1
    with pytest.raises(DataError, match=r"b\.jpg is damaged"):
        next(ahead)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


def test_upload_leaves_pixels_where_they_are_on_a_cpu() -> None:
    pixels = torch.zeros(2, 4, 4, 3, dtype=torch.uint8)
    assert upload(pixels, torch.device("cpu")) is pixels
    assert upload(pixels, torch.device("meta")).device.type == "meta"


class Columns(Embedder):
    """The means of the four quarters of the columns, and the camera's number."""

    def __init__(self) -> None:
        super().__init__(preprocess=Preprocess((16, 8), (0, 0, 0), (1, 1, 1)))

    def forward(self, images: torch.Tensor, camids: torch.Tensor | None = None) -> torch.Tensor:
        assert camids is not None
        quarters = images.unflatten(3, (4, 2)).mean((1, 2, 4))
        return torch.cat([quarters, camids[:, None]], 1)


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_features_are_means_over_both_sides_of_the_mirror(train: Any, workers: int) -> None:
    """The first and the last quarter become equal, the camera stays; the same with any number of workers."""
    pixels = image_source(train, (16, 8))(np.arange(len(train))).numpy()
    quarters = pixels.reshape(-1, 16, 4, 2, 3).mean((1, 3, 4)) / 255
    plain = embed(Columns(), train, train.camids, batch=3, workers=workers)
    np.testing.assert_allclose(plain, np.column_stack([quarters, train.camids]), rtol=1e-5, atol=1e-6)
    both = embed(Columns(), train, train.camids, batch=3, workers=workers, flip=True)
    mirrored = (quarters + quarters[:, ::-1]) / 2
    np.testing.assert_allclose(both, np.column_stack([mirrored, train.camids]), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(both, embed(Columns(), train, train.camids, batch=3, flip=True))
    assert abs(plain[:, 0] - plain[:, 3]).max() > 1e-3
