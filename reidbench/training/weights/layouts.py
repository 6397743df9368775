"""Names of checkpoint tensors: those of a ResNet in other projects, and torchvision's equivalents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Layout:
    """A project's naming: (their prefix, torchvision's) pairs, the key of the state, a prefix of every name.

    If several of their names mean one of torchvision's, the first pair is read and all are written. `domains` means
    that batch norm comes in a pair for source and target; the target's is read.
    """

    pairs: Pairs
    container: str = ""
    prefix: str = ""
    domains: bool = False

    def flat(self, name: str) -> str | None:
        """Torchvision's name for one of theirs, or None."""
        if self.domains:
            if ".BN_S." in name:
                return None
            name = name.replace(".BN_T.", ".")
        for theirs, ours in self.pairs:
            if name.startswith(theirs):
                return ours + name[len(theirs) :]
        return None

    def names(self, flat: str) -> list[str]:
        """Their names for one of torchvision's."""
        found = [theirs + flat[len(ours) :] for theirs, ours in self.pairs if flat.startswith(ours)]
        if self.domains and _is_norm(flat):
            stems = [name.rpartition(".") for name in found]
            found = [f"{stem}.{which}.{leaf}" for stem, _, leaf in stems for which in ("BN_S", "BN_T")]
        return [self.prefix + name for name in found]


def _is_norm(flat: str) -> bool:
    stem = flat.rpartition(".")[0]
    return stem.rpartition(".")[2].startswith("bn") or stem.endswith("downsample.1")


def _numbered(stem: str) -> Pairs:
    """A Sequential of a ResNet's children: 0 and 1 are conv1 and bn1, 4 to 7 the stages."""
    stages = tuple((f"{stem}{3 + number}.", f"layer{number}.") for number in range(1, 5))
    return ((f"{stem}0.", "conv1."), (f"{stem}1.", "bn1."), *stages)


def _mgn(stem: str, branch: str) -> Pairs:
    """MGN: shared up to layer3[0], then three branches of the rest of layer3 and of layer4."""
    copies: list[tuple[str, str]] = []
    for number in (1, 2, 3):
        copies += [(f"{branch}{number}.0.{block}.", f"layer3.{block + 1}.") for block in range(35)]
        copies.append((f"{branch}{number}.1.", "layer4."))
    shared = [pair for pair in _numbered(f"{stem}.") if pair[1] not in ("layer3.", "layer4.")]
    return (*shared, (f"{stem}.6.", "layer3.0."), *copies)


LAYOUTS: Mapping[str, Layout] = {
    "torchvision": Layout((("", ""),)),
    "moco": Layout((("encoder_q.", ""), ("encoder_k.", "")), "state_dict", "module."),
    "fast-reid": Layout((("backbone.", ""),), "model"),
    "torchreid": Layout((("", ""),), "state_dict", "module."),
    "bot": Layout((("base.", ""),)),
    "bdb": Layout((*_numbered("backbone.")[:-1], ("res_part.", "layer4.")), "state_dict"),
    "mgn": Layout(_mgn("backone", "p")),  # the reproduction's own spelling
    "mgn-backbone": Layout(_mgn("backbone", "p")),
    "mgn-fast-reid": Layout(_mgn("backbone", "b"), "model"),
    "spcl": Layout(_numbered("base."), "state_dict", "module."),
    "spcl-uda": Layout(_numbered("base."), "state_dict", "module.", domains=True),
}


def _flat_mobilenet() -> Pairs:
    """MobileNetV2 as in its first PyTorch ports: a block's layers in one sequence, which torchvision groups."""
    pairs: list[tuple[str, str]] = [("features.0.", "features.0."), ("features.18.", "features.18.")]
    whole = {"0": "0.0", "1": "0.1", "3": "1.0", "4": "1.1", "6": "2", "7": "3"}
    first = {"0": "0.0", "1": "0.1", "3": "1", "4": "2"}  # which has no expansion
    for block in range(1, 18):
        stem = f"features.{block}.conv."
        layers = first if block == 1 else whole
        pairs += [(f"{stem}{theirs}.", f"{stem}{ours}.") for theirs, ours in layers.items()]
    return tuple(pairs)


# Also read by `auto`: names of networks other than ResNets.
READ: Mapping[str, Layout] = {**LAYOUTS, "mobilenet-v2": Layout(_flat_mobilenet())}


def variants(layout: str) -> list[str]:
    """A layout and its variants: `mgn` is also `mgn-backbone` and `mgn-fast-reid`."""
    return [name for name in LAYOUTS if name == layout or name.startswith(f"{layout}-")]


def to_layout(flat: Mapping[str, torch.Tensor], layout: str) -> dict[str, Any]:
    """Convert flat torchvision names to the dictionary of another project's checkpoint."""
    chosen = LAYOUTS[layout]
    state = {name: tensor for key, tensor in flat.items() for name in chosen.names(key)}
    return {chosen.container: state, "epoch": 0} if chosen.container else dict(state)
