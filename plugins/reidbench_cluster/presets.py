"""Recipes of the papers and their code as presets; the matrix file names the networks."""

from __future__ import annotations

from typing import Any

from reidbench import Preset

PICTURES: dict[str, Any] = {"image_size": (256, 128), "resize": "bicubic", "resize_test": "bicubic"}
_BOTH: dict[str, Any] = {
    **PICTURES,
    "rounds": 50,
    "identities": 16,
    "lr": 3.5e-4,
    "weight_decay": 5e-4,
    "lr_step": 0.4,
    "eps": 0.6,
    "min_samples": 4,
    "k1": 30,
    "k2": 6,
    "temperature": 0.05,
    "flip": 0.5,
    "erase": 0.5,
}
BY_CAMERA = {"batches": "cameras"}

# ---------------------------------------------------------------------- Cluster Contrast
_CONTRAST = {
    **_BOTH, "batches": "once", "images": 16, "iterations": 200, "momentum": 0.1, "pool": "gem", "update": "cm",
    "optimiser": "adam",
}  # fmt: skip
_README = "commands of the official README"
_TRANSREID_SSL: dict[str, Any] = {
    **_CONTRAST, **BY_CAMERA, "pool": "backbone", "identities": 32, "images": 8, "momentum": 0.2, "update": "hard",
    "optimiser": "sgd",
}  # fmt: skip
_SCRIPTS = "for a ViT whose own drop_path is 0.3, without labels or from a network of the source"
CLUSTER_CONTRAST = {
    "usl": Preset(_README, **_CONTRAST),
    "usl:msmt17-v1": Preset(_README, **{**_CONTRAST, "iterations": 400}),
    "code": Preset(f"{_README}, with the sampler of its notes", **{**_CONTRAST, **BY_CAMERA}),
    "code:msmt17-v1": Preset(
        f"{_README}, with the sampler of its notes", **{**_CONTRAST, **BY_CAMERA, "iterations": 400}
    ),
    "transreid-ssl": Preset(f"TransReID-SSL, market_usl.sh and market_uda.sh, {_SCRIPTS}", **_TRANSREID_SSL),
    "transreid-ssl:msmt17-v1": Preset(
        f"TransReID-SSL, msmt_usl.sh and msmt_uda.sh, {_SCRIPTS}", **{**_TRANSREID_SSL, "eps": 0.7}
    ),
}

# ---------------------------------------------------------------------- SpCL
_HYBRID = {
    **_BOTH, "batches": "once", "images": 4, "iterations": 400, "momentum": 0.2, "eps_gap": 0.02, "quantile": 0.9,
    "pool": "backbone",
}  # fmt: skip
_LONGER = {**_HYBRID, "iterations": 800}
_USL, _UDA = "examples/spcl_train_usl.py", "examples/spcl_train_uda.py"
_ITERS = "with the README's --iters 800"
SPCL = {
    "usl": Preset(_USL, **_HYBRID, use_source=False),
    "usl:msmt17-v1": Preset(f"{_USL} {_ITERS}", **_LONGER, use_source=False),
    "uda": Preset(_UDA, **_HYBRID, use_source=True),
    "uda:msmt17-v1": Preset(f"{_UDA} {_ITERS}", **_LONGER, use_source=True),
    "code": Preset("both scripts, with their sampler", **{**_HYBRID, **BY_CAMERA}),
    "code:msmt17-v1": Preset(f"both scripts {_ITERS}, with their sampler", **{**_LONGER, **BY_CAMERA}),
}
