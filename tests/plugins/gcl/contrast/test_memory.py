"""GCL's memory bank, its clustering and the view-invariant terms, by hand."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array

from reidbench.metrics import dbscan, jaccard_graph
from reidbench.training import stream
from reidbench_gcl.contrast.memory import (
    OUTLIER,
    MemoryBank,
    Pairs,
    adaptive_eps,
    cluster_rows,
    draw_negatives,
    draw_pairs,
)
from reidbench_gcl.contrast.view_losses import contrast_terms

TERMS = ("real-mate", "view-self", "view-mate")


def unit(*shape: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=stream(seed, "unit")), dim=-1)


def draws(seed: int = 0) -> dict[str, torch.Generator]:
    return {name: stream(seed, name) for name in ("mates", "view mates", "negatives")}


def bank_of(rows: torch.Tensor, alpha: float = 0.2) -> MemoryBank:
    bank = MemoryBank(*rows.shape, alpha)
    bank.fill(rows)
    return bank


def terms_of(f: Any, f_new: Any, rows: Any, indices: Any, pairs: Pairs, tau: float = 0.04, **more: Any) -> Any:
    return contrast_terms(f, f_new, rows, indices, pairs, temperature=tau, terms=TERMS, **more)


# ---------------------------------------------------------------------- the bank
def test_rows_are_unit_whatever_they_are_filled_with() -> None:
    """Rows have unit norm to 1e-5; row i has the direction of feature i."""
    features = 7 * torch.randn(9, 5, generator=stream(0, "f"))
    bank = bank_of(features)
    assert torch.allclose(bank.rows.norm(dim=1), torch.ones(9), atol=1e-5)
    assert torch.allclose(bank.rows, features / features.norm(dim=1, keepdim=True), atol=1e-6)


def test_an_update_moves_the_batchs_rows_and_no_other() -> None:
    """normalise(.2 old + .8 f), with normalised f; the other rows are bit-equal."""
    bank = bank_of(unit(6, 4))
    before = bank.rows.clone()
    f = 5 * torch.randn(2, 4, generator=stream(1, "f"))
    bank.update(torch.tensor([4, 1]), f)
    for place, row in enumerate((4, 1)):
        mixed = 0.2 * before[row].double() + 0.8 * (f[place].double() / f[place].double().norm())
        assert torch.allclose(bank.rows[row].double(), mixed / mixed.norm(), atol=1e-6)
    assert torch.equal(bank.rows[[0, 2, 3, 5]], before[[0, 2, 3, 5]])


# ---------------------------------------------------------------------- eps and clustering
def dense_graph(distances: np.ndarray) -> csr_array:
    """A graph that stores what is below 1, and the diagonal's zeros, as `jaccard_graph` does."""
    rows, cols = np.nonzero((distances < 1) | np.eye(len(distances), dtype=bool))
    return csr_array((distances[rows, cols], (rows, cols)), shape=distances.shape)


def random_distances(count: int, zeros: int = 0, ones: float = 0.3, seed: int = 0) -> np.ndarray:
    random = np.random.Generator(np.random.PCG64(seed))
    upper = np.triu(random.uniform(0.05, 1, (count, count)), 1)
    upper[np.triu(random.random((count, count)) < ones, 1)] = 1
    places = np.argwhere(np.triu(np.ones((count, count)), 1))
    for i, j in places[random.permutation(len(places))[:zeros]]:
        upper[i, j] = 0
    return upper + upper.T


@pytest.mark.parametrize("rho", [0.2, 0.5, 0.95])
@pytest.mark.parametrize("zeros", [0, 40])
def test_eps_is_the_mean_of_the_nearest_share_of_all_pairs(rho: float, zeros: int) -> None:
    """The upper triangle, sorted, its first round(rho n); zeros and ones count."""
    distances = random_distances(30, zeros)
    triangle = np.sort(distances[np.triu_indices(30, 1)])
    expected = triangle[: round(rho * 435)].mean()
    assert adaptive_eps(dense_graph(distances), rho) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(("zeros", "rho"), [(0, 0.001), (40, 0.001), (40, 40 / 435)])
def test_eps_is_at_least_the_smallest_distance_above_zero(zeros: int, rho: float) -> None:
    """round(.001 x 435) = 0 pairs have no mean, and an eps of 0 is not valid: the nearest pair counts instead."""
    distances = random_distances(30, zeros)
    distances[distances > 0] += 1e-3
    noise = np.where(distances == 0, 1e-6, 0) * (1 - np.eye(30))  # what rounding makes of a zero
    smallest = distances[distances > 0].min()
    assert adaptive_eps(dense_graph(distances), rho) == smallest
    assert adaptive_eps(dense_graph(distances + noise), rho) == smallest


