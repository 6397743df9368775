"""Rows and their summaries over seeds, read from manifests and from nothing else."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from reidbench.components import Metric, Published, fractions
from reidbench.matrix.families.groups import Derived, derived
from reidbench.matrix.labels import evaluator_labels
from reidbench.matrix.stage import Plan, Row
from reidbench.metrics.statistics import UNBOUNDED, over_seeds
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
SCORE = "score"  # of competitions: 0.5 rank 1 + 0.5 mAP; shown where it is asked for
USUAL = {metric.name: metric for metric in fractions(*METRICS, SCORE)}
RULE = "AP "  # begins the word for the rule by which an evaluator computes average precision

Declared = Mapping[str, Mapping[str, Metric]]  # evaluator -> name of a metric -> its declaration


@dataclass(frozen=True)
class Result:
    """One row with its outcome: ok, failed, blocked, not-applicable or missing.

    `notes` are what the stages behind the row noted (dropped, skipped, assumed), each as "STAGE: sentence".
    """

    row: Row
    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Summary:
    """One metric of a method on a task by an evaluator, over `n` seeds.

    `mean`, `sd` (of a sample, n - 1) and `ci95` (Student's t, cut at the metric's range) are in the evaluator's own
    values, fractions where its unit is "%"; `sd` and `ci95` are None for one seed. With several pre-trainings the mean
    is first taken over them, seed by seed: they are no further seeds. Where nothing behind the row depends on `seeds`,
    `n` is 1 and `seedless` True: no seed is missing, since the value is that of every seed.
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


@dataclass(frozen=True)
class Leaderboard:
    """Everything that a table shows.

    `declared` are the metrics that evaluators declare, by the evaluator's name in the table; None, for a table that is
    put together by hand, takes the usual metrics as the built-in evaluators declare them. `rules` the words of a
    protocol that come from evaluators; `queries` gives what an evaluation kept of each query, by its key. `mixed` are
    sentences about means over results of different versions, plugin sources, processors or precisions; `sources` the
    hashes of the plugin sources that results were made with, by kind of stage and component.
    """

    title: str
    results: tuple[Result, ...]
    summary: tuple[Summary, ...]
    declared: Declared | None = None
    rules: frozenset[str] = frozenset()
    queries: Reader = field(default=no_arrays, repr=False, compare=False)
    mixed: tuple[str, ...] = ()
    sources: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict, repr=False, compare=False)
    efficiency: Efficiency | None = None  # where columns of it are asked for
    published: tuple[Published, ...] = ()  # that the matrix file has below the table; nothing is ranked with them
    history: tuple[Past, ...] | None = None  # where it is asked for
    targets: Mapping[str, str] = field(default_factory=dict, repr=False)  # what names the test images of a task
    ranks: Ranks | None = None  # where they are asked for
    groups: tuple[Derived, ...] = ()  # numbers of several tasks, which `report/formats/groups` computes

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
        """The usual metrics first, then whatever else evaluators gave."""
        return [name for name in METRICS if name in self._gave] + sorted(self._gave.keys() - set(METRICS))

    def metric(self, evaluator: str, name: str) -> Metric | None:
        """An evaluator's declaration of a metric, or None."""
        return self.declarations(evaluator).get(name)

    def declarations(self, evaluator: str) -> Mapping[str, Metric]:
        """An evaluator's declarations by name."""
        return USUAL if self.declared is None else self.declared.get(evaluator, {})

    def giving(self, name: str) -> list[str]:
        """The evaluators that gave a metric, or that declare it where nobody gave it yet."""
        gave = self._gave.get(name, ())
        return [e for e in self.evaluators if e in gave] or [e for e in self.evaluators if self.metric(e, name)]

    def known(self, name: str) -> bool:
        """Whether a metric was given or is declared."""
        return name in self.metrics or any(name in self.declarations(evaluator) for evaluator in self.evaluators)

    @cached_property
    def main_metric(self) -> str:
        """mAP, or where no evaluator of the table gives or declares it, the first metric: a declared one if any."""
        declared = [name for evaluator in self.evaluators for name in self.declarations(evaluator)]
        both = [name for name in self.metrics if name in declared]
        return next(iter([] if self.known("mAP") else [*both, *self.metrics, *declared]), "mAP")

    def rule_words(self, protocol: str) -> tuple[str, ...]:
        """The words of a protocol that are rules of its evaluator."""
        return tuple(word for word in protocol.split(", ") if word in self.rules or word.startswith(RULE))

    def cell(self, method: str, task: str, evaluator: str) -> list[Result]:
        """The results of all seeds of one cell."""
        return self._cells.get((method, task, evaluator), [])

    def summarised(self, method: str, task: str, evaluator: str) -> dict[str, Summary]:
        """The summaries of one cell by metric."""
        return self._summaries.get((method, task, evaluator), {})

    @cached_property
    def _gave(self) -> dict[str, set[str]]:
        """The evaluators that gave a metric, by its name."""
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
    """Read the results of a plan from the store; with `score` also the mean of rank 1 and mAP.

    `through` shows how far the reading is.
    """
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
    """By task: what names its query and gallery, the same where two tasks are tested on the same images."""
    found: dict[str, str] = {}
    for row in plan.rows:
        if row.key and row.task not in found:
            behind = [given for _, key in plan.stages[row.key].parents for given in plan.stages[key].data]
            tests = {json.dumps(given.identity[1:]) for given in behind if given.part == "test"}
            found[row.task] = " ".join(sorted(tests))
    return found


