"""The matrices of a site: one for each file, with its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Plan
from reidbench.report.html.checked import checked, is_check, level
from reidbench.report.html.slugs import row_anchor, slug
from reidbench.report.provenance import Evidence
from reidbench.report.results import Leaderboard, Result
from reidbench.store.artifacts import Store


@dataclass(frozen=True)
class Given:
    """A matrix file or a pack, read: its path as it was given, plan, store and results."""

    file: Path
    plan: Plan
    store: Store
    board: Leaderboard
    arguments: tuple[str, ...] = ()  # of the command line that makes a row again


@dataclass(frozen=True, eq=False)
class Source:
    """A matrix of the site. `called` is what readers know it by, and `number` its place among the files."""

    number: int
    called: str
    given: Given

    @property
    def board(self) -> Leaderboard:
        """Its results."""
        return self.given.board

    @property
    def plan(self) -> Plan:
        """Its plan."""
        return self.given.plan

    @cached_property
    def evidence(self) -> Evidence:
        """What stands behind its rows."""
        return Evidence(self.plan, self.given.store, self.given.arguments)

    @property
    def page(self) -> str:
        """The address of its page, from the root of the site."""
        return f"matrix/{slug(self.called)}.html"


def sources(given: Sequence[Given]) -> list[Source]:
    """The matrices, each with a name of its own. Raises ReidbenchError where one file is given twice."""
    places = Counter(one.file.resolve() for one in given)
    for path, count in places.items():
        if count > 1:
            raise ReidbenchError(f"{path.name} is given {count} times: name each file once")
    return [Source(number, called, one) for number, (called, one) in enumerate(zip(_names(given), given, strict=True))]


def _names(given: Sequence[Given]) -> list[str]:
    """For each file a name that stays: that of the file, with as many folders around it as set it apart from others.

    Where two have one name neither keeps the short one, so that no link comes to lead to another matrix.
    """
    paths = [one.file.resolve() for one in given]
    names = [path.stem for path in paths]
    depth = 0
    while len(set(names)) < len(names):
        depth += 1
        twice = {name for name, count in Counter(names).items() if count > 1}
        names = [
            "/".join([*path.parts[-depth:-1], path.name]) if name in twice else name
            for name, path in zip(names, paths, strict=True)
        ]
    return names


@dataclass(frozen=True, eq=False)
class Cell:
    """The results of a method on a task by an evaluator, of one matrix; the names are those of the matrix."""

    source: Source
    method: str
    task: str
    evaluator: str
    results: tuple[Result, ...]

    @cached_property
    def good(self) -> tuple[Result, ...]:
        """Those that have numbers."""
        return tuple(result for result in self.results if result.status == "ok")

    @property
    def address(self) -> str:
        """The address of its row, from the root of the site."""
        return f"{self.source.page}#{row_anchor(self.method, self.task, self.evaluator)}"

    @cached_property
    def protocol(self) -> str:
        """Its protocol, or all where its results differ in it."""
        return " / ".join(dict.fromkeys(result.row.protocol for result in self.good or self.results))

    @cached_property
    def words(self) -> list[str]:
        """The words of its protocol, each once."""
        words = (word for result in self.good or self.results for word in result.row.protocol.split(", "))
        return list(dict.fromkeys(filter(None, words)))

    @cached_property
    def said(self) -> frozenset[str]:
        """The words of its protocol but those that say how far it was checked: equal numbers may be otherwise made."""
        return frozenset(word for word in self.words if not is_check(word))

    @cached_property
    def checked(self) -> str:
        """How far its numbers were checked, in the words of its protocol; empty where it has none."""
        return checked(self.words) if self.good else ""

    @cached_property
    def level(self) -> int:
        """How far its numbers were checked, more being better."""
        return level(self.checked) if self.good else -1

    @cached_property
    def numbers(self) -> dict[tuple[int | None, int | None], tuple[str | None, dict[str, float]]]:
        """Key and metrics of each result that has numbers, by its seeds."""
        return {(one.row.seed, one.row.pretrain_seed): (one.row.key, dict(one.metrics)) for one in self.good}

    @cached_property
    def made(self) -> str:
        """The day of its newest result; empty where it is not known."""
        manifests = (self.source.evidence.manifest(one.row.key or "") for one in self.good)
        days = [str(found.get("started", ""))[:10] for found in manifests if found]
        return max((day for day in days if _is_day(day)), default="")


def _is_day(text: str) -> bool:
    year, *rest = text.split("-")
    return [len(year), *map(len, rest)] == [4, 2, 2] and text.replace("-", "").isdecimal() and text.isascii()
