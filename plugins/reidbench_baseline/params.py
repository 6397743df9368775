"""Parameters of the baseline components."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from reidbench import AddedLater, FileParam, Params
from reidbench.files.names import shown
from reidbench.training import params as shared
from reidbench.training.contrastive.params import IMAGENET_MEAN, IMAGENET_STD, ContrastiveParams, LayoutName
from reidbench.words import DESCRIPTION, FLIP, IMAGENET, Labels, behind, require_file


class TinyParams(Params):
    """resnet-tiny."""

    width: int = Field(16, ge=4, le=256, description="channels of the stem; later stages have 2, 4 and 7 times as many")


class ResNetParams(Params):
    """ResNets of torchvision."""

    last_stride: Literal[1, 2] = Field(1, description="stride of the last stage; 1 doubles its map")
    weights: str | None = Field(
        None, description="torchvision weights by name (IMAGENET1K_V1), from its cache or downloaded; default: random"
    )
    weights_file: FileParam | None = Field(
        None, description="a local checkpoint instead (.pth, .tar or .safetensors), which must have all tensors"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _one_source(self) -> ResNetParams:
        if self.weights is not None and self.weights_file is not None:
            raise ValueError("give weights or weights_file, not both")
        require_file(self.weights_file, self.labels, "weights_file")
        return self

    def traits(self) -> frozenset[str]:
        """Weights from elsewhere fill the whole network, so that nothing of it is drawn."""
        return frozenset({"seedless"} if self.weights is not None or self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column; all of torchvision's named weights of these networks are of ImageNet."""
        named = {IMAGENET} if self.weights is not None else set()
        return behind(self.weights_file, self.labels) | named


class NoneParams(Params):
    """none has no parameters."""


class HistogramParams(Params):
    """colour-histogram."""

    stripes: int = Field(6, ge=1, description="horizontal stripes")
    bins: int = Field(8, ge=2, le=32, description="bins of each channel; a stripe has bins^3 colours")
    middle: float = Field(0.5, gt=0, le=1, description="share of the columns that is counted, around the middle")


class BotRecipe(Params):
    """What bot and supervised share; the defaults are the paper's, for 256x128 and a ResNet-50."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: shared.Warmup = 1 / 12
    warmup_factor: float = Field(0.01, gt=0, le=1, description="where the warm-up starts, times lr")
    milestones: shared.Milestones = (1 / 3, 7 / 12)
    gamma: shared.Gamma = 0.1
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = 0.3
    triplet_weight: shared.TripletWeight = 1.0
    center_weight: float = Field(0.0, ge=0, description="weight of the centre loss; the paper's best row has 5e-4")
    center_lr: float = Field(0.5, gt=0, description="SGD learning rate of the centres")
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5
    fast: bool = Field(False, description="decode and augment with the extra `fast`: other pixels, hence another key")
    accumulate: shared.Accumulate = 1
    pool: shared.Pool = "backbone"

    def required(self) -> frozenset[str]:
        """The generalised mean needs a map."""
        return shared.pool_needs(self.pool)


class BotParams(shared.EpochParams, BotRecipe):
    """bot."""


class MocoParams(ContrastiveParams):
    """moco-v2; the defaults are LUPerson's recipe with MoCo's batch of 256."""


class SupervisedParams(BotRecipe):
    """supervised: BoT on the task's auxiliary data."""


class WeightsParams(Params):
    """weights: a file of the user's own; pixel statistics in a .json of its name fill what is not given."""

    file: FileParam = Field(description="a state dict or checkpoint (.pth, .tar, .safetensors), read without executing")
    labels: Labels = Field(None, description=DESCRIPTION)
    layout: LayoutName | Literal["auto"] = Field("auto", description="whose names the file uses; auto: the best match")
    mean: tuple[float, float, float] = Field(
        IMAGENET_MEAN, description="pixel mean; default: from the .json, else ImageNet"
    )
    std: tuple[float, float, float] = Field(IMAGENET_STD, description="pixel deviation; default as for the mean")
    source_grid: tuple[int, int] | None = Field(
        None,
        description="rows and columns of patches of a transformer's position embedding in the file (256x128 in patches "
        "of 16: [16, 8]); default: from the .json, else the backbone's",
    )

    def supervision(self) -> frozenset[str]:
        """Words for the protocol column."""
        return behind(self.file, self.labels)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_the_sidecar(cls, given: Any) -> Any:
        """Here, and not when the weights are read, so that the numbers are part of the key."""
        if not isinstance(given, Mapping) or not isinstance(given.get("file"), str | Path):
            return given
        sidecar = Path(given["file"]).with_suffix(".json")
        if not sidecar.is_file():
            return given
        try:
            content = json.loads(sidecar.read_text())
        except ValueError as error:
            raise ValueError(f"{shown(sidecar)}, which stands beside the weights, is not JSON: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{shown(sidecar)}, which stands beside the weights, must be an object with mean and std")
        told = {name: content[name] for name in ("mean", "std") if name in content}
        if "grid" in content:  # which write_transformer writes
            told["source_grid"] = content["grid"]
        return {**told, **given}


