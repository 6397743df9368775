"""Parameters of the baseline components."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from reidbench import AddedLater, FileParam, Params, Uses
from reidbench.components import InitialWeights, Nested
from reidbench.files.names import shown
from reidbench.training import params as shared
from reidbench.training.contrastive.params import IMAGENET_MEAN, IMAGENET_STD, ContrastiveParams, LayoutName
from reidbench.words import DESCRIPTION, FLIP, IMAGENET, Labels, behind, require_file


class TinyParams(Params):
    """Parameters of resnet-tiny."""

    width: int = Field(16, ge=4, le=256, description="channels of the stem; later stages have 2, 4 and 7 times as many")
    last_stride: Annotated[Literal[1, 2], AddedLater()] = Field(
        1, description="stride of the last stage; 2 halves its map in both directions"
    )


class ResNetParams(Params):
    """Parameters of torchvision's ResNets."""

    last_stride: Literal[1, 2] = Field(1, description="stride of the last stage; 1 doubles its map")
    weights: Annotated[str | None, InitialWeights()] = Field(
        None, description="torchvision weights by name (IMAGENET1K_V1), from its cache or downloaded; default: random"
    )
    weights_file: FileParam | None = Field(
        None, description="local checkpoint (.pth, .tar or .safetensors) instead of weights; must contain every tensor"
    )
    labels: Labels = Field(None, description=DESCRIPTION)

    @model_validator(mode="after")
    def _one_source(self) -> ResNetParams:
        if self.weights is not None and self.weights_file is not None:
            raise ValueError("weights and weights_file exclude each other; remove one of them")
        require_file(self.weights_file, self.labels, "weights_file")
        return self

    def traits(self) -> frozenset[str]:
        """Return "seedless" if weights are given, since they fill the whole network and nothing is drawn."""
        return frozenset({"seedless"} if self.weights is not None or self.weights_file is not None else ())

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column; all of torchvision's named weights of these networks use ImageNet."""
        named = {IMAGENET} if self.weights is not None else set()
        return behind(self.weights_file, self.labels) | named


class NoneParams(Params):
    """Parameters of none, which has no parameters."""


class HistogramParams(Params):
    """Parameters of colour-histogram."""

    stripes: int = Field(6, ge=1, description="number of horizontal stripes")
    bins: int = Field(8, ge=2, le=32, description="bins per channel; a stripe has bins^3 colours")
    middle: float = Field(0.5, gt=0, le=1, description="share of the columns that is used, around the middle")


HEAD_SCALE = 64.0
HEAD_MARGINS = {"arcface": 0.5, "cosface": 0.4, "circle": 0.35}  # of insightface, and of fast-reid


class BotRecipe(Params):
    """Parameters of both bot and supervised; the defaults are the paper's, for 256x128 and a ResNet-50."""

    epochs: shared.SamplerEpochs = 120
    identities: shared.Identities = 16
    images: shared.Images = 4
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: shared.Warmup = 1 / 12
    warmup_factor: float = Field(0.01, gt=0, le=1, description="first learning rate of the warm-up, as a factor of lr")
    milestones: shared.Milestones = (1 / 3, 7 / 12)
    gamma: shared.Gamma = 0.1
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = 0.3
    triplet_weight: shared.TripletWeight = 1.0
    center_weight: float = Field(0.0, ge=0, description="weight of the centre loss; 5e-4 in the paper's best row")
    center_lr: float = Field(0.5, gt=0, description="learning rate of the centres (SGD)")
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5
    fast: bool = Field(False, description="decode and augment with the extra `fast`; changes pixels and the key")
    accumulate: shared.Accumulate = 1
    pool: shared.Pool = "backbone"
    neck: Annotated[bool, AddedLater()] = Field(
        True,
        description="BNNeck: the classifier and the test take the feature after batch norm; without it they take the "
        "pooled one, as before the last step of the paper's ladder",
    )
    head: Annotated[Literal["linear", "arcface", "cosface", "circle"], AddedLater()] = Field(
        "linear", description="classifier: linear, or of cosines with a margin for the true class"
    )
    head_scale: Annotated[float | None, AddedLater()] = Field(
        None, gt=0, description="scale s of the cosines of a head with a margin; default: 64"
    )
    head_margin: Annotated[float | None, AddedLater()] = Field(
        None,
        ge=0,
        lt=1,
        description="margin m of a head with a margin; default: 0.5 radians for arcface, 0.4 for cosface, 0.35 for "
        "circle",
    )
    circle_weight: Annotated[float, AddedLater()] = Field(
        0.0, ge=0, description="weight of the circle loss of pairs of images, on the feature before the neck"
    )
    circle_scale: Annotated[float, AddedLater()] = Field(128.0, gt=0, description="scale s of the circle loss of pairs")
    circle_margin: Annotated[float, AddedLater()] = Field(
        0.25, ge=0, lt=1, description="margin m of the circle loss of pairs"
    )

    memory: Annotated[int, AddedLater()] = Field(
        0, ge=0, description="number of earlier images that each batch is compared with (XBM); 0: none"
    )
    memory_start: Annotated[float, AddedLater()] = Field(
        1 / 12, ge=0, lt=1, description="fraction of the epochs before the memory is filled and used"
    )
    memory_weight: Annotated[float, AddedLater()] = Field(1.0, gt=0, description="weight of the loss with the memory")
    memory_loss: Annotated[Literal["contrastive", "triplet"], AddedLater()] = Field(
        "contrastive", description="loss of cosines with the memory, of features after the neck"
    )

    @model_validator(mode="after")
    def _a_batch_fits_in_the_memory(self) -> Self:
        if 0 < self.memory < self.identities * self.images:
            batch = self.identities * self.images
            raise ValueError(f"memory must be 0, or at least a batch of identities x images: {batch}")
        return self

    @model_validator(mode="after")
    def _a_margin_has_a_head(self) -> Self:
        if self.head == "linear" and (self.head_scale is not None or self.head_margin is not None):
            raise ValueError("head_scale and head_margin require `head: arcface`, `cosface` or `circle`")
        return self

    @property
    def of_head(self) -> tuple[float, float]:
        """Return scale and margin of a head with a margin."""
        scale = HEAD_SCALE if self.head_scale is None else self.head_scale
        return scale, HEAD_MARGINS[self.head] if self.head_margin is None else self.head_margin

    def required(self) -> frozenset[str]:
        """Return the required capability: the generalised mean needs a map."""
        return shared.pool_needs(self.pool)


