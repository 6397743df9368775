"""Parameters of the selectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from reidbench import Params, Uses
from reidbench.components import ContentHashed, Nested

Join = Literal["name", "stem", "path", "id"]
Order = Literal["highest", "lowest"]
if TYPE_CHECKING:
    SourceProxy = Nested
    TargetProxy = Nested
else:
    SourceProxy = Uses["pretrainer", "pool"]
    TargetProxy = Uses[("finetuner", "pretrainer"), "target", "proxy"]


class NoParams(Params):
    """all: nothing to choose."""


class RandomParams(Params):
    """random; a smaller share is a part of a larger one of the same seed."""

    keep: float = Field(0.5, gt=0, le=1, description="share of the pool that is kept; images: ceil(keep * pool)")


class OrderParams(Params):
    """What selectors share whose score can be turned round."""

    order: Order = Field("highest", description="which scores are kept; lowest is the inverse, a control")


class CfsParams(OrderParams, RandomParams):
    """cfs; the two proxies are stages of their own, which all rows share that ask for the same ones."""

    proxy: SourceProxy = Field(
        Nested(use="dino", epochs=20, backbone={"use": "vit-small"}),
        description="the source proxy: trained on the whole pool without labels; `backbone` is its own network, "
        "without it the recipe's",
    )
    target_proxy: TargetProxy = Field(
        Nested(use="transreid"),
        description="starts from the source proxy: a fine-tuner reads the target's labels, a pretrainer does not; with "
        "`data: auxiliary` it learns the task's auxiliary data sets, joined",
    )


class ClusterParams(RandomParams):
    """cluster; no target is looked at."""

    proxy: SourceProxy = Field(
        Nested(use="dino"), description="whose features are clustered: trained on the whole pool without labels"
    )
    clusters: int = Field(50, ge=1, description="k of k-means")
    sample: int = Field(50_000, ge=1, description="images that k-means is fitted to, at most; all are then assigned")


class OracleParams(OrderParams):
    """oracle; irrelevant images follow where the share asks for more than there are relevant ones."""

    keep: float | None = Field(
        0.5, gt=0, le=1, description="share of the pool that is kept; null: exactly the relevant images"
    )

    def traits(self) -> frozenset[str]:
        """Nothing is drawn where no share cuts a group."""
        return frozenset({"seedless"} if self.keep is None else ())


class ListParams(Params):
    """list."""

    file: Annotated[Path, ContentHashed(folder=False, stand_in="reidbench_cfs.stand_ins:published_list")] = Field(
        description="pickled list of names (.pkl), one name a line (.txt), or a table (.csv, .parquet)"
    )
    by: Join = Field(
        "name", description="what the list tells: file name, the same without ending, path in the pool, or our own ids"
    )
    keep: float = Field(1.0, gt=0, le=1, description="share of the list, from its head; entries: ceil(keep * list)")
    count: int | None = Field(None, ge=1, description="number of entries from the head instead: the official keep_num")
    tolerance: float = Field(
        0.01, ge=0, le=1, description="share of these entries that may be missing in the pool; more are an error"
    )
