"""Networks of the Hugging Face hub: transformers' vision models, and repositories with a model of timm."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import HfParams

CHECK = {"hf": "reidbench_hf.examples:timm_config"}


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """One backbone for all repositories."""
    yield Component(
        "hf",
        "reidbench_hf.backbone:build",
        HfParams,
        summary="a repository of the Hugging Face hub: a vision model of transformers, or a model of timm",
        capabilities=HfParams.capabilities,
        traits=HfParams.traits,
        protocol=HfParams.supervision,
        packages=("transformers",),
        extra="hf",
    )
