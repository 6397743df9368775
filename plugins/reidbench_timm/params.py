"""Parameters of timm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from reidbench import FileParam, Params
from reidbench.errors import ReidbenchError
from reidbench.files import hub
from reidbench.words import DESCRIPTION, Labels, behind

from .labels import labels_of

WEIGHTS = "model.safetensors"


class TimmParams(Params):
    """timm: a model by name."""

    model: str = Field(description="its name in timm, with the tag of its weights: convnext_tiny.fb_in22k")
    pretrained: bool = Field(
        True,
        description="the weights of the name, from the hub's cache, or fetched once; false: random ones; false by "
        "default where weights_file is given",
    )
    revision: str | None = Field(
        None, description="commit, tag or branch of the weights on the hub; default: the newest"
    )
    weights_file: FileParam | None = Field(
        None,
        description="a local file with timm's names (.safetensors, .pth); found in the cache for pretrained weights",
    )
    labels: Labels = Field(None, description=f"{DESCRIPTION}; of pretrained weights what the tag says")

    @model_validator(mode="before")
    @classmethod
    def _find_the_weights(cls, given: Any) -> Any:
        """Here, and not when the network is built, so that the content of the file is part of the key."""
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
            raise ValueError("labels declares what weights were trained on, and the weights are random")
        if self.revision is not None and not self.pretrained:
            raise ValueError("revision is of pretrained weights of the hub, and these are not")
        return self

    def capabilities(self) -> frozenset[str]:
        """What the network offers."""
        from reidbench.training.networks.timm_backbone import capabilities_of

        return capabilities_of(self.model)

    def traits(self) -> frozenset[str]:
        """Weights from elsewhere fill the whole network, so that nothing of it is drawn."""
        return frozenset({"seedless"} if self.pretrained or self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        if self.pretrained and self.labels is None:
            return labels_of(tag(self.model))
        return behind(self.weights_file if not self.pretrained else self.model, self.labels)


def tag(name: str) -> str:
    """The tag of a model's weights, which a name without one leaves to timm."""
    from reidbench.training.networks.timm_backbone import configuration

    return name.partition(".")[2] or str(configuration(name).tag or "")


def repository(name: str) -> str:
    """Where a model's weights are on the hub. Raises ReidbenchError where timm knows no such place."""
    from reidbench.training.networks.timm_backbone import configuration

    told = configuration(name)
    if not told.hf_hub_id:
        raise ReidbenchError(
            f"timm knows no weights of {name} on the hub: write `pretrained: false`, or `weights_file`"
        )
    return str(told.hf_hub_id)