def _with_mixtures(results: tuple[Result, ...], behind: Behind) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """The results, each with what differs among those of its mean as protocol words and notes; and all sentences."""
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
    """The results, with how far numbers were checked that no run of this store made, as a word of the protocol.

    All results of one mean have the words of all of them.
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
    """A value that its metric cannot have is no result: the range may have been declared after it was computed."""
    metrics = declared.get(result.row.evaluator, {})
    fault = range_fault(result.metrics, metrics)
    if fault:
        error = f"its result is damaged: {result.row.evaluator} gave {fault}; run again"
        return replace(result, status="missing", metrics={}, error=error)
    return result


def _scored(result: Result) -> Result:
    """With the score, unless the evaluator gives one of its own."""
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
    """Metrics by name. Raises DamagedArtifact for what no evaluator of ours can have published."""
    if any(math.isnan(value) for value in metrics.values()):
        raise DamagedArtifact(key, f"{key}: its metrics contain values that are not numbers")
    return {name: float(value) for name, value in sorted(metrics.items())}


def summarise(results: Sequence[Result], declared: Declared | None = None) -> list[Summary]:
    """Mean, standard deviation and 95 % interval over seeds, for each cell and metric that has a number."""
    cells: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.status == "ok":
            row = result.row
            cells.setdefault((row.method, row.task, row.evaluator), []).append(result)
    summaries = []
    for (method, task, evaluator), members in cells.items():
        for metric in dict.fromkeys(name for member in members for name in member.metrics):
            values = list(by_seed(members, metric).values())
            rows = [member.row for member in members]
            pretrainings = len({row.pretrain_seed for row in rows if row.pretrained or row.pretrain_seed is not None})
            known = (declared or {}).get(evaluator, {}).get(metric)
            mean, sd, ci95 = mean_interval(values, known.ends if known else UNBOUNDED)
            numbers = len(values), pretrainings, mean, sd, ci95
            summaries.append(Summary(method, task, evaluator, metric, *numbers, without_seed(members)))
    return summaries


def without_seed(results: Sequence[Result]) -> bool:
    """Whether these results of one cell do not depend on `seeds`, so that their one value is that of every seed."""
    return bool(results) and all(result.row.seed is None for result in results)


def by_seed(results: Sequence[Result], metric: str) -> dict[int | None, float]:
    """A metric by seed in ascending order, the mean over pre-trainings: they are no further seeds.

    The one value of a cell that does not depend on `seeds` is that of the seed None.
    """
    values: dict[int | None, list[float]] = {}
    for result in results:
        if metric in result.metrics:
            values.setdefault(result.row.seed, []).append(result.metrics[metric])
    ordered = sorted(values.items(), key=lambda item: -1 if item[0] is None else item[0])
    return {seed: math.fsum(numbers) / len(numbers) for seed, numbers in ordered}


def mean_interval(
    values: Sequence[float], bounds: tuple[float, float] = UNBOUNDED
) -> tuple[float, float | None, tuple[float, float] | None]:
    """Mean, sample standard deviation and the 95 % Student-t interval of the mean, cut at `bounds`."""
    interval = over_seeds(values, bounds=bounds)
    if interval.n < 2:
        return interval.value, None, None
    return interval.value, statistics.stdev(values), (interval.low, interval.high)
