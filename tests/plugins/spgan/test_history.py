"""The history of translations: order, exchange with probability 1/2, and resuming."""

from __future__ import annotations

import torch

from reidbench.training import stream
from reidbench_spgan.history import ImageHistory


def image(number: int) -> torch.Tensor:
    return torch.full((1, 3, 2, 2), float(number))


def numbers(history: ImageHistory, first: int, last: int) -> list[int]:
    return [int(history.exchanged(image(number))[0, 0, 0, 0]) for number in range(first, last)]


def test_it_is_filled_first() -> None:
    history = ImageHistory(5, stream(0, "history"))
    assert numbers(history, 0, 5) == [0, 1, 2, 3, 4]
    assert [int(one[0, 0, 0]) for one in history.images] == [0, 1, 2, 3, 4]


def test_half_of_the_images_are_exchanged_for_stored_ones() -> None:
    """An image that is not returned is stored; each is returned at most once."""
    history = ImageHistory(20, stream(0, "history"))
    returned = numbers(history, 0, 1020)
    newest = sum(found == number for number, found in enumerate(returned[20:], 20))
    assert 430 < newest < 570
    kept = {int(one[0, 0, 0]) for one in history.images}
    exchanged = [found for number, found in enumerate(returned[20:], 20) if found != number]
    assert len(exchanged) == len(set(exchanged)) == 1000 - newest
    assert not kept & set(exchanged)


def test_without_a_history_images_are_returned() -> None:
    assert numbers(ImageHistory(0, stream(0, "history")), 0, 9) == list(range(9))


def test_images_are_detached() -> None:
    leaf = image(1).requires_grad_()
    assert not ImageHistory(1, stream(0, "history")).exchanged(leaf).requires_grad


def test_it_resumes() -> None:
    whole = ImageHistory(4, stream(0, "history"))
    numbers(whole, 0, 10)
    resumed = ImageHistory(4, stream(1, "history"))
    resumed.load_state_dict(whole.state_dict())
    resumed.generator.set_state(whole.generator.get_state())
    assert numbers(resumed, 10, 40) == numbers(whole, 10, 40)
    empty = ImageHistory(4, stream(0, "history"))
    empty.load_state_dict(ImageHistory(4, stream(0, "history")).state_dict())
    assert empty.images == []
