"""Networks of the Hugging Face hub: vision models of transformers, and timm models in repositories."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import HfParams

CHECK = {"hf": "reidbench_hf.examples:timm_config"}


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Yield the backbone for all repositories."""
    yield Component(
        "hf",
        "reidbench_hf.backbone:build",
        HfParams,
        summary="a repository of the Hugging Face hub with a vision model of transformers or timm",
        capabilities=HfParams.capabilities,
        traits=HfParams.traits,
        protocol=HfParams.supervision,
        packages=("transformers",),
        extra="hf",
    )
