"""Lines of the site's tables: a method on a task by an evaluator, with its value and its rank on the site."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from reidbench.components import Metric
from reidbench.report.formats.sentences import status_word
from reidbench.report.formats.tables import chosen
from reidbench.report.html.slugs import row_anchor, slug
from reidbench.report.results import Summary
from reidbench.report.standings import Place as Rank
from reidbench.report.standings import places
from reidbench.report.units import described, number, unit
from reidbench.words import ON_TEST_LABELS

from .catalogue import Catalogue, Method, Place
from .sources import Cell

FEWER = "not ranked here: another matrix has this row with more seeds or a better check"
UNRANKED = "not ranked: too few seeds"
LOOKED = f"not ranked: {ON_TEST_LABELS}"
UNDECLARED = "not ranked: its evaluator does not declare this metric"


@dataclass(frozen=True)
class Entry:
    """One line. `cell` holds its results, `same` are cells of other matrices with identical results.

    `rank` is its place among all methods of the site on its task; if it is None, `unranked` is the reason. `better` is
    a bit set of the lines in its table that are significantly better.
    """

    method: str
    task: str
    evaluator: str
    metric: str
    declared: Metric | None
    cell: Cell
    same: tuple[Cell, ...] = ()
    found: Summary | None = None
    rank: Rank | None = None
    unranked: str = ""
    aliases: tuple[Method, ...] = ()  # methods of other names with the same results
    number: int = 0  # among the lines of its task and evaluator
    column: int = 0
    better: int = 0  # bit N: the line of that number is better
    first: bool = True  # of its place; other lines are from matrices with other results
    roles: tuple[str, ...] = ()  # of the data set whose page it is on

    @property
    def anchor(self) -> str:
        """Return the id of the line on a page."""
        own = row_anchor(self.method, self.task, self.evaluator)
        return own if self.first else f"{own}--{slug(self.cell.source.called)}"

    @property
    def name(self) -> str:
        """Return the plain name of the method."""
        return self.cell.method

    @property
    def notes(self) -> int:
        """Return the number of notes of its results."""
        return len({note for result in self.cell.good for note in result.notes})

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Return its cells, one per matrix."""
        return self.cell, *self.same

    @property
    def status(self) -> str:
        """Return the status of a line without a number: failed, missing, not applicable, not measured."""
        return status_word(self.cell.results)

    @property
    def reasons(self) -> list[str]:
        """Return the reasons for missing numbers, without duplicates."""
        return list(dict.fromkeys(one.error for one in self.cell.results if one.status != "ok"))

    @property
    def seeds(self) -> str:
        """Return the number of results with a number, such as "3", "2/3" or "no seed"."""
        good, total = len(self.cell.good), len(self.cell.results)
        counted = str(good) if good == total else f"{good}/{total}"
        return f"no seed{'' if good == total else f', {counted}'}" if self.found and self.found.seedless else counted

    def printed(self, value: float) -> str:
        """Format a value of its metric."""
        return number(value, self.declared)

    @property
    def unit(self) -> str:
        """Return the unit of its metric, after a space."""
        return unit(self.declared)

    @property
    def interval(self) -> str:
        """Return the standard deviation and the 95 % interval, "(no seed)", or ""."""
        found = self.found
        if found is None or found.sd is None or found.ci95 is None:
            return "(no seed)" if found and found.seedless else ""
        low, high = found.ci95
        return f"± {self.printed(found.sd)} [{self.printed(low)}, {self.printed(high)}]"

    @property
    def group(self) -> tuple[object, ...]:
        """Return the properties that filters use: protocol words, level of verification, matrices."""
        return (frozenset(self.cell.words), self.cell.checked, tuple(cell.source.number for cell in self.cells))