def test_eps_does_not_depend_on_which_pairs_rounding_puts_at_zero() -> None:
    """With none, half or all of 40 pairs with equal neighbours at exactly 0, eps is the same up to rounding.

    The released rule, which drops exact zeros, gives three numbers that differ by tens of per cent.
    """
    exact = random_distances(30, 40)
    places = np.argwhere(np.triu(exact == 0, 1))
    found, released = [], []
    for kept in (0, 20, 40):
        distances = exact.copy()
        for i, j in places[:kept]:
            distances[i, j] = distances[j, i] = 1e-7
        found.append(adaptive_eps(dense_graph(distances), 0.2))
        above = np.sort(distances[np.triu(distances > 0, 1)])
        released.append(above[: round(0.2 * len(above))].mean())
    assert found == pytest.approx([found[0]] * 3, abs=1e-7)
    assert max(released) > 1.2 * min(released)


def jaccard_by_definition(rows: np.ndarray, k1: int, k2: int) -> np.ndarray:
    """[N, N] in float64, from sets: mutual neighbours, half sets that overlap by more than 2/3, softmax, averages."""
    squared = 2 - 2 * rows.astype(np.float64) @ rows.astype(np.float64).T
    lists = np.argsort(squared, axis=1, kind="stable")[:, :k1]
    count, half = len(rows), round(k1 / 2) + 1

    def mutual(i: int, k: int) -> set[int]:
        return {int(j) for j in lists[i, :k] if i in lists[j, :k]}

    weights = np.zeros((count, count))
    for i in range(count):
        grown = mutual(i, k1)
        for other in (mutual(j, half) for j in mutual(i, k1)):
            grown |= other if len(other & mutual(i, k1)) > 2 / 3 * len(other) else set()
        members = sorted(grown)
        weights[i, members] = np.exp(-squared[i, members]) / np.exp(-squared[i, members]).sum()
    weights = np.stack([weights[lists[i, :k2]].mean(0) for i in range(count)])
    shared = np.minimum(weights[:, None], weights[None]).sum(2)
    return np.asarray(1 - shared / (2 - shared))


def test_eps_is_the_same_for_permuted_rows_and_in_float64() -> None:
    """Tight groups, which have many pairs at 0: eps of float32 rows in any order is the definition's in float64."""
    random = np.random.Generator(np.random.PCG64(3))
    rows = np.repeat(random.normal(size=(12, 16)), 6, axis=0) + 0.2 * random.normal(size=(72, 16))
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    distances = jaccard_by_definition(rows, 8, 4)
    triangle = np.sort(distances[np.triu_indices(72, 1)])
    assert 10 < (triangle < 1e-9).sum() < 0.03 * len(triangle)
    expected = triangle[: round(0.05 * len(triangle))].mean()
    assert adaptive_eps(dense_graph(distances), 0.05) == pytest.approx(expected, rel=1e-12)
    for order in (np.arange(72), random.permutation(72), np.arange(72)[::-1]):
        assert cluster_rows(rows[order], 8, 4, 0.05, 4)[1] == pytest.approx(expected, rel=1e-5)


def test_doubled_distances_double_eps_and_leave_labels() -> None:
    """eps is a mean of the graph's smallest distances, so it scales with them."""
    distances = random_distances(40, ones=0.8)
    graph = dense_graph(distances)
    eps = adaptive_eps(graph, 0.1)
    doubled = adaptive_eps(2 * graph, 0.1, far=2.0)
    assert doubled == pytest.approx(2 * eps, rel=1e-12)
    labels = dbscan(graph, eps, 4)
    assert labels.max() >= 0
    assert np.array_equal(labels, dbscan(2 * graph, doubled, 4))


def test_few_rows_still_have_an_eps() -> None:
    """round(.002 x 3) = 0 pairs have no mean; then the nearest pair counts."""
    distances = np.array([[0, 0.2, 0.7], [0.2, 0, 1.0], [0.7, 1.0, 0]])
    assert adaptive_eps(dense_graph(distances), 0.002) == pytest.approx(0.2)


def blobs(count: int = 8, size: int = 6, noise: float = 0.15) -> tuple[torch.Tensor, np.ndarray]:
    """Unit vectors around `count` directions, and lone ones after them."""
    centres = unit(count, 32, seed=5).repeat_interleave(size, 0)
    clustered = F.normalize(centres + noise * torch.randn(centres.shape, generator=stream(2, "noise")) / 4, dim=1)
    wanted = np.concatenate([np.arange(count).repeat(size), np.full(5, OUTLIER)])
    return torch.cat([clustered, unit(5, 32, seed=9)]), wanted


