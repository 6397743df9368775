"""Weights of other projects in and ours out: whose names they use, what matched, and a sidecar with the pixels.

Read are checkpoints of MoCo, LUPerson, torchvision, timm, BoT, BDB, MGN, fast-reid, torchreid, SpCL, of Lightning and
of plain scripts; written are flat torchvision names as safetensors. Nothing of a file is run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training.networks.backbone import Backbone

from .files import State, require_numbers
from .fit import LoadReport, fits, incomplete, report_of, wrong_with


def load_weights(
    backbone: nn.Module, state: State, *, layout: str = "auto", where: str = "weights", exactly: bool = False
) -> LoadReport:
    """Copy what matches by name and shape into `backbone`; `auto` takes the layout that matches most.

    Raises ReidbenchError, which names what is missing, and changes nothing, when less than 90 % of the backbone's
    tensors matched; when its first layer or the whole of a block is missing; when the file has blocks that the
    backbone lacks; and for numbers that are not finite. With `exactly`, any tensor that is missing, or that belongs
    inside the backbone and has no place there, is an error.
    """
    expected = backbone.state_dict()
    fit = max(fits(state, expected, layout), key=lambda fit: len(fit.found))  # of equals the first
    report = report_of(fit, state, expected)
    if wrong := (incomplete(report) if exactly else "") or wrong_with(fit, report, state, expected):
        raise ReidbenchError(f"{shown(where)}: {wrong}")
    found = {flat: state[name] for flat, name in fit.found.items()}
    require_numbers(shown(where), found, expected)
    backbone.load_state_dict(found, strict=False)
    return report


def write_weights(file: Path, backbone: Backbone, **facts: Any) -> None:
    """Write `file` (.safetensors), flat torchvision names without a classifier, and beside it the same name .json.

    The sidecar has the backbone's spec (with its image size), pixel mean and std, and `facts`.
    """
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(state, file)
    file.with_suffix(".json").write_text(json.dumps({**describe(backbone), **facts}))


def describe(backbone: Backbone) -> dict[str, Any]:
    """What a sidecar says: the spec that rebuilds the backbone, and the pixels that it was trained on."""
    return {**getattr(backbone, "spec", {}), "mean": list(backbone.mean), "std": list(backbone.std)}
