"""Rows and their summaries over seeds, read only from manifests."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from reidbench.components import Metric, Published, fractions
from reidbench.matrix.families.groups import Derived, derived
from reidbench.matrix.labels import evaluator_labels
from reidbench.matrix.stage import Plan, Row
from reidbench.metrics.comparisons.replicates import Replicate, place, spread
from reidbench.metrics.statistics import UNBOUNDED
from reidbench.progressbar import Through, quietly
from reidbench.registry.metrics import range_fault
from reidbench.store.artifact import DamagedArtifact, UnreadableArtifact
from reidbench.store.artifacts import Store
from reidbench.store.manifests import CHECKED
from reidbench.tuning.missing import why_missing

from .conditions import Behind, Mixture, mixtures
from .efficiency import Efficiency
from .queries import Reader, no_arrays, reader

if TYPE_CHECKING:
    from .formats.history import Past
    from .ranks.cells import Ranks

METRICS = ("mAP", "mINP", "cmc1", "cmc5", "cmc10", "cmc20")
SCORE = "score"  # of competitions: 0.5 rank 1 + 0.5 mAP; only on request
USUAL = {metric.name: metric for metric in fractions(*METRICS, SCORE)}
RULE = "AP "  # prefix of the word for an evaluator's rule of average precision

Declared = Mapping[str, Mapping[str, Metric]]  # evaluator -> name of a metric -> its declaration


@dataclass(frozen=True)
class Result:
    """One row with its status: ok, failed, blocked, not-applicable or missing.

    `notes` are the notes of the stages behind the row (dropped, skipped, assumed), each as "STAGE: sentence".
    """

    row: Row
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One metric of a method on a task by an evaluator, over `n` seeds.

    `mean` and `sd` (sample) are over all `results`, `ci95` is Student's t over seeds, and over pre-trainings if there
    are several, clipped to the metric's range (`replicates.spread`). All are in the evaluator's own values, fractions
    if the unit is "%"; `sd` and `ci95` are None for one result, and `ci95` if some pre-trainings lack seeds that others
    have. `n` is 1 if the row does not depend on `seeds`; `seedless` is True if it has at most one pre-training as well.
    """

    method: str
    task: str
    evaluator: str
    metric: str
    n: int
    pretrainings: int
    mean: float
    sd: float | None
    ci95: tuple[float, float] | None
    seedless: bool = False
    results: int = 1


@dataclass(frozen=True)
class Leaderboard:
    """All contents of a table.

    `declared` are the declared metrics by the evaluator's name in the table; None uses the declarations of the built-in
    evaluators for the usual metrics. `rules` are the protocol words that come from evaluators; `queries` returns the
    per-query arrays of an evaluation by its key. `mixed` are sentences about means over results of different versions,
    plugin sources, processors or precisions; `sources` are hashes of the plugin sources behind results, by stage kind
    and component.
    """

    title: str
    results: tuple[Result, ...]
    summary: tuple[Summary, ...]
    declared: Declared | None = None
    rules: frozenset[str] = frozenset()
    queries: Reader = field(default=no_arrays, repr=False, compare=False)
    mixed: tuple[str, ...] = ()
    sources: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    efficiency: Efficiency | None = None  # if its columns are requested
    published: tuple[Published, ...] = ()  # rows of the matrix file below the table, never ranked
    history: tuple[Past, ...] | None = None  # on request
    targets: Mapping[str, str] = field(default_factory=dict, repr=False)  # identity of the test images by task
    ranks: Ranks | None = None  # on request
    groups: tuple[Derived, ...] = ()  # numbers over several tasks, computed by `report/formats/groups`

    @cached_property
    def methods(self) -> list[str]:
        """Methods in the order of the matrix file."""
        return list(dict.fromkeys(result.row.method for result in self.results))

    @cached_property
    def tasks(self) -> list[str]:
        """Tasks in the order of the matrix file."""
        return list(dict.fromkeys(result.row.task for result in self.results))

    @cached_property
    def evaluators(self) -> list[str]:
        """Evaluators in the order of the matrix file."""
        return list(dict.fromkeys(result.row.evaluator for result in self.results))

    @cached_property
    def metrics(self) -> list[str]:
        """The usual metrics, then all others that evaluators gave."""
        return [name for name in METRICS if name in self._gave] + sorted(self._gave.keys() - set(METRICS))

    def metric(self, evaluator: str, name: str) -> Metric | None:
        """Return an evaluator's declaration of a metric, or None."""
        return self.declarations(evaluator).get(name)

    def declarations(self, evaluator: str) -> Mapping[str, Metric]:
        """Return an evaluator's declarations by name."""
        return USUAL if self.declared is None else self.declared.get(evaluator, {})

    def giving(self, name: str) -> list[str]:
        """Return the evaluators that gave a metric, or those that declare it if none gave it yet."""
        gave = self._gave.get(name, ())
        return [e for e in self.evaluators if e in gave] or [e for e in self.evaluators if self.metric(e, name)]

    def known(self, name: str) -> bool:
        """Return whether a metric was given or is declared."""
        return name in self.metrics or any(name in self.declarations(evaluator) for evaluator in self.evaluators)

    @cached_property
    def main_metric(self) -> str:
        """mAP, or the first metric (declared ones first) if no evaluator gives or declares mAP."""
        declared = [name for evaluator in self.evaluators for name in self.declarations(evaluator)]
        both = [name for name in self.metrics if name in declared]
        return next(iter([] if self.known("mAP") else [*both, *self.metrics, *declared]), "mAP")

    def rule_words(self, protocol: str) -> tuple[str, ...]:
        """Return the words of a protocol that are evaluator rules."""
        return tuple(word for word in protocol.split(", ") if word in self.rules or word.startswith(RULE))

    def cell(self, method: str, task: str, evaluator: str) -> list[Result]:
        """Return the results of all seeds of one cell."""
        return self._cells.get((method, task, evaluator), [])

    def summarised(self, method: str, task: str, evaluator: str) -> dict[str, Summary]:
        """Return the summaries of one cell by metric."""
        return self._summaries.get((method, task, evaluator), {})

    @cached_property
    def _gave(self) -> dict[str, set[str]]:
        """The evaluators that gave each metric."""
        gave: dict[str, set[str]] = {}
        for result in self.results:
            for name in result.metrics:
                gave.setdefault(name, set()).add(result.row.evaluator)
        return gave

    @cached_property
    def _cells(self) -> dict[tuple[str, str, str], list[Result]]:
        cells: dict[tuple[str, str, str], list[Result]] = {}
        for result in self.results:
            cells.setdefault((result.row.method, result.row.task, result.row.evaluator), []).append(result)
        return cells

    @cached_property
    def _summaries(self) -> dict[tuple[str, str, str], dict[str, Summary]]:
        cells: dict[tuple[str, str, str], dict[str, Summary]] = {}
        for summary in self.summary:
            cells.setdefault((summary.method, summary.task, summary.evaluator), {})[summary.metric] = summary
        return cells