class BotParams(shared.EpochParams, BotRecipe):
    """Parameters of bot."""

    keep_classifier: Annotated[bool, AddedLater()] = Field(
        False, description="also store the classifier, for a teacher of `distill`"
    )

    @model_validator(mode="after")
    def _a_classifier_is_of_the_last_epoch(self) -> Self:
        if self.keep_classifier and self.choose_epoch == "best":
            raise ValueError("keep_classifier requires `choose_epoch: last`: the classifier stored is the last epoch's")
        return self


if TYPE_CHECKING:
    TeacherField = Nested
else:
    TeacherField = Uses["finetuner", "source"]


class DistillParams(BotParams):
    """Parameters of distill: those of bot for the student, and its teacher."""

    teacher: TeacherField = Field(
        Nested(use="bot", keep_classifier=True),
        description="teacher, trained on the same source: `bot` or `distill` with `keep_classifier: true`; `backbone` "
        "sets its network; default: the recipe's",
    )
    temperature: float = Field(16.0, gt=0, description="temperature T that divides both logits")
    distill_weight: float = Field(1.0, gt=0, description="weight of the divergence from the teacher")

    @field_validator("teacher")
    @classmethod
    def _a_teacher_has_a_classifier_of_the_source(cls, teacher: Nested) -> Nested:
        given = teacher.model_dump()
        if not given.get("keep_classifier"):
            raise ValueError("the teacher must be `bot` or `distill` with `keep_classifier: true`")
        if "data" in given:
            raise ValueError("the teacher must learn from the source; remove `data`")
        return teacher


class MocoParams(ContrastiveParams):
    """Parameters of moco-v2; the defaults are LUPerson's recipe with MoCo's batch of 256."""


class SupervisedParams(BotRecipe):
    """Parameters of supervised: BoT on the task's auxiliary data."""


