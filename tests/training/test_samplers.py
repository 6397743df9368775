"""Which images make a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reidbench.training import Endless, ShuffledSampler, stream


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
