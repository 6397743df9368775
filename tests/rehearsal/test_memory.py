"""The bytes of a training, against a count by hand."""

from __future__ import annotations

import torch
from torch import nn

from reidbench.rehearsal.memory import saved_bytes, training_bytes
from reidbench.training import Backbone, Features


class Hand(Backbone):
    """A convolution 1x1 of 3 to 4 channels with a bias, batch norm, ReLU, and a sum that keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.dim = 4
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, images: torch.Tensor) -> Features:
        found = torch.relu(self.norm(self.conv(images)))
        return Features(found, found.sum((2, 3)))


# At 8x6 pixels one image has 3 * 48 = 144 numbers and its map 4 * 48 = 192. Kept are the image (for the convolution),
# the map before batch norm (for batch norm), and the map after ReLU (for ReLU).
KEPT = (144 + 192 + 192) * 4


def test_bytes_that_are_kept_for_an_image() -> None:
    assert saved_bytes(Hand(), (8, 6)) == KEPT


def test_a_storage_that_two_operations_keep_counts_once() -> None:
    class Twice(Hand):
        def forward(self, images: torch.Tensor) -> Features:
            found = self.conv(images) * 1
            return Features(found.exp() * images[:, :1], found.sum((2, 3)))

    # exp keeps its result and so does the product: 192. The product keeps the images too, which the convolution has.
    assert saved_bytes(Twice(), (8, 6)) == (144 + 192) * 4


def test_bytes_of_a_training_with_its_parameters() -> None:
    """Convolution 3 * 4 + 4, batch norm 4 + 4: 24 parameters of 16 bytes; the network's own place stays real."""
    assert training_bytes(Hand(), (8, 6), 5) == 24 * 16 + 5 * KEPT


def test_a_batch_norm_that_refuses_one_image_is_no_obstacle() -> None:
    class Flat(Hand):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.BatchNorm1d(4)

        def forward(self, images: torch.Tensor) -> Features:
            found = super().forward(images)
            return Features(found.map, self.last(found.vector))

    assert saved_bytes(Flat(), (8, 6)) == KEPT + 4 * 4
