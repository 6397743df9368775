"""Names of two released networks as this project's: SOLIDER's Swin (mmcv's names), PASS's ViT with part tokens.

Sources: github.com/tinyvision/SOLIDER-REID, model/backbones/swin_transformer.py; github.com/CASIA-IVA-Lab/PASS-reID,
PASS/ours_vit.py. Prefixes and containers are removed before.
"""

from __future__ import annotations

import re

import torch

from .files import State

# Prefixes of SOLIDER's names and timm's; `{}` is a number.
_SWIN = (
    ("patch_embed.projection.", "patch_embed.proj."),
    ("attn.w_msa.", "attn."),
    ("ffn.layers.0.0.", "mlp.fc1."),
    ("ffn.layers.1.", "mlp.fc2."),
)
_STAGE = re.compile(r"stages\.(\d+)\.(.*)")
_CONTROLLER = re.compile(r"semantic_embed_([wb])\.(\d+)\.(.*)")
_NORM = re.compile(r"norm(\d+)\.(.*)")
_INDEX = "relative_position_index"  # computed from the window, so not a weight
_PART = re.compile(r"part_token(\d+)")


def released(state: State) -> tuple[str, State, tuple[str, ...]]:
    """Return the layout (solider, pass, or "" for others), the tensors by this project's names, and unused names.

    `state` has flat names. Unknown names are kept, and so is a name whose tensor does not have the layout's shape.
    """
    if "patch_embed.projection.weight" in state:
        return ("solider", *_solider(state))
    if any(_PART.fullmatch(name) for name in state):
        return ("pass", _pass(state), ())
    return "", state, ()


def _solider(state: State) -> tuple[State, tuple[str, ...]]:
    """SOLIDER's Swin by timm's names.

    A stage ends with the merging of patches, which is timm's start of the next. The norms of stages 1 to 3 and the
    last stage's controller do not take part in the vector.
    """
    last = max(int(match[1]) for name in state if (match := _STAGE.fullmatch(name)))
    found: State = {}
    unused: list[str] = []
    for name, tensor in state.items():
        flat = _swin_name(name, last)
        if flat is None:
            unused.append(name)
        elif flat.endswith(("downsample.norm.weight", "downsample.norm.bias", "downsample.reduction.weight")):
            found[flat] = _merged(tensor)
        else:
            found[flat] = tensor
    return found, tuple(unused)


def _swin_name(name: str, last: int) -> str | None:
    """One of SOLIDER's names as timm's or the controller's; None for a tensor without effect on the vector."""
    if name.endswith(_INDEX):
        return None
    if norm := _NORM.fullmatch(name):
        return f"norm.{norm[2]}" if int(norm[1]) == last else None
    if embed := _CONTROLLER.fullmatch(name):
        part = {"w": "scale", "b": "shift"}[embed[1]]
        return None if int(embed[2]) >= last else f"controllers.{embed[2]}.{part}.{embed[3]}"
    if stage := _STAGE.fullmatch(name):
        number = int(stage[1]) + stage[2].startswith("downsample.")
        name = f"layers.{number}.{stage[2]}"
    for theirs, timms in _SWIN:
        name = name.replace(theirs, timms)
    return name


def _merged(tensor: torch.Tensor) -> torch.Tensor:
    """Reorder the inputs of a patch merging, the last dimension: from channel, row, column to column, row, channel."""
    if tensor.ndim == 0 or tensor.shape[-1] % 4:
        return tensor
    outputs, inputs = tensor.shape[:-1], tensor.shape[-1]
    return tensor.reshape(*outputs, inputs // 4, 2, 2).transpose(-3, -1).reshape(*outputs, inputs)


def _pass(state: State) -> State:
    """PASS's ViT: part tokens in one tensor, their positions in another, the CLS position before the patches'."""
    numbers = sorted(int(match[1]) for name in state if (match := _PART.fullmatch(name)))
    joined = {
        "part_tokens": [f"part_token{number}" for number in numbers],
        "part_positions": [f"part{number}_pos" for number in numbers],
        "pos_embed": ["cls_pos", "pos_embed"],
    }
    found = dict(state)
    for name, parts in joined.items():
        tensors = [state.get(part) for part in parts]
        if all(tensor is not None and tensor.ndim == 3 and tensor.shape[0] == 1 for tensor in tensors):
            for part in parts:
                del found[part]
            found[name] = torch.cat([tensor for tensor in tensors if tensor is not None], dim=1)
    return found
