"""Images of a batch: P identities with K images each, or passes in a random order."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from reidbench.training import ClassSampler, Endless, IdentitySampler, OnceSampler, ShuffledSampler, stream


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
    with pytest.raises(ValueError, match="at least two identities"):
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
    with pytest.raises(ValueError, match="at least two identities, the data have 1"):
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
    with pytest.raises(ValueError, match="without batches"):
        next(iter(Endless(ShuffledSampler(0, 2, stream(0, "order")))))


def by_class(
    labels: list[int], size: int, images: int, cameras: list[int] | None = None, seed: int = 0
) -> ClassSampler:
    seen = None if cameras is None else np.array(cameras)
    return ClassSampler(np.array(labels), size, images, torch.Generator().manual_seed(seed), seen)


def test_class_batches_are_full_and_each_class_comes_once() -> None:
    """10 classes of 30 images and 100 lone images: 140 drawn in a pass, of which two batches of 64 are used."""
    labels = np.concatenate([np.repeat(np.arange(10), 30), np.arange(100) + 10])
    batches = list(by_class(labels.tolist(), 64, 4))
    assert [len(batch) for batch in batches] == [64, 64]
    used = np.concatenate(batches)
    assert len(np.unique(used)) == 128  # no image twice
    counts = np.bincount(labels[used], minlength=110)
    assert counts[:10].max() <= 4
    assert (counts[:10] == 4).sum() >= 7  # 12 of 140 are left out, which are three whole classes at most
    assert counts[10:].max() == 1
    starts = np.flatnonzero(np.diff(labels[used], prepend=-1))
    assert len(starts) == len(np.unique(labels[used]))  # a class's images are adjacent


def test_a_class_of_few_images_is_drawn_with_replacement_from_its_others() -> None:
    """As in the official code, which draws without replacement only from K others or more."""
    for seed in range(20):
        (batch,) = by_class([0, 0, 1, 1, 1, 1, 1], 8, 4, seed=seed)
        pair = batch[batch < 2]
        assert len(pair) == 4
        assert (pair[1:] == 1 - pair[0]).all()  # the first image, and three times the other
        assert len(np.unique(batch[batch >= 2])) == 4


def test_a_short_pass_is_continued_until_the_batch_is_full() -> None:
    (batch,) = by_class([0, 0, 1, 1, 2], 16, 4)  # 9 in a pass
    assert len(batch) == 16
    assert (batch[:9] == 4).sum() == 1
    assert list(by_class([], 16, 4)) == []
    first, again = (np.concatenate(list(by_class([0, 0, 1, 1, 2], 16, 4, seed=seed))).tolist() for seed in (1, 1))
    assert first == again


def test_class_batches_ask_other_cameras_first() -> None:
    """Of a class of three cameras no other image is of the first one's camera; of a class of one camera any is."""
    cameras = [0, 0, 0, 0, 1, 1, 1, 2, 2, 5, 5, 5, 5, 5]
    firsts = set()
    for seed in range(30):
        (batch,) = by_class([0] * 9 + [1] * 5, 8, 4, cameras, seed)
        seen = batch[batch < 9]
        firsts.add(cameras[seen[0]])
        assert len(seen) == 4
        assert cameras[seen[0]] not in [cameras[image] for image in seen[1:]]
        assert len(np.unique(seen)) == 4  # five others or more: none twice
        same = batch[batch >= 9]
        assert len(np.unique(same)) == 4
    assert firsts == {0, 1, 2}
