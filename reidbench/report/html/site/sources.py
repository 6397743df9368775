"""The matrices of a site, one per file, with their results."""

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
    """A matrix file or pack that was read: its path as given, plan, store and results."""

    file: Path
    plan: Plan
    store: Store
    board: Leaderboard
    arguments: tuple[str, ...] = ()  # of the command line that reproduces a row


@dataclass(frozen=True, eq=False)
class Source:
    """A matrix of the site; `called` is its displayed name, `number` its position among the files."""

    number: int
    called: str
    given: Given

    @property
    def board(self) -> Leaderboard:
        """The results."""
        return self.given.board

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.given.plan

    @cached_property
    def evidence(self) -> Evidence:
        """The manifests of its rows."""
        return Evidence(self.plan, self.given.store, self.given.arguments)

    @property
    def page(self) -> str:
        """Return the address of its page from the root of the site."""
        return f"matrix/{slug(self.called)}.html"


def sources(given: Sequence[Given]) -> list[Source]:
    """Return the matrices with unique names. Raises ReidbenchError if a file is given twice."""
    places = Counter(one.file.resolve() for one in given)
    for path, count in places.items():
        if count > 1:
            raise ReidbenchError(f"{path.name} is given {count} times: name each file once")
    return [Source(number, called, one) for number, (called, one) in enumerate(zip(_names(given), given, strict=True))]


def _names(given: Sequence[Given]) -> list[str]:
    """Return a stable name for each file: its own name, with as many parent folders as needed to be unique.

    If two files share a name, neither keeps the short one, so that no link changes its matrix.
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
    """The results of a method on a task by an evaluator in one matrix, with the names of that matrix."""

    source: Source
    method: str
    task: str
    evaluator: str
    results: tuple[Result, ...]

    @cached_property
    def good(self) -> tuple[Result, ...]:
        """Results with numbers."""
        return tuple(result for result in self.results if result.status == "ok")

    @property
    def address(self) -> str:
        """Return the address of its row from the root of the site."""
        return f"{self.source.page}#{row_anchor(self.method, self.task, self.evaluator)}"

    @cached_property
    def protocol(self) -> str:
        """The protocols of its results, joined by " / " if they differ."""
        return " / ".join(dict.fromkeys(result.row.protocol for result in self.good or self.results))

    @cached_property
    def words(self) -> list[str]:
        """The protocol words without duplicates."""
        words = (word for result in self.good or self.results for word in result.row.protocol.split(", "))
        return list(dict.fromkeys(filter(None, words)))

    @cached_property
    def said(self) -> frozenset[str]:
        """The protocol words without the level of verification."""
        return frozenset(word for word in self.words if not is_check(word))

    @cached_property
    def checked(self) -> str:
        """The level of verification in words; empty without numbers."""
        return checked(self.words) if self.good else ""

    @cached_property
    def level(self) -> int:
        """The level of verification; higher is better."""
        return level(self.checked) if self.good else -1

    @cached_property
    def numbers(self) -> dict[tuple[int | None, int | None], tuple[str | None, dict[str, float]]]:
        """Key and metrics of each result with numbers, by seeds."""
        return {(one.row.seed, one.row.pretrain_seed): (one.row.key, dict(one.metrics)) for one in self.good}

    @cached_property
    def made(self) -> str:
        """The date of its newest result; empty if unknown."""
        manifests = (self.source.evidence.manifest(one.row.key or "") for one in self.good)
        days = [str(found.get("started", ""))[:10] for found in manifests if found]
        return max((day for day in days if _is_day(day)), default="")


def _is_day(text: str) -> bool:
    year, *rest = text.split("-")
    return [len(year), *map(len, rest)] == [4, 2, 2] and text.replace("-", "").isdecimal() and text.isascii()
