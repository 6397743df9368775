"""Evaluations of a pack computed again: from its features, and from the verifier's own labels."""

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
from reidbench.stages.inputs import Inputs
from reidbench.stages.outputs import more_columns
from reidbench.stages.spec import StageSpec
from reidbench.stages.trained import look_back

from .findings import Findings, PackContents, behind, words_of
from .owndata import OwnData, missing_notes

TOLERANCE = 1e-6
SIDES = ("query", "gallery")
# How far rounding moves a number is measured: the rounded features are moved at random by up to DITHER times what
# rounding can have moved them by, DRAWS times. Whatever pair of distances the rounding can have exchanged is exchanged
# in many of these draws too.
DITHER = 4.0
DRAWS = 8
HALF_STEP = 2.0**-11  # of half precision, relative to a number
SMALLEST_STEP = 2.0**-25  # half of the distance of the numbers next to zero

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Rescored:
    """An evaluation that was computed again and is what the pack says."""

    again: Evaluated
    claimed: Mapping[str, float]


class Rescorer:
    """Computes evaluations again, each once; the columns of an embed stage are made once and held for the next."""

    def __init__(self, pack: PackContents, own: OwnData, findings: Findings) -> None:
        self.pack = pack
        self.own = own
        self.findings = findings
        self.words = words_of(own.plan)
        self._columns: dict[str, Columns] = {}

    def rescore(self) -> dict[str, Rescored]:
        """Every evaluation that passes, by its key; the findings have the mismatches of all others."""
        found = {}
        for key in self.words:
            if key not in self.pack.manifests:
                continue
            try:
                one = self._evaluation(key)
            except Exception as error:  # an evaluator may raise anything: it costs this row
                self.findings.mismatch(f"{self.words[key]}: cannot be computed again: {_reason(error)}", key)
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
            self.findings.note(f"{self.words[key]}: not computed again: the pack has no features of it")
            return None
        unread = [one for parent in parents if not self.own.has(one := self.own.plan.stages[parent].data[0].key)]
        if unread:
            self.findings.note(
                f"{self.words[key]}: not computed again: {self.own.name_of(unread[0])} was not read here"
            )
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
        """What an embed stage leaves: the pack's features, and labels and picture numbers of the verifier's own data.

        Raises ReidbenchError where there are not as many features as images.
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
        """Picture numbers of the test, after what they share with the training is held against what the pack says."""
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
            self.findings.note(f"{stage.label}: what its test shares with {names}, not read here, was not looked for")
        missing = [word for word in seen.words if word not in claimed.get("protocol", ())]
        if missing:
            self.findings.mismatch(f"{stage.label}: the pack leaves out the words: {', '.join(missing)}", stage.key)
        elif lost := missing_notes(claimed, seen.notes):
            self.findings.mismatch(f"{stage.label}: the pack leaves out the note: {lost[0]}", stage.key)
        return seen.columns

    # ------------------------------------------------------------------ comparisons
    def _compare_rounded(self, key: str, rounded: Mapping[str, float], made: Mapping[str, float]) -> None:
        for name in sorted({*rounded, *made}):
            there, here = rounded.get(name), made.get(name)
            if there is None or here is None or not abs(there - here) <= TOLERANCE:
                numbers = f"{_number(here)}, and the pack says {_number(there)}"
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
                bounds = f"rounding its features accounts for {low:.6f} to {high:.6f}"
                text = f"{name} {_number(claimed[name])} does not follow from its features: {bounds}"
                self.findings.mismatch(f"{self.words[key]}: {text}", key)

    def _compare_words(self, key: str, manifest: Mapping[str, Any], again: Evaluated) -> None:
        made = again.manifest
        if list(manifest.get("protocol", ())) != list(made.get("protocol", ())):
            words = ", ".join(made.get("protocol", ())) or "nothing"
            self.findings.mismatch(f"{self.words[key]}: its protocol is not what the evaluator adds: {words}", key)
        elif missing := missing_notes(manifest, made.get("notes", [])):
            self.findings.mismatch(f"{self.words[key]}: the pack leaves out the note: {missing[0]}", key)

    def _report_copies(self) -> None:
        """Report features that stand for several embeddings: one result under several seeds, or methods."""
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
                text = f"{labels} have the same features to the bit: one result stands for two seeds"
                self.findings.mismatch(text, key, other)
            else:
                self.findings.note(f"{labels} have the same features to the bit")


def reach(values: list[float]) -> tuple[float, float]:
    """How far rounding can move a number: the range of its draws, and as much on either side."""
    low, high = min(values), max(values)
    width = high - low + TOLERANCE
    return low - width, high + width


def _dithered(columns: Mapping[str, Columns], draw: int) -> dict[str, Columns]:
    """Features moved at random by up to DITHER times what half precision can have moved them by."""
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
