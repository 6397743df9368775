"""Efficiency beside accuracy: what the networks behind rows cost, as the `profile` stages of a run measured it.

What a clock or a memory says is compared on one machine only; parameters, multiply-adds and bytes are the same on all.
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
    """A number of a network, in the unit of the measurement; tables print it in `printed`, times `scale`."""

    name: str
    printed: str
    words: str  # what is counted or measured
    unit: str = ""
    scale: float = 1.0
    better: Literal["lower", "higher"] = "lower"
    measured: bool = False  # it depends on the machine
    spread: bool = False  # it has quartiles

    @property
    def heading(self) -> str:
        """Its name with the unit in which it is printed."""
        return f"{self.name}, {self.printed}"


COLUMNS = {
    column.name: column
    for column in (
        Column("params", "M", "parameters of the network that embeds, in millions", scale=1e-6),
        Column(
            "macs",
            "G",
            "multiply-adds of its convolutions and matrix products for one image, in 10^9 (norms, activations and "
            "pooling are not counted)",
            scale=1e-9,
        ),
        Column("latency", "ms", "median time of one image", "ms", measured=True, spread=True),
        Column("latency64", "ms", "median time of 64 images together", "ms", measured=True, spread=True),
        Column(
            "throughput", "images/s", "images a second, one at a time", "images/s",
            better="higher", measured=True, spread=True,
        ),
        Column(
            "throughput64", "images/s", "images a second, 64 at a time", "images/s",
            better="higher", measured=True, spread=True,
        ),
        Column(
            "memory", "MiB", "peak memory of the weights and 64 images (on a CPU, what the process grew by)", "MiB",
            measured=True,
        ),
        Column("bytes", "B", "bytes of the feature of one image", "B"),
    )
}  # fmt: skip
SUMMED = ("params", "macs", "memory", "bytes")  # as they stand in a profile
BATCHES = {"": 1, "64": 64}
PARTS = ("_low", "", "_high")  # quartiles and median of a time


@dataclass(frozen=True)
class Cost:
    """What a row costs on one machine: by column, its value between its quartiles where it has some."""

    machine: str
    values: Mapping[str, tuple[float, float, float]]


@dataclass(frozen=True)
class Shown:
    """One cell: its text, whether it is among the best, and the number; None where there is none to compare."""

    text: str
    bold: bool = False
    value: float | None = None


NOTHING = Shown("-")


@dataclass(frozen=True)
class Efficiency:
    """The columns that a table shows, and what each method costs on each task, where that is known.

    `machine` is the one whose numbers are compared, `missing` says why some are not there.
    """

    columns: tuple[Column, ...]
    machine: str
    costs: Mapping[Place, Cost]
    missing: tuple[str, ...] = ()

    def shown(self, method: str, task: str, column: Column) -> Shown:
        """The cell of a method on a task; a measurement of another machine is printed with that, and no number."""
        cost = self.costs.get((method, task))
        if cost is None:
            return NOTHING
        value = cost.values[column.name][1]
        text = printed(value * column.scale)
        if column.measured and cost.machine != self.machine:
            return Shown(f"{text} ({cost.machine})")
        return Shown(text, (method, task) in self._best[column.name], value)

    def of_method(self, method: str, tasks: Sequence[str], column: Column) -> Shown:
        """The cell of a method on these tasks, which agree where the network is the same."""
        cells = dict.fromkeys(self.shown(method, task, column) for task in tasks if (method, task) in self.costs)
        return next(iter(cells)) if len(cells) == 1 else Shown(" / ".join(cell.text for cell in cells) or "-")

    @cached_property
    def _best(self) -> dict[str, set[Place]]:
        return {column.name: self._best_of(column) for column in self.columns}

    def _best_of(self, column: Column) -> set[Place]:
        """The best cells of a column and those whose quartiles reach theirs; none where nothing is worse."""
        if column.measured and not column.spread:
            return set()  # one look: nobody knows its noise
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
        """What the columns are, where they were measured, what bold means, and why some cells are empty."""
        yield "; ".join(f"{column.name}: {column.words}" for column in self.columns) + "."
        if any(column.measured for column in self.columns) and self.machine:
            yield (
                f"Measured on {self.machine}: forward passes in float32, the median of up to 30 after up to 3 to warm "
                "up; reading pictures is not timed. Numbers of other machines are printed with their machine, and are "
                "not compared."
            )
        if any(self._best.values()):
            yield "Bold in these columns: the best, and what cannot be told from it (quartiles that overlap)."
        yield from self.missing


def printed(value: float) -> str:
    """Three digits, and all before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def names_of(text: str) -> tuple[str, ...]:
    """The columns that a list like "params,latency" names; "all" is each of them. Raises ReidbenchError."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    if names == ("all",):
        return tuple(COLUMNS)
    for name in names:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ReidbenchError(f"--columns: no column named {name!r}{hint} (known: {', '.join(COLUMNS)}, or all)")
    return names


def efficiency(plan: Plan, store: Store, names: Sequence[str]) -> Efficiency:
    """What the rows of a plan cost. Raises ReidbenchError where its file asks for no profiles."""
    if not plan.benchmark.profile:
        raise ReidbenchError(
            f"--columns: {plan.benchmark.file} measures no costs; write `profile: true` at its top, and "
            f"`reidbench run {plan.benchmark.file}` adds them"
        )
    return _Reading(plan, store).read(tuple(COLUMNS[name] for name in names))


class _Reading:
    """Reads the profiles of a plan's rows, each once."""

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
        """The machine that is compared: this one, or else that of most rows."""
        counts = Counter(name for by_machine in found.values() for name in by_machine)
        here = machine(self.plan.benchmark.threads)
        return here if here in counts else min(counts, key=lambda name: (-counts[name], name), default="")

    def _why_none(self, rows: Sequence[Row]) -> str:
        """Why the costs of a cell are not known; empty where they are."""
        profiles = rows[0].profiles
        if not all(profiles):
            return "its features are no network's"
        for key in profiles:
            if not self.profiles(key):
                failure = self.store.failure(key)
                return f"failed: {failure}" if failure else "not measured yet; run again"
            if not any(one["metrics"] for one in self.profiles(key).values()):
                return "its features are no network's"
        if not self._costs(rows[0]):
            return "its parts were measured on different machines"
        if any(self._other(row) for row in rows):
            return "its network is not the one that was measured"
        return ""

    def _other(self, row: Row) -> bool:
        """Whether an embedder of a row is in the store, and differs from what was measured in its class or shapes."""
        pairs = zip(row.profiles, self.plan.embedders(row), strict=True)
        return any(
            bool(own := self.network(embedder)) and own not in {one["network"] for one in self.profiles(key).values()}
            for key, (_, embedder) in pairs
        )

    def network(self, key: str) -> str:
        """What `network_hash` says of an embedder; empty where it is not there."""
        if key not in self._networks:
            self._networks[key] = network_hash(self.store.path(key))
        return self._networks[key]

    def profiles(self, planned: str) -> dict[str, Mapping[str, Any]]:
        """The whole profiles of a network, by machine."""
        if planned not in self._profiles:
            found: dict[str, Mapping[str, Any]] = {}
            for key in of_network(planned, self.published):
                try:
                    manifest = self.store.manifest(key).manifest
                except (KeyError, BadArtifact):
                    continue  # a run makes it again
                if manifest.get("machine") and "network" in manifest and _whole(manifest.get("metrics", {})):
                    found.setdefault(manifest["machine"], manifest)
            self._profiles[planned] = found
        return self._profiles[planned]

    def _costs(self, row: Row) -> dict[str, Cost]:
        """The costs of a row by machine: those of its embedder, or the sums over an ensemble's."""
        parts = [self.profiles(key) for key in row.profiles]
        machines = [name for name in parts[0] if all(part.get(name, {}).get("metrics") for part in parts)]
        return {name: Cost(name, _summed([part[name]["metrics"] for part in parts])) for name in machines}


def _whole(metrics: Mapping[str, float]) -> bool:
    """Whether a profile has all numbers, and times above 0; or none, of what is no network."""
    if not metrics:
        return True
    times = [f"latency{suffix}{part}" for suffix in BATCHES for part in PARTS]
    numbers = [metrics.get(name, math.nan) for name in (*SUMMED, *times)]
    return all(map(math.isfinite, numbers)) and min(numbers[len(SUMMED) :]) > 0


def _summed(profiles: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float, float]]:
    """Value and quartiles of each column: the sums over the parts, which work one after the other."""
    found = {name: (math.fsum(one[name] for one in profiles),) * 3 for name in SUMMED}
    for suffix, batch in BATCHES.items():
        low, median, high = (math.fsum(one[f"latency{suffix}{part}"] for one in profiles) for part in PARTS)
        found[f"latency{suffix}"] = low, median, high
        found[f"throughput{suffix}"] = 1000 * batch / high, 1000 * batch / median, 1000 * batch / low
    return found
