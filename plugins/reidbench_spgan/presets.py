"""Presets with the settings of the official code, and small ones for a CPU."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

_TRANSLATION: dict[str, Any] = {
    "size": (256, 256), "channels": 64, "blocks": 9, "critic_channels": 64, "critic_layers": 3, "batch": 1, "epochs": 6,
    "steps": None, "lr": 2e-4, "betas": (0.5, 0.999), "decay_start": 1.0, "cycle_weight": 10.0, "identity_weight": 5.0,
    "history": 50, "enlarge": 286 / 256, "flip": 0.5,
}  # fmt: skip
_SMALL: dict[str, Any] = {
    "channels": 16, "blocks": 3, "critic_channels": 16, "batch": 4, "steps": 800, "lr": 5e-4, "decay_start": 0.5,
}  # fmt: skip
_FOR_A_CPU = "for images of 64x32 and a CPU; not tuned"
CYCLEGAN = {
    "code": Preset("train_cyclegan.py of SPGAN's official code", **_TRANSLATION),
    "small": Preset(_FOR_A_CPU, **_SMALL),
}
SPGAN = {
    "code": Preset(
        "train_spgan.py of the official code",
        **_TRANSLATION, similarity_weight=2.0, margin=2.0, negatives="real", siamese_channels=64, siamese_layers=4,
        dropout=0.5,
    ),
    "small": Preset(_FOR_A_CPU, **_SMALL, siamese_channels=16),
}  # fmt: skip
_TRAINING: dict[str, Any] = {
    "image_size": (224, 224), "batch": 16, "lr": 1e-3, "classifier_factor": 2.0, "milestones": (0.4, 0.8), "gamma": 0.1,
    "momentum": 0.9, "weight_decay": 5e-4, "flip": 0.5, "fix_norms": True,
    "translation": {"use": "spgan", "preset": "code"},
}  # fmt: skip
# 50,000 steps of 16 images: 62 passes over Market's 12,936 training images, 48 over Duke's 16,522.
TRAINING = {
    "code": Preset(
        "solver and network of the official code's Caffe files, with Market as source", **_TRAINING, epochs=62
    ),
    "code:market1501": Preset("the same, with Duke as source", **_TRAINING, epochs=48),
}
