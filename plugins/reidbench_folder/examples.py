"""Example of folder for `reidbench check`: a small timm network with random weights, as `finetune: none` saves it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reidbench.files.networkfolder import CONFIG, WEIGHTS, NetworkFolder

SIZE = [64, 32]


def small_network(folder: Path) -> dict[str, Any]:
    """Return parameters that name a folder in `folder`."""
    from safetensors.torch import save_file

    from reidbench.training.networks.timm_backbone import build

    backbone = build("test_resnet", (SIZE[0], SIZE[1]))
    described = {"use": "timm", "params": {"model": "test_resnet", "pretrained": False}, "image_size": SIZE}
    network = NetworkFolder(
        folder,
        "reidbench.training.networks.embedder:BackboneEmbedder",
        ("finetuner", "none"),
        "reidbench_baseline",
        {"backbone": {"backbone": described}, "neck": False},
        {"size": SIZE, "mean": list(backbone.mean), "std": list(backbone.std)},
        frozenset({"bn"}),
        labels=(),
    )
    (folder / CONFIG).write_text(json.dumps(network.described()))
    state = backbone.state_dict()
    save_file({f"backbone.{name}": tensor.clone().contiguous() for name, tensor in state.items()}, folder / WEIGHTS)
    return {"path": folder}
