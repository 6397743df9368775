"""Import and export of transformer weights: checkpoints of DINO, TransReID-SSL, TransReID and ClusterContrast.

SOLIDER's and PASS's are read too (`released.py`).

Reading is strict: after removing the containers, prefixes and heads of these projects, all names and shapes must match
the backbone; their own loaders would train on with a random stem. Nothing in a file is executed.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training.networks.backbone import Backbone

from .files import DEEPEST, State, innermost, require_numbers, require_plain
from .fit import WRAPPERS, LoadReport, without_prefix
from .released import released
from .resnets import write_weights

POSITIONS = "pos_embed"
CONTROLLER, PARTS = "controllers.0.scale.weight", "part_tokens"  # of the options `semantic` and `part_tokens`
Grid = tuple[int, int]  # rows and columns of patches
_PREFIXES = (*WRAPPERS, "backbone.", "base.")
# Tensors of these projects next to or after the backbone. TransReID's side embedding belongs to its cameras.
_CAMERAS = "sie_embed"  # added to each token, so features without it differ
_BESIDE = re.compile(rf"(head[^.]*|fc|classifier|bottleneck|{_CAMERAS}|pre_logits)(\.|$)")
# torch's weight norm names, at the time of DINO's checkpoints and today
_WEIGHT_NORM = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}


def backbone_state(content: Mapping[str, Any]) -> tuple[str, State, tuple[str, ...]]:
    """Return the layout, the backbone's tensors by flat names, and the names that were left out.

    Of a full checkpoint of DINO, SOLIDER or PASS this is the teacher. Raises ReidbenchError if two tensors get one
    name, or one is not a plain array.
    """
    layout = "dino" if "teacher" in content else "cluster-contrast" if "state_dict" in content else ""
    inner, _ = innermost(content, "the weights")
    state: State = {}
    beside: list[str] = []
    for name, value in inner.items():
        if not isinstance(value, torch.Tensor):
            continue
        flat = _flat(str(name))
        if _BESIDE.match(flat):
            beside.append(str(name))
        elif flat in state:
            raise ReidbenchError(f"the weights name {shown(flat)} twice, under different prefixes")
        else:
            state[flat] = value
    plain = "transreid" if any(str(name).removeprefix("module.").startswith("base.") for name in inner) else "converted"
    require_plain("the weights", state)
    special, state, unused = released(state)
    return special or layout or plain, state, (*beside, *unused)


def _flat(name: str) -> str:
    for _ in range(DEEPEST):
        name = without_prefix(name, _PREFIXES)
    return name


def grid_from_ratio(patches: int, hw_ratio: int) -> Grid:
    """Rows and columns of `patches` by TransReID's rule: h = int(sqrt(patches * hw_ratio)), w = h // hw_ratio.

    2 for weights of 256x128, 1 for ImageNet's. Raises ReidbenchError if the patches do not form such a grid.
    """
    rows = int(math.sqrt(patches * hw_ratio))
    grid = (rows, rows // hw_ratio)
    if grid[0] * grid[1] != patches:
        raise ReidbenchError(
            f"{patches} patches do not form a grid with a height of {hw_ratio} widths: set source_grid"
        )
    return grid


def resize_positions(positions: torch.Tensor, source: Grid, target: Grid) -> torch.Tensor:
    """Resample the position embedding [1, 1+HW, D] from grid `source` to grid `target`; the CLS position is kept.

    Bilinear without antialiasing, as in the loaders of TransReID and ClusterContrast. For an equal grid returns the
    same tensor. Raises ReidbenchError unless `source` has as many patches as there are positions.
    """
    if positions.shape[1] != 1 + source[0] * source[1]:
        patches = positions.shape[1] - 1
        raise ReidbenchError(f"source_grid {source[0]}x{source[1]} does not match the {patches} positions of the file")
    if source == target:
        return positions
    field = positions[:, 1:].float().reshape(1, *source, -1).permute(0, 3, 1, 2)
    field = F.interpolate(field, size=target, mode="bilinear", align_corners=False)
    return torch.cat((positions[:, :1], field.flatten(2).transpose(1, 2).to(positions.dtype)), dim=1)


def load_transformer(
    backbone: Backbone,
    content: Mapping[str, Any],
    *,
    source_grid: Grid | None = None,
    hw_ratio: int | None = None,
    where: str = "weights",
) -> LoadReport:
    """Copy all of the backbone's tensors from a checkpoint's `content`; `unexpected` are the heads left out.

    `source_grid` or `hw_ratio` is the grid of the file's positions; one is required if their number differs from the
    backbone's. Raises ReidbenchError, and changes nothing, unless every tensor is present with its shape and no others
    are.
    """
    try:
        layout, state, beside = backbone_state(content)
        expected = backbone.state_dict()
        if POSITIONS in expected and POSITIONS in state:
            state[POSITIONS] = _fitted(state[POSITIONS], expected[POSITIONS], backbone, source_grid, hw_ratio)
    except ReidbenchError as error:
        raise ReidbenchError(f"{shown(where)}: {error}") from None
    if wrong := _differences(state, expected):
        raise ReidbenchError(f"{shown(where)}: does not fit the backbone: {'; '.join(wrong)}")
    require_numbers(shown(where), state, expected)
    backbone.load_state_dict(state)
    return LoadReport(layout, tuple(expected), (), beside, foreign=tuple(name for name in beside if _CAMERAS in name))


def _fitted(
    positions: torch.Tensor, expected: torch.Tensor, backbone: Backbone, source: Grid | None, hw_ratio: int | None
) -> torch.Tensor:
    """The file's positions on the backbone's grid."""
    if positions.ndim != 3 or positions.shape[0] != 1 or positions.shape[1] < 2:
        raise ReidbenchError(f"positions must have the shape [1, 1 + patches, dim], not {list(positions.shape)}")
    if source is not None and hw_ratio is not None:
        raise ReidbenchError("set source_grid or hw_ratio, not both")
    if hw_ratio is not None:
        source = grid_from_ratio(positions.shape[1] - 1, hw_ratio)
    if source is not None:
        return resize_positions(positions, source, cast(Grid, backbone.grid))
    if positions.shape[1] != expected.shape[1]:
        patches, side = positions.shape[1] - 1, math.isqrt(positions.shape[1] - 1)
        square = f" (of a square image [{side}, {side}])" if side * side == patches else ""
        raise ReidbenchError(
            f"the file has positions for {patches} patches, the backbone for {expected.shape[1] - 1}: "
            f"set source_grid to the rows and columns of the file's{square}"
        )
    return positions


def _differences(state: State, expected: Mapping[str, torch.Tensor]) -> list[str]:
    """Differences that a strict load would report, each kind with its first example."""
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    reshaped = [name for name in expected if name in state and state[name].shape != expected[name].shape]
    wrong = [
        f"{len(names)} {kind}, first {shown(names[0])}"
        for names, kind in ((missing, "missing"), (unexpected, "unexpected"))
        if names
    ]
    if reshaped:
        theirs, ours = (list(tensors[reshaped[0]].shape) for tensors in (state, expected))
        count = f"{len(reshaped)} of a different shape, first " if len(reshaped) > 1 else "other shape: "
        wrong.append(f"{count}{shown(reshaped[0])} is {theirs}, the network has {ours}")
    if wrong and CONTROLLER in state and CONTROLLER not in expected:
        wrong.append("the file has SOLIDER's controller: set `semantic` of the backbone")
    if wrong and PARTS in state and PARTS not in expected:
        wrong.append(f"the file has {state[PARTS].shape[1]} part tokens: set `part_tokens` of the backbone")
    if wrong and _stem(state) != _stem(expected):
        wrong.append(f"the file's stem is {_stem(state)}, the backbone's is {_stem(expected)}")
    return wrong


def _stem(names: Mapping[str, Any]) -> str:
    """Value of the backbones' parameter `stem` that has these names."""
    if "patch_embed.conv.1.IN.weight" in names:
        return "ics"
    return "conv" if "patch_embed.conv.0.weight" in names else "patchify"


