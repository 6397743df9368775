"""The colour histogram, which has no network to train."""

from __future__ import annotations

import torch

from reidbench.training import Preprocess
from reidbench_baseline import frozen


def test_histogram_by_hand() -> None:
    embedder = frozen.ColourHistogram(Preprocess((4, 4), (0, 0, 0), (1, 1, 1)), stripes=2, bins=2, middle=0.5)
    image = torch.zeros(1, 3, 4, 4)
    image[0, 0, :, 2] = 1.0  # one of the two middle columns is red, everywhere
    image[0, 1, 2:, :] = 0.6  # the lower half is greenish
    features = embedder(image)[0].view(2, 8)  # stripe x colour; colour = 4 red + 2 green + blue
    assert features[0].tolist() == [0.5, 0, 0, 0, 0.5, 0, 0, 0]
    assert features[1].tolist() == [0, 0, 0.5, 0, 0, 0, 0.5, 0]
