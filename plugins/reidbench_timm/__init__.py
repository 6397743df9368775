"""timm models by name."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import TimmParams


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Yield the backbone for all models."""
    yield Component(
        "timm",
        "reidbench_timm.backbone:build",
        TimmParams,
        summary="any timm model by name, with weights from the hub or a file, or random",
        capabilities=TimmParams.capabilities,
        traits=TimmParams.traits,
        protocol=TimmParams.supervision,
        rehearsal={"pretrained": False, "revision": None, "labels": None},
    )


CHECK = {"timm": {"model": "test_resnet.r160_in1k", "pretrained": False}}
