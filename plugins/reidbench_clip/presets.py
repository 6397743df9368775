"""Presets of clip-reid: the official configuration for persons; the matrix file sets network and files."""

from __future__ import annotations

from reidbench import Preset

HALF = (0.5, 0.5, 0.5)
CLIP_REID = {
    "paper": Preset(
        "configs/person/vit_clipreid.yml of the official code",
        image_size=(256, 128),
        resize="bicubic",
        resize_test="bilinear",
        text_dim=512,
        text_depth=12,
        text_heads=8,
        tokens=4,
        prompt_epochs=120,
        prompt_batch=64,
        prompt_lr=3.5e-4,
        prompt_warmup=5 / 120,
        prompt_warmup_lr=1e-5,
        prompt_floor=1e-6,
        epochs=60,
        identities=16,
        images=4,
        lr=5e-6,
        bias_lr_factor=2.0,
        weight_decay=1e-4,
        warmup=10 / 60,
        warmup_factor=0.1,
        milestones=(30 / 60, 50 / 60),
        gamma=0.1,
        label_smoothing=0.1,
        margin=0.3,
        identity_weight=0.25,
        triplet_weight=1.0,
        text_weight=1.0,
        flip=0.5,
        pad=10,
        erase=0.5,
        mean=HALF,
        std=HALF,
    )
}
REHEARSAL = {"prompt_epochs": 1, "epochs": 1, "identities": 4, "images": 2}
