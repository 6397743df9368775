"""An evaluation made again from other features, the way that its stage made it, in a store that is thrown away."""

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

Columns = Mapping[str, np.ndarray]  # of `features.npz`: {query,gallery}_{features,pids,camids}, and more where known


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation gave: its manifest, and its files by name."""

    manifest: Mapping[str, Any]
    files: Mapping[str, bytes]

    @property
    def metrics(self) -> Mapping[str, float]:
        """The numbers by name."""
        found: Mapping[str, float] = self.manifest["metrics"]
        return found

    @property
    def means(self) -> dict[str, float]:
        """The metrics, and as "per_query NAME" the mean of each array that it kept of its queries, without NaN."""
        found = {str(name): float(value) for name, value in self.metrics.items()}
        for name, array in arrays_of(self.files.get("per_query.npz", b"")).items():
            values = array[np.isfinite(array)].astype(np.float64) if array.dtype.kind in "fiub" else array[:0]
            if values.size:
                found[f"per_query {name}"] = float(values.mean())
        return found


def arrays_of(npz: bytes) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that an evaluation wrote; none of no bytes."""
    if not npz:
        return {}
    with np.load(io.BytesIO(npz)) as arrays:
        return {name: arrays[name] for name in arrays.files}


def halved(features: np.ndarray) -> np.ndarray:
    """Features [N, D] in half precision. Raises ReidbenchError where they are too large for it, or vanish in it."""
    with np.errstate(over="ignore"):
        found = np.asarray(features, dtype=np.float16)
    if not np.isfinite(found).all():
        raise ReidbenchError("its features are larger than half precision can hold (65504)")
    if (np.any(features, axis=1) & ~np.any(found, axis=1)).any():
        raise ReidbenchError("its features are so small that half precision makes zeros of them")
    return found


def rounded_columns(columns: Columns) -> dict[str, np.ndarray]:
    """The same columns with features as single-precision copies of what half precision keeps of them."""
    rounded = {name: halved(columns[name]).astype(np.float32) for name in ("query_features", "gallery_features")}
    return {**columns, **rounded}


def evaluate_again(
    evaluation: Mapping[str, Any], columns: Mapping[str, Columns], without: Collection[str] = ()
) -> Evaluated:
    """Run the evaluator of an evaluation's manifest on the features of each of its parents, by their keys.

    Nothing but its stage and settings counts of the manifest. Raises ReidbenchError where it is not of an evaluation
    that this installation can run, and what the evaluator raises.
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
        raise ReidbenchError(f"its manifest is not that of an evaluation: {type(error).__name__}") from None
    if spec.stage.kind != "evaluate" or not spec.stage.parents or spec.stage.data:
        raise ReidbenchError("its manifest is not that of an evaluation of features")
    return spec