def read_head(content: Mapping[str, Any], network: str = "teacher") -> State:
    """Projection head of DINO's full checkpoint by its module's names, with weight norm's current names.

    `network` is teacher or student. Raises ReidbenchError if the checkpoint has no such head.
    """
    state = content.get(network)
    tensors = state.items() if isinstance(state, Mapping) else ()
    heads = {_flat(str(name)): tensor for name, tensor in tensors if isinstance(tensor, torch.Tensor)}
    found = {name.removeprefix("head."): tensor for name, tensor in heads.items() if name.startswith("head.")}
    if not found:
        raise ReidbenchError(f"the checkpoint has no {network} head: only DINO's full checkpoints have one")
    return {_renamed(name, _WEIGHT_NORM): tensor for name, tensor in found.items()}


def _renamed(name: str, names: Mapping[str, str]) -> str:
    for old, new in names.items():
        if name.endswith(f".{old}"):
            return name.removesuffix(old) + new
    return name


def to_head(head: Mapping[str, torch.Tensor]) -> State:
    """Projection head by DINO's names: `head.mlp.*`, `head.last_layer.weight_g` (K, 1) and `weight_v` (K, D)."""
    old = {new: old for old, new in _WEIGHT_NORM.items()}
    return {f"head.{_renamed(name, old)}": tensor for name, tensor in head.items()}


