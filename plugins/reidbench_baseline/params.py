"""Parameters of the baseline components."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

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


Cameras = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class RankingParams(Params):
    """The rules of a ranking, shared by all evaluators."""

    ap: Literal["step", "trapezoid"] = Field("step", description="area under the precision-recall curve")
    invalid: Literal["drop", "zero"] = Field("drop", description="queries without a true match: left out, or counted 0")
    ties: Literal["stable", "best", "worst"] = Field("stable", description="order of equal distances")
    camera: Literal["market1501", "none"] = Field("market1501", description="market1501 drops same pid and same camera")
    gallery: Literal["all", "single-shot"] = Field(
        "all", description="single-shot: CMC with one drawn image of each identity, CUHK03's classic protocol"
    )
    repeats: int = Field(10, ge=1, description="draws of the single-shot gallery, or of the gallery of `shots`")
    draw_seed: int = Field(0, ge=0, description="seed of the draws")
    exclude: Annotated[
        tuple[Literal["same-clothes", "different-clothes"], ...],
        Field(
            description="[same-clothes] or [different-clothes] drops the query's own pid in such clothes; unknown ones "
            "are kept"
        ),
        AddedLater(),
    ] = ()
    cross: Annotated[
        Literal["modality"] | None,
        Field(description="modality: a query meets only gallery images of another modality"),
        AddedLater(),
    ] = None
    skip_cameras: Annotated[
        dict[Annotated[int, Field(ge=0)], Cameras],
        Field(description='cameras of the gallery that queries of a camera never meet, whatever pid: {"2": [1]}'),
        AddedLater(),
    ] = Field(default_factory=dict)
    query_cameras: Annotated[
        Cameras | None, Field(description="only queries of these cameras; default: all"), AddedLater()
    ] = None
    gallery_cameras: Annotated[
        Cameras | None, Field(description="only gallery images of these cameras; default: all"), AddedLater()
    ] = None
    pool: Annotated[
        Literal["mean", "max"] | None,
        Field(description="images of a tracklet become one row by the mean or maximum of their features"),
        AddedLater(),
    ] = None
    multi_query: Annotated[
        bool,
        Field(description="query images of one pid and camera become one query, by `pool` or their mean"),
        AddedLater(),
    ] = False
    shots: Annotated[
        int | None,
        Field(ge=1, description="images (tracklets with `pool`) of each identity in a drawn gallery; default: all"),
        AddedLater(),
    ] = None
    shots_per: Annotated[
        Literal["identity", "identity-and-camera"], Field(description="what `shots` are drawn of"), AddedLater()
    ] = "identity"
    cmc: Annotated[
        Literal["images", "identities"],
        Field(description="identities: rank k counts identities, each where its first image stands, as SYSU-MM01 does"),
        AddedLater(),
    ] = "images"

    @model_validator(mode="after")
    def _rules_that_do_something(self) -> Self:
        if len(self.exclude) > 1:
            raise ValueError("exclude: give same-clothes or different-clothes, once; both leave no known match")
        single = self.gallery == "single-shot"
        if single and self.shots is not None:
            raise ValueError("shots draws a gallery for all queries, gallery: single-shot one for each: give one")
        if single and self.cmc == "identities":
            raise ValueError("cmc: identities has no effect with gallery: single-shot, one image of each identity")
        if self.shots is None and self.shots_per != "identity":
            raise ValueError(f"shots_per: {self.shots_per} has no effect without shots")
        if self.shots is None and not single and (self.repeats != 10 or self.draw_seed):
            name = "repeats" if self.repeats != 10 else "draw_seed"
            raise ValueError(f"{name} has no effect without shots or gallery: single-shot, for nothing is drawn")
        for name in ("query_cameras", "gallery_cameras"):
            cameras = getattr(self, name) or ()
            if len(set(cameras)) < len(cameras):
                raise ValueError(f"{name} names a camera twice")
        return self

    def required(self) -> frozenset[str]:
        """Labels that the rules look at."""
        words = {"clothes": self.exclude, "modality": self.cross, "tracklets": self.pool}
        return frozenset(word for word, rule in words.items() if rule)

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        words = {f"AP {self.ap}"}
        words |= {"no camera rule"} if self.camera == "none" else set()
        words |= {"invalid queries count 0"} if self.invalid == "zero" else set()
        words |= {f"single gallery shot x{self.repeats}"} if self.gallery == "single-shot" else set()
        words |= {f"ties {self.ties}"} if self.ties != "stable" else set()
        return frozenset(words) | self._met() | self._made()

    def _met(self) -> frozenset[str]:
        """Which gallery images meet which queries."""
        words = {f"{name.replace('-', ' ')} excluded" for name in self.exclude}
        words |= {"across modalities"} if self.cross else set()
        words |= {
            f"{_cameras(skipped)} skipped for queries of camera {camera}"
            for camera, skipped in self.skip_cameras.items()
        }
        words |= {f"queries of {_cameras(self.query_cameras)}"} if self.query_cameras else set()
        return frozenset(words | ({f"gallery of {_cameras(self.gallery_cameras)}"} if self.gallery_cameras else set()))

    def _made(self) -> frozenset[str]:
        """What queries and gallery are made of, and what is counted."""
        words = {f"tracklets pooled ({self.pool})"} if self.pool else set()
        words |= {f"multi-query ({self.pool or 'mean'})"} if self.multi_query else set()
        words |= {"CMC over identities"} if self.cmc == "identities" else set()
        if self.shots is not None:
            per = self.shots_per.replace("-", " ")
            words.add(f"gallery {self.shots} shot{'s' * (self.shots > 1)} per {per} x{self.repeats}")
        return frozenset(words)


def _cameras(cameras: Sequence[int]) -> str:
    """ "camera 1" or "cameras 2, 5"."""
    return f"camera{'s' * (len(cameras) > 1)} {', '.join(map(str, sorted(cameras)))}"


class ReciprocalParams(RankingParams):
    """k-reciprocal; the defaults are those of Zhong et al."""

    variant: Literal["zhong", "torchreid", "fastreid"] = Field(
        "zhong", description="whose definition; they differ by up to two points of rank 1"
    )
    k1: int = Field(20, ge=1, description="neighbours of the k-reciprocal sets")
    k2: int = Field(6, ge=1, description="neighbours of the local query expansion")
    lambda_: float = Field(0.3, ge=0, le=1, description="share of the original distance")

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        return super().protocol() | {f"re-ranked ({self.variant})"}


class ExpansionParams(RankingParams):
    """query-expansion: alpha query expansion (Radenovic et al., TPAMI 2019)."""

    k: int = Field(5, ge=1, description="gallery neighbours that are added to each query and gallery feature")
    alpha: float = Field(3.0, ge=0, description="power of the similarity that weighs a neighbour; 0 weighs all alike")
    gallery_too: bool = Field(False, description="expand gallery features as well (database augmentation)")
    among: Annotated[
        Literal["gallery", "all"],
        Field(
            description="gallery: a query and its nearest gallery features; all: queries and gallery expand each "
            "other, as in fast-reid, whose qe_k is k + 1"
        ),
        AddedLater(),
    ] = "gallery"
    times: Annotated[
        int, Field(ge=1, description="how often, each time with the features of the time before"), AddedLater()
    ] = 1

    @model_validator(mode="after")
    def _gallery_once(self) -> ExpansionParams:
        if self.gallery_too and self.among == "all":
            raise ValueError("`among: all` expands the gallery in any case: leave gallery_too out")
        return self

    def protocol(self) -> frozenset[str]:
        """Words for the protocol column."""
        return super().protocol() | {f"query expansion{' among all' if self.among == 'all' else ''}"}


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
