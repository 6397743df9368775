"""Retrain rows of a pack, drawn with a seed that its submitter could not know."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reidbench.execution.executors import Processes
from reidbench.execution.runner import Display, Runner
from reidbench.matrix.stage import Plan, Row
from reidbench.metrics.statistics import student
from reidbench.registry.plugins import Registry
from reidbench.store.artifacts import Store

from .findings import Findings, PackContents, behind, row_words

LEVEL = 0.99  # of the prediction interval
FEWEST = 3  # seeds for an interval
DRAW_BITS = 64


@dataclass(frozen=True)
class Retrained:
    """The result of training a row again. `exact`: all metrics are bit-identical to the pack's."""

    key: str
    metrics: Mapping[str, float]
    exact: bool


def drawn(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Draw `count` rows by a seed, independent of their order and without duplicate trainings."""
    by_key = {str(row.key): row for row in rows}
    chosen = random.Random(seed).sample(sorted(by_key), min(count, len(by_key)))  # noqa: S311 - seed from `secrets`
    return [by_key[key] for key in chosen]


def retrain(
    rows: Sequence[Row],
    plan: Plan,
    pack: PackContents,
    folder: Path,
    registry: Registry,
    display: Display,
    findings: Findings,
) -> tuple[Store, list[Retrained]]:
    """Train rows again in a new store in a folder. Return the store and the rows that pass.

    `plan` is the plan of the matrix file here.
    """
    store = Store(folder)
    outcome = Runner(plan.only(rows), store, Processes(1), display, registry.disabled).run()
    passed = []
    for row in rows:
        key = str(row.key)
        reason = outcome.failed.get(key) or outcome.blocked.get(key)
        if reason or not store.has(key):
            findings.mismatch(f"{row_words(row)}: cannot be retrained: {reason or 'it did not run'}")
            continue
        made = Retrained(key, store.read(key).metrics, store.read(key).metrics == pack.manifests[key].get("metrics"))
        if made.exact or _within(row, made, pack, plan, store, findings):
            passed.append(made)
    return store, passed


def _within(row: Row, made: Retrained, pack: PackContents, plan: Plan, store: Store, findings: Findings) -> bool:
    """Return whether metrics that are not bit-identical are within the prediction interval; report if not."""
    other = _differs_in(row, pack, plan, store)
    if not other:
        text = "retrained on the same kind of processor with the same versions, with different results"
        findings.mismatch(f"{row_words(row)}: {text}: {_numbers(made.metrics, pack.manifests[made.key])}", made.key)
        return False
    seeds = [one for one in _of_cell(row, pack) if one in pack.manifests]
    if len(seeds) < FEWEST:
        count = f"the pack has {len(seeds)} seed{'' if len(seeds) == 1 else 's'}, and an interval requires {FEWEST}"
        numbers = _numbers(made.metrics, pack.manifests[made.key])
        findings.note(f"{row_words(row)}: retrained with a different {other}, not judged: {count}; {numbers}")
        return False
    outside = []
    for name, value in made.metrics.items():
        low, high = prediction([pack.manifests[key].get("metrics", {}).get(name, math.nan) for key in seeds])
        if not low <= value <= high:
            outside.append(f"{name} {value:.6f} is outside {low:.6f} to {high:.6f}")
    if outside:
        text = f"retrained with a different {other}: {'; '.join(outside)}"
        findings.mismatch(f"{row_words(row)}: {text}, the 99 % prediction interval of its seeds", made.key)
    return not outside


def prediction(values: Sequence[float], level: float = LEVEL) -> tuple[float, float]:
    """Return the prediction interval of one more value by Student's t, given values [S] of a normal distribution.

    NaN, which contains no value, if a value is missing.
    """
    array = np.array(values, dtype=np.float64)
    count = len(array)
    half = student((1 + level) / 2, count - 1) * float(array.std(ddof=1)) * math.sqrt(1 + 1 / count)
    return float(array.mean()) - half, float(array.mean()) + half


def _of_cell(row: Row, pack: PackContents) -> list[str]:
    """Return the keys of all rows of the same cell and pre-training."""
    place = (*row.cell, row.pretrain_seed)
    return [
        one["key"]
        for one in pack.board["rows"]
        if (one["method"], one["task"], one["evaluator"], one["pretrain_seed"]) == place and one["key"]
    ]


def _differs_in(row: Row, pack: PackContents, plan: Plan, store: Store) -> str:
    """Return differences between the runs here and there that can change bits (processor, versions), or ""."""
    found: dict[str, None] = {}
    for key in behind(plan, str(row.key)):
        if plan.stages[key].kind == "data" or key not in pack.manifests:
            continue
        here, there = store.manifest(key).manifest, pack.manifests[key]
        if here.get("processor") != there.get("processor"):
            found["processor"] = None
        found |= dict.fromkeys(_versions(here, there))
    return " and ".join(found)


def _versions(here: Mapping[str, Any], there: Mapping[str, Any]) -> list[str]:
    mine, theirs = here.get("versions", {}), there.get("versions", {})
    changed = [f"version of {name}" for name in mine if mine[name] != theirs.get(name)]
    return changed + (["source of its plugin"] if here.get("source") != there.get("source") else [])


def _numbers(made: Mapping[str, float], manifest: Mapping[str, Any]) -> str:
    claimed = manifest.get("metrics", {})
    differ = [name for name in sorted({*made, *claimed}) if made.get(name) != claimed.get(name)]
    return "; ".join(
        f"{name} {made.get(name, 'missing')}, but {claimed.get(name, 'missing')} in the pack" for name in differ
    )
