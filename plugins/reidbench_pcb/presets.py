"""Training settings of the paper. They include the image size; the matrix file names the network."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

_STRIPES: dict[str, Any] = {
    "image_size": (384, 128), "resize": "bilinear", "epochs": 60, "batch": 64, "lr": 0.1, "network_rate": 0.1,
    "momentum": 0.9, "weight_decay": 5e-4, "milestones": (40 / 60,), "gamma": 0.1, "parts": 6, "dim": 256,
    "reduction": "shared", "dropout": 0.5, "feature": "pooled", "flip": 0.5, "erase": 0.0,
}  # fmt: skip
PCB = {
    "paper": Preset("train_PCB.sh and PCB.py of the official code: uniform stripes", **_STRIPES, refine_epochs=0),
    "rpp": Preset(
        "the same with refined part pooling; its schedule is that of the reproduction by Xiaoccer",
        **_STRIPES,
        refine_epochs=15,
        induce_epochs=5,
        refine_lr=0.01,
        part_inputs=256,
    ),
}

# A few steps with a small batch, for `reidbench rehearse`.
FEW: dict[str, Any] = {"epochs": 1, "batch": 8, "refine_epochs": 0, "induce_epochs": 0}
