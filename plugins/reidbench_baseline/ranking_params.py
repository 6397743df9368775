"""Parameters of the evaluators: the rules of a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidatorFunctionWrapHandler, field_validator, model_validator

from reidbench import AddedLater, Params

Cameras = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]


class RankingParams(Params):
    """Ranking rules, shared by all evaluators."""

    ap: Literal["step", "trapezoid"] = Field("step", description="rule for the area under the precision-recall curve")
    invalid: Literal["drop", "zero"] = Field(
        "drop", description="queries without a true match: dropped or counted as 0"
    )
    ties: Literal["stable", "best", "worst"] = Field("stable", description="order of equal distances")
    camera: Literal["market1501", "none"] = Field("market1501", description="market1501 drops same pid and same camera")
    gallery: Literal["all", "single-shot"] = Field(
        "all", description="single-shot: CMC with one drawn image per identity, CUHK03's classic protocol"
    )
    repeats: int = Field(10, ge=1, description="number of draws of the single-shot gallery, or of the `shots` gallery")
    draw_seed: int = Field(0, ge=0, description="seed of the draws")
    exclude: Annotated[
        tuple[Literal["same-clothes", "different-clothes"], ...],
        Field(
            description="[same-clothes] or [different-clothes] drops images of the query pid in such clothes; unknown "
            "clothes are kept"
        ),
        AddedLater(),
    ] = ()
    cross: Annotated[
        Literal["modality"] | None,
        Field(description="modality: compares a query only with gallery images of another modality"),
        AddedLater(),
    ] = None
    skip_cameras: Annotated[
        dict[Annotated[int, Field(ge=0)], Cameras],
        Field(description="gallery cameras that are skipped for queries of a camera, for all pids: {2: [1]}"),
        AddedLater(),
    ] = Field(default_factory=dict)
    query_cameras: Annotated[
        Cameras | None, Field(description="cameras of the queries to use; default: all"), AddedLater()
    ] = None
    gallery_cameras: Annotated[
        Cameras | None, Field(description="cameras of the gallery images to use; default: all"), AddedLater()
    ] = None
    pool: Annotated[
        Literal["mean", "max"] | None,
        Field(description="pools the images of a tracklet into one row, by the mean or maximum of their features"),
        AddedLater(),
    ] = None
    multi_query: Annotated[
        bool,
        Field(description="merges query images of one pid and camera into one query, by `pool` or their mean"),
        AddedLater(),
    ] = False
    shots: Annotated[
        int | None,
        Field(ge=1, description="images (tracklets with `pool`) per identity in a drawn gallery; default: all"),
        AddedLater(),
    ] = None
    shots_per: Annotated[
        Literal["identity", "identity-and-camera"], Field(description="group that `shots` are drawn from"), AddedLater()
    ] = "identity"
    cmc: Annotated[
        Literal["images", "identities"],
        Field(description="identities: rank k counts identities, each at its first image, as in SYSU-MM01"),
        AddedLater(),
    ] = "images"

    @field_validator("skip_cameras", mode="wrap")
    @classmethod
    def _each_camera_once(cls, given: Any, read: ValidatorFunctionWrapHandler) -> Any:
        """Refuse keys such as "2" and "02": they name the same camera, and one would be lost."""
        skips = read(given)
        if isinstance(given, Mapping) and len(skips) < len(given):
            raise ValueError(f"two keys name the same query camera: {', '.join(map(repr, given))}; merge them")
        for camera, skipped in skips.items():
            if len(set(skipped)) < len(skipped):
                raise ValueError(f"query camera {camera} skips the same camera twice; name it once")
        return skips

    @model_validator(mode="after")
    def _rules_that_do_something(self) -> Self:
        if len(self.exclude) > 1:
            raise ValueError(
                "exclude: give same-clothes or different-clothes, once; together they leave no known match"
            )
        single = self.gallery == "single-shot"
        if single and self.shots is not None:
            raise ValueError(
                "shots draws a gallery for all queries, gallery: single-shot one for each query; give only one"
            )
        if single and self.cmc == "identities":
            raise ValueError(
                "cmc: identities has no effect with gallery: single-shot, which has one image per identity"
            )
        if self.shots is None and self.shots_per != "identity":
            raise ValueError(f"shots_per: {self.shots_per} has no effect without shots")
        if self.shots is None and not single and (self.repeats != 10 or self.draw_seed):
            name = "repeats" if self.repeats != 10 else "draw_seed"
            raise ValueError(f"{name} has no effect without shots or gallery: single-shot, since nothing is drawn")
        for name in ("query_cameras", "gallery_cameras"):
            cameras = getattr(self, name) or ()
            if len(set(cameras)) < len(cameras):
                raise ValueError(f"{name} names a camera twice; name it once")
        return self

    def required(self) -> frozenset[str]:
        """Return the labels that the rules need."""
        words = {"clothes": self.exclude, "modality": self.cross, "tracklets": self.pool}
        return frozenset(word for word, rule in words.items() if rule)

    def protocol(self) -> frozenset[str]:
        """Return words for the protocol column."""
        words = {f"AP {self.ap}"}
        words |= {"no camera rule"} if self.camera == "none" else set()
        words |= {"invalid queries count 0"} if self.invalid == "zero" else set()
        words |= {f"single gallery shot x{self.repeats}"} if self.gallery == "single-shot" else set()
        words |= {f"ties {self.ties}"} if self.ties != "stable" else set()
        words |= {f"draw seed {self.draw_seed}"} if self.draw_seed else set()
        return frozenset(words) | self._met() | self._made()

    def _met(self) -> frozenset[str]:
        """Return words for the rules on which gallery images a query is compared with."""
        words = {f"{name.replace('-', ' ')} excluded" for name in self.exclude}
        words |= {"across modalities"} if self.cross else set()
        words |= {
            f"{_cameras(skipped)} skipped for queries of camera {camera}"
            for camera, skipped in self.skip_cameras.items()
        }
        words |= {f"queries of {_cameras(self.query_cameras)}"} if self.query_cameras else set()
        return frozenset(words | ({f"gallery of {_cameras(self.gallery_cameras)}"} if self.gallery_cameras else set()))

    def _made(self) -> frozenset[str]:
        """Return words for the units of queries, gallery and counting."""
        words = {f"tracklets pooled ({self.pool})"} if self.pool else set()
        words |= {f"multi-query ({self.pool or 'mean'})"} if self.multi_query else set()
        words |= {"CMC over identities"} if self.cmc == "identities" else set()
        if self.shots is not None:
            per = self.shots_per.replace("-", " ")
            words.add(f"gallery {self.shots} shot{'s' * (self.shots > 1)} per {per} x{self.repeats}")
        return frozenset(words)


def _cameras(cameras: Sequence[int]) -> str:
    """Return the words "camera 1", or "cameras 2+5"."""
    return f"camera{'s' * (len(cameras) > 1)} {'+'.join(map(str, sorted(cameras)))}"


class ReciprocalParams(RankingParams):
    """Parameters of k-reciprocal; the defaults are those of Zhong et al."""

    variant: Literal["zhong", "torchreid", "fastreid"] = Field(
        "zhong", description="implementation to follow; they differ by up to two points of rank 1"
    )
    k1: int = Field(20, ge=1, description="number of neighbours of the k-reciprocal sets")
    k2: int = Field(6, ge=1, description="number of neighbours of the local query expansion")
    lambda_: float = Field(0.3, ge=0, le=1, description="weight of the original distance")

    def protocol(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return super().protocol() | {f"re-ranked ({self.variant})"}


class ExpansionParams(RankingParams):
    """Parameters of query-expansion: alpha query expansion (Radenovic et al., TPAMI 2019)."""

    k: int = Field(5, ge=1, description="number of gallery neighbours added to each query and gallery feature")
    alpha: float = Field(3.0, ge=0, description="exponent of the similarity as a neighbour's weight; 0: equal weights")
    gallery_too: bool = Field(False, description="expand gallery features as well (database augmentation)")
    among: Annotated[
        Literal["gallery", "all"],
        Field(
            description="gallery: a query and its nearest gallery features; all: queries and gallery expand each "
            "other, as in fast-reid, where qe_k is k + 1"
        ),
        AddedLater(),
    ] = "gallery"
    times: Annotated[
        int, Field(ge=1, description="number of passes, each with the features of the previous one"), AddedLater()
    ] = 1

    @model_validator(mode="after")
    def _gallery_once(self) -> ExpansionParams:
        if self.gallery_too and self.among == "all":
            raise ValueError("`among: all` already expands the gallery; remove gallery_too")
        return self

    def protocol(self) -> frozenset[str]:
        """Return words for the protocol column."""
        return super().protocol() | {f"query expansion{' among all' if self.among == 'all' else ''}"}
