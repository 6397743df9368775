"""Backbone from a folder that `reidbench export --format folder` wrote, or that was downloaded from the hub."""

from __future__ import annotations

from collections.abc import Iterator

from reidbench import Component, hookimpl

from .params import FolderParams

CHECK = {"folder": "reidbench_folder.examples:small_network"}


@hookimpl
def reidbench_backbones() -> Iterator[Component]:
    """Yield the backbone for all folders."""
    yield Component(
        "folder",
        "reidbench_folder.backbone:build",
        FolderParams,
        summary="a trained network from a folder with config.json and model.safetensors, as `reidbench export` writes",
        capabilities=FolderParams.capabilities,
        traits=frozenset({"seedless"}),
        protocol=FolderParams.supervision,
    )
