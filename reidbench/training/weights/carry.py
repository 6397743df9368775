"""Load the weights of one step into the next step's network by name and shape, completely."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import nn

from reidbench.data.pictures.size import ImageSize
from reidbench.errors import ReidbenchError
from reidbench.training.networks.backbone import Backbone

from .files import State
from .fit import COUNTER, first_names, other_shapes
from .transformers import POSITIONS, Grid, resize_positions


@dataclass(frozen=True)
class OwnNetwork:
    """Network that a step builds itself, instead of the previous step's saved network."""

    described: Mapping[str, Any]  # `use`, `params` and `image_size`
    size: ImageSize
    before: str  # the label of the previous step


def carry(state: State, network: nn.Module, grids: tuple[Grid, Grid] | None, own: OwnNetwork) -> None:
    """Copy the previous step's tensors into `network`, resampling position embeddings between the grids.

    Raises ReidbenchError, naming tensors that are missing, left over or of a different shape, and changes nothing.
    """
    expected = network.state_dict()
    if grids:
        places = [name for name in state if name.rpartition(".")[2] == POSITIONS]
        state = state | {name: resize_positions(state[name], *grids) for name in places}
    if wrong := _wrong(state, expected):
        raise ReidbenchError(f"the weights of {own.before} do not fit backbone {own.described['use']}: {wrong}")
    network.load_state_dict(state)


def grids_of(before: Backbone, now: Backbone) -> tuple[Grid, Grid] | None:
    """Patch grids of two networks; None unless both have one."""
    found = [cast(Grid, network.grid) for network in (before, now) if hasattr(network, "grid")]
    return (found[0], found[1]) if len(found) == 2 else None


def _wrong(state: State, expected: Mapping[str, torch.Tensor]) -> str:
    missing = [name for name in expected if name not in state]
    left_over = sorted(state.keys() - expected.keys(), key=lambda name: (name.endswith(COUNTER), name))
    shapes = [
        f"{name} is {list(state[name].shape)}, the network has {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    told = [f"{len(names)} tensors are {kind} ({first_names(names)})"
            for names, kind in ((missing, "missing"), (left_over, "left over")) if names]  # fmt: skip
    return "; ".join(told) + other_shapes(shapes) if told else other_shapes(shapes).removeprefix("; ")
