"""Any timm network as a backbone; its capabilities are found by running it on the meta device, without weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.files.names import shown
from reidbench.training.weights.files import read_state
from reidbench.training.weights.resnets import load_weights

from . import torchvision_compat  # noqa: F401 - before timm
from .backbone import Backbone, Features
from .branching import set_stride

# Names, in timm's model files, of the function that converts a released file to the network's names and sizes.
FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained", "pretrained_filter_fn")
STAGES = 4  # that methods with branches split a network into
Size = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """Result of a trial run: length of the vector, capabilities, names of the stem's children and of the stages."""

    dim: int
    capabilities: frozenset[str]
    stem: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


class TimmBackbone(Backbone):
    """A timm network without its classifier. Tensors have timm's names after `network.`.

    The vector is the input of timm's classifier. The map is the one before pooling, or of the patch tokens; if its
    channels differ from the vector's, or there is no map, it is one cell: the vector.
    """

    def __init__(self, network: nn.Module, found: Found) -> None:
        super().__init__()
        self.network = network
        self.found = found
        self.dim = found.dim

    @property
    def stem(self) -> nn.Module:
        """The layers before the first stage, for a network with stages."""
        return nn.Sequential(*(self.network.get_submodule(name) for name in self.found.stem))

    @property
    def stages(self) -> list[nn.Module]:
        """The four stages, for a network with stages."""
        return [self.network.get_submodule(name) for name in self.found.stages]

    def forward(self, images: torch.Tensor) -> Features:
        """images [B, 3, H, W] to Features."""
        inner, vector = _run(self.network, images)
        maps = _map(self.network, inner)
        fits = maps is not None and maps.shape[1] == vector.shape[1]
        return Features(maps if maps is not None and fits else vector[:, :, None, None], vector)


def _run(network: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Features before pooling, and the vector [B, C] after it."""
    inner = network.forward_features(images)
    return inner, network.forward_head(inner, pre_logits=True)


def _map(network: Any, inner: torch.Tensor) -> torch.Tensor | None:
    """Features before pooling as a map [B, C, h, w]; None if they have no spatial positions."""
    if inner.ndim == 4:
        return inner.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "") == "NHWC" else inner
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    before = getattr(network, "num_prefix_tokens", 0)
    if inner.ndim != 3 or grid is None or inner.shape[1] != before + grid[0] * grid[1]:
        return None
    return inner[:, before:].transpose(1, 2).reshape(len(inner), -1, *grid)


# ---------------------------------------------------------------------- by name
def configuration(name: str) -> Any:
    """timm's configuration of a model: pixel statistics, size, location of the weights.

    Raises ReidbenchError for a name unknown to timm, with the nearest known one.
    """
    import difflib

    import timm

    try:
        found = None if {":", "/"} & set(name) else timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError:
        found = None
    if found is None:
        known = timm.list_models(pretrained=True) if "." in name else timm.list_models()
        near = difflib.get_close_matches(name, known, n=1)
        raise ReidbenchError(f"timm has no model {shown(name)}{f'; did you mean {near[0]}?' if near else ''}")
    return found


def build(name: str, size: Size, args: Any = None) -> TimmBackbone:
    """Build a network with random weights for images of this size, which models with a fixed input depend on.

    `args` are further timm arguments, as in a repository's config.json. Raises ReidbenchError for an unknown name and
    for an image size that the network does not support.
    """
    given = dict(args or {})
    found = _looked_at(name, size, given)
    backbone = TimmBackbone(_made(name, size, given), found)
    told = configuration(name)
    backbone.mean, backbone.std = tuple(told.mean), tuple(told.std)
    return backbone


@lru_cache
def capabilities_of(name: str) -> frozenset[str]:
    """Capabilities of a model at its native image size. Raises ReidbenchError for an unknown name."""
    _, height, width = configuration(name).input_size
    return _looked_at(name, (height, width), {}).capabilities


def _made(name: str, size: Size, args: dict[str, Any]) -> nn.Module:
    import timm

    sized = {"img_size": size} if configuration(name).fixed_input_size else {}
    network: nn.Module = timm.create_model(name, pretrained=False, **{**args, **sized, "num_classes": 0})
    return network


def _looked_at(name: str, size: Size, args: dict[str, Any]) -> Found:
    """Build on the meta device and run once."""
    configuration(name)
    try:
        with torch.device("meta"):
            network, images = _made(name, size, args).eval(), torch.zeros(2, 3, *size)
            watch = _Watch(network)
            inner, vector = _run(network, images)
            watch.stop()
    except Exception as error:  # noqa: BLE001 - models of timm raise many kinds for a size that they cannot take
        why = " ".join(str(error).split()) or type(error).__name__
        raise ReidbenchError(
            f"timm's {name} cannot take images of {size[0]}x{size[1]}: {shown(why)[:200]}; set another `image_size`"
        ) from None
    if not (isinstance(inner, torch.Tensor) and isinstance(vector, torch.Tensor) and vector.ndim == 2):
        raise ReidbenchError(f"timm's {name} does not return a single vector per image, so it cannot be a backbone")
    if 0 in inner.shape:
        raise ReidbenchError(
            f"timm's {name} reduces images of {size[0]}x{size[1]} to an empty map: set a larger `image_size`"
        )
    found = Found(vector.shape[1], batch_norm_of(network))
    same = _map(network, inner) is inner and inner.shape[1] == vector.shape[1]
    return _with_stages(found, watch, network, images, inner) if same else found


def batch_norm_of(network: nn.Module) -> frozenset[str]:
    """ "bn" if every batch norm is torch's own, whose class can be replaced; one with an activation cannot."""
    norms = [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    plain = norms and all(type(one) in (nn.BatchNorm1d, nn.BatchNorm2d) for one in norms)
    return frozenset({"bn"} if plain else ())


class _Watch:
    """Records the inputs of a network's children, and the outputs of ReLUs."""

    def __init__(self, network: nn.Module) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], Any]] = []
        self.positive: list[Any] = []
        self._hooks = [
            child.register_forward_hook(lambda _, given, out, name=name: self.calls.append((name, given[:1], out)))
            for name, child in network.named_children()
        ]
        self._hooks += [
            module.register_forward_hook(lambda _, given, out: self.positive.append(out))
            for module in network.modules()
            if isinstance(module, nn.ReLU | nn.ReLU6)
        ]

    def stop(self) -> None:
        for hook in self._hooks:
            hook.remove()


