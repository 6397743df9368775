"""Training settings of the paper."""

from __future__ import annotations

from reidbench import Preset

PRESETS = {
    "paper": Preset(
        "settings of the paper, from the method's notes; augmentation as in LUPerson",
        preset="lup",
        image_size=(256, 128),
        crop_from="original",
        batch=800,
        lr=0.1,
        queue=65536,
        temperature=0.1,
        patch_temperature=0.1,
        global_weight=0.8,
        patch_weight=0.2,
        rows=4,
        columns=2,
        positives=("same", "symmetric"),
        negatives="same-position",
        held_out=0.0,
    ),
    # The values of the shared parameter `preset` remain: they select the views and pixel statistics of unset fields.
    "lup": Preset("views and pixel statistics of LUPerson", preset="lup"),
    "imagenet": Preset("views and pixel statistics of MoCo v2", preset="imagenet"),
}
