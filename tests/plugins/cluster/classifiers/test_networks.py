"""Classifiers of clusters, and temporal averages by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from reidbench.training import BackboneEmbedder, Preprocess
from reidbench_cluster.classifiers.networks import Classified, MeanNetwork, cluster_head
from tests.support.golden import Matrix, wave

SIZE = (2, 2)  # 12 values per image


def classified(classes: int) -> Classified:
    embedder = BackboneEmbedder(Matrix(4, 12), Preprocess(SIZE), neck=True)
    return Classified(embedder, classes, torch.Generator().manual_seed(0))


def test_a_classifier_of_clusters_has_their_normalised_means() -> None:
    """(3, 4) and (3, 2) have the mean (3, 3); the image of no cluster counts nowhere."""
    features = np.array([[3, 4], [0, 2], [3, 2], [9, 9]], np.float32)
    head = cluster_head(features, np.array([0, 1, 0, -1]))
    assert head.weight.tolist() == [[pytest.approx(0.5**0.5)] * 2, [0, 1]]
    assert head.bias is None


@pytest.mark.parametrize("classes", [0, 3])
def test_logits_are_those_of_the_source_and_then_of_the_clusters(classes: int) -> None:
    network = classified(classes).eval()
    head = nn.Linear(4, 2, bias=False)
    images = wave(1, 5, 3, *SIZE).float()
    vectors, logits = network(images, head)
    after = network.embedder(images)
    assert torch.equal(vectors, network.embedder.before_neck(images))
    assert logits.shape == (5, classes + 2)
    assert torch.allclose(logits[:, classes:], head(after))
    if classes:
        (source,) = network.source
        assert torch.allclose(logits[:, :classes], source(after))


@pytest.mark.parametrize(("momentum", "ramp", "shares"), [(0.999, True, 5), (0.5, True, 2), (0.9, False, 0)])
def test_averages_by_hand(momentum: float, ramp: bool, shares: int) -> None:
    """E <- a E + (1 - a) theta; with the ramp a is 0, 1/2, 2/3, ..., which gives plain means, up to the momentum.

    The first `shares` averages are plain means; a momentum of 1/2 limits the ramp from the third step.
    """
    network, head = classified(2), nn.Linear(4, 3, bias=False)
    mean, own_head = MeanNetwork(network, momentum, ramp=ramp), nn.Linear(4, 3, bias=False)
    own_head.load_state_dict(head.state_dict())
    expected = 0.25
    with torch.no_grad():
        for part in (*network.parameters(), *head.parameters(), *mean.network.parameters(), *own_head.parameters()):
            part.fill_(expected)
    seen = []
    for step in range(1, 6):
        value = float(step**2)
        with torch.no_grad():
            for part in (*network.parameters(), *head.parameters()):
                part.fill_(value)
        mean.follow(network, head, own_head)
        old = min(1 - 1 / step, momentum) if ramp else momentum
        expected = old * expected + (1 - old) * value
        seen.append(value)
        for part in (*mean.network.parameters(), *own_head.parameters()):
            assert part.unique().tolist() == [pytest.approx(expected, rel=1e-5)]
        if step <= shares:
            assert expected == pytest.approx(np.mean(seen))
    assert int(mean.steps) == 5


def test_an_average_keeps_own_batch_norm_statistics_and_has_no_gradient() -> None:
    network = classified(0)
    mean = MeanNetwork(network, 0.5, ramp=False)
    network.train()(wave(1, 6, 3, *SIZE).float(), nn.Linear(4, 2, bias=False))
    norms = [one.embedder.neck.norm for one in (network, mean.network)]  # type: ignore[union-attr]
    mean.follow(network, nn.Linear(4, 2, bias=False), nn.Linear(4, 2, bias=False))
    assert norms[0].running_mean.abs().sum() > 0  # type: ignore[operator, union-attr]
    assert norms[1].running_mean.abs().sum() == 0  # type: ignore[operator, union-attr]
    assert not any(part.requires_grad for part in mean.parameters())
