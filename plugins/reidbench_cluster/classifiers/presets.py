"""Recipes of MMT's scripts and of OpenUnReID's configuration files as presets; the matrix file names the networks."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

from ..presets import BY_CAMERA, PICTURES

_BOTH: dict[str, Any] = {
    **PICTURES, **BY_CAMERA, "identities": 16, "images": 4, "lr": 3.5e-4, "weight_decay": 5e-4, "lr_step": 1.0,
    "min_samples": 4, "k1": 30, "k2": 6, "label_smoothing": 0.1, "flip": 0.5, "erase": 0.5,
}  # fmt: skip
_UNREID: dict[str, Any] = {
    **_BOTH, "pool": "gem", "rounds": 50, "iterations": 400, "clustering": "dbscan", "anchor_only": True,
    "use_source": True,
}  # fmt: skip
_MUTUAL = {"soft_ce": 0.5, "soft_triplet": 0.8, "momentum": 0.999}
_PAPER: dict[str, Any] = {
    **_BOTH, **_MUTUAL, "pool": "backbone", "rounds": 40, "clustering": "k-means", "clusters": 500,
    "anchor_only": False, "use_source": False, "ramp": True,
}  # fmt: skip
_SCRIPT = "train_mmt_kmeans.sh with 500 clusters"
MMT = {
    "paper": Preset(f"{_SCRIPT}, and 800 steps per round as in the paper", **_PAPER, iterations=800),
    "code": Preset(_SCRIPT, **_PAPER, iterations=400),
    "openunreid": Preset("OpenUnReID, tools/MMT/config.yaml", **_UNREID, **_MUTUAL, eps=0.7, ramp=False),
}
STRONG_BASELINE = {"code": Preset("OpenUnReID, tools/strong_baseline/config.yaml", **_UNREID, eps=0.6)}
