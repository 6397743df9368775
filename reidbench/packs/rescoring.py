"""Repeat an evaluation with other features, as its stage ran it, in a temporary store."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from reidbench.errors import ReidbenchError
from reidbench.stages.outputs import save_arrays
from reidbench.stages.run import run_stage
from reidbench.stages.spec import StageSpec
from reidbench.store.artifacts import Store

Columns = Mapping[
    str, np.ndarray
]  # of `features.npz`: {query,gallery}_{features,pids,camids}, and other labels if known


@dataclass(frozen=True)
class Evaluated:
    """The result of an evaluation: its manifest, and its files by name."""

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Metrics by name."""
        found: Mapping[str, float] = self.manifest["metrics"]
        return found

    @property
    def means(self) -> dict[str, float]:
        """The metrics, and "per_query NAME" with the mean of each per-query array without NaN."""
        found = {str(name): float(value) for name, value in self.metrics.items()}
        for name, array in arrays_of(self.files.get("per_query.npz", b"")).items():
            values = array[np.isfinite(array)].astype(np.float64) if array.dtype.kind in "fiub" else array[:0]
            if values.size:
                found[f"per_query {name}"] = float(values.mean())
        return found


def arrays_of(npz: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an evaluation's .npz file; none for empty bytes."""
    if not npz:
        return {}
    with np.load(io.BytesIO(npz)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def halved(features: np.ndarray) -> np.ndarray:
    """Return features [N, D] in half precision. Raises ReidbenchError if they overflow or become zero."""
    with np.errstate(over="ignore"):
        found = np.asarray(features, dtype=np.float16)
    if not np.isfinite(found).all():
        raise ReidbenchError("its features exceed the range of half precision (65504)")
    if (np.any(features, axis=1) & ~np.any(found, axis=1)).any():
        raise ReidbenchError("its features become zero in half precision")
    return found


def rounded_columns(columns: Columns) -> dict[str, np.ndarray]:
    """Return the columns with features rounded to half precision, as single precision."""
    rounded = {name: halved(columns[name]).astype(np.float32) for name in ("query_features", "gallery_features")}
    return {**columns, **rounded}


def evaluate_again(
    evaluation: Mapping[str, Any], columns: Mapping[str, Columns], without: Collection[str] = ()
) -> Evaluated:
    """Run the evaluator of an evaluation's manifest on the features of its parents, by key.

    Only stage and settings of the manifest are used. Raises ReidbenchError if this installation cannot run the
    evaluation, and exceptions of the evaluator.
    """
    with tempfile.TemporaryDirectory(prefix="reidbench-") as folder:
        store = Store(Path(folder))
        spec = _spec(evaluation, store, without)
        for key in {key for _, key in spec.stage.parents}:
            with store.publishing(key) as (out, manifest):
                save_arrays(out / "features.npz", columns[key])
                manifest["metrics"] = {}
        run_stage(spec, lambda event: None)
        made = store.read(spec.stage.key)
        files = {name: (made.path / name).read_bytes() for name in made.manifest["files"]}
        return Evaluated(made.manifest, files)


def _spec(evaluation: Mapping[str, Any], store: Store, without: Collection[str]) -> StageSpec:
    settings = evaluation.get("settings", {})
    try:
        spec = StageSpec.model_validate(
            {
                "stage": evaluation["stage"],
                "start": None,
                "trained_on": (),
                "store": store.root,
                "cache": store.root / "cache",
                "without": tuple(sorted(without)),
                "workers": 0,
                "roots": {},
                "data_stages": {},
                "threads": settings.get("threads", 1),
                "precision": settings.get("precision", "32-true"),
                "devices": 1,
            }
        )
    except (ValidationError, KeyError) as error:
        raise ReidbenchError(f"its manifest does not describe an evaluation: {type(error).__name__}") from None
    if spec.stage.kind != "evaluate" or not spec.stage.parents or spec.stage.data:
        raise ReidbenchError("its manifest does not describe an evaluation of features")
    return spec