class WeightsParams(Params):
    """Parameters of weights; a .json file of the same name supplies pixel statistics that are not given."""

    file: FileParam = Field(
        description="state dict or checkpoint (.pth, .tar, .safetensors); its code is never executed"
    )
    labels: Labels = Field(None, description=DESCRIPTION)
    layout: LayoutName | Literal["auto"] = Field("auto", description="naming scheme of the file; auto: the best match")
    mean: tuple[float, float, float] = Field(
        IMAGENET_MEAN, description="pixel mean; default: from the .json file, otherwise ImageNet's"
    )
    std: tuple[float, float, float] = Field(IMAGENET_STD, description="pixel standard deviation; default as for mean")
    source_grid: tuple[int, int] | None = Field(
        None,
        description="rows and columns of patches of a transformer's position embedding in the file (256x128 in patches "
        "of 16: [16, 8]); default: from the .json file, otherwise the backbone's",
    )

    def supervision(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return behind(self.file, self.labels)

    @model_validator(mode="before")
    @classmethod
    def _fill_from_the_sidecar(cls, given: Any) -> Any:
        """Read the sidecar during validation rather than with the weights, so that its numbers are part of the key."""
        if not isinstance(given, Mapping) or not isinstance(given.get("file"), str | Path):
            return given
        sidecar = Path(given["file"]).with_suffix(".json")
        if not sidecar.is_file():
            return given
        try:
            content = json.loads(sidecar.read_text())
        except ValueError as error:
            raise ValueError(f"{shown(sidecar)}, next to the weights, is not valid JSON: {error}") from None
        if not isinstance(content, dict):
            raise ValueError(f"{shown(sidecar)}, next to the weights, must be an object with mean and std")
        told = {name: content[name] for name in ("mean", "std") if name in content}
        if "grid" in content:  # written by write_transformer
            told["source_grid"] = content["grid"]
        return {**told, **given}


class BdbParams(shared.EpochParams):
    """Parameters of bdb; the defaults are the official recipe's (`--adjust_lr`), for 384x128 and a ResNet-50."""

    epochs: shared.SamplerEpochs = 400
    passes: shared.Passes = "identities"
    identities: shared.Identities = 32
    images: shared.Images = 4
    start: shared.Start = "fan-out"
    lr: shared.AdamRate = 1e-3
    weight_decay: shared.AdamDecay = 5e-4
    warmup: float = Field(1 / 8, ge=0, lt=1, description="fraction of the epochs in which lr rises in ten steps")
    milestones: shared.Milestones = (1 / 2, 3 / 4)
    gamma: float = Field(0.1, gt=0, le=1, description="factor that multiplies lr at each milestone")
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = None
    global_dim: int = Field(512, ge=1, description="length of the global feature")
    drop_dim: int = Field(1024, ge=1, description="length of the feature with the dropped block")
    drop_height: float = Field(0.33, gt=0, le=1, description="share of the map's rows that is dropped")
    drop_width: float = Field(1.0, gt=0, le=1, description="share of the map's columns that is dropped")
    flip: shared.Flip = 0.5
    cutout: float = Field(0.5, ge=0, le=1, description="probability of cutting out one square (mean colour)")
    cutout_size: float = Field(1 / 6, gt=0, le=1, description="side of the square as a share of the height: 64 of 384")
    accumulate: shared.Accumulate = 1


class MgnParams(shared.EpochParams):
    """Parameters of mgn; the defaults are the best script of the reproduction by seathiefwang (384x128, ResNet-50)."""

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
    gamma: float = Field(0.1, gt=0, le=1, description="factor that multiplies lr at each milestone")
    label_smoothing: shared.LabelSmoothing = 0.0
    margin: shared.Margin = 1.2
    triplet_weight: float = Field(2.0, ge=0, description="weight of the triplet loss, the mean over three vectors")
    dim: int = Field(256, ge=1, description="length of each of the eight vectors")
    pool: Literal["max", "avg"] = Field("avg", description="pooling of the branches and of their stripes")
    classify: Annotated[Literal["reduced", "pooled"], AddedLater()] = Field(
        "reduced",
        description="global vectors to classify: reduced (the script), or pooled, without bias (the paper)",
    )
    extra_norm: bool = Field(False, description="add batch norm to each branch's map, as in LUPerson's fork")
    flip_test: bool = Field(True, description="add the feature of the flipped image at test time")
    flip: shared.Flip = 0.5
    erase: shared.EraseMean = 0.5
    accumulate: shared.Accumulate = 1

    def protocol(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return super().protocol() | frozenset({FLIP} if self.flip_test else ())


class MgnLupersonParams(shared.EpochParams):
    """Parameters of mgn-luperson; the defaults are LUPerson's fork of fast-reid, for 384x128 and a ResNet-50."""

    epochs: int = Field(60, ge=1, description="number of epochs; each reads as many images as the source has")
    identities: shared.Identities = 4
    images: shared.Images = 16
    lr: shared.AdamRate = 3.5e-4
    weight_decay: shared.AdamDecay = 5e-4
    warmup: float = Field(1 / 6, ge=0, lt=1, description="fraction of the steps with a linear warm-up")
    warmup_factor: float = Field(0.01, gt=0, le=1, description="first learning rate of the warm-up, as a factor of lr")
    fall: float = Field(0.5, ge=0, lt=1, description="fraction of the steps after which lr follows a cosine to floor")
    floor: float = Field(7.7e-7, ge=0, description="learning rate at the end of the cosine")
    frozen: float = Field(
        1 / 6, ge=0, lt=1, description="fraction of the epochs, at the start, in which only the heads are trained"
    )
    label_smoothing: shared.LabelSmoothing = 0.1
    circle_scale: float = Field(64.0, gt=0, description="scale s of the circle softmax")
    circle_margin: float = Field(0.35, ge=0, lt=1, description="margin m of the circle softmax")
    margin: shared.Margin = None
    triplet_weight: float = Field(1.0, ge=0, description="weight of the triplet loss, the mean over five vectors")
    dim: int = Field(256, ge=1, description="length of each of the eight vectors")
    extra_norm: bool = Field(
        True, description="add batch norm to each branch's map; for weights learned without labels"
    )
    flip: shared.Flip = 0.5
    pad: int = Field(10, ge=0, description="black padding before the crop, in pixels")
    erase: float = Field(0.5, ge=0, le=1, description="probability of random erasing with black")

    def steps(self, images: int) -> int:
        """Return the number of steps of an epoch over `images` source images."""
        return max(1, images // (self.identities * self.images))
