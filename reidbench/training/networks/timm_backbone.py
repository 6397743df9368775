"""Any network of timm as a backbone: what it can do is found out by running it on the meta device, without numbers."""

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

# What the files of timm's models call the function that brings a released file to the network's names and sizes.
FILTERS = ("checkpoint_filter_fn", "_filter_fn", "_filter_torchvision_pretrained", "pretrained_filter_fn")
STAGES = 4  # that methods with branches cut a network into
Size = tuple[int, int]


@dataclass(frozen=True)
class Found:
    """What one run found out: length of the vector, capabilities, names of the stem's children and of the stages."""

    dim: int
    capabilities: frozenset[str]
    stem: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()


class TimmBackbone(Backbone):
    """A network of timm without its classifier. Tensors have timm's names behind `network.`.

    The vector is what timm gives its classifier. The map is the one before pooling, from tokens those of the patches;
    where it has other channels than the vector, or there is none, it is one cell: the vector.
    """

    def __init__(self, network: nn.Module, found: Found) -> None:
        super().__init__()
        self.network = network
        self.found = found
        self.dim = found.dim

    @property
    def stem(self) -> nn.Module:
        """Everything before the first stage, of a network with stages."""
        return nn.Sequential(*(self.network.get_submodule(name) for name in self.found.stem))

    @property
    def stages(self) -> list[nn.Module]:
        """The four stages of a network that has them."""
        return [self.network.get_submodule(name) for name in self.found.stages]

    def forward(self, images: torch.Tensor) -> Features:
        """images [B, 3, H, W] to Features."""
        inner, vector = _run(self.network, images)
        maps = _map(self.network, inner)
        fits = maps is not None and maps.shape[1] == vector.shape[1]
        return Features(maps if maps is not None and fits else vector[:, :, None, None], vector)


def _run(network: Any, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What stands before the pooling, and the vector [B, C] behind it."""
    inner = network.forward_features(images)
    return inner, network.forward_head(inner, pre_logits=True)


def _map(network: Any, inner: torch.Tensor) -> torch.Tensor | None:
    """What stands before the pooling as a map [B, C, h, w]; None where it has no places."""
    if inner.ndim == 4:
        return inner.permute(0, 3, 1, 2) if getattr(network, "output_fmt", "") == "NHWC" else inner
    grid = getattr(getattr(network, "patch_embed", None), "grid_size", None)
    before = getattr(network, "num_prefix_tokens", 0)
    if inner.ndim != 3 or grid is None or inner.shape[1] != before + grid[0] * grid[1]:
        return None
    return inner[:, before:].transpose(1, 2).reshape(len(inner), -1, *grid)


# ---------------------------------------------------------------------- by name
def configuration(name: str) -> Any:
    """timm's own words about a model: pixel statistics, size, where its weights are.

    Raises ReidbenchError for a name that timm does not know, with the nearest.
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
    """A network with random weights for images of this size, which models with a fixed input are built for.

    `args` are further arguments of timm's, as a repository's config.json may have them. Raises ReidbenchError for an
    unknown name and for images that the network cannot take.
    """
    given = dict(args or {})
    found = _looked_at(name, size, given)
    backbone = TimmBackbone(_made(name, size, given), found)
    told = configuration(name)
    backbone.mean, backbone.std = tuple(told.mean), tuple(told.std)
    return backbone


@lru_cache
def capabilities_of(name: str) -> frozenset[str]:
    """What a model offers, at the size that it was made for. Raises ReidbenchError for an unknown name."""
    _, height, width = configuration(name).input_size
    return _looked_at(name, (height, width), {}).capabilities


def _made(name: str, size: Size, args: dict[str, Any]) -> nn.Module:
    import timm

    sized = {"img_size": size} if configuration(name).fixed_input_size else {}
    network: nn.Module = timm.create_model(name, pretrained=False, **{**args, **sized, "num_classes": 0})
    return network


def _looked_at(name: str, size: Size, args: dict[str, Any]) -> Found:
    """Build without numbers and run once."""
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
            f"timm's {name} cannot take images of {size[0]}x{size[1]}: {shown(why)[:200]}; write another `image_size`"
        ) from None
    if not (isinstance(inner, torch.Tensor) and isinstance(vector, torch.Tensor) and vector.ndim == 2):
        raise ReidbenchError(f"timm's {name} gives no single vector of an image: it cannot be a backbone")
    if 0 in inner.shape:
        raise ReidbenchError(f"timm's {name} has nothing left of images of {size[0]}x{size[1]}: write larger ones")
    found = Found(vector.shape[1], batch_norm_of(network))
    same = _map(network, inner) is inner and inner.shape[1] == vector.shape[1]
    return _with_stages(found, watch, network, images, inner) if same else found


def batch_norm_of(network: nn.Module) -> frozenset[str]:
    """ "bn" where every batch norm is torch's own, whose class can be exchanged; one with an activation cannot."""
    norms = [one for one in network.modules() if isinstance(one, nn.modules.batchnorm._BatchNorm)]
    plain = norms and all(type(one) in (nn.BatchNorm1d, nn.BatchNorm2d) for one in norms)
    return frozenset({"bn"} if plain else ())


class _Watch:
    """Which children of a network were called with what, and which tensors a ReLU gave."""

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
    """With "stages" where the children are a chain from the images to a map of positive values, ending in four stages.

    Tensors are compared by identity: a child must be given the very tensor that the one before it gave. The last stage
    must work with strides of 1 and of 2, between which methods choose.
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
    """Whether the stride of a stage can be set, tried on the meta device; a pooled shortcut has a stride of its own."""
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
    """All tensors of a network from a released file but its classifier; positions are resized as timm does.

    Raises ReidbenchError for a file that lacks a tensor, or that is not safe to read.
    """
    network, where = backbone.network, shown(file.name)
    state = read_state(file)
    source = vars(sys.modules[type(network).__module__])
    if brings := next((source[name] for name in FILTERS if name in source), None):
        try:
            state = _brought(brings, state, network)
        except Exception as error:  # noqa: BLE001 - the function expects the names of its own model
            why = " ".join(str(error).split()) or type(error).__name__
            raise ReidbenchError(f"{where} is no file of this network: {shown(why)[:200]}") from None
    left_out = [classifier] if isinstance(classifier, str) else list(classifier or ())
    kept = {name: one for name, one in state.items() if name.rpartition(".")[0] not in left_out}
    load_weights(network, kept, where=where, exactly=True)


def _brought(function: Any, state: Any, network: nn.Module) -> dict[str, torch.Tensor]:
    """timm's functions take a state, and most of them the network too."""
    import inspect

    both = len(inspect.signature(function).parameters) > 1
    found = function(dict(state), network) if both else function(dict(state))
    return dict(found)