def test_clusters_come_from_the_rows_alone() -> None:
    """Labels need no network: they are computed from the rows, and equal those of the metrics' own clustering."""
    rows, wanted = blobs()
    bank = bank_of(rows)
    eps = bank.relabel(k1=6, k2=2, rho=0.1, min_samples=4)
    labels = bank.labels.numpy()
    assert len(set(zip(labels[:48].tolist(), wanted[:48].tolist(), strict=True))) == 8
    assert (labels[:48] >= 0).all()
    graph = jaccard_graph(rows.numpy(), 6, 2, 0.999)
    assert np.array_equal(labels, dbscan(graph, eps, 4))
    assert np.array_equal(cluster_rows(bank.rows.numpy(), 6, 2, 0.1, 4)[0], labels)


# ---------------------------------------------------------------------- who is drawn
def test_mates_share_the_cluster_and_are_drawn_twice() -> None:
    """A mate may be the image itself; mates of the first and the third term are drawn independently."""
    labels = torch.tensor([0, 0, 0, 1, 1, -1, 2, 2, 2, 2])
    generators = draws()
    seen: dict[int, Counter[int]] = {0: Counter(), 3: Counter(), 6: Counter()}
    different = 0
    for _ in range(600):
        pairs = draw_pairs(labels, torch.tensor([0, 3, 6]), 99, generators)
        different += int((pairs.mate != pairs.view_mate).any())
        for anchor, mate in zip((0, 3, 6), pairs.mate.tolist(), strict=True):
            seen[anchor][mate] += 1
    assert set(seen[0]) == {0, 1, 2}
    assert set(seen[3]) == {3, 4}
    assert set(seen[6]) == {6, 7, 8, 9}
    assert all(abs(number - 600 / len(found)) < 75 for found in seen.values() for number in found.values())
    assert different > 500
    with pytest.raises(ValueError, match="an outlier has no cluster"):
        draw_pairs(labels, torch.tensor([0, 5]), 99, generators)


def test_negatives_are_everyone_of_another_cluster_and_the_outliers() -> None:
    """Fewer than K are all taken, lists of unequal length are filled up and masked."""
    labels = torch.tensor([0, 0, 0, 1, 1, -1, -1])
    pairs = draw_pairs(labels, torch.tensor([0, 3]), 8192, draws())
    found = [set(row[mask].tolist()) for row, mask in zip(pairs.others, pairs.valid, strict=True)]
    assert found == [{3, 4, 5, 6}, {0, 1, 2, 5, 6}]
    assert pairs.valid.sum(1).tolist() == [4, 5]


def test_k_negatives_are_drawn_evenly_and_without_repetition() -> None:
    allowed = torch.ones(2, 12, dtype=torch.bool)
    allowed[0, :4], allowed[1, 5:] = False, False
    generator, counts = stream(0, "negatives"), torch.zeros(2, 12)
    for _ in range(800):
        columns, valid = draw_negatives(allowed, 6, generator)
        assert valid.sum(1).tolist() == [6, 5]
        for row in range(2):
            chosen = columns[row][valid[row]]
            assert len(chosen.unique()) == len(chosen)
            assert allowed[row, chosen].all()
            counts[row, chosen] += 1
    assert (counts[0, 4:] - 600).abs().max() < 75
    assert (counts[1, :5] == 800).all()


# ---------------------------------------------------------------------- the terms
def test_each_term_by_its_closed_form() -> None:
    """f = f_new = M equal and n orthogonal negatives: log(1 + n e^(-1/tau)), e^(-25) at tau .04."""
    n = 5
    rows = torch.eye(n + 1)
    f = rows[:1] * 3
    everyone = Pairs(torch.zeros(1, dtype=torch.long), torch.zeros(1, dtype=torch.long),
                     torch.arange(1, n + 1)[None], torch.ones(1, n, dtype=torch.bool))  # fmt: skip
    for tau in (0.04, 0.5):
        found = terms_of(f, f.clone(), rows, torch.zeros(1, dtype=torch.long), everyone, tau)
        for name in TERMS:
            assert found[name].item() == pytest.approx(math.log1p(n * math.exp(-1 / tau)), rel=1e-4)
    assert math.exp(1 / 0.04) == pytest.approx(math.exp(25))


def by_hand(f: Any, rows: Any, positive: int, against: Any, others: list[int], tau: float) -> float:
    """-log(e^{<f, M_p>/tau} / (e^{<f, M_p>/tau} + sum_j e^{<g, M_j>/tau})) in double precision."""
    f, against, rows = f.double().numpy(), against.double().numpy(), rows.double().numpy()
    near = math.exp(f @ rows[positive] / tau)
    far = sum(math.exp(against @ rows[j] / tau) for j in others)
    return -math.log(near / (near + far))