class BdbParams(shared.EpochParams):
    """bdb; the defaults are the official recipe's (`--adjust_lr`), for 384x128 and a ResNet-50."""

    epochs: shared.SamplerEpochs = 400
    passes: shared.Passes = "identities"
    identities: shared.Identities = 32
    images: shared.Images = 4
    start: shared.Start = "fan-out"
    lr: shared.AdamRate = 1e-3
    weight_decay: shared.AdamDecay = 5e-4
    warmup: float = Field(1 / 8, ge=0, lt=1, description="fraction of the epochs in which lr climbs in ten stairs")
    milestones: shared.Milestones = (1 / 2, 3 / 4)
    gamma: float = Field(0.1, gt=0, le=1, description="factor of lr at each milestone")
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = None
    global_dim: int = Field(512, ge=1, description="length of the global feature")
    drop_dim: int = Field(1024, ge=1, description="length of the feature with the dropped block")
    drop_height: float = Field(0.33, gt=0, le=1, description="share of the map's rows that are dropped")
    drop_width: float = Field(1.0, gt=0, le=1, description="share of the map's columns that are dropped")
    flip: shared.Flip = 0.5
    cutout: float = Field(0.5, ge=0, le=1, description="probability of one square of the mean colour")
    cutout_size: float = Field(1 / 6, gt=0, le=1, description="its side as a share of the height: 64 of 384")
    accumulate: shared.Accumulate = 1


class MgnParams(shared.EpochParams):
    """mgn; the defaults are the best script of the reproduction by seathiefwang, for 384x128 and a ResNet-50."""

    epochs: shared.SamplerEpochs = 400
    passes: shared.Passes = "identities"
    identities: shared.Identities = 16
    images: shared.Images = 4
    start: shared.Start = "fan-out"
    optimiser: Annotated[Literal["adam", "sgd"], AddedLater()] = Field(
        "adam", description="Adam with amsgrad (the script), or SGD with momentum (the paper)"
    )
    lr: float = Field(2e-4, gt=0, description="learning rate of the optimiser")
    momentum: Annotated[shared.Momentum, AddedLater()] = 0.9
    weight_decay: shared.AdamDecay = 5e-4
    milestones: shared.Milestones = (0.8, 0.95)
    gamma: float = Field(0.1, gt=0, le=1, description="factor of lr at each milestone")
    label_smoothing: shared.LabelSmoothing = 0.0
    margin: shared.Margin = 1.2
    triplet_weight: float = Field(2.0, ge=0, description="weight of the triplet loss, the mean over three vectors")
    dim: int = Field(256, ge=1, description="length of each of the eight vectors")
    pool: Literal["max", "avg"] = Field("avg", description="pooling of the branches and of their stripes")
    classify: Annotated[Literal["reduced", "pooled"], AddedLater()] = Field(
        "reduced",
        description="global vectors that are classified: reduced (the script), or pooled, without bias (the paper)",
    )
    extra_norm: bool = Field(False, description="batch norm on each branch's map, as LUPerson's fork adds it")
    flip_test: bool = Field(True, description="add the feature of the flipped image at test time")
    flip: shared.Flip = 0.5
    erase: shared.EraseMean = 0.5
    accumulate: shared.Accumulate = 1

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        return super().protocol() | frozenset({FLIP} if self.flip_test else ())


class MgnLupersonParams(shared.EpochParams):
    """mgn-luperson; the defaults are those of LUPerson's fork of fast-reid, for 384x128 and a ResNet-50."""

    epochs: int = Field(60, ge=1, description="times as many images are read as the source has")
    identities: shared.Identities = 4
    images: shared.Images = 16
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: float = Field(1 / 6, ge=0, lt=1, description="fraction of the steps with a linear warm-up")
    warmup_factor: float = Field(0.01, gt=0, le=1, description="where the warm-up starts, times lr")
    fall: float = Field(0.5, ge=0, lt=1, description="fraction of the steps after which lr falls as a cosine")
    floor: float = Field(7.7e-7, ge=0, description="learning rate at the end of the cosine")
    frozen: float = Field(
        1 / 6, ge=0, lt=1, description="fraction of the epochs, the first ones, in which the heads alone are trained"
    )
    label_smoothing: shared.LabelSmoothing = 0.1
    circle_scale: float = Field(64.0, gt=0, description="scale s of the circle softmax")
    circle_margin: float = Field(0.35, ge=0, lt=1, description="margin m of the circle softmax")
    margin: shared.Margin = None
    triplet_weight: float = Field(1.0, ge=0, description="weight of the triplet loss, the mean over five vectors")
    dim: int = Field(256, ge=1, description="length of each of the eight vectors")
    extra_norm: bool = Field(True, description="batch norm on each branch's map, for weights learnt without labels")
    flip: shared.Flip = 0.5
    pad: int = Field(10, ge=0, description="black pixels of padding before the crop")
    erase: float = Field(0.5, ge=0, le=1, description="probability of random erasing with black")

    def steps(self, images: int) -> int:
        """Steps of an epoch over a source of so many images."""
        return max(1, images // (self.identities * self.images))
