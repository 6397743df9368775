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
    """Parameters of all: none."""


class RandomParams(Params):
    """Parameters of random; a smaller share is a subset of a larger one of the same seed."""

    keep: float = Field(0.5, gt=0, le=1, description="share of the pool to keep; number of images: ceil(keep * pool)")


class OrderParams(Params):
    """Parameters shared by selectors with a reversible order."""

    order: Order = Field("highest", description="scores to keep; lowest is the inverse, a control")


class CfsParams(OrderParams, RandomParams):
    """Parameters of cfs; the two proxies are separate stages, shared by all rows with the same proxies."""

    proxy: SourceProxy = Field(
        Nested(use="dino", epochs=20, backbone={"use": "vit-small"}),
        description="source proxy, trained on the whole pool without labels; `backbone` sets its network; "
        "default: the recipe's",
    )
    target_proxy: TargetProxy = Field(
        Nested(use="transreid"),
        description="target proxy, started from the source proxy: a fine-tuner uses the target's labels, a "
        "pretrainer does not; `data: auxiliary` trains it on the task's auxiliary data sets, "
        "merged",
    )


class ClusterParams(RandomParams):
    """Parameters of cluster, which uses no target."""

    proxy: SourceProxy = Field(
        Nested(use="dino"), description="proxy whose features are clustered, trained on the whole pool without labels"
    )
    clusters: int = Field(50, ge=1, description="number of clusters of k-means")
    sample: int = Field(
        50_000, ge=1, description="largest number of images to fit k-means to; all images are then assigned"
    )


class OracleParams(OrderParams):
    """Parameters of oracle; irrelevant images follow if the share exceeds the relevant ones."""

    keep: float | None = Field(
        0.5, gt=0, le=1, description="share of the pool to keep; null: exactly the relevant images"
    )

    def traits(self) -> frozenset[str]:
        """Nothing is random if no share cuts a group."""
        return frozenset({"seedless"} if self.keep is None else ())


class ListParams(Params):
    """Parameters of list."""

    file: Annotated[Path, ContentHashed(folder=False, stand_in="reidbench_cfs.stand_ins:published_list")] = Field(
        description="pickled list of names (.pkl), one name per line (.txt), or a table (.csv, .parquet)"
    )
    by: Join = Field(
        "name",
        description="meaning of the entries: file name, file name without suffix, path in the pool, or ids of "
        "this package",
    )
    keep: float = Field(
        1.0, gt=0, le=1, description="share of the list to keep, from its start; number of entries: ceil(keep * list)"
    )
    count: int | None = Field(
        None, ge=1, description="number of entries to keep, instead of keep; the official keep_num"
    )
    tolerance: float = Field(0.01, ge=0, le=1, description="share of these entries that may be missing in the pool")
