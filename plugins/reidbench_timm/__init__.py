"""timm's models by name."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import TimmParams


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """One backbone for all models."""
    yield Component(
        "timm",
        "reidbench_timm.backbone:build",
        TimmParams,
        summary="any model of timm by its name, with the weights of the hub, of a file, or random ones",
        capabilities=TimmParams.capabilities,
        traits=TimmParams.traits,
        protocol=TimmParams.supervision,
        rehearsal={"pretrained": False, "revision": None, "labels": None},
    )


CHECK = {"timm": {"model": "test_resnet.r160_in1k", "pretrained": False}}