def test_terms_by_an_independent_formula_and_negatives_of_the_view_in_all() -> None:
    """The terms use the bank before the update; n comes from f_new even in the first term, unless set otherwise."""
    rows, f, f_new = unit(7, 4), unit(2, 4, seed=1), unit(2, 4, seed=2)
    labels, indices = torch.tensor([0, 0, 1, 1, -1, 2, 2]), torch.tensor([1, 2])
    pairs = draw_pairs(labels, indices, 99, draws())
    others = [[2, 3, 4, 5, 6], [0, 1, 4, 5, 6]]
    tau = 0.3
    for own in (False, True):
        found = terms_of(f, f_new, rows, indices, pairs, tau, own_negatives=own)
        expected = {
            "real-mate": [(f[b], int(pairs.mate[b]), f[b] if own else f_new[b]) for b in range(2)],
            "view-self": [(f_new[b], int(indices[b]), f_new[b]) for b in range(2)],
            "view-mate": [(f_new[b], int(pairs.view_mate[b]), f_new[b]) for b in range(2)],
        }
        for name, parts in expected.items():
            wanted = [by_hand(g, rows, p, n, others[b], tau) for b, (g, p, n) in enumerate(parts)]
            assert found[name].item() == pytest.approx(np.mean(wanted), abs=1e-5), name
    moved = terms_of(unit(2, 4, seed=8), f_new, rows, indices, pairs, tau)
    plain = terms_of(f, f_new, rows, indices, pairs, tau)
    assert {name for name in TERMS if not torch.equal(moved[name], plain[name])} == {"real-mate"}


def test_without_views_there_is_one_term_with_its_own_negatives() -> None:
    rows, f = unit(6, 4), unit(1, 4, seed=1)
    pairs = draw_pairs(torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0]), 99, draws())
    found = terms_of(f, None, rows, torch.tensor([0]), pairs, 0.2)
    assert set(found) == {"real-mate"}
    expected = by_hand(f[0], rows, int(pairs.mate[0]), f[0], [2, 3, 4, 5], 0.2)
    assert found["real-mate"].item() == pytest.approx(expected, abs=1e-5)


def test_the_loss_is_held_against_the_rows_before_the_update() -> None:
    """With the updated rows it would differ by more than 1e-3."""
    bank = bank_of(unit(4, 3))
    labels, indices, f = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 2]), unit(2, 3, seed=4)
    pairs = draw_pairs(labels, indices, 99, draws())
    before = terms_of(f, f, bank.rows, indices, pairs, 0.3)
    expected = np.mean([by_hand(f[0], bank.rows, 0, f[0], [2, 3], 0.3), by_hand(f[1], bank.rows, 2, f[1], [0, 1], 0.3)])
    assert before["view-self"].item() == pytest.approx(expected, abs=1e-6)
    bank.update(indices, f)
    after = terms_of(f, f, bank.rows, indices, pairs, 0.3)
    assert abs(after["view-self"].item() - expected) > 1e-3


def test_ragged_lists_equal_all_negatives() -> None:
    """N = 50, K = 8192 equals the sum over everyone of another cluster."""
    rows, labels = unit(50, 8), torch.arange(50) % 7
    labels[44:] = OUTLIER
    indices = torch.tensor([3, 8, 21])
    f, f_new = unit(3, 8, seed=1), unit(3, 8, seed=2)
    pairs = draw_pairs(labels, indices, 8192, draws())
    found = terms_of(f, f_new, rows, indices, pairs, 0.1)
    wanted = [
        by_hand(f_new[b], rows, int(i), f_new[b], torch.nonzero(labels != labels[i])[:, 0].tolist(), 0.1)
        for b, i in enumerate(indices)
    ]
    assert found["view-self"].item() == pytest.approx(np.mean(wanted), abs=1e-5)


def test_no_negative_at_all_is_no_loss_and_a_finite_gradient() -> None:
    """A single cluster without outliers has no negatives."""
    rows, f = unit(4, 3), unit(2, 3, seed=1).requires_grad_()
    pairs = draw_pairs(torch.zeros(4, dtype=torch.long), torch.tensor([0, 1]), 99, draws())
    loss = terms_of(f, f, rows, torch.tensor([0, 1]), pairs)["view-mate"]
    loss.backward()
    assert loss.item() == 0
    assert f.grad is not None
    assert torch.equal(f.grad, torch.zeros(2, 3))


def test_gradients_reach_both_features_and_never_the_bank() -> None:
    rows, f, f_new = (unit(6, 4, seed=seed).requires_grad_() for seed in (0, 1, 2))
    indices = torch.tensor([0, 1, 2, 3, 4, 5])
    pairs = draw_pairs(torch.tensor([0, 0, 1, 1, 2, 2]), indices, 99, draws())
    torch.stack(list(terms_of(f, f_new, rows, indices, pairs, 0.2).values())).sum().backward()
    assert rows.grad is None
    for feature in (f, f_new):
        assert feature.grad is not None
        assert feature.grad.abs().min(1).values.max() > 0
