"""How many batches the samplers make of a pass; free of torch, so that a training's steps are known before it runs."""

from __future__ import annotations


def shuffled_batches(count: int, size: int) -> int:
    """Batches of `ShuffledSampler`: what is left of a pass is not used."""
    return count // max(1, min(size, count))


def once_batches(identities: int, together: int, least: int) -> int:
    """Batches of `OnceSampler`: each identity once, `together` in a batch, the last one with `least` or more."""
    whole, left = divmod(identities, together)
    return whole + (left >= least)


def identity_batches(images: int, identities: int | None, together: int, each: int) -> int:
    """Batches of `IdentitySampler` to be expected: `together` identities with `each` images in one.

    How the images are shared out among the identities is not known here. Of n images of an identity the n mod `each`
    that fill no group are left out, half of the most on average; none where all have the same multiple of `each`.
    Without a number of identities each image comes once.
    """
    if not identities:
        return max(1, images // (together * each))
    mean = images / identities
    groups = max(1, mean // each, (mean - (each - 1) / 2) / each)
    return max(1, int(groups * identities / min(together, identities)))
