"""Recompute evaluations of a pack from its features and the verifier's own labels."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reidbench.data import Split
from reidbench.errors import ReidbenchError
from reidbench.matrix.stage import Stage
from reidbench.packs.rescoring import Evaluated, evaluate_again
from reidbench.stages.checks.trained import look_back
from reidbench.stages.inputs import Inputs
from reidbench.stages.outputs import more_columns
from reidbench.stages.spec import StageSpec

from .findings import Findings, PackContents, behind, words_of
from .owndata import OwnData, missing_notes

TOLERANCE = 1e-6
SIDES = ("query", "gallery")
# The effect of rounding on a metric is measured: DRAWS times, the rounded features are moved at random by up to DITHER
# times the rounding error. Pairs of distances that rounding may have swapped are swapped in many of these draws too.
DITHER = 4.0
DRAWS = 8
HALF_STEP = 2.0**-11  # of half precision, relative
SMALLEST_STEP = 2.0**-25  # half the distance between numbers near zero

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Rescored:
    """A recomputed evaluation that matches the pack."""

    again: Evaluated
    claimed: Mapping[str, float]


class Rescorer:
    """Recomputes evaluations, each once; columns of embed stages are cached."""

    def __init__(self, pack: PackContents, own: OwnData, findings: Findings) -> None:
        self.pack = pack
        self.own = own
        self.findings = findings
        self.words = words_of(own.plan)
        self._columns: dict[str, Columns] = {}

    def rescore(self) -> dict[str, Rescored]:
        """Return the evaluations that pass, by key; findings have the mismatches of the others."""
        found = {}
        for key in self.words:
            if key not in self.pack.manifests:
                continue
            try:
                one = self._evaluation(key)
            except Exception as error:  # an evaluator may raise anything; only its row fails
                self.findings.mismatch(f"{self.words[key]}: cannot be recomputed: {_reason(error)}", key)
                continue
            if one is not None and not self.findings.wrong & set(behind(self.own.plan, key)):
                found[key] = one
        self._report_copies()
        return found

    def _evaluation(self, key: str) -> Rescored | None:
        stage = self.own.plan.stages[key]
        manifest = self.pack.manifests[key]
        parents = list(dict.fromkeys(parent for _, parent in stage.parents))
        rounded = self.pack.rounded(key)
        if rounded is None or any(self.pack.features(parent) is None for parent in parents):
            self.findings.note(f"{self.words[key]}: not recomputed: the pack does not contain its features")
            return None
        unread = [one for parent in parents if not self.own.has(one := self.own.plan.stages[parent].data[0].key)]
        if unread:
            self.findings.note(f"{self.words[key]}: not recomputed: {self.own.name_of(unread[0])} was not read here")
            return None
        columns = {parent: self.columns(parent) for parent in parents}
        again = self._evaluate(stage, columns)
        before = len(self.findings.mismatches)
        self._compare_rounded(key, rounded, again.means)
        self._compare_claimed(key, manifest, again, columns)
        self._compare_words(key, manifest, again)
        return Rescored(again, manifest.get("metrics", {})) if len(self.findings.mismatches) == before else None

    def _evaluate(self, stage: Stage, columns: Mapping[str, Columns]) -> Evaluated:
        benchmark = self.own.plan.benchmark
        settings = {"threads": max(1, min(benchmark.threads, os.cpu_count() or 1)), "precision": benchmark.precision}
        given = {"stage": {name: value for name, value in asdict(stage).items() if name != "changed"}}
        return evaluate_again({**given, "settings": settings}, columns, self.own.registry.disabled)

    # ------------------------------------------------------------------ features
    def columns(self, key: str) -> Columns:
        """Return the columns of an embed stage: the pack's features with labels and image numbers of the own data.

        Raises ReidbenchError if the numbers of features and images differ.
        """
        if key not in self._columns:
            stage = self.own.plan.stages[key]
            (given,) = stage.data
            folder = self.own.store.read(given.key).path
            parts = {side: Split.load(folder / f"{side}.json", folder) for side in SIDES}
            columns: Columns = more_columns(parts)
            for side, features in zip(SIDES, self.pack.features(key) or (), strict=True):
                split = parts[side]
                if len(features) != len(split):
                    counts = (
                        f"the pack has features of {len(features)} {side} images, and {given.data} has {len(split)}"
                    )
                    raise ReidbenchError(counts)
                columns[f"{side}_features"] = features.astype(np.float32)
                columns |= {f"{side}_pids": split.pids, f"{side}_camids": split.camids}
            self._columns[key] = columns | self._look_back(stage, parts)
        return self._columns[key]

    def _look_back(self, stage: Stage, parts: dict[str, Split]) -> Columns:
        """Return image numbers of the test, after comparing its overlap with the training with the pack's."""
        spec = StageSpec.of(self.own.plan, stage, self.own.store, self.own.registry.disabled)
        unread = [given.data for given in spec.trained_on if not self.own.has(given.key)]
        spec = spec.model_copy(
            update={"trained_on": tuple(given for given in spec.trained_on if self.own.has(given.key))}
        )
        inputs = Inputs(spec, self.own.store, self.own.registry, lambda event: None)
        seen = look_back(inputs, stage.data[0], parts)
        claimed = self.pack.manifests.get(stage.key, {})
        if unread:
            names = ", ".join(dict.fromkeys(unread))
            self.findings.note(f"{stage.label}: the overlap of its test with {names}, not read here, was not checked")
        missing = [word for word in seen.words if word not in claimed.get("protocol", ())]
        if missing:
            self.findings.mismatch(f"{stage.label}: the pack omits the words: {', '.join(missing)}", stage.key)
        elif lost := missing_notes(claimed, seen.notes):
            self.findings.mismatch(f"{stage.label}: the pack omits the note: {lost[0]}", stage.key)
        return seen.columns

    # ------------------------------------------------------------------ comparisons
    def _compare_rounded(self, key: str, rounded: Mapping[str, float], made: Mapping[str, float]) -> None:
        for name in sorted({*rounded, *made}):
            there, here = rounded.get(name), made.get(name)
            if there is None or here is None or not abs(there - here) <= TOLERANCE:
                numbers = f"{_number(here)}, but {_number(there)} in the pack"
                self.findings.mismatch(f"{self.words[key]}: {name} of its features is {numbers}", key)

    def _compare_claimed(
        self, key: str, manifest: Mapping[str, Any], again: Evaluated, columns: Mapping[str, Columns]
    ) -> None:
        claimed = Evaluated(manifest, self.pack.results(key)).means
        made = again.means
        if claimed.keys() != made.keys():
            names = ", ".join(sorted(claimed.keys() ^ made.keys()))
            self.findings.mismatch(f"{self.words[key]}: only one of the pack and its evaluator gives {names}", key)
            return
        differ = [name for name in made if not abs(claimed[name] - made[name]) <= TOLERANCE]
        if not differ:
            return
        stage = self.own.plan.stages[key]
        draws = [made, *(self._evaluate(stage, _dithered(columns, draw)).means for draw in range(DRAWS))]
        for name in differ:
            low, high = reach([draw.get(name, math.nan) for draw in draws])
            if not low <= claimed[name] <= high:
                bounds = f"rounding explains only {low:.6f} to {high:.6f}"
                text = f"{name} {_number(claimed[name])} does not follow from its features: {bounds}"
                self.findings.mismatch(f"{self.words[key]}: {text}", key)

    def _compare_words(self, key: str, manifest: Mapping[str, Any], again: Evaluated) -> None:
        made = again.manifest
        if list(manifest.get("protocol", ())) != list(made.get("protocol", ())):
            words = ", ".join(made.get("protocol", ())) or "nothing"
            self.findings.mismatch(f"{self.words[key]}: its protocol differs from the evaluator's words: {words}", key)
        elif missing := missing_notes(manifest, made.get("notes", [])):
            self.findings.mismatch(f"{self.words[key]}: the pack omits the note: {missing[0]}", key)

    def _report_copies(self) -> None:
        """Report identical features of several embeddings: one result for several seeds or methods."""
        first: dict[bytes, str] = {}
        cells: dict[str, set[tuple[str, str, str]]] = {}
        for row in self.own.plan.rows:
            for _, parent in self.own.plan.stages[row.key].parents if row.key else ():
                cells.setdefault(parent, set()).add(row.cell)
        for key, columns in self._columns.items():
            content = b"".join(columns[f"{side}_features"].tobytes() for side in SIDES)
            other = first.setdefault(content, key)
            if other == key:
                continue
            labels = f"{self.own.plan.stages[key].label} and {self.own.plan.stages[other].label}"
            if cells[key] & cells[other]:
                text = f"{labels} have identical features: one result is used for two seeds"
                self.findings.mismatch(text, key, other)
            else:
                self.findings.note(f"{labels} have identical features")


def reach(values: list[float]) -> tuple[float, float]:
    """Return the range that rounding can explain: the range of the draws, extended by its width on both sides."""
    low, high = min(values), max(values)
    width = high - low + TOLERANCE
    return low - width, high + width


def _dithered(columns: Mapping[str, Columns], draw: int) -> dict[str, Columns]:
    """Return features moved at random by up to DITHER times the error of half precision."""
    source = np.random.default_rng(draw)
    found = {}
    for key, given in columns.items():
        own = dict(given)
        for side in SIDES:
            features = given[f"{side}_features"]
            step = np.maximum(np.abs(features) * np.float32(HALF_STEP), np.float32(SMALLEST_STEP))
            moved = source.uniform(-DITHER, DITHER, features.shape).astype(np.float32) * step
            own[f"{side}_features"] = np.where(features == 0, features, features + moved)
        found[key] = own
    return found


def _number(value: float | None) -> str:
    return "missing" if value is None else f"{value:.6f}"


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ReidbenchError) else f"{type(error).__name__}: {error}"
