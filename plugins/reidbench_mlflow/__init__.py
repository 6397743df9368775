"""MLflow runs of trainings, nested under the run of their matrix file."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import MlflowParams


@hookimpl
def reidbench_trackers() -> Iterator[Component]:
    """Yield the tracker that writes to an MLflow server or folder."""
    yield Component(
        "mlflow",
        "reidbench_mlflow.tracker:MlflowTracker",
        MlflowParams,
        summary="an MLflow run for each training, nested under one for the matrix file: metrics, parameters, results",
        packages=("mlflow",),
        extra="mlflow",
    )
