"""CLIP's weights by OpenAI's names, which open_clip shares, into this plugin's networks."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training import Backbone, load_weights
from reidbench.training.weights.transformers import resize_positions

State = Mapping[str, torch.Tensor]
# Tokens of "A photo of a X X X X person." by CLIP's byte-pair encoding, without the X (343 each).
BEFORE = (49406, 320, 1125, 539, 320)  # start, a, photo, of, a
AFTER = (2533, 269, 49407)  # person, full stop, end
_BLOCK = re.compile(r"transformer\.resblocks\.(\d+)\.(.*)")
_LAYERS = {
    "ln_1.": "norm1.",
    "ln_2.": "norm2.",
    "attn.in_proj_": "qkv.",
    "attn.out_proj.": "proj.",
    "mlp.c_fc.": "fc1.",
    "mlp.c_proj.": "fc2.",
}
_IMAGE = {
    "conv1.weight": "patch_embed.weight",
    "ln_pre.weight": "norm_pre.weight",
    "ln_pre.bias": "norm_pre.bias",
    "ln_post.weight": "norm.weight",
    "ln_post.bias": "norm.bias",
    "proj": "projection",
}
_TEXT = {"ln_final.weight": "norm.weight", "ln_final.bias": "norm.bias", "text_projection": "projection"}


def _renamed(state: State, others: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Blocks and other layers by this plugin's names; unknown names are kept."""
    found = {}
    for name, tensor in state.items():
        if block := _BLOCK.fullmatch(name):
            rest = next((ours + block[2].removeprefix(theirs) for theirs, ours in _LAYERS.items()
                         if block[2].startswith(theirs)), block[2])  # fmt: skip
            found[f"blocks.{block[1]}.{rest}"] = tensor
        else:
            found[others.get(name, name)] = tensor
    return found


def load_image_encoder(network: Backbone, state: State, where: str) -> None:
    """Copy the tensors below `visual.` into an image encoder; positions are resampled from the file's square grid.

    A file without a square number of positions must have the network's own grid. Raises ReidbenchError, naming the
    tensors, if one is missing, left over or of a different shape.
    """
    own = {name.removeprefix("visual."): tensor for name, tensor in state.items() if name.startswith("visual.")}
    classes, positions = own.pop("class_embedding", None), own.pop("positional_embedding", None)
    if classes is None or positions is None or classes.ndim != 1 or positions.ndim != 2:
        raise ReidbenchError(
            f"{shown(where)}: not a state dict of CLIP with a ViT: visual.class_embedding [dim] or "
            "visual.positional_embedding [1 + patches, dim] is missing"
        )
    side = math.isqrt(len(positions) - 1)
    grid = network.grid
    if side * side == len(positions) - 1:
        positions = resize_positions(positions[None], (side, side), grid)[0]  # type: ignore[arg-type]
    found = _renamed(own, _IMAGE) | {"cls_token": classes[None, None], "pos_embed": positions[None]}
    load_weights(network, found, layout="torchvision", where=where, exactly=True)


def load_text_encoder(network: nn.Module, state: State, where: str, tokens: int) -> None:
    """Copy the text encoder's tensors into `network`: of its vocabulary the template's tokens, of its positions those
    of the sentence with `tokens` learned ones.

    Raises ReidbenchError as `load_image_encoder` does.
    """
    own = {name: tensor for name, tensor in state.items() if not name.startswith("visual.")}
    words, positions = own.pop("token_embedding.weight", None), own.pop("positional_embedding", None)
    length = len(BEFORE) + tokens + len(AFTER)
    if words is None or positions is None or len(words) <= max(BEFORE + AFTER) or len(positions) < length:
        raise ReidbenchError(
            f"{shown(where)}: not a state dict of CLIP's text encoder: token_embedding.weight [49408, dim] or "
            "positional_embedding [77, dim] is missing"
        )
    own.pop("logit_scale", None)
    for name in ("input_resolution", "context_length", "vocab_size"):  # numbers that OpenAI's archives contain
        own.pop(name, None)
    found = _renamed(own, _TEXT) | {"fixed": words[list(BEFORE + AFTER)], "positions": positions[:length]}
    load_weights(network, found, layout="torchvision", where=where, exactly=True)
