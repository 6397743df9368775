"""Streams of random numbers, and torch's global generator set for a while."""

from __future__ import annotations

import torch

from reidbench.training import seeded, stream


def test_streams_differ_by_seed_and_by_name_and_come_again() -> None:
    first, again, other, elsewhere = (
        torch.rand(4, generator=stream(seed, name)) for seed, name in ((0, "a"), (0, "a"), (0, "b"), (1, "a"))
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, elsewhere)


def test_seeded_draws_like_the_stream_and_leaves_no_trace() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with seeded(3, "heads", torch.device("cpu")):
        inside = torch.rand(4)
    assert torch.equal(inside, torch.rand(4, generator=stream(3, "heads")))
    assert torch.equal(torch.rand(2), expected)
