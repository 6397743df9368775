"""Number of batches that each sampler yields per pass; torch-free, so that a training's steps are known in advance."""

from __future__ import annotations


def shuffled_batches(count: int, size: int) -> int:
    """Batches per pass of `ShuffledSampler`, which drops the remainder."""
    return count // max(1, min(size, count))


def once_batches(identities: int, together: int, least: int) -> int:
    """Batches per pass of `OnceSampler`: each identity once, `together` per batch, the last with at least `least`."""
    whole, left = divmod(identities, together)
    return whole + (left >= least)


def identity_batches(images: int, identities: int | None, together: int, each: int) -> int:
    """Expected batches per pass of `IdentitySampler`: `together` identities with `each` images.

    The number of images of each identity is unknown here. Of n images of an identity, the n mod `each` that fill no
    group are dropped, on average half of the maximum; none if all have the same multiple of `each`. Without a number of
    identities, each image is used once.
    """
    if not identities:
        return max(1, images // (together * each))
    mean = images / identities
    groups = max(1, mean // each, (mean - (each - 1) / 2) / each)
    return max(1, int(groups * identities / min(together, identities)))
