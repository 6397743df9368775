"""Training settings of the official code. They include the image size; the matrix file names the network."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

AGW = {
    "paper": Preset(
        "configs/AGW_baseline.yml of the official code, which it uses for Market-1501 and DukeMTMC-reID",
        image_size=(256, 128),
        resize="bilinear",
        epochs=120,
        identities=16,
        images=4,
        lr=3.5e-4,
        weight_decay=5e-4,
        warmup=10 / 120,
        warmup_factor=0.01,
        milestones=(40 / 120, 70 / 120),
        gamma=0.1,
        label_smoothing=0.1,
        non_local=(0, 2, 3, 0),
        inner=1,
        pool="gem",
        triplet="weighted-code",
        triplet_weight=1.0,
        center_weight=5e-4,
        center_lr=0.5,
        flip=0.5,
        pad=10,
        erase=0.5,
    )
}

# A few steps with a small batch, for `reidbench rehearse`.
FEW: dict[str, Any] = {"epochs": 1, "identities": 2, "images": 2, "accumulate": 1}
