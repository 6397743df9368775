"""Efficiency columns: cost of the networks behind rows, as measured by the `profile` stages of a run.

Times and memory are compared on one machine only; parameters, multiply-adds and bytes do not depend on the machine.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from reidbench.errors import ReidbenchError
from reidbench.matrix.devices import machine
from reidbench.matrix.keys import of_network
from reidbench.matrix.stage import Plan, Row
from reidbench.stages.networks import network_hash
from reidbench.store.artifact import BadArtifact
from reidbench.store.artifacts import Store

Place = tuple[str, str]  # method, task


@dataclass(frozen=True)
class Column:
    """A property of a network in its measured unit; tables print it in `printed`, times `scale`."""

    name: str
    printed: str
    words: str  # description
    unit: str = ""
    scale: float = 1.0
    better: Literal["lower", "higher"] = "lower"
    measured: bool = False  # depends on the machine
    spread: bool = False  # has quartiles

    @property
    def heading(self) -> str:
        """The name with its printed unit."""
        return f"{self.name}, {self.printed}"


COLUMNS = {
    column.name: column
    for column in (
        Column("params", "M", "parameters of the embedding network, in millions", scale=1e-6),
        Column(
            "macs",
            "G",
            "multiply-adds of convolutions and matrix products for one image, in 10^9 (without norms, activations and "
            "pooling)",
            scale=1e-9,
        ),
        Column("latency", "ms", "median time of one image", "ms", measured=True, spread=True),
        Column("latency64", "ms", "median time of a batch of 64 images", "ms", measured=True, spread=True),
        Column(
            "throughput", "images/s", "images per second, one at a time", "images/s",
            better="higher", measured=True, spread=True,
        ),
        Column(
            "throughput64", "images/s", "images per second in batches of 64", "images/s",
            better="higher", measured=True, spread=True,
        ),
        Column(
            "memory", "MiB", "peak memory with weights and 64 images (on a CPU: growth of the process)", "MiB",
            measured=True,
        ),
        Column("bytes", "B", "bytes of one image's feature", "B"),
    )
}  # fmt: skip
SUMMED = ("params", "macs", "memory", "bytes")  # names in a profile
BATCHES = {"": 1, "64": 64}
PARTS = ("_low", "", "_high")  # quartiles and median of a time


@dataclass(frozen=True)
class Cost:
    """Cost of a row on one machine: (lower quartile, value, upper quartile) by column."""

    machine: str
    values: Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Shown:
    """One cell: its text, whether it is among the best, and its value; None if it cannot be compared."""

    text: str
    bold: bool = False
    value: float | None = None


NOTHING = Shown("-")


@dataclass(frozen=True)
class Efficiency:
    """The columns of a table, and the known costs by method and task.

    `machine` is the one whose measurements are compared; `missing` gives the reasons for missing costs.
    """

    columns: tuple[Column, ...]
    machine: str
    costs: Mapping[Place, Cost]
    missing: tuple[str, ...] = ()

    def shown(self, method: str, task: str, column: Column) -> Shown:
        """Return the cell of a method on a task; a measurement on another machine names it and has no value."""
        cost = self.costs.get((method, task))
        if cost is None:
            return NOTHING
        value = cost.values[column.name][1]
        text = printed(value * column.scale)
        if column.measured and cost.machine != self.machine:
            return Shown(f"{text} ({cost.machine})")
        return Shown(text, (method, task) in self._best[column.name], value)

    def of_method(self, method: str, tasks: Sequence[str], column: Column) -> Shown:
        """Return the cell of a method on these tasks; different costs are joined by " / "."""
        cells = dict.fromkeys(self.shown(method, task, column) for task in tasks if (method, task) in self.costs)
        return next(iter(cells)) if len(cells) == 1 else Shown(" / ".join(cell.text for cell in cells) or "-")

    @cached_property
    def _best(self) -> dict[str, set[Place]]:
        return {column.name: self._best_of(column) for column in self.columns}

    def _best_of(self, column: Column) -> set[Place]:
        """Return the best cells of a column and those with overlapping quartiles; none if no cell is worse."""
        if column.measured and not column.spread:
            return set()  # a single measurement without spread
        sign = -1 if column.better == "higher" else 1
        fair = {
            place: sorted(sign * value for value in cost.values[column.name])
            for place, cost in self.costs.items()
            if not column.measured or cost.machine == self.machine
        }
        if not fair:
            return set()
        best = min(fair.values(), key=lambda values: values[1])
        found = {place for place, values in fair.items() if values[0] <= best[-1]}
        return found if len(found) < len(fair) else set()

    def sentences(self) -> Iterator[str]:
        """Yield descriptions of the columns, the machine, the meaning of bold, and reasons for empty cells."""
        yield "; ".join(f"{column.name}: {column.words}" for column in self.columns) + "."
        if any(column.measured for column in self.columns) and self.machine:
            yield (
                f"Measured on {self.machine}: forward passes in float32, median of up to 30 after up to 3 warm-up "
                "passes; reading images is not timed. Measurements on other machines name the machine and are not "
                "compared."
            )
        if any(self._best.values()):
            yield "Bold in these columns: the best, and all with overlapping quartiles."
        yield from self.missing


def printed(value: float) -> str:
    """Return a number with three digits, or all digits before the decimal point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def names_of(text: str) -> tuple[str, ...]:
    """Return the columns in a list like "params,latency" or "all". Raises ReidbenchError for unknown columns."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == ("all",):
        return tuple(COLUMNS)
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ReidbenchError(f"--columns: unknown column {name!r}{hint} (known: {', '.join(COLUMNS)}, or all)")
    return names


def efficiency(plan: Plan, store: Store, names: Sequence[str]) -> Efficiency:
    """Return the costs of a plan's rows. Raises ReidbenchError if its file has no `profile: true`."""
    if not plan.benchmark.profile:
        raise ReidbenchError(
            f"--columns: {plan.benchmark.file} does not measure costs; add `profile: true` at the top and run "
            f"`reidbench run {plan.benchmark.file}`"
        )
    return _Reading(plan, store).read(tuple(COLUMNS[name] for name in names))


