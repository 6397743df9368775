"""Presets with the recipes of GCL; a matrix file sets the network (resnet50) and the structure provider.

The second and the third stage of the authors are `warmup_epochs` and `epochs` of gcl; the first is another step.
"""

from __future__ import annotations

from typing import Any

from reidbench import Preset

_PICTURES: dict[str, Any] = {"image_size": (256, 128), "resize": "bicubic", "resize_test": "bicubic"}
_CONTRAST: dict[str, Any] = {
    **_PICTURES, "epochs": 20, "batch": 16, "lr": 3.5e-4, "momentum": 0.9, "identity_weight_decay": 5e-4,
    "milestones": (0.5,), "alpha": 0.2, "temperature": 0.04, "negatives": 8192, "k1": 30, "k2": 6, "rho": 0.002,
    "min_samples": 4,
}  # fmt: skip
_CODE: dict[str, Any] = {
    **_CONTRAST, "warmup_epochs": 40, "view_weight": 1.0, "joint": True, "dim": 16, "blocks": 4, "mlp": 512,
    "dilations": (3, 6, 9), "critic_dim": 32, "critic_blocks": 4, "critic_scales": 3, "adversarial_weight": 1.0,
    "image_weight": 5.0, "cycle_weight": 5.0, "feat_weight": 5.0, "r1_weight": 0.01, "lr_generator": 1e-4,
    "lr_critic": 1e-4, "betas": (0.0, 0.999), "weight_decay": 5e-4, "views": "generated", "slices": "code",
    "angles": "code", "adversarial": "lsgan", "feat_pair": "code", "own_negatives": False,
}  # fmt: skip
_PAPER = {**_CODE, "angles": "all7", "adversarial": "vanilla", "feat_pair": "paper"}
_MSMT17 = {"rho": 0.0012}
_SCRIPTS = "current scripts train_stage2 and train_stage3 (Market-1501 once had 40 epochs), configs/latest.yaml"
_FORMS = "losses and views as the paper writes them; numbers of the released code"


def _both(source: str, values: dict[str, Any], name: str) -> dict[str, Preset]:
    return {name: Preset(source, **values), f"{name}:msmt17-v2": Preset(source, **{**values, **_MSMT17})}


GCL = {**_both(_FORMS, _PAPER, "paper"), **_both(_SCRIPTS, _CODE, "code")}
CONTRAST = _both(_SCRIPTS, {**_CONTRAST, "augment": "none"}, "code")
ORACLE = _both(_SCRIPTS, {**_CONTRAST, "angles": "code", "own_negatives": False}, "code")
WEIGHTS = {"code": Preset("image reading of the released code", **_PICTURES)}
