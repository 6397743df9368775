"""The best of each task, and what may become it by a choice of protocol words and matrices."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from reidbench.errors import ReidbenchError
from reidbench.registry.plugins import Registry
from reidbench.report.html.site.catalogue import Catalogue
from reidbench.report.html.site.entries import Entries, Entry
from reidbench.report.html.site.sources import sources
from reidbench.store.artifacts import Store
from tests.support.sites import given, publish, read

METHODS = (
    "{free: {finetune: {use: colour-histogram}}, free2: {finetune: none}, low: {finetune: {use: bot, epochs: 1}},"
    " high: {finetune: {use: bot, epochs: 2}}, tied: {finetune: {use: bot, epochs: 3}},"
    " most: {finetune: {use: bot, epochs: 4}, adapt: {use: adabn}}}"
)
NOISE = (0.0, 0.02, -0.02)
MEANS = {"free2": 0.2, "low": 0.3, "high": 0.5, "most": 0.7}


@pytest.fixture
def entries(matrix: Callable[..., Path], registry: Registry, tmp_path: Path) -> Callable[..., Entries]:
    def make(numbers: Callable[..., float | None], metric: str | None = None, **parts: str) -> Entries:
        file, store = matrix(**{"seeds": "[0, 1, 2]", "methods": METHODS, **parts}), Store(tmp_path / "store")
        publish(read(file, registry), store, numbers)
        return Entries(Catalogue(sources([given(file, registry, store)]), "All"), metric)

    return make


def by_seed(row: object) -> float | None:
    """Means as in MEANS, but for `tied`, which jumps around that of `high`."""
    method, seed = row.method, row.seed or 0  # type: ignore[attr-defined]
    return 0.499 + 2 * NOISE[seed] if method == "tied" else MEANS.get(method)


def chosen(kept: Sequence[Entry], fits: Callable[[Entry], bool]) -> list[str]:
    """The rows that a page shows, as its script computes it."""
    left = sum(1 << entry.number for entry in kept if fits(entry))
    return [entry.method for entry in kept if fits(entry) and not left & entry.better]


def test_the_best_is_of_rank_1(entries: Callable[..., Entries]) -> None:
    kept = entries(by_seed).best("tiny", "cosine", 0)
    assert chosen(kept, lambda entry: True) == ["most"]
    assert kept[0].rank is not None
    assert (kept[0].rank.rank, kept[0].rank.rivals) == (1, 5)
    assert kept[0].interval == "± 0.1 [69.9, 70.3]"  # 70.0, 70.1, 70.2: sd 0.1, t(0.975, 2) = 4.303, / sqrt(3)
    assert kept[0].printed(kept[0].found.mean if kept[0].found else 0) == "70.1"


def test_without_a_word_the_best_of_the_others_and_what_is_tied_with_it(entries: Callable[..., Entries]) -> None:
    kept = entries(by_seed).best("tiny", "cosine", 0)
    assert chosen(kept, lambda entry: "target images" not in entry.cell.words) == ["high", "tied"]
    assert chosen(kept, lambda entry: "no labels" in entry.cell.words) == ["free2"]
    assert "low" not in {entry.method for entry in kept}  # beaten by one of the same words and matrices


def test_whatever_the_filters_keep_the_best_of_it_is_among_the_lines(entries: Callable[..., Entries]) -> None:
    """Against the definition, over all lines: nothing that fits is better beyond noise."""
    found = entries(by_seed)
    kept, all_lines = found.best("tiny", "cosine", 0), found.lines("tiny", "cosine")
    groups = list(dict.fromkeys(entry.group for entry in all_lines if entry.found))
    for size in range(1, len(groups) + 1):
        for some in itertools.combinations(groups, size):
            fit = [entry for entry in all_lines if entry.rank and entry.group in some]
            names = {entry.method for entry in fit}
            best = {entry.method for entry in fit if entry.rank and not names & set(entry.rank.behind)}
            assert set(chosen([entry for entry in kept if entry.group in some], lambda entry: True)) == best


def test_of_one_seed_the_best_mean_is_shown_and_said_to_be_unranked(entries: Callable[..., Entries]) -> None:
    kept = entries(by_seed, seeds="[0]").best("tiny", "cosine", 0)
    assert chosen(kept, lambda entry: True) == ["most"]
    assert kept[0].rank is None
    assert kept[0].unranked == "not ranked: too few seeds"


def test_a_task_without_results_has_no_best(entries: Callable[..., Entries]) -> None:
    found = entries(lambda row: None)
    assert found.best("tiny", "cosine", 0) == []
    lines = found.lines("tiny", "cosine")
    assert {(entry.status, *entry.reasons) for entry in lines} == {("missing", "not run yet")}


def test_an_unknown_metric_is_named(entries: Callable[..., Entries]) -> None:
    with pytest.raises(ReidbenchError, match="unknown metric 'nonsense'"):
        entries(by_seed, metric="nonsense")
    assert entries(by_seed, metric="cmc1").metric("cosine") == "cmc1"
