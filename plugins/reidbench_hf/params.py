"""Parameters of hf."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from reidbench import FileParam, Params
from reidbench.components import InitialWeights
from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.files.names import shown
from reidbench.words import DESCRIPTION, Labels, behind

CONFIG, PIXELS = "config.json", "preprocessor_config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # the second only for timm models, and never executed


class HfParams(Params):
    """Parameters of hf: a repository by name, or local files."""

    model: Annotated[str | None, InitialWeights()] = Field(
        None, description="repository on the hub, such as facebook/dinov2-small"
    )
    revision: Annotated[str | None, InitialWeights()] = Field(
        None, description="commit, tag or branch of the repository; default: the newest"
    )
    weights_file: FileParam | None = Field(
        None, description="local model.safetensors; default: the repository's file in the hub's cache"
    )
    config_file: FileParam | None = Field(
        None, description="config.json; default: next to weights_file; without weights: random weights"
    )
    mean: tuple[float, float, float] | None = Field(
        None, description="pixel mean; default: from preprocessor_config.json, or timm's, otherwise ImageNet's"
    )
    std: tuple[float, float, float] | None = Field(None, description="pixel standard deviation; default as for mean")
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="before")
    @classmethod
    def _find_the_files(cls, given: Any) -> Any:
        """Find the files during validation rather than in `build`, so that their content is part of the key."""
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
            raise ValueError("revision needs a repository, but model is not given; add model or remove revision")
        if self.labels is not None and self.model is None and self.weights_file is None:
            raise ValueError("labels declares the labels behind weights, but the weights are random; remove labels")
        return self

    def capabilities(self) -> frozenset[str]:
        """Return the network's capabilities, if its files are available."""
        if self.config_file is None:
            return frozenset()
        from .backbone import capabilities_of  # imports torch

        return capabilities_of(self.config_file.read_text())

    def traits(self) -> frozenset[str]:
        """Return "seedless" if weights are given, since they fill the whole network and nothing is drawn."""
        return frozenset({"seedless"} if self.model or self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return behind(self.model or self.weights_file, self.labels)


def _in_the_cache(given: Mapping[str, Any]) -> dict[str, Path]:
    """Return the files of the repository in the hub's cache; empty unless all are present."""
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
    """Return mean and standard deviation from the file next to the configuration."""
    file = config.with_name(PIXELS)
    if not file.is_file():
        return {}
    try:
        told = dict(json.loads(file.read_text()))
    except ValueError as error:
        raise ValueError(f"{shown(file)} is not valid JSON: {error}") from None
    names = {"mean": "image_mean", "std": "image_std"}
    return {name: told[theirs] for name, theirs in names.items() if isinstance(told.get(theirs), list)}
