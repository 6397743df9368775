"""Presets with the recipes of HHL and its StarGAN; a matrix file sets the network, a ResNet-50 with last stride 2."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

_STARGAN: dict[str, Any] = {
    "channels": 64, "blocks": 6, "critic_channels": 64, "critic_layers": 6, "batch": 16, "critic_steps": 5, "lr": 1e-4,
    "betas": (0.5, 0.999), "camera_weight": 1.0, "cycle_weight": 10.0, "penalty_weight": 10.0, "identity_weight": 0.0,
    "enlarge": 1.125, "flip": 0.5,
}  # fmt: skip
STARGAN = {
    "paper": Preset(
        "experiment settings of the paper: 128x64, 100 epochs, then 100 with a learning rate that falls to 0",
        **_STARGAN, size=(128, 64), epochs=200, steps=None, decay_start=0.5,
    ),
    "code": Preset(
        "the authors' stargan4reid: 256x128, 220,000 steps, whose learning rate stays within 0.1 % of its start",
        **_STARGAN, size=(256, 128), steps=220_000, decay_start=1.0,
    ),
}  # fmt: skip
_HHL: dict[str, Any] = {
    "image_size": (256, 128), "resize": "bilinear", "resize_test": "bicubic", "crop_from": "original",
    "loss": "L_CD", "beta": 0.5, "margin": 0.3, "epochs": 60, "id_batch": 128, "identities": 8, "images": 8,
    "target_images": 16, "sampling": "random", "lr": 0.1, "base_factor": 0.1, "lr_step": 40 / 60, "momentum": 0.9,
    "weight_decay": 5e-4, "width": 1024, "embedding": 128, "dropout": 0.5, "crop": "rect", "flip": 0.5,
}  # fmt: skip
HHL = {
    "paper": Preset(
        "experiment settings of the paper; crops and filters of the official code",
        **_HHL, train_embedding=True, style={"use": "stargan", "preset": "paper"},
    ),
    "code": Preset(
        "HHL.py of the official code, which does not train the shared layer and the triplet branch",
        **_HHL, train_embedding=False, style={"use": "stargan", "preset": "code"},
    ),
}  # fmt: skip
