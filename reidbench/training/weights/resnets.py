"""Import and export of weights: naming of other projects, match reports, and a sidecar with pixel statistics.

Reads checkpoints of MoCo, LUPerson, torchvision, timm, BoT, BDB, MGN, fast-reid, torchreid, SpCL, Lightning and plain
scripts; writes flat torchvision names as safetensors. Nothing in a file is executed.
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
    """Copy tensors that match by name and shape into `backbone`; `auto` selects the layout with the most matches.

    Raises ReidbenchError, which names the missing tensors, and changes nothing, if less than 90 % of the backbone's
    tensors matched; if its first layer or a whole block is missing; if the file has blocks that the backbone lacks; and
    for numbers that are not finite. With `exactly`, any missing tensor, and any tensor inside the backbone that it does
    not have, is an error.
    """
    expected = backbone.state_dict()
    fit = max(fits(state, expected, layout), key=lambda fit: len(fit.found))  # the first of equals
    report = report_of(fit, state, expected)
    if wrong := (incomplete(report) if exactly else "") or wrong_with(fit, report, state, expected):
        raise ReidbenchError(f"{shown(where)}: {wrong}")
    found = {flat: state[name] for flat, name in fit.found.items()}
    require_numbers(shown(where), found, expected)
    backbone.load_state_dict(found, strict=False)
    return report


def write_weights(file: Path, backbone: Backbone, **facts: Any) -> None:
    """Write `file` (.safetensors), with flat torchvision names and no classifier, and a .json file of the same name.

    The sidecar has the backbone's spec (with its image size), pixel mean and std, and `facts`.
    """
    state = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in backbone.state_dict().items()}
    save_file(state, file)
    file.with_suffix(".json").write_text(json.dumps({**describe(backbone), **facts}))


def describe(backbone: Backbone) -> dict[str, Any]:
    """Contents of a sidecar: the spec that rebuilds the backbone, and its pixel statistics."""
    return {**getattr(backbone, "spec", {}), "mean": list(backbone.mean), "std": list(backbone.std)}
