"""Which images make a batch: P identities with K images each, or passes in a random order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reidbench.training import Endless, IdentitySampler, OnceSampler, ShuffledSampler, stream


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


def test_an_epoch_has_each_identity_once() -> None:
    """Seven identities of 1 to 7 images, two images each, three to a batch: 3, 3 and 1, which `least` leaves out."""
    labels = np.repeat(np.arange(7), np.arange(1, 8))
    for least, sizes in ((1, [6, 6, 2]), (2, [6, 6])):
        batches = list(OnceSampler(labels, 3, 2, torch.Generator(), least=least))
        assert [len(batch) for batch in batches] == sizes
        pairs = labels[np.concatenate(batches)].reshape(-1, 2)
        assert (pairs[:, 0] == pairs[:, 1]).all()
        assert len(set(pairs[:, 0].tolist())) == len(pairs)
        own = [images for batch in batches for images in batch.reshape(-1, 2) if labels[images[0]] > 0]
        assert all(first != second for first, second in own)
    assert len(next(iter(OnceSampler(labels, 99, 2, torch.Generator(), least=99)))) == 14
    sampler = OnceSampler(labels, 7, 2, torch.Generator())
    assert next(iter(sampler)).tolist() != next(iter(sampler)).tolist()  # another order in each epoch
    with pytest.raises(ValueError, match="two or more identities, the data have 1"):
        OnceSampler(labels[:1], 3, 2, torch.Generator())


def test_shuffled_batches_have_each_index_once_in_a_pass() -> None:
    sampler = ShuffledSampler(10, 4, stream(0, "order"))
    passes = [np.concatenate(list(sampler)) for _ in range(2)]
    order = torch.randperm(10, generator=stream(0, "order")).tolist()
    assert passes[0].tolist() == order[:8]
    assert len(sampler) == 2
    assert [len(batch) for batch in sampler] == [4, 4]
    assert not np.array_equal(*passes)
    assert [sorted(batch) for batch in ShuffledSampler(3, 4, stream(0, "order"))] == [[0, 1, 2]]
    assert list(ShuffledSampler(0, 4, stream(0, "order"))) == []


def test_each_iteration_of_endless_begins_a_pass() -> None:
    batches = Endless(ShuffledSampler(4, 2, stream(0, "order")))
    first = [batch for batch, _ in zip(batches, range(3), strict=False)]
    assert sorted(np.concatenate(first[:2])) == [0, 1, 2, 3]
    expected = stream(0, "order")
    orders = [torch.randperm(4, generator=expected).tolist() for _ in range(3)]
    assert first[2].tolist() == orders[1][:2]
    assert next(iter(batches)).tolist() == orders[2][:2]
    with pytest.raises(ValueError, match="without a batch"):
        next(iter(Endless(ShuffledSampler(0, 2, stream(0, "order")))))
