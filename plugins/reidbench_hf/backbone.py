"""Network from the files of a repository. Code in a repository is never run."""

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
    """Return the network of a repository, or of local files, for this image size.

    Raises ReidbenchError if the files do not describe a vision model, if the model does not accept the image size, if
    the weights lack a tensor, and if the repository was not in the hub's cache when the plan was made: it is then
    downloaded, and the next run knows its content.
    """
    if params.config_file is None and params.model is None:
        raise ReidbenchError(
            "hf needs `model`, a repository of the hub, or `weights_file` with config.json in its folder"
        )
    if params.config_file is None:
        hub.fetch(params.model or "", (CONFIG, PIXELS, *WEIGHTS), params.revision)
        raise ReidbenchError(
            f"{shown(params.model or '')} was not in the hub's cache, and its content is part of the key; it has "
            "been downloaded, so run the same command again"
        )
    config = _read(params.config_file)
    backbone = (_of_timm if "architecture" in config else _of_transformers)(params, config, image_size)
    backbone.mean, backbone.std = params.mean or backbone.mean, params.std or backbone.std
    return backbone


@lru_cache
def capabilities_of(text: str) -> frozenset[str]:
    """Return the capabilities of a configuration's network; empty if it cannot be built, which `build` reports."""
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
        raise ReidbenchError(f"{shown(file)} is not a network configuration: {error}") from None


# ---------------------------------------------------------------------- timm
def _of_timm(params: HfParams, config: dict[str, Any], size: tuple[int, int]) -> Backbone:
    told = config.get("pretrained_cfg", {})
    args = config.get("model_args") or {}
    if wrong := sorted(name for name in args if name.startswith(("pretrained", "checkpoint", "cache", "num_classes"))):
        raise ReidbenchError(f"{CONFIG}: model_args must not contain {', '.join(map(shown, wrong))}; remove them")
    backbone = timm_backbone.build(str(config["architecture"]), size, args)
    if params.weights_file is not None:
        timm_backbone.load_file(backbone, params.weights_file, told.get("classifier"))
    backbone.mean, backbone.std = (tuple(told.get(name, getattr(backbone, name))) for name in ("mean", "std"))
    return backbone


# ---------------------------------------------------------------------- transformers
class HfBackbone(Backbone):
    """Vision model of transformers. Tensors have the model's names, prefixed with `network.`.

    The vector is the pooled output if the model pools without extra layers for its own training; otherwise the first
    token, or the mean of the map. The map contains the last layer's patches; if their places are unknown, it is the
    vector in a single cell.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        pooler = getattr(network, "pooler", None)
        if isinstance(pooler, nn.Module) and any(True for _ in pooler.parameters()):
            network.pooler = None  # a layer for the model's pre-training, which many files lack
        self.network = network
        patch = getattr(network.config, "patch_size", None)
        self.patch = patch if isinstance(patch, int) else 0
        resizes = "interpolate_pos_encoding" in inspect.signature(network.forward).parameters
        self.options = {"interpolate_pos_encoding": True} if resizes else {}

    def forward(self, images: torch.Tensor) -> Features:
        """Map images [B, 3, H, W] to Features."""
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
        if not self.patch or not 0 <= before <= 8:  # tokens for the whole image come first
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
    except Exception as error:  # noqa: BLE001 - models raise various exceptions for a size, or for images at all
        why = " ".join(str(error).split()) or type(error).__name__
        name = shown(str(config.get("model_type")))
        raise ReidbenchError(
            f"a {name} of transformers does not accept images of {size[0]}x{size[1]}: {shown(why)[:200]}"
        ) from None
    return backbone.train()


def _vision(network: Any) -> Any:
    """Return the image part of a model that also has a text part."""
    return getattr(network, "vision_model", network)


def _fresh(config: dict[str, Any]) -> Any:
    """Return a network with random weights. Raises ReidbenchError for a model type unknown to transformers."""
    transformers = _transformers()
    kind = str(config.get("model_type"))
    if kind not in transformers.CONFIG_MAPPING:
        own = "; code in a repository is never run" if "auto_map" in config else ""
        raise ReidbenchError(f"{CONFIG} has model_type {shown(kind)}, which transformers does not know{own}")
    rest = {name: value for name, value in config.items() if name not in ("model_type", "auto_map")}
    return _vision(transformers.AutoModel.from_config(transformers.CONFIG_MAPPING[kind](**rest)))


def _loaded(weights: Path) -> Any:
    """Return the network of a folder with all of its weights."""
    transformers = _transformers()
    if weights.name != WEIGHTS[0] or not weights.with_name(CONFIG).is_file():
        raise ReidbenchError(f"{shown(weights)}: transformers needs {WEIGHTS[0]} with {CONFIG} in the same folder")
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
        raise ReidbenchError(f"{shown(weights)}: {len(wrong)} tensors are missing or of a different shape: {wrong[0]}")
    return network
