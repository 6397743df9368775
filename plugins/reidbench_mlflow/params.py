"""Options of the tracker `mlflow`."""

from __future__ import annotations

from pydantic import Field

from reidbench import Params


class MlflowParams(Params):
    """Options of `--track-option mlflow.KEY=VALUE`."""

    uri: str | None = Field(
        None,
        description="address of the tracking server, or a URI like sqlite:///mlflow.db; default: $MLFLOW_TRACKING_URI, "
        "or MLflow's own default in the working folder",
    )
    experiment: str | None = Field(
        None, description="name of the experiment, created if missing; default: the title of the matrix file"
    )