def collect(plan: Plan, store: Store, *, score: bool = False, through: Through = quietly) -> Leaderboard:
    """Read the results of a plan from the store; `score` adds the mean of rank 1 and mAP, as does a claim about it.

    `through` shows progress.
    """
    score = score or any(claim.metric == SCORE for claim in plan.benchmark.claims)
    choices = plan.benchmark.evaluate
    evaluators = dict(zip(evaluator_labels(choices), choices, strict=True))
    declared = {label: choice.component.declared for label, choice in evaluators.items()}
    rules = {word for choice in choices for word in choice.component.protocol_with(choice.params)}
    behind = Behind(plan, store)
    results = tuple(
        _within_range(_result(row, plan, store, behind), declared) for row in through("reading results", plan.rows)
    )
    if score:
        results = tuple(_scored(result) for result in results)
    rules |= {word for result in results if result.status == "ok" for word in behind.words(result.row.key or "")}
    results, mixed = _with_mixtures(results, behind)
    results = _with_checks(results, behind)
    title, summary, sources = plan.benchmark.title, tuple(summarise(results, declared)), behind.sources
    shown = (title, results, summary, declared, frozenset(rules), reader(store), mixed, sources)
    groups = derived(plan.benchmark.tasks)
    return Leaderboard(*shown, published=plan.benchmark.published, targets=_targets(plan), groups=groups)


def _targets(plan: Plan) -> dict[str, str]:
    """Return the identity of query and gallery by task, equal for tasks with the same test images."""
    found: dict[str, str] = {}
    for row in plan.rows:
        if row.key and row.task not in found:
            behind = [given for _, key in plan.stages[row.key].parents for given in plan.stages[key].data]
            tests = {json.dumps(given.identity[1:]) for given in behind if given.part == "test"}
            found[row.task] = " ".join(sorted(tests))
    return found


