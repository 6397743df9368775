"""torchreid networks by name, through the package."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import TorchreidParams


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Yield the backbone for all networks."""
    yield Component(
        "torchreid",
        "reidbench_torchreid.backbone:build",
        TorchreidParams,
        summary="a torchreid network by name, with a checkpoint of its zoo or random weights",
        traits=TorchreidParams.traits,
        protocol=TorchreidParams.supervision,
        packages=("torchreid", "gdown", "cv2"),
        extra="torchreid",
    )


CHECK = {"torchreid": "reidbench_torchreid.examples:small"}
