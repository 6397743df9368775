"""Trials of searches: their stages and their results in a store."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Literal

from reidbench.components import Metric
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import Benchmark, Choice, DataSource, Recipe, Task
from reidbench.matrix.keys import NO_SEED, in_words
from reidbench.matrix.labels import evaluator_labels, judges_of
from reidbench.matrix.needs import Needs, NotApplicable
from reidbench.matrix.plan import Expansion
from reidbench.matrix.search import Search, Values
from reidbench.matrix.stage import Row, Stage
from reidbench.matrix.validation import HELD_OUT_DOMAIN, SOURCE_VAL, for_epochs, said, trial_tasks, validation_of
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

from .apart import shared_images
from .missing import why_missing

Status = Literal["done", "failed", "missing", "not-applicable"]
# A search chooses for each task, but the tasks of a sequence share their trainings so that forgetting can be measured.
ONE_TRAINING = "a search chooses values for each task, but the tasks of a sequence share one training; write the values"


@dataclass(frozen=True)
class Judge:
    """The judge of trials with labels: an evaluator of the file and the first of its metrics that ranks."""

    choice: Choice
    label: str
    metric: Metric

    @classmethod
    def of(cls, benchmark: Benchmark) -> Judge | None:
        """Return mAP of the first evaluator that declares it, otherwise the first declared metric, or None."""
        labelled = zip(benchmark.evaluate, evaluator_labels(benchmark.evaluate), strict=True)
        judges = [cls(choice, label, metric) for choice, label in labelled for metric in choice.component.metrics]
        return next((one for one in judges if one.metric.name == "mAP"), next(iter(judges), None))

    def on(self, benchmark: Benchmark, task: Task, needs: Needs) -> Judge:
        """Return the first evaluator of a task that declares the metric and can evaluate the task's data.

        Raises NotApplicable if there is none.
        """
        unfit = []
        for choice, label in judges_of(benchmark, task):
            if self.metric.name in choice.component.declared:
                why = needs.unfit_evaluator(choice, task)
                if not why:
                    return Judge(choice, label, self.metric)
                unfit.append(why)
        none = f"no evaluator of the task gives {self.metric.name}, which ranks the trials"
        raise NotApplicable("; ".join(dict.fromkeys(unfit)) or none)


@dataclass(frozen=True)
class Place:
    """A search with its row and a task."""

    row: Recipe
    search: Search
    task: Task


@dataclass(frozen=True)
class Trial:
    """One trial of a row's search, on one task of the file; `number` counts from 1.

    `scores` are the values of the criterion by seed, each the mean over the tasks that judge the trial. `seconds` is
    the time of stages that no earlier trial of the search needs. `error` is the reason for a failure. A trial whose
    worker process died is missing and has an `error`, since its values may not be the cause; its search waits for it.
    """

    method: str
    task: str
    number: int
    values: Values
    status: Status
    scores: Mapping[int, float] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    rows: tuple[Row, ...] = field(default=(), repr=False)

    @property
    def score(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.scores.values())


class Trials:
    """Plans the trials of a benchmark's searches in one plan, and reads their results.

    `data` are the data sets of the benchmark and those that judge the trials. `expansion.result` is the plan.
    """

    def __init__(self, benchmark: Benchmark, store: Store) -> None:
        self.benchmark = benchmark
        self.store = store
        self.judge = Judge.of(benchmark)
        self.judged: dict[tuple[str, str], tuple[Task, ...]] = {}  # by `select`, and task
        self.reasons: dict[tuple[str, str], str] = {}  # why a task cannot be judged this way
        self.data = dict(benchmark.data)
        for select in {one.search.select: None for one in benchmark.methods if one.search}:
            for number, task in enumerate(benchmark.tasks):
                self._judge_on(select, number, task)
        plain = replace(
            benchmark, data=self.data, methods=(), tasks=(), profile=False, expect=(), published=(), claims=()
        )
        self.expansion = Expansion(plain)
        self._seconds: dict[str, float] = {}
        self._shared: dict[tuple[str, str], str] = {}  # why data must not judge, by `select` and task

    def _judge_on(self, select: str, number: int, task: Task) -> None:
        """Record the tasks that judge the trials on a task, each with a unique name."""
        if any(other.in_order and other.group == task.group for other in self.benchmark.tasks):
            self.reasons[select, task.name] = ONE_TRAINING
            return
        if select == "unsupervised":
            found: tuple[dict[str, DataSource], tuple[Task, ...]] = {}, (replace(task, adapt_on="train"),)
        else:
            try:
                found = trial_tasks(replace(self.benchmark, data=self.data), task, select)
            except NotApplicable as error:
                self.reasons[select, task.name] = str(error)
                return
        self.data |= found[0]
        for one in found[1]:
            with suppress(NotApplicable):  # reported by trials that choose their epoch
                self.data |= for_epochs(replace(self.benchmark, data=self.data), one)[0]
        named = (replace(one, name=f"{select} {number}.{at}: {one.name}") for at, one in enumerate(found[1]))
        self.judged[select, task.name] = tuple(named)

    def compared(self, search: Search, task: Task) -> tuple[Stage, ...]:
        """Return the stages of the data sets that judge the trials on a task, and last of its target.

        Empty if their images are not compared: held-out identities, on which the row trains so that its embed stage
        compares them, and rendered images.
        """
        validation = validation_of(self.benchmark, task)
        if search.select not in (SOURCE_VAL, HELD_OUT_DOMAIN) or not validation or validation.kind == "identities":
            return ()
        judges = [one.tested.name for one in self.judged.get((search.select, task.name), ())]
        keys = [self.expansion.data_key(name) for name in (*judges, task.target.name)]
        stages = tuple(self.expansion.result.stages[key] for key in keys)
        return stages if judges and all(one.root for one in stages) else ()

    def _judges_on_test_images(self, search: Search, task: Task) -> str:
        """Return why the trials of a search on a task must not be judged, or ""."""
        place = search.select, task.name
        if place not in self._shared:
            stages, validation = self.compared(search, task), validation_of(self.benchmark, task)
            found = [(one.label, shared_images(self.store, one.key, stages[-1].key)) for one in stages[:-1]]
            words = "; ".join(f"{label} contains {many} of {task.target.name}" for label, many in found if many)
            told = f"`{said(validation)}`: {words} (identical files); validate on" if validation else ""
            self._shared[place] = f"{told} data without them" if words else ""
        return self._shared[place]

    def planned(self, place: Place, number: int, values: Values, counted: set[str]) -> Trial:
        """Add a trial's stages to the plan, and return the trial with its results so far.

        `counted` are the stages whose seconds earlier trials of the search have counted; the trial's are added.
        """
        row, search, task = place.row, place.search, place.task
        trial = Trial(row.name, task.name, number, values, "missing")
        if reason := self.reasons.get((search.select, task.name)) or self._judges_on_test_images(search, task):
            return replace(trial, status="not-applicable", error=reason)
        try:
            recipe = replace(search.row(values), name=f"{row.name} #{number}", search=None)
            rows = [
                (seed, one)
                for on in self.judged[search.select, task.name]
                for seed in self.benchmark.seeds[: search.seeds]
                for one in self._ends(search, recipe, on, seed)
            ]
        except NotApplicable as error:
            return replace(trial, status="not-applicable", error=str(error))
        except ReidbenchError as error:  # incompatible values
            return replace(trial, status="failed", error=" ".join(str(error).split()))
        self.expansion.result.rows += dict.fromkeys(one for _, one in rows)
        return self._read(trial, self.metric(search), rows, counted)

    def _ends(self, search: Search, recipe: Recipe, task: Task, seed: int) -> Iterator[Row]:
        """Yield the result rows of a trial, on one of the tasks that judge it, with one seed."""
        pretrained = any(kind == "pretrain" for kind, _ in recipe.steps)
        pretrain_seed = self.benchmark.pretrain_seeds[0] if pretrained else None
        if search.criterion:
            key = self._criterion(recipe, task, search.criterion, seed, pretrain_seed or 0)
            yield Row(recipe.name, task.name, search.criterion, seed, pretrain_seed, key)
        else:
            assert self.judge is not None  # the reader rejects a file without one
            judge = self.judge.on(self.benchmark, task, self.expansion.needs)
            judges = [(judge.choice, judge.label)]
            for row in self.expansion.cell(recipe, {recipe.name: recipe}, task, seed, pretrain_seed, judges):
                if row.key is None:
                    raise NotApplicable(row.reason)
                yield row

    def _criterion(self, recipe: Recipe, task: Task, name: str, seed: int, pretrain_seed: int) -> str:
        """Add the stage that judges an embedder without labels, on the target's train images; return its key."""
        plan, recipe = self.expansion, self.expansion.on(recipe, task)
        before = plan.trained(recipe, task, seed, pretrain_seed)
        settings = {"criterion": name, **({"flip": True} if recipe.flip_test else {})}
        label = f"criterion {name} of {recipe.name} -> {task.target.name} [{in_words(seed, before.seeds)}]"
        data = plan.inputs("target", (task.target,), "train", True)
        parents = ((before.role, before.key),)
        return plan.add("criterion", None, parents, data, None, before.size, NO_SEED, label, settings)

    # ------------------------------------------------------------------ results
    def _read(self, trial: Trial, metric: str, rows: Sequence[tuple[int, Row]], counted: set[str]) -> Trial:
        found: dict[int, list[float]] = {}
        status: Status = "done"
        errors = []
        for seed, row in rows:
            value, why, error = self._value(row.key or "", metric)
            errors += [error] if error else []
            status = "failed" if "failed" in (status, why) else "missing" if "missing" in (status, why) else "done"
            found.setdefault(seed, []).append(value)
        scores = {seed: statistics.fmean(values) for seed, values in found.items()} if status == "done" else {}
        seconds = self._cost([row.key or "" for _, row in rows], counted)
        error = next(iter(errors), "")
        ends = tuple(dict.fromkeys(row for _, row in rows))
        return replace(trial, status=status, scores=scores, error=error, seconds=seconds, rows=ends)

    def metric(self, search: Search) -> str:
        """Return the name of the criterion or metric that ranks the trials of a search."""
        return search.criterion or (self.judge.metric.name if self.judge else "")

    def merit(self, search: Search, trial: Trial) -> float:
        """Return the score of a trial, negated if lower is better."""
        lower = not search.criterion and self.judge is not None and self.judge.metric.better == "lower"
        return -trial.score if lower else trial.score

    def _value(self, key: str, metric: str) -> tuple[float, Status, str]:
        """Return a metric of a result, the status of its trial, and the error."""
        try:
            value = self.store.manifest(key).metrics.get(metric, math.nan)
        except BadArtifact:
            return math.nan, "missing", ""  # the run quarantines and recomputes it
        except KeyError:
            found = why_missing(self.expansion.result, self.store, key)
            if found.status == "missing":
                return math.nan, "missing", ""
            return math.nan, "missing" if found.died else "failed", found.reason
        if math.isfinite(value):
            return float(value), "done", ""
        return math.nan, "failed", f"{self.expansion.result.stages[key].label} gave no {metric}"

    def held_out(self, trial: Trial) -> tuple[str, ...]:
        """Return the notes of the data sets of a trial: held-out persons and the number of queries."""
        plan, notes = self.expansion.result, list[str]()
        behind = plan.behind(trial.rows)
        for stage in [one for key, one in plan.stages.items() if key in behind and one.held_out]:
            with suppress(KeyError, BadArtifact):
                texts = self.store.facts(stage.key, ("notes",)).get("notes", ())
                notes += [f"{stage.label}: {text}" for text in texts]
        return tuple(notes)

    def _cost(self, keys: Iterable[str], counted: set[str]) -> float:
        """Return the seconds of the stages of these results that are not `counted` yet."""
        total, waiting = 0.0, list(keys)
        while waiting:
            key = waiting.pop()
            if key not in counted:
                counted.add(key)
                waiting += self.expansion.result.stages[key].needs
                total += self._took(key)
        return total

    def _took(self, key: str) -> float:
        if key not in self._seconds:
            try:
                self._seconds[key] = float(self.store.facts(key, ("seconds",)).get("seconds", 0.0))
            except (KeyError, BadArtifact):
                return 0.0
        return self._seconds[key]