class Entries:
    """Makes the lines of a site by one metric, or by the evaluator's first metric if it does not give that one."""

    def __init__(self, catalogue: Catalogue, metric: str | None) -> None:
        self.catalogue = catalogue
        self.board = catalogue.board
        if metric is not None:
            chosen(self.board, metric)
        self._wanted = metric
        self._ranks: dict[tuple[str, str], Mapping[str, Rank]] = {}

    def metric(self, evaluator: str) -> str:
        """Return the metric that ranks the lines of an evaluator."""
        declared = self.board.declarations(evaluator)
        gave = [name for name in self.board.metrics if evaluator in self.board.giving(name)]
        for name in filter(None, (self._wanted, "mAP")):
            if name in declared or name in gave:
                return name
        return next(iter([*declared, *gave]), "mAP")

    @cached_property
    def heading(self) -> str:
        """The metric with its unit if all evaluators share it, else ""."""
        kinds = {
            described(name, self.board.metric(e, name)) for e in self.board.evaluators for name in [self.metric(e)]
        }
        return next(iter(kinds)) if len(kinds) == 1 else ""

    def ranks(self, task: str, evaluator: str) -> Mapping[str, Rank]:
        """Return the ranks of a task and an evaluator by method (cached)."""
        if (task, evaluator) not in self._ranks:
            self._ranks[task, evaluator] = places(self.board, task, evaluator, self.metric(evaluator))
        return self._ranks[task, evaluator]

    def at(self, place: Place) -> list[Entry]:
        """Return the lines of a place: the ranked one, then those of matrices with other results."""
        groups: list[list[Cell]] = []
        for cell in self.catalogue.cells.get(place, ()):
            equal = [one for one in groups if (one[0].numbers, one[0].said) == (cell.numbers, cell.said)]
            if equal:
                equal[0].append(cell)
            else:
                groups.append([cell])
        return [self._entry(place, group, number == 0) for number, group in enumerate(groups)]

    def _entry(self, place: Place, cells: Sequence[Cell], first: bool) -> Entry:
        _, task, evaluator = place
        cell, metric = cells[0], self.metric(evaluator)
        found = cell.source.board.summarised(cell.method, cell.task, cell.evaluator).get(metric)
        rank = self.ranks(task, evaluator).get(self.catalogue.aliases.get(place, place)[0]) if first else None
        declared = self.board.metric(evaluator, metric)
        why = "" if rank or not found else FEWER if not first else _unranked(cell, declared)
        return Entry(*place, metric, declared, cell, tuple(cells[1:]), found, rank, why, first=first)

    def lines(self, task: str, evaluator: str) -> list[Entry]:
        """Return the first line of each method on a task, including lines without a number, in file order."""
        places = ((method.label, task, evaluator) for method in self.catalogue.methods)
        return [self.at(place)[0] for place in places if place in self.catalogue.cells]

    def once(self, task: str, evaluator: str) -> list[Entry]:
        """As `lines`, without duplicates: a line lists all matrices and method names with the same results."""
        found: dict[Place, Entry] = {}
        for entry in self.lines(task, evaluator):
            place = (entry.method, task, evaluator)
            own = self.catalogue.aliases.get(place, place)
            if own in found:
                same, names = (
                    found[own].same + entry.cells,
                    (*found[own].aliases, self.catalogue.by_label[entry.method]),
                )
                found[own] = replace(found[own], same=same, aliases=names)
            else:
                found[own] = entry
        return list(found.values())

    def best(self, task: str, evaluator: str, column: int) -> list[Entry]:
        """Return the lines that may be the best of a task for some choice of filters, the overall best first.

        Filters do not distinguish lines of a group, so only the unbeaten lines of each group are kept.
        """
        groups: dict[tuple[object, ...], list[Entry]] = {}
        for entry in self.once(task, evaluator):
            if entry.found and entry.declared:
                groups.setdefault(entry.group, []).append(entry)
        kept = sorted((entry for group in groups.values() for entry in _unbeaten(group)), key=_order)
        bit_of = {group: 1 << next(n for n, one in enumerate(kept) if one.group == group) for group in groups}
        of_method = {entry.method: bit_of[group] for group, entries in groups.items() for entry in entries}
        of_method |= {entry.method: 1 << number for number, entry in enumerate(kept)}
        return [
            replace(entry, number=number, column=column, better=_bits(entry, kept, of_method))
            for number, entry in enumerate(kept)
        ]


def _unbeaten(group: Sequence[Entry]) -> list[Entry]:
    """Return the lines of a group that no other line significantly beats; without ranks, those with the best mean."""
    ranked = [entry for entry in group if entry.rank]
    if ranked:
        names = {entry.method for entry in ranked}
        return [entry for entry in ranked if entry.rank and not names & set(entry.rank.behind)]
    return [entry for entry in group if _mean(entry) == max(map(_mean, group))]


def _bits(entry: Entry, kept: Sequence[Entry], of_method: Mapping[str, int]) -> int:
    """Return a bit set of significantly better lines; for an unranked line, ranked ones and better means."""
    if entry.rank:
        better = [of_method[method] for method in entry.rank.behind]
    else:
        better = [1 << n for n, one in enumerate(kept) if one.rank or _mean(one) > _mean(entry)]
    return functools.reduce(operator.or_, better, 0)


def _mean(entry: Entry) -> float:
    """Return the mean, negated if lower is better."""
    assert entry.found is not None
    assert entry.declared is not None
    return entry.found.mean if entry.declared.better == "higher" else -entry.found.mean


def _order(entry: Entry) -> tuple[object, ...]:
    """Sort key: lines ranked with all, then lines ranked separately, then unranked ones; best mean first."""
    rank = entry.rank
    return (
        rank is None,
        len(rank.kind) if rank else 0,
        rank.kind if rank else (),
        rank.rank if rank else 0,
        -_mean(entry),
    )


def _unranked(cell: Cell, declared: Metric | None) -> str:
    """Return the reason why a line with a number has no rank."""
    if declared is None:
        return UNDECLARED
    return LOOKED if ON_TEST_LABELS in cell.words else UNRANKED
