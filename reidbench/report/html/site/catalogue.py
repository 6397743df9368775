"""The results of several matrices as one leaderboard: identical results are merged, others get different labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from reidbench.components import Metric
from reidbench.matrix.benchmark import Choice, Recipe, Task
from reidbench.matrix.labels import params_text
from reidbench.report.queries import Arrays
from reidbench.report.results import Leaderboard, Result, summarise

from .identity import Identities
from .sources import Cell, Source

Place = tuple[str, str, str]  # labels of method, task and evaluator on the site
FROM = ":"  # separates the number of a matrix from its key


@dataclass(eq=False)
class Method:
    """A method with one recipe and its matrices; `label` is its name, extended if other methods share it."""

    name: str
    label: str = ""
    recipes: list[tuple[Source, Recipe]] = field(default_factory=list)
    numbers: dict[tuple[str, str], list[Cell]] = field(default_factory=dict)  # by task and evaluator

    def agrees(self, place: tuple[str, str], cell: Cell) -> bool:
        """Return whether all results of the same place and seeds have the same keys and numbers."""
        for other in self.numbers.get(place, ()):
            shared = other.numbers.keys() & cell.numbers.keys()
            if any(other.numbers[seeds] != cell.numbers[seeds] for seeds in shared):
                return False
        return True


@dataclass(eq=False)
class Column:
    """A task: the same data in the same roles. `tasks` are its tasks in the matrices."""

    name: str
    label: str = ""
    tasks: list[tuple[Source, Task]] = field(default_factory=list)


@dataclass(eq=False)
class Judge:
    """An evaluator with its parameters and version, and its first label in each matrix."""

    choice: Choice
    label: str = ""
    labels: dict[int, str] = field(default_factory=dict)


class Catalogue:
    """Tasks, evaluators, methods and results of all matrices.

    `contradictions` are sentences about results with the same key and different numbers in two matrices.
    """

    def __init__(self, sources: Sequence[Source], title: str) -> None:
        self.sources, self.title = sources, title
        self.identities = {source.number: Identities(source) for source in sources}
        self.columns: dict[str, Column] = {}
        self.judges: dict[str, Judge] = {}
        self.methods: list[Method] = []
        self.contradictions: list[str] = []
        self._by_recipe: dict[tuple[str, str], list[Method]] = {}  # by name and recipe
        self._by_key: dict[tuple[str, str | None], Method] = {}  # by name and key of a result
        self._first: dict[tuple[object, ...], int] = {}  # first matrix with a result, by key and numbers
        self._column_of: dict[tuple[int, str], Column] = {}
        self._judge_of: dict[tuple[int, str], Judge] = {}
        for source in sources:
            self._take_columns(source)
        _label_uniquely(list(self.columns.values()), lambda column: column.tasks[0][0])
        self._name_judges()
        for source in sources:
            self._take_methods(source)
        _label_uniquely(self.methods, lambda method: method.recipes[0][0])
        self.by_label = {method.label: method for method in self.methods}
        self.cells = self._cells()
        self.aliases = self._aliases()

    # ------------------------------------------------------------------ identical tasks, evaluators and methods
    def _take_columns(self, source: Source) -> None:
        own = self.identities[source.number]
        for task in source.plan.benchmark.tasks:
            column = self.columns.setdefault(own.task(task), Column(task.name))
            column.tasks.append((source, task))
            self._column_of[source.number, task.name] = column
        for label, (identity, choice) in own.evaluators.items():
            judge = self.judges.setdefault(identity, Judge(choice))
            judge.labels.setdefault(source.number, label)
            self._judge_of[source.number, label] = judge

    def _name_judges(self) -> None:
        """Label evaluators by name; add parameters that are not defaults, and the version, if several share it."""
        judges = list(self.judges.values())
        for judge in judges:
            judge.label = judge.choice.name
        for judge in _twice(judges):
            judge.label += f"({words})" if (words := params_text(judge.choice.changed)) else ""
        for judge in _twice(judges):
            judge.label += f" version {judge.choice.component.version}"
        for number, judge in enumerate(_twice(judges), 1):
            judge.label += f" #{number}"

    def _take_methods(self, source: Source) -> None:
        own = self.identities[source.number]
        results: dict[str, dict[tuple[str, str], list[Result]]] = {}
        for result in source.board.results:
            row = result.row
            results.setdefault(row.method, {}).setdefault((row.task, row.evaluator), []).append(result)
        for recipe in source.plan.benchmark.methods:
            cells = [
                Cell(source, recipe.name, task, evaluator, tuple(found))
                for (task, evaluator), found in results.get(recipe.name, {}).items()
            ]
            method = self._method(recipe.name, own.method(recipe), cells)
            method.recipes.append((source, recipe))
            for cell in cells:
                method.numbers.setdefault(self._where(cell), []).append(cell)
                self._by_key |= {(cell.method, one.row.key): method for one in cell.results if one.row.key}

    def _method(self, name: str, identity: str, cells: Sequence[Cell]) -> Method:
        """Return the method with that recipe or the same results that agrees with all cells, or a new one."""
        keys = dict.fromkeys((name, one.row.key) for cell in cells for one in cell.results)
        same = [self._by_key[key] for key in keys if key in self._by_key]
        candidates: dict[Method, None] = dict.fromkeys([*self._by_recipe.get((name, identity), ()), *same])
        for method in candidates:
            if all(method.agrees(self._where(cell), cell) for cell in cells):
                return method
        self.contradictions += self._contradictions(candidates, cells)
        method = Method(name)
        self.methods.append(method)
        self._by_recipe.setdefault((name, identity), []).append(method)
        return method

    def _contradictions(self, methods: Iterable[Method], cells: Sequence[Cell]) -> Iterable[str]:
        """Yield one sentence per cell whose results have the same key and different numbers."""
        for method in methods:
            for cell in cells:
                for other in method.numbers.get(self._where(cell), ()):
                    shared = other.numbers.keys() & cell.numbers.keys()
                    pairs = [(other.numbers[seeds], cell.numbers[seeds]) for seeds in shared]
                    if any(one[0] == two[0] and one[1] != two[1] for one, two in pairs):
                        files = f"{other.source.given.file.name} and {cell.source.given.file.name}"
                        where = f"{cell.method} on {cell.task} by {cell.evaluator}"
                        yield f"{where}: {files} have different numbers for the same result"

    def _where(self, cell: Cell) -> tuple[str, str]:
        """Return the labels of a cell's task and evaluator."""
        number = cell.source.number
        return self._column_of[number, cell.task].label, self._judge_of[number, cell.evaluator].label

    def column(self, cell: Cell) -> Column:
        """Return the task of a cell."""
        return self._column_of[cell.source.number, cell.task]

    def _cells(self) -> dict[Place, list[Cell]]:
        """Return all cells by place, sorted by number of results, then by level of verification."""
        found = {}
        for method in self.methods:
            for (task, evaluator), cells in method.numbers.items():
                cells.sort(key=lambda cell: (-len(cell.good), -cell.level, cell.source.number))
                found[method.label, task, evaluator] = cells
        return found

    def _aliases(self) -> dict[Place, Place]:
        """Map places to the first place with identical results under another method name, so that they count once."""
        first: dict[tuple[object, ...], Place] = {}
        found = {}
        for place, cells in self.cells.items():
            keys = frozenset((seeds, key) for seeds, (key, _) in cells[0].numbers.items())
            other = first.setdefault((place[1:], keys, cells[0].said), place)
            if other != place and keys and cells[0].numbers == self.cells[other][0].numbers:
                found[place] = other
        return found

    # ------------------------------------------------------------------ all of them as one leaderboard
    @cached_property
    def board(self) -> Leaderboard:
        """The first cell of each place without duplicates; no mean combines several matrices."""
        return self._board(self.aliases.keys())

    @cached_property
    def over_tasks(self) -> Leaderboard:
        """As `board`, but without methods whose results are all those of another method."""
        return self._board([place for place in self.aliases if place[0] in self.same_methods])

    @cached_property
    def same_methods(self) -> dict[str, str]:
        """Labels of methods whose results are all those of one other method, mapped to its label."""
        found: dict[str, set[str]] = {}
        for place, cells in self.cells.items():
            if cells[0].good:
                found.setdefault(place[0], set()).add(self.aliases.get(place, place)[0])
        return {
            label: next(iter(others)) for label, others in found.items() if len(others) == 1 and label not in others
        }

    def _board(self, without: Collection[Place]) -> Leaderboard:
        columns = list(self.columns.values())
        judges = [judge.label for judge in self.judges.values()]
        labels = [[method.label for method in self.methods], [column.label for column in columns], judges]
        order = [{label: number for number, label in enumerate(several)} for several in labels]
        places = sorted(
            self.cells.keys() - without, key=lambda place: [known[one] for known, one in zip(order, place, strict=True)]
        )
        results = [
            self._placed(result, place, self.cells[place][0])
            for place in places
            for result in self.cells[place][0].results
        ]
        declared = self._declared()
        rules = frozenset(word for source in self.sources for word in source.board.rules)
        targets = {column.label: self._target(*column.tasks[0]) for column in columns}
        summary = tuple(summarise(results, declared))
        return Leaderboard(self.title, tuple(results), summary, declared, rules, self._queries, targets=targets)

    def _placed(self, result: Result, place: Place, cell: Cell) -> Result:
        """Return a result with the site's labels and a key that includes its first matrix."""
        method, task, evaluator = place
        number = self._first.setdefault((result.row.key, tuple(result.metrics.items())), cell.source.number)
        key = result.row.key and f"{number}{FROM}{result.row.key}"
        return replace(result, row=replace(result.row, method=method, task=task, evaluator=evaluator, key=key))

    def _target(self, source: Source, task: Task) -> str:
        """Return the identity of the test images of a task."""
        return self.identities[source.number].data_set(task.target.name)

    def _declared(self) -> dict[str, Mapping[str, Metric]]:
        found: dict[str, Mapping[str, Metric]] = {}
        for (number, label), judge in self._judge_of.items():
            found[judge.label] = {**self.sources[number].board.declarations(label), **found.get(judge.label, {})}
        return found

    def _queries(self, key: str) -> Arrays:
        number, _, own = key.partition(FROM)
        return self.sources[int(number)].board.queries(own)


Item = TypeVar("Item", Method, Column, Judge)
Named = TypeVar("Named", Method, Column)


def _twice(items: Iterable[Item]) -> list[Item]:
    """Return the items that share a label."""
    several = list(items)
    counts = Counter(item.label for item in several)
    return [item for item in several if counts[item.label] > 1]


def _label_uniquely(items: Sequence[Named], first: Callable[[Named], Source]) -> None:
    """Label each item by its name, extended by its first matrix if several share the name."""
    for item in items:
        item.label = item.name
    for item in _twice(items):
        item.label = f"{item.name} ({first(item).called})"
    for number, item in enumerate(_twice(items), 1):
        item.label += f" #{number}"