def _with_mixtures(results: tuple[Result, ...], behind: Behind) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Return results with protocol words and notes on conditions that differ within their mean, and all sentences."""
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.status == "ok":
            cells.setdefault((result.row.method, result.row.task, result.row.evaluator), []).append(result)
    found: dict[tuple[str, str, str], list[Mixture]] = {}
    for cell, members in cells.items():
        if len(members) > 1:
            found[cell] = mixtures([(_seed(one.row), behind.made(one.row.key or "")) for one in members])
    mixed = (f"{m} on {t} by {e}: {one.sentence}" for (m, t, e), several in found.items() for one in several)
    return tuple(_mixed(result, found) for result in results), tuple(mixed)


def _with_checks(results: tuple[Result, ...], behind: Behind) -> tuple[Result, ...]:
    """Return results with the level of verification as a protocol word, for results that no run of this store made.

    All results of one mean get the words of all of them.
    """
    words: dict[tuple[str, str, str], Counter[str]] = {}
    for result in results:
        if result.status == "ok":
            words.setdefault(result.row.cell, Counter())[behind.checked.get(result.row.key or "", "")] += 1
    return tuple(_checked(result, words.get(result.row.cell, Counter())) for result in results)


def _checked(result: Result, words: Counter[str]) -> Result:
    total, row = sum(words.values()), result.row
    said = [word if words[word] == total else f"{word} ({words[word]} of {total})" for word in CHECKED if words[word]]
    if result.status != "ok" or not said:
        return result
    return replace(result, row=replace(row, protocol=", ".join(filter(None, [row.protocol, *said]))))


def _seed(row: Row) -> str:
    seed = "any" if row.seed is None else str(row.seed)
    return seed if row.pretrain_seed is None else f"{seed} of pre-training {row.pretrain_seed}"


def _mixed(result: Result, found: Mapping[tuple[str, str, str], list[Mixture]]) -> Result:
    row = result.row
    several = found.get((row.method, row.task, row.evaluator), []) if result.status == "ok" else []
    if not several:
        return result
    words = ", ".join(dict.fromkeys([row.protocol, *(one.word for one in several)]))
    notes = (f"{row.method} on {row.task} by {row.evaluator}: {one.sentence}" for one in several)
    return replace(result, row=replace(row, protocol=words), notes=(*result.notes, *notes))


def _within_range(result: Result, declared: Declared) -> Result:
    """Treat a value outside its metric's range as missing: the range may have been declared later."""
    metrics = declared.get(result.row.evaluator, {})
    fault = range_fault(result.metrics, metrics)
    if fault:
        error = f"its result is damaged: {result.row.evaluator} gave {fault}; run again"
        return replace(result, status="missing", metrics={}, error=error)
    return result


def _scored(result: Result) -> Result:
    """Add the score, unless the evaluator gives one."""
    parts = [result.metrics[name] for name in ("cmc1", "mAP") if name in result.metrics]
    if len(parts) < 2 or SCORE in result.metrics:
        return result
    return replace(result, metrics={**result.metrics, SCORE: sum(parts) / 2})


def _result(row: Row, plan: Plan, store: Store, behind: Behind) -> Result:
    if row.key is None:
        return Result(row, row.lacks, error=row.reason, notes=row.notes)
    try:
        numbers = _numbers(row.key, behind.metrics(row.key))
        words, notes = behind.of(row.key)
        shown = replace(row, protocol=", ".join([row.protocol, *words])) if words else row
        return Result(shown, "ok", numbers, notes=(*row.notes, *notes))
    except DamagedArtifact:
        return Result(row, "missing", error="its result is damaged; run again")
    except UnreadableArtifact as error:
        return Result(row, "missing", error=str(error))
    except KeyError:
        found = why_missing(plan, store, row.key)
        return Result(row, found.status, error=found.reason)


def _numbers(key: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics by name. Raises DamagedArtifact for NaN."""
    if any(math.isnan(value) for value in metrics.values()):
        raise DamagedArtifact(key, f"{key}: its metrics contain NaN")
    return {name: float(value) for name, value in sorted(metrics.items())}


def summarise(results: Sequence[Result], declared: Declared | None = None) -> list[Summary]:
    """Return mean, standard deviation and 95 % interval for each cell and metric."""
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        row = result.row
        cells.setdefault((row.method, row.task, row.evaluator), []).append(result)
    summaries = []
    for (method, task, evaluator), members in cells.items():
        rows = [member.row for member in members if member.status == "ok"]
        for metric in dict.fromkeys(name for member in members for name in member.metrics):
            values = replicates(members, metric)
            pretrainings = len({row.pretrain_seed for row in rows if row.pretrained or row.pretrain_seed is not None})
            known = (declared or {}).get(evaluator, {}).get(metric)
            seeds = len({seed for _, seed in values})
            numbers = seeds, pretrainings, *spread(values, known.ends if known else UNBOUNDED)
            summaries.append(
                Summary(method, task, evaluator, metric, *numbers, without_seed(members), results=len(values))
            )
    return summaries


def without_seed(results: Sequence[Result]) -> bool:
    """Return whether these results of one cell depend on no seed, and at most on one pre-training."""
    pretrainings = {result.row.pretrain_seed for result in results}
    return len(pretrainings) == 1 and all(result.row.seed is None for result in results)


def replicates(results: Sequence[Result], metric: str) -> dict[Replicate, float]:
    """Return a metric of one cell by pre-training and seed, in ascending order.

    The pre-training is None if the cell has at most one, so that nothing is known of others.
    """
    several = len({result.row.pretrain_seed for result in results}) > 1
    values = {
        (result.row.pretrain_seed if several else None, result.row.seed): result.metrics[metric]
        for result in results
        if metric in result.metrics
    }
    return {key: values[key] for key in sorted(values, key=place)}
