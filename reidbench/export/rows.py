"""A row of a matrix file, selected by method, task and seed, and its trained networks."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from reidbench.errors import ReidbenchError, StoreError
from reidbench.files.names import shown
from reidbench.matrix.reading.checker import guess
from reidbench.matrix.stage import Plan, Row, Stage
from reidbench.store.artifacts import Store
from reidbench.store.several import joined

from .networks import Member


@dataclass(frozen=True)
class Choice:
    """A row selected on the command line. A field that is None must be unambiguous. `options` are those of the plan."""

    file: Path
    method: str | None = None
    task: str | None = None
    seed: int | None = None
    options: Sequence[str] = ()  # such as --set seeds=[0], for the command that runs the row

    def members(self, plan: Plan, store: Store) -> list[Member]:
        """Return the trained networks of the row. Raises ReidbenchError for an unknown row, or one not in the store."""
        row = self.row(plan)
        return [self._member(plan, store, row, plan.stages[key]) for _, key in plan.stages[row.key or ""].parents]

    def evaluations(self, plan: Plan, store: Store) -> tuple[str, dict[str, str]]:
        """Return the row's name, and the keys of its results in the store by evaluator.

        Raises ReidbenchError for an unknown row, or one without a result in the store.
        """
        row = self.row(plan)
        seeds = row.method, row.task, row.seed, row.pretrain_seed
        own = [one for one in plan.rows if (one.method, one.task, one.seed, one.pretrain_seed) == seeds]
        found = {one.evaluator: one.key for one in own if one.key and store.has(one.key)}
        if not found:
            raise StoreError(
                f"{_name(row)} has no result in the store {joined(store)}; to run it: {self._command(row)}"
            )
        return _name(row).rstrip(","), found

    def row(self, plan: Plan) -> Row:
        """Return the row, of any evaluator. Raises ReidbenchError with the choices if none or several match."""
        method = self._one("--row", self.method, list(dict.fromkeys(row.method for row in plan.rows)), "method")
        task = self._one("--task", self.task, list(dict.fromkeys(row.task for row in plan.rows)), "task")
        rows = [row for row in plan.rows if (row.method, row.task) == (method, task)]
        if rows[0].key is None:
            raise ReidbenchError(f"{_cell(rows[0])} is not applicable: {rows[0].reason}")
        return self._of_seed(plan, rows)

    def _one(self, option: str, given: str | None, known: list[str], what: str) -> str:
        there = f"{shown(self.file)} has {', '.join(map(shown, known))}"
        if given is None:
            if len(known) > 1:
                raise ReidbenchError(f"no {what} given; choose one with {option}: {there}")
            return known[0]
        if given not in known:
            raise ReidbenchError(f"unknown {what} {shown(given)!r}{guess(given, known)}; {there}")
        return given

    def _of_seed(self, plan: Plan, rows: list[Row]) -> Row:
        """Return the row of the seed. A row that uses no seed represents all seeds of the file."""
        seeds = sorted({row.seed for row in rows if row.seed is not None})
        known = seeds or list(plan.benchmark.seeds)
        listed = ", ".join(map(str, known))
        if self.seed is None and len(seeds) > 1:
            raise ReidbenchError(f"{_cell(rows[0])} has several seeds; choose one with --seed: {listed}")
        if self.seed is not None and self.seed not in known:
            raise ReidbenchError(f"{_cell(rows[0])} has no seed {self.seed}; {shown(self.file)} has {listed}")
        found = [row for row in rows if row.seed is None or self.seed in (None, row.seed)]
        earlier = {row.pretrain_seed for row in found}
        if len(earlier) > 1:
            numbers = ", ".join(str(seed) for seed in sorted(earlier, key=str))
            raise ReidbenchError(
                f"{_cell(rows[0])} has several pre-training seeds ({numbers}); choose one with "
                f"--set 'pretrain_seeds=[{min(map(str, earlier))}]'"
            )
        return found[0]

    def _member(self, plan: Plan, store: Store, row: Row, embed: Stage) -> Member:
        """Return the network of an embed stage."""
        if not embed.parents:
            raise ReidbenchError(f"{_name(row)} has features but no network ({embed.label})")
        key = embed.parents[-1][1]
        try:
            return Member(store.read(key), embed.params.get("flip") is True)
        except KeyError:
            made_by = plan.stages[key].label
            raise StoreError(
                f"{_name(row)} is not in the store {joined(store)} ({made_by} is missing); to run it: "
                f"{self._command(row)}"
            ) from None

    def _command(self, row: Row) -> str:
        only = glob.escape(f"{row.method}/{row.task}")
        return shlex.join(["reidbench", "run", str(self.file), "--only", only, *self.options])


def _name(row: Row) -> str:
    return _cell(row) if row.seed is None else f"{_cell(row)}, seed {row.seed},"


def _cell(row: Row) -> str:
    return f"{shown(row.method)} on {shown(row.task)}"
