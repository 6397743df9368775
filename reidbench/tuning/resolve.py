"""Results of searches: a benchmark with the winners of finished searches in its rows, and the trials to run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from reidbench.matrix.benchmark import Benchmark, Recipe, Task
from reidbench.matrix.labels import told_apart
from reidbench.matrix.plan import expand
from reidbench.matrix.search import CHOSEN, ON_SHIPPED, Search, Tuned, Values
from reidbench.matrix.stage import Plan, Row, Stage, matches
from reidbench.matrix.validation import validation_of
from reidbench.metrics.statistics import TINY
from reidbench.store.artifacts import Store
from reidbench.words import ON_TEST_LABELS

from . import draws, tpe
from .trials import Place, Trial, Trials

MOST_NAMED = 3  # failed trials listed in a note


@dataclass(frozen=True)
class Searched:
    """A search on one task: its trials so far, and the winner once all have run.

    `metric` is the name of the metric or criterion that ranks the trials. `compared` are the stages of the data sets
    that judge them and of the target, which must not share test images.
    """

    place: Place
    metric: str
    trials: tuple[Trial, ...]
    winner: Trial | None
    tuned: Tuned
    compared: tuple[Stage, ...] = ()


@dataclass(frozen=True)
class Resolved:
    """A benchmark with the results of its searches. `trials` is the plan of all trials known so far."""

    benchmark: Benchmark
    searches: tuple[Searched, ...]
    trials: Plan

    @cached_property
    def plan(self) -> Plan:
        """Plan of the benchmark's rows. Raises ConfigError like `expand`."""
        return expand(self.benchmark)

    @cached_property
    def likely(self) -> Plan:
        """Plan with the first trial's values in rows of unfinished searches, with as many stages as with any winner.

        Raises ConfigError like `expand`.
        """
        methods = tuple(replace(one, tuned=self._likely(one)) if one.search else one for one in self.benchmark.methods)
        return expand(replace(self.benchmark, methods=methods))

    def _likely(self, row: Recipe) -> dict[str, Tuned]:
        found = dict(row.tuned)
        for one in self.searches:
            first = one.trials[0]
            if one.place.row.name == row.name and one.tuned.status == "missing" and one.tuned.reason and first.rows:
                recipe = replace(one.place.search.row(first.values), name=row.name, search=None)
                found[one.place.task.name] = Tuned(recipe)
        return found

    def to_run(self, only: Sequence[str] = ()) -> list[Row]:
        """Return the unfinished rows of trials, of searches that match `only` or that a matching ensemble requires."""
        trials = (trial for one in self._wanted(only) for trial in one.trials if trial.status != "done")
        return list(dict.fromkeys(row for trial in trials for row in trial.rows))

    def to_compare(self, only: Sequence[str] = ()) -> Plan:
        """Return the plan of the data sets whose test images must be compared before these trials are judged."""
        unfinished = [one for one in self._wanted(only) if any(trial.rows for trial in one.trials)]
        stages = {stage.key: (one.place, stage) for one in unfinished for stage in one.compared}
        rows = [Row(on.row.name, on.task.name, "data", None, None, key) for key, (on, _) in stages.items()]
        return Plan(self.benchmark, {key: stage for key, (_, stage) in stages.items()}, rows)

    def _wanted(self, only: Sequence[str]) -> list[Searched]:
        return [one for one in self.searches if not only or self._meant(one, only)]

    def _meant(self, one: Searched, only: Sequence[str]) -> bool:
        row, task = one.place.row.name, one.place.task.name
        names = [each.name for each in self.benchmark.methods if row in (each.name, *each.ensemble)]
        return any(matches(only, name, task) for name in names)


def resolve(benchmark: Benchmark, store: Store) -> Resolved:
    """Return a benchmark with the results of its searches in a store. Runs nothing.

    Raises ConfigError that names every data set whose files cannot be read.
    """
    if not any(recipe.search for recipe in benchmark.methods):
        return Resolved(benchmark, (), Plan(benchmark))
    trials = Trials(benchmark, store)
    places = [Place(row, row.search, task) for row in benchmark.methods if row.search for task in benchmark.tasks]
    searches = [_searched(trials, place) for place in places]
    trials.expansion.refuse_unread()
    plan = trials.expansion.result
    plan = plan.only(plan.rows)  # drop stages planned before a cell turned out not applicable
    plan.stages = told_apart(plan.stages)
    methods = tuple(_filled(row, searches) for row in benchmark.methods)
    return Resolved(replace(benchmark, methods=methods), tuple(searches), plan)


def settle(benchmark: Benchmark, store: Store, run: Callable[[Plan], object], only: Sequence[str] = ()) -> Resolved:
    """Run trials, each once, until no search needs another. `run` receives the plan of the trials to run.

    Before them, it receives the plan of the data sets that judge trials and of their targets, to compare test images.
    """
    tried: set[str | None] = set()
    data = resolve(benchmark, store).to_compare(only)
    if any(not store.has(key) for key in data.stages):
        run(data)
    while True:
        resolved = resolve(benchmark, store)
        rows = [row for row in resolved.to_run(only) if row.key not in tried]
        if not rows:
            return resolved
        tried |= {row.key for row in rows}
        run(resolved.trials.only(rows))


