"""Presets with the recipes of the papers and their code; the matrix file sets the network."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

HALF = (0.5, 0.5, 0.5)
WHOLE, TALL = (256, 128), (384, 128)

_DINO = Preset(
    "official pre-training scripts and main_dino.py; the same for ViT-S, ViT-B and ICS",
    image_size=WHOLE,
    crop_from="original",
    epochs=100,
    batch=512,
    base_lr=5e-4,
    final_lr=1e-6,
    warmup_epochs=10,
    weight_decay=(0.04, 0.4),
    clip=3.0,
    drop_path=0.1,
    out_dim=65536,
    hidden_dim=2048,
    bottleneck_dim=256,
    norm_last_layer=True,
    freeze_last_layer=1,
    momentum=0.996,
    student_temperature=0.1,
    teacher_temperature=0.04,
    warmup_teacher_epochs=0,
    centre_momentum=0.9,
    local_crops=8,
    global_scale=(0.4, 1.0),
    local_scale=(0.05, 0.4),
    crop_ratio="imagenet",
    flip=0.5,
    jitter=(0.4, 0.4, 0.2, 0.1),
    jitter_probability=0.8,
    grayscale=0.2,
    blur=(1.0, 0.1, 0.5),
    solarise=0.2,
    held_out=0.0,
)
DINO: dict[str, Preset] = {
    "paper": _DINO,
    "proxy": Preset(
        "the source proxy of CFS: an author's script in issue 3 of the repository", **{**_DINO, "epochs": 20}
    ),
}

_TRAINING: dict[str, Any] = {
    "image_size": WHOLE,
    "resize_test": "bilinear",
    "epochs": 120,
    "identities": 16,
    "images": 4,
    "optimiser": "sgd",
    "bias_lr_factor": 2.0,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "warmup_factor": 0.01,
    "floor_factor": 0.002,
    "drop_path": 0.1,
    "label_smoothing": 0.0,
    "margin": None,
    "triplet_weight": 1.0,
    "feature": "before",
    "flip": 0.5,
    "erase": 0.5,
    "mean": HALF,
    "std": HALF,
}
# For ImageNet weights a rate twenty times that for weights of persons, and the warm-up of config/defaults.py.
_IMAGENET = {**_TRAINING, "lr": 8e-3, "warmup": 5 / 120}
_PERSONS = {**_TRAINING, "lr": 4e-4, "warmup": 20 / 120}
TRANSREID: dict[str, Preset] = {
    "paper": Preset("the baseline of TransReID's Table 7; configs/*/vit_base.yml", **_IMAGENET),
    "jpm": Preset("the baseline with jigsaw patches; configs/*/vit_jpm.yml", **_IMAGENET, jpm=True),
    "transreid-ssl": Preset("TransReID-SSL, ViT-S; transreid_pytorch/configs/*/vit_small.yml", **_PERSONS),
    "transreid-ssl-384": Preset(
        "TransReID-SSL, ViT-B + ICS; transreid_pytorch/configs/*/vit_base_ics_384.yml",
        **{**_PERSONS, "image_size": TALL},
    ),
}
_SIE = {**_IMAGENET, "camera_coefficient": 3.0, "camera_at_test": "own"}
_WHOLE = {**_SIE, "jpm": True, "jpm_shift": 5, "jpm_groups": 4, "jpm_shuffle": None}
_STRIDE = "for a ViT of stride 12"
TRANSREID_SIE: dict[str, Preset] = {
    "paper": Preset("TransReID of Table 7", **_WHOLE),
    "paper-384": Preset("TransReID of Table 7 at 384x128", **{**_WHOLE, "image_size": TALL}),
    "star": Preset(f"TransReID* of Table 7, {_STRIDE}", **_WHOLE),
    "star-384": Preset(f"TransReID* of Table 7 at 384x128, {_STRIDE}", **{**_WHOLE, "image_size": TALL}),
    "sie": Preset("the baseline with cameras only; configs/*/vit_sie.yml", **_SIE),
    "code": Preset(
        "configs/*/vit_transreid.yml: SHIFT_NUM 5 moves four patches, SHUFFLE_GROUP is 2",
        **{**_WHOLE, "jpm_shift": 4, "jpm_shuffle": 2},
    ),
}
