"""Batches of two-stream: persons, number of batches, and greyed images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reidbench.training import Augment, Preprocess
from reidbench.training.batches.augment import Augmentation
from reidbench_crossmodal.batches import Greyed, ModalitySampler

LABELS = np.repeat([0, 1, 2, 3, 4], [3, 9, 4, 6, 2])


def modality_of(labels: np.ndarray) -> np.ndarray:
    """Each person's images in turn."""
    return np.concatenate([np.arange(count) % 2 for count in np.bincount(labels)])


def sampler(identities: int, images: int, seed: int = 0) -> ModalitySampler:
    generator = torch.Generator().manual_seed(seed)
    return ModalitySampler(LABELS, modality_of(LABELS), identities, images, generator)


def test_a_batch_has_p_persons_with_k_images_of_each_modality_in_blocks() -> None:
    modality = modality_of(LABELS)
    batches = list(sampler(3, 4))
    for batch in batches:
        blocks = batch.reshape(3, 2, 4)
        assert (modality[blocks] == np.array([0, 1])[None, :, None]).all()
        persons = LABELS[blocks]
        assert (persons == persons[:, :1, :1]).all()
        assert len(set(persons[:, 0, 0])) == 3
    assert set(LABELS[np.concatenate(batches)]) <= set(LABELS)


def test_images_are_drawn_with_replacement_and_all_of_them_come() -> None:
    """Person 4 has one image per modality, which fills its blocks; over many epochs every image is drawn."""
    seen: set[int] = set()
    alone = np.flatnonzero(LABELS == 4)
    for seed in range(40):
        for batch in sampler(5, 2, seed):
            (block,) = [block for block in batch.reshape(5, 2, 2) if LABELS[block[0, 0]] == 4]
            assert block.tolist() == [[alone[0]] * 2, [alone[1]] * 2]
            seen |= set(batch.tolist())
    assert seen == set(range(len(LABELS)))


@pytest.mark.parametrize(("identities", "images", "batches"), [(3, 4, 2), (2, 2, 4), (5, 10, 1), (64, 1, 3)])
def test_an_epoch_has_one_batch_more_than_the_larger_modality_fills(identities: int, images: int, batches: int) -> None:
    """The first modality has 13 of 24 images; there are 5 persons although 64 are requested."""
    assert np.bincount(modality_of(LABELS)).tolist() == [13, 11]
    found = sampler(identities, images)
    assert len(found) == len(list(found)) == batches


def test_it_is_seeded_and_refuses_persons_without_a_modality() -> None:
    first = [batch.tolist() for batch in sampler(3, 4, 1)]
    assert first == [batch.tolist() for batch in sampler(3, 4, 1)]
    assert first != [batch.tolist() for batch in sampler(3, 4, 2)]
    with pytest.raises(ValueError, match="each identity needs images of every modality"):
        ModalitySampler(np.array([0, 0, 1]), np.array([0, 1, 0]), 2, 2, torch.Generator())


# ---------------------------------------------------------------------- grey
def greyed(probability: float, may: list[bool], mean: float = 0.5, std: float = 0.25) -> Greyed:
    plain = Augment(flip=0, pad=0, erase=0)
    return Greyed(plain, probability, may, Preprocess((8, 4), (mean, mean, mean), (std, std, std)))


def test_grey_is_the_luminance_of_pictures_that_may_become_grey() -> None:
    """Red 0.8, green 0.2, blue 0.4 has .299 x .8 + .587 x .2 + .114 x .4 = .4022; blocks of two, visible second."""
    augment = greyed(1.0, [False, False, True, True])
    assert isinstance(augment, Augmentation)
    colour = torch.tensor([0.8, 0.2, 0.4])
    images = ((colour - 0.5) / 0.25)[None, :, None, None].expand(8, 3, 8, 4)
    drawn = augment.draw(8, (8, 4), torch.Generator())
    made = augment.apply(images, drawn) * 0.25 + 0.5
    for row in (0, 1, 4, 5):
        torch.testing.assert_close(made[row], colour[:, None, None].expand(3, 8, 4))
    for row in (2, 3, 6, 7):
        torch.testing.assert_close(made[row], torch.full((3, 8, 4), 0.4022))
    part = augment.apply(images[2:4], drawn.part(slice(2, 4))) * 0.25 + 0.5
    torch.testing.assert_close(part, made[2:4])


def test_grey_comes_before_erasing_and_as_often_as_it_should() -> None:
    """Of 4000 images that may turn grey, 1000 are expected; 850 to 1150 covers more than five standard deviations."""
    drawn = greyed(0.25, [True]).draw(4000, (8, 4), torch.Generator().manual_seed(0))
    assert 850 < int(drawn.grey.sum()) < 1150
    erased = Greyed(Augment(flip=0, pad=0, erase=1, erase_value=(9, 8, 7)), 1.0, [True], Preprocess((8, 4)))
    made = erased.apply(torch.zeros(1, 3, 8, 4), erased.draw(1, (8, 4), torch.Generator().manual_seed(0)))
    assert {9.0, 8.0, 7.0} <= set(made.unique().tolist())  # the box kept its colour
