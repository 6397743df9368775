"""Parameters of timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from reidbench import FileParam, Params
from reidbench.components import InitialWeights
from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.words import DESCRIPTION, Labels, behind

from .labels import labels_of

WEIGHTS = "model.safetensors"


class TimmParams(Params):
    """Parameters of timm: a model by name."""

    model: str = Field(description="timm model name with the tag of its weights: convnext_tiny.fb_in22k")
    pretrained: Annotated[bool, InitialWeights(without=False)] = Field(
        True,
        description="use the model's published weights, from the hub's cache or downloaded; false: random weights; "
        "default: true, but false with weights_file",
    )
    revision: Annotated[str | None, InitialWeights()] = Field(
        None, description="commit, tag or branch of the weights on the hub; default: the newest"
    )
    weights_file: FileParam | None = Field(
        None,
        description="local file with timm's names (.safetensors, .pth); with pretrained: the file in the cache",
    )
    labels: Labels = Field(None, description=f"{DESCRIPTION}; default for pretrained weights: from the tag")

    @model_validator(mode="before")
    @classmethod
    def _find_the_weights(cls, given: Any) -> Any:
        """Find the file during validation rather than in `build`, so that its content is part of the key."""
        if not isinstance(given, Mapping) or not isinstance(given.get("model"), str):
            return given
        if given.get("weights_file") is not None:
            return {"pretrained": False, **given}
        if given.get("pretrained", True) is not True:
            return given
        try:
            found = hub.cached(repository(given["model"]), WEIGHTS, given.get("revision"))
        except ReidbenchError as error:
            raise ValueError(str(error)) from None
        return {**given, "weights_file": found} if found else given

    @field_validator("model")
    @classmethod
    def _known(cls, name: str) -> str:
        from reidbench.training.networks.timm_backbone import capabilities_of

        try:
            capabilities_of(name)
        except ReidbenchError as error:
            raise ValueError(str(error)) from None
        return name

    @model_validator(mode="after")
    def _labels_of_weights(self) -> TimmParams:
        if self.labels is not None and not self.pretrained and self.weights_file is None:
            raise ValueError("labels declares the labels behind weights, but the weights are random; remove labels")
        if self.revision is not None and not self.pretrained:
            raise ValueError("revision needs pretrained weights of the hub; set `pretrained: true` or remove revision")
        return self

    def capabilities(self) -> frozenset[str]:
        """Return the network's capabilities."""
        from reidbench.training.networks.timm_backbone import capabilities_of

        return capabilities_of(self.model)

    def traits(self) -> frozenset[str]:
        """Return "seedless" if weights are given, since they fill the whole network and nothing is drawn."""
        return frozenset({"seedless"} if self.pretrained or self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column."""
        if self.pretrained and self.labels is None:
            return labels_of(tag(self.model))
        return behind(self.weights_file if not self.pretrained else self.model, self.labels)


def tag(name: str) -> str:
    """Return the tag of a model's weights; timm supplies it for a name without one."""
    from reidbench.training.networks.timm_backbone import configuration

    return name.partition(".")[2] or str(configuration(name).tag or "")


def repository(name: str) -> str:
    """Return the hub repository of a model's weights. Raises ReidbenchError if timm knows none."""
    from reidbench.training.networks.timm_backbone import configuration

    told = configuration(name)
    if not told.hf_hub_id:
        raise ReidbenchError(f"timm has no weights of {name} on the hub; set `pretrained: false`, or `weights_file`")
    return str(told.hf_hub_id)