class _Reading:
    """Reads and caches the profiles of a plan's rows."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self.plan = plan
        self.store = store
        self.published = store.keys() | store.records()
        self._profiles: dict[str, dict[str, Mapping[str, Any]]] = {}  # manifests by the machine, by planned key
        self._networks: dict[str, str] = {}  # hashes by key of an embedder

    def read(self, columns: tuple[Column, ...]) -> Efficiency:
        rows: dict[Place, list[Row]] = {}
        for row in self.plan.rows:
            if row.key:
                rows.setdefault((row.method, row.task), []).append(row)
        found: dict[Place, dict[str, Cost]] = {}
        missing: dict[str, None] = {}
        for place, members in rows.items():
            why = self._why_none(members)
            if why:
                missing[f"{place[0]} on {place[1]}: no costs: {why}."] = None
            else:
                found[place] = self._costs(members[0])
        chosen = self._chosen(found)
        costs = {place: by.get(chosen) or by[min(by)] for place, by in found.items()}
        return Efficiency(columns, chosen, costs, tuple(missing))

    def _chosen(self, found: Mapping[Place, Mapping[str, Cost]]) -> str:
        """Return the machine to compare: this one if it was measured, else the one with most rows."""
        counts = Counter(name for by_machine in found.values() for name in by_machine)
        here = machine(self.plan.benchmark.threads)
        return here if here in counts else min(counts, key=lambda name: (-counts[name], name), default="")

    def _why_none(self, rows: Sequence[Row]) -> str:
        """Return the reason why the costs of a cell are unknown, or ""."""
        profiles = rows[0].profiles
        if not all(profiles):
            return "its features do not come from a network"
        for key in profiles:
            if not self.profiles(key):
                failure = self.store.failure(key)
                return f"failed: {failure}" if failure else "not measured yet; run again"
            if not any(one["metrics"] for one in self.profiles(key).values()):
                return "its features do not come from a network"
        if not self._costs(rows[0]):
            return "its parts were measured on different machines"
        if any(self._other(row) for row in rows):
            return "its network differs from the measured one"
        return ""

    def _other(self, row: Row) -> bool:
        """Return whether an embedder of a row in the store differs from the measured one in class or shapes."""
        pairs = zip(row.profiles, self.plan.embedders(row), strict=True)
        return any(
            bool(own := self.network(embedder)) and own not in {one["network"] for one in self.profiles(key).values()}
            for key, (_, embedder) in pairs
        )

    def network(self, key: str) -> str:
        """Return the `network_hash` of an embedder; empty if it is missing."""
        if key not in self._networks:
            self._networks[key] = network_hash(self.store.path(key))
        return self._networks[key]

    def profiles(self, planned: str) -> dict[str, Mapping[str, Any]]:
        """Return the complete profiles of a network, by machine."""
        if planned not in self._profiles:
            found: dict[str, Mapping[str, Any]] = {}
            for key in of_network(planned, self.published):
                try:
                    manifest = self.store.manifest(key).manifest
                except (KeyError, BadArtifact):
                    continue  # a run restores it
                if manifest.get("machine") and "network" in manifest and _whole(manifest.get("metrics", {})):
                    found.setdefault(manifest["machine"], manifest)
            self._profiles[planned] = found
        return self._profiles[planned]

    def _costs(self, row: Row) -> dict[str, Cost]:
        """Return the costs of a row by machine; an ensemble has the sums over its embedders."""
        parts = [self.profiles(key) for key in row.profiles]
        machines = [name for name in parts[0] if all(part.get(name, {}).get("metrics") for part in parts)]
        return {name: Cost(name, _summed([part[name]["metrics"] for part in parts])) for name in machines}


def _whole(metrics: Mapping[str, float]) -> bool:
    """Return whether a profile has all numbers and positive times, or none at all (not a network)."""
    if not metrics:
        return True
    times = [f"latency{suffix}{part}" for suffix in BATCHES for part in PARTS]
    numbers = [metrics.get(name, math.nan) for name in (*SUMMED, *times)]
    return all(map(math.isfinite, numbers)) and min(numbers[len(SUMMED) :]) > 0


def _summed(profiles: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float, float]]:
    """Return value and quartiles of each column: sums over the parts, which run one after the other."""
    found = {name: (math.fsum(one[name] for one in profiles),) * 3 for name in SUMMED}
    for suffix, batch in BATCHES.items():
        low, median, high = (math.fsum(one[f"latency{suffix}{part}"] for one in profiles) for part in PARTS)
        found[f"latency{suffix}"] = low, median, high
        found[f"throughput{suffix}"] = 1000 * batch / high, 1000 * batch / median, 1000 * batch / low
    return found