def _with_stages(found: Found, watch: _Watch, network: Any, images: Any, inner: Any) -> Found:
    """Add "stages" if the children are a chain from the images to a map of positive values, ending in four stages.

    Tensors are compared by identity: a child must receive exactly the output of the previous one. The last stage must
    work with strides of 1 and of 2, between which methods choose.
    """
    chain: list[str] = []
    last = before = images
    for name, given, out in watch.calls:
        if last is not inner and any(one is last for one in given):
            chain.append(name)
            before, last = last, out
    stages = tuple(str(info["module"]) for info in getattr(network, "feature_info", ()))[-STAGES:]
    positive = any(out is inner for out in watch.positive)
    if last is not inner or not positive or len(stages) < STAGES or tuple(chain[-STAGES:]) != stages:
        return found
    if not _takes_strides(network.get_submodule(stages[-1]), before):
        return found
    return replace(found, capabilities=found.capabilities | {"stages"}, stem=tuple(chain[:-STAGES]), stages=stages)


def _takes_strides(stage: nn.Module, maps: torch.Tensor) -> bool:
    """Whether the stride of a stage can be set, tested on the meta device; a pooled shortcut has a fixed stride."""
    for stride in (1, 2):
        other = copy.deepcopy(stage)
        try:
            set_stride(other, stride)
            shape = other(maps).shape
        except (ReidbenchError, RuntimeError, StopIteration):
            return False
        if shape[2] != -(-maps.shape[2] // stride):
            return False
    return True


# ---------------------------------------------------------------------- weights
def load_file(backbone: TimmBackbone, file: Path, classifier: Sequence[str] | str | None) -> None:
    """Load all tensors of a network from a released file except its classifier; positions are resized as in timm.

    Raises ReidbenchError for a file that lacks a tensor, or that is not safe to read.
    """
    network, where = backbone.network, shown(file.name)
    state = read_state(file)
    source = vars(sys.modules[type(network).__module__])
    if brings := next((source[name] for name in FILTERS if name in source), None):
        try:
            state = _brought(brings, state, network)
        except Exception as error:  # noqa: BLE001 - the function expects the names of that model
            why = " ".join(str(error).split()) or type(error).__name__
            raise ReidbenchError(f"{where} is not a file of this network: {shown(why)[:200]}") from None
    left_out = [classifier] if isinstance(classifier, str) else list(classifier or ())
    kept = {name: one for name, one in state.items() if name.rpartition(".")[0] not in left_out}
    load_weights(network, kept, where=where, exactly=True)


def _brought(function: Any, state: Any, network: nn.Module) -> dict[str, torch.Tensor]:
    """Call timm's conversion function, which takes a state and in most cases the network."""
    import inspect

    both = len(inspect.signature(function).parameters) > 1
    found = function(dict(state), network) if both else function(dict(state))
    return dict(found)
