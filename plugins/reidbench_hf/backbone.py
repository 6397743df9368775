"""A network from the files of a repository. No code of a repository is ever run."""

from __future__ import annotations

import importlib
import inspect
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.files.names import shown
from reidbench.training import Backbone, Features
from reidbench.training.networks import timm_backbone

from .params import CONFIG, PIXELS, WEIGHTS, HfParams


def build(params: HfParams, image_size: tuple[int, int]) -> Backbone:
    """The network of a repository, or of a folder's files, for images of this size.

    Raises ReidbenchError for files that are none of a vision model, images that it cannot take, weights that lack a
    tensor, and a repository that was not in the hub's cache when the plan was made: it is fetched, and the next run
    knows its content.
    """
    if params.config_file is None and params.model is None:
        raise ReidbenchError("hf: give `model`, a repository of the hub, or `weights_file` with config.json beside it")
    if params.config_file is None:
        hub.fetch(params.model or "", (CONFIG, PIXELS, *WEIGHTS), params.revision)
        raise ReidbenchError(
            f"{shown(params.model or '')} was not in the hub's cache, and its content is part of the key: it has been "
            "fetched now; run the same command again"
        )
    config = _read(params.config_file)
    backbone = (_of_timm if "architecture" in config else _of_transformers)(params, config, image_size)
    backbone.mean, backbone.std = params.mean or backbone.mean, params.std or backbone.std
    return backbone


@lru_cache
def capabilities_of(text: str) -> frozenset[str]:
    """What the network of a configuration offers; nothing where it cannot be built here, which is said when it is."""
    try:
        config = dict(json.loads(text))
        if "architecture" in config:
            return timm_backbone.capabilities_of(str(config["architecture"]))
        with torch.device("meta"):
            return timm_backbone.batch_norm_of(_fresh(config))
    except (ReidbenchError, ValueError):
        return frozenset()


def _read(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text()))
    except ValueError as error:
        raise ReidbenchError(f"{shown(file)} is no configuration of a network: {error}") from None


# ---------------------------------------------------------------------- timm
def _of_timm(params: HfParams, config: dict[str, Any], size: tuple[int, int]) -> Backbone:
    told = config.get("pretrained_cfg", {})
    args = config.get("model_args") or {}
    if wrong := sorted(name for name in args if name.startswith(("pretrained", "checkpoint", "cache", "num_classes"))):
        raise ReidbenchError(f"{CONFIG}: model_args must not have {', '.join(map(shown, wrong))}")
    backbone = timm_backbone.build(str(config["architecture"]), size, args)
    if params.weights_file is not None:
        timm_backbone.load_file(backbone, params.weights_file, told.get("classifier"))
    backbone.mean, backbone.std = (tuple(told.get(name, getattr(backbone, name))) for name in ("mean", "std"))
    return backbone


# ---------------------------------------------------------------------- transformers
class HfBackbone(Backbone):
    """A vision model of transformers. Tensors have its names behind `network.`.

    The vector is the pooled output of models that pool by themselves, without further layers for their own training;
    else the first token, or the mean of the map. The map holds the last layer's patches; one cell, the vector, where
    their places are not known.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        pooler = getattr(network, "pooler", None)
        if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
            network.pooler = None  # a layer for the model's own training, which many files lack
        self.network = network
        patch = getattr(network.config, "patch_size", None)
        self.patch = patch if isinstance(patch, int) else 0
        resizes = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if resizes else {}

    def forward(self, images: torch.Tensor) -> Features:
        """images [B, 3, H, W] to Features."""
        answer = self.network(pixel_values=images, **self.options)
        inner: torch.Tensor = answer.last_hidden_state
        vector = getattr(answer, "pooler_output", None)
        if vector is None:
            vector = inner[:, 0] if inner.ndim == 3 else inner.mean((2, 3))
        vector = vector.flatten(1)
        maps = self._map(inner, (images.shape[2], images.shape[3]))
        return Features(vector[:, :, None, None] if maps is None else maps, vector)

    def _map(self, inner: torch.Tensor, size: tuple[int, int]) -> torch.Tensor | None:
        if inner.ndim == 4:
            return inner
        grid = (size[0] // self.patch, size[1] // self.patch) if self.patch else (0, 0)
        before = inner.shape[1] - grid[0] * grid[1]
        if not self.patch or not 0 <= before <= 8:  # tokens of the whole image, which come first
            return None
        return inner[:, before:].transpose(1, 2).reshape(len(inner), -1, *grid)


def _transformers() -> Any:
    try:
        from reidbench.training.networks import torchvision_compat  # noqa: F401 - before transformers

        return importlib.import_module("transformers")
    except ImportError as error:
        raise ReidbenchError(
            f"models of transformers need the extra `hf` ({error.name} is missing): pip install 'reidbench[hf]'"
        ) from None


def _of_transformers(params: HfParams, config: dict[str, Any], size: tuple[int, int]) -> Backbone:
    network = _fresh(config) if params.weights_file is None else _loaded(params.weights_file)
    backbone = HfBackbone(_vision(network)).float()
    try:
        with torch.no_grad():
            backbone.dim = backbone.eval()(torch.zeros(1, 3, *size)).vector.shape[1]
    except Exception as error:  # noqa: BLE001 - models raise many kinds for a size, or for images at all
        why = " ".join(str(error).split()) or type(error).__name__
        name = shown(str(config.get("model_type")))
        raise ReidbenchError(
            f"a {name} of transformers cannot take images of {size[0]}x{size[1]}: {shown(why)[:200]}"
        ) from None
    return backbone.train()


def _vision(network: Any) -> Any:
    """The part for images of a model that has one for text too."""
    return getattr(network, "vision_model", network)


def _fresh(config: dict[str, Any]) -> Any:
    """A network with random weights. Raises ReidbenchError for a kind that transformers does not know."""
    transformers = _transformers()
    kind = str(config.get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        own = "; code of a repository is never run" if "auto_map" in config else ""
        raise ReidbenchError(f"{CONFIG} is of model_type {shown(kind)}, which transformers does not know{own}")
    rest = {name: value for name, value in config.items() if name not in ("model_type", "auto_map")}
    return _vision(transformers.AutoModel.from_config(transformers.CONFIG_MAPPING[kind](**rest)))


def _loaded(weights: Path) -> Any:
    """The network of a folder with its weights, all of them."""
    transformers = _transformers()
    if weights.name != WEIGHTS[0] or not weights.with_name(CONFIG).is_file():
        raise ReidbenchError(f"{shown(weights)}: weights for transformers are {WEIGHTS[0]} with {CONFIG} beside it")
    transformers.utils.logging.disable_progress_bar()
    try:
        network, told = transformers.AutoModel.from_pretrained(
            str(weights.parent), local_files_only=True, use_safetensors=True, trust_remote_code=False,
            output_loading_info=True, dtype=torch.float32,
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise ReidbenchError(f"{shown(weights)}: transformers cannot read it: {shown(why)[:200]}") from None
    missing = sorted(name for name in told["missing_keys"] if name.split(".")[0] != "pooler")
    wrong = [*missing, *sorted(str(one) for one in told.get("mismatched_keys", ()))]
    if wrong:
        raise ReidbenchError(f"{shown(weights)}: {len(wrong)} tensors are missing or of another shape: {wrong[0]}")
    return network
