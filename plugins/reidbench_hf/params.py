"""Parameters of hf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from reidbench import FileParam, Params
from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.files.names import shown
from reidbench.words import DESCRIPTION, Labels, behind

CONFIG, PIXELS = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the second is read for models of timm only, and never executed


class HfParams(Params):
    """hf: a repository by name, or its files."""

    model: str | None = Field(None, description="the repository on the hub, like facebook/dinov2-small")
    revision: str | None = Field(None, description="commit, tag or branch of it; default: the newest")
    weights_file: FileParam | None = Field(
        None, description="model.safetensors of a local folder; of a repository it is found in the hub's cache"
    )
    config_file: FileParam | None = Field(
        None, description="config.json; default: the one beside weights_file; alone: a network with random weights"
    )
    mean: tuple[float, float, float] | None = Field(
        None, description="pixel mean; default: from preprocessor_config.json, or timm's, else ImageNet's"
    )
    std: tuple[float, float, float] | None = Field(None, description="pixel deviation; default as for the mean")
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="before")
    @classmethod
    def _find_the_files(cls, given: Any) -> Any:
        """Here, and not when the network is built, so that their content is part of the key."""
        if not isinstance(given, Mapping):
            return given
        found = {**_in_the_cache(given), **{name: value for name, value in given.items() if value is not None}}
        weights = found.get("weights_file")
        if isinstance(weights, str | Path) and Path(weights).with_name(CONFIG).is_file():
            found.setdefault("config_file", Path(weights).with_name(CONFIG))
        config = found.get("config_file")
        return {**_pixels(Path(config)), **found} if isinstance(config, str | Path) else found

    @model_validator(mode="after")
    def _one_source(self) -> HfParams:
        if self.revision is not None and self.model is None:
            raise ValueError("revision is of a repository, and no model is given")
        if self.labels is not None and self.model is None and self.weights_file is None:
            raise ValueError("labels declares what weights were trained on, and the weights are random")
        return self

    def capabilities(self) -> frozenset[str]:
        """What the network offers, as far as its files are there."""
        if self.config_file is None:
            return frozenset()
        from .backbone import capabilities_of  # with torch

        return capabilities_of(self.config_file.read_text())

    def traits(self) -> frozenset[str]:
        """Weights from elsewhere fill the whole network, so that nothing of it is drawn."""
        return frozenset({"seedless"} if self.model or self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.model or self.weights_file, self.labels)


def _in_the_cache(given: Mapping[str, Any]) -> dict[str, Path]:
    """The files of the repository that are in the hub's cache; nothing unless all are."""
    model = given.get("model")
    if not isinstance(model, str) or given.get("config_file") or given.get("weights_file"):
        return {}
    try:
        config = hub.cached(model, CONFIG, given.get("revision"))
        found = [hub.cached(model, name, given.get("revision")) for name in WEIGHTS]
    except ReidbenchError as error:
        raise ValueError(str(error)) from None
    weights = next(filter(None, found), None)
    return {"config_file": config, "weights_file": weights} if config and weights else {}


def _pixels(config: Path) -> dict[str, Any]:
    """Mean and deviation as the file beside the configuration says them."""
    file = config.with_name(PIXELS)
    if not file.is_file():
        return {}
    try:
        told = dict(json.loads(file.read_text()))
    except ValueError as error:
        raise ValueError(f"{shown(file)} is not JSON: {error}") from None
    names = {"mean": "image_mean", "std": "image_std"}
    return {name: told[theirs] for name, theirs in names.items() if isinstance(told.get(theirs), list)}