def to_converted(flat: Mapping[str, torch.Tensor]) -> State:
    """Flat backbone as converted from a teacher by TransReID-SSL's converter; the released names."""
    return dict(flat)


def to_dino(
    student: Mapping[str, torch.Tensor],
    teacher: Mapping[str, torch.Tensor],
    *,
    heads: tuple[Mapping[str, torch.Tensor], Mapping[str, torch.Tensor]],
    center: torch.Tensor,
    epoch: int,
    arguments: Mapping[str, Any],
) -> dict[str, Any]:
    """DINO's `checkpoint.pth` without optimiser and scaler: flat backbones, the `heads` of student and teacher.

    `center` is [1, K]. DINO wraps a teacher with batch norm for several processes: its names also get `module.`.
    `arguments` become `args`.
    """
    wrapped = "module." if _stem(teacher) != "patchify" else ""
    networks = {"student": (student, "module.", heads[0]), "teacher": (teacher, wrapped, heads[1])}
    states = {
        role: {f"{prefix}backbone.{name}": tensor for name, tensor in state.items()}
        | {f"{prefix}{name}": tensor for name, tensor in to_head(head).items()}
        for role, (state, prefix, head) in networks.items()
    }
    args = argparse.Namespace(**arguments)
    return {**states, "epoch": epoch, "args": args, "dino_loss": {"center": center}}


def to_transreid(
    flat: Mapping[str, torch.Tensor], *, bottleneck: Mapping[str, torch.Tensor], classifier: torch.Tensor
) -> State:
    """TransReID's `transformer_120.pth`: backbone, BNNeck (its five tensors) and classifier [identities, D].

    The original network has an unused ImageNet classifier, `base.fc`: zeros here.
    """
    dim = classifier.shape[1]
    return {
        **{f"base.{name}": tensor for name, tensor in flat.items()},
        "base.fc.weight": torch.zeros(1000, dim),
        "base.fc.bias": torch.zeros(1000),
        **{f"bottleneck.{name}": tensor for name, tensor in bottleneck.items()},
        "classifier.weight": classifier,
    }


def to_cluster_contrast(
    flat: Mapping[str, torch.Tensor], *, bottleneck: Mapping[str, torch.Tensor], epoch: int, best: float
) -> dict[str, Any]:
    """ClusterContrast's `model_best.pth.tar`; `best` is the mAP as a fraction."""
    state = {f"module.{name}": tensor for name, tensor in flat.items()}
    state |= {f"module.bottleneck.{name}": tensor for name, tensor in bottleneck.items()}
    return {"state_dict": state, "epoch": epoch, "best_mAP": best}


def write_transformer(file: Path, backbone: Backbone, *, epochs: int, list_id: str | None = None) -> None:
    """Write `file` (.safetensors), with the released flat names, and a .json file of the same name.

    The sidecar has arch, img_size, grid, hw_ratio, norm (pixel mean and std), stem, epochs, the id of the image list
    used for training, and the fields of `describe`.
    """
    state = backbone.state_dict()
    height, width = backbone.spec["image_size"]
    facts = {
        "arch": backbone.spec["use"],
        "img_size": [height, width],
        "hw_ratio": height // width if height % width == 0 else height / width,
        "norm": {"mean": list(backbone.mean), "std": list(backbone.std)},
        "stem": _stem(state),
        "epochs": epochs,
        "list": list_id,
    }
    if POSITIONS in state:
        facts["grid"] = list(cast(Grid, backbone.grid))
    write_weights(file, backbone, **facts)
