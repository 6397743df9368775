"""Training settings of AGW's visible-infrared baseline."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

EPOCHS = 81  # 0 to 80

TWO_STREAM = {
    "paper": Preset(
        "train.py of the official code with its options: --method agw --lr 0.1",
        image_size=(288, 144),
        resize="bilinear",
        epochs=EPOCHS,
        identities=8,
        images=4,
        shared_from=1,
        pool="gem-fixed",
        optimiser="sgd",
        lr=0.1,
        network_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        warmup=9 / EPOCHS,  # from 0.01 in steps of 0.01; the tenth epoch has the full rate
        warmup_factor=0.1,
        milestones=(20 / EPOCHS, 50 / EPOCHS),
        gamma=0.1,
        label_smoothing=0.0,
        triplet="weighted-code",
        triplet_weight=1.0,
        flip=0.5,
        pad=10,
        erase=0.0,
        grey=0.0,
    )
}

# A few steps with a small batch, for `reidbench rehearse`.
FEW: dict[str, Any] = {"epochs": 1, "identities": 2, "images": 2}