def _filled(row: Recipe, searches: Sequence[Searched]) -> Recipe:
    """Return a row with the result of its search, by task."""
    found = {one.place.task.name: one.tuned for one in searches if one.place.row is row}
    return replace(row, tuned=found) if found else row


# ---------------------------------------------------------------------- one search on one task
def _searched(trials: Trials, place: Place) -> Searched:
    counted: set[str] = set()
    found: list[Trial] = []
    for several in _asked(trials, place, found):
        found += [trials.planned(place, number, values, counted) for number, values in several]
    winner = _winner(trials, place.search, found) if _is_finished(place.search, found) else None
    tuned = _tuned(trials, place, found, winner)
    compared = trials.compared(place.search, place.task)
    return Searched(place, trials.metric(place.search), tuple(found), winner, tuned, compared)


def _asked(trials: Trials, place: Place, found: Sequence[Trial]) -> Iterator[list[tuple[int, Values]]]:
    """Yield numbers and values of trials: all at once or, if a round depends on earlier ones, round by round.

    `found` are the trials so far; the caller appends to them.
    """
    search = place.search
    if search.sampler != "tpe":
        yield list(enumerate(draws.grid(search) if search.sampler == "grid" else draws.random(search), 1))
        return
    while len(found) < search.trials and _have_ended(found):
        told = [(one.values, trials.merit(search, one) if one.status == "done" else None) for one in found]
        yield list(enumerate(tpe.proposed(search, told), len(found) + 1))


def _have_ended(found: Sequence[Trial]) -> bool:
    return all(one.status in ("done", "failed") for one in found)


def _is_finished(search: Search, found: Sequence[Trial]) -> bool:
    return len(found) == search.trials and _have_ended(found)


def _winner(trials: Trials, search: Search, found: Sequence[Trial]) -> Trial | None:
    """Return the best trial that has a value; the earliest wins a tie."""
    done = [(trials.merit(search, one), -one.number, one) for one in found if one.status == "done"]
    return max(done, key=lambda one: one[:2])[2] if done else None


def _tuned(trials: Trials, place: Place, found: Sequence[Trial], winner: Trial | None) -> Tuned:
    """Return the result of a search on a task."""
    row, search = place.row, place.search
    if refused := next((one.error for one in found if one.status == "not-applicable"), ""):
        return Tuned(reason=refused)
    if winner is None and not _is_finished(search, found):
        ended = sum(one.status in ("done", "failed") for one in found)
        died = next(
            (f"; trial {one.number}: {one.error}" for one in found if one.status == "missing" and one.error), ""
        )
        return Tuned(reason=f"its search has {ended} of {search.trials} trials{died}", status="missing")
    if winner is None:
        why = f"all {search.trials} trials of its search failed, the first: {found[0].error}"
        return Tuned(reason=why, status="failed")
    how = _how(trials.benchmark, search, place.task)
    note = _note(place, how, found, winner, trials.metric(search))
    said = how if how == ON_TEST_LABELS else f"{how} ({search.trials} trials)"
    words = ("target images", said) if search.criterion else (said,)
    notes = (note, *trials.held_out(winner))
    return Tuned(replace(search.row(winner.values), name=row.name, search=None), winner.values, words, notes)


def _how(benchmark: Benchmark, search: Search, task: Task) -> str:
    """Return the protocol word for the selection of a search's winner."""
    if search.criterion:
        return f"chosen by {search.criterion} without labels"
    validation = validation_of(benchmark, task)
    shipped = validation is not None and validation.kind == "queries"
    return ON_SHIPPED if shipped and search.select == "source-val" else CHOSEN[search.select]


def _note(place: Place, how: str, found: Sequence[Trial], winner: Trial, metric: str) -> str:
    """Return a sentence with the chosen values, the criterion's value, the number of trials and their cost."""
    values = ", ".join(f"{name}={value}" for name, value in winner.values.items())
    seeds = f" over {len(winner.scores)} seeds" if len(winner.scores) > 1 else ""
    best = f"{values} (trial {winner.number} of {len(found)}, {metric} {winner.score:.4f}{seeds})"
    equal = sum(one.status == "done" and abs(one.score - winner.score) <= TINY for one in found)
    best += f"; {equal} trials have this value, and the first of them was taken" if equal > 1 else ""
    cost = f"the trials took {sum(one.seconds for one in found):.0f} s"
    return f"{place.row.name} on {place.task.name}: {how}: {best}; {cost}{_failures(found)}"


def _failures(found: Sequence[Trial]) -> str:
    """Return the number of failed trials, and the errors of the first ones."""
    failed = [one for one in found if one.status == "failed"]
    if not failed:
        return ""
    named = "; ".join(f"trial {one.number}: {one.error}" for one in failed[:MOST_NAMED])
    more = f"; and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    return f"; {len(failed)} failed and could not be chosen: {named}{more}"
