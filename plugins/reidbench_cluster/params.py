"""Parameters of the clustering methods; defaults are the papers', for 256x128 and a ResNet-50."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reidbench import AddedLater, Params
from reidbench.training import params as shared


class AdaBNParams(Params):
    """Parameters of adabn."""

    batch: int = Field(64, ge=2, description="batch size")
    passes: int = Field(1, ge=1, description="passes over the target; statistics are the mean over all batches")


Batches = Annotated[
    Literal["by-size", "once", "cameras"],
    Field(
        description="sampling of clusters: by size, as bot samples identities; once per pass; or once, with images "
        "of different cameras first"
    ),
]
StartsPool = Annotated[
    shared.PoolName | None,
    Field(
        description="pooling: the backbone's, or the map's generalised mean with exponent 3, learned (gem) or fixed "
        "(gem-fixed); default: as in the embedder that it starts from, otherwise the backbone's"
    ),
    AddedLater(),
]


class LoopParams(Params):
    """Parameters of all loops over rounds of clustering."""

    batches: str
    pool: shared.PoolName | None
    rounds: int = Field(50, ge=1, description="number of rounds of embedding, clustering and training")
    iterations: int = Field(200, ge=1, description="number of steps per round")
    identities: int = Field(16, ge=2, description="clusters per batch (P); a batch has P x K images")
    images: int = Field(4, ge=2, description="images per cluster in a batch (K)")
    lr: float = Field(3.5e-4, gt=0, description="the optimiser's learning rate")
    weight_decay: float = Field(5e-4, ge=0, description="the optimiser's weight decay")
    lr_step: float = Field(0.4, gt=0, description="fraction of the rounds after which lr is divided by 10, repeatedly")
    eps: float = Field(0.6, gt=0, lt=1, description="DBSCAN: largest Jaccard distance between neighbours")
    min_samples: int = Field(4, ge=2, description="DBSCAN: number of neighbours of a core point")
    k1: int = Field(30, ge=1, description="Jaccard distance: number of neighbours of the reciprocal sets")
    k2: int = Field(6, ge=1, description="Jaccard distance: number of neighbours of the query expansion")
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5

    def cameras(self) -> frozenset[str]:
        """Return the word for the protocol column if batches use cameras."""
        return frozenset({"cameras"} if self.batches == "cameras" else ())

    def required(self) -> frozenset[str]:
        """Return the requirements: cameras for camera batches, a map for the generalised mean."""
        return self.cameras() | shared.pool_needs(self.pool)


class PseudoLabelParams(LoopParams):
    """Parameters of pseudo-label."""

    batches: Annotated[Batches, AddedLater()] = "by-size"
    pool: StartsPool = None
    clustering: Literal["dbscan", "agglomerative", "k-means", "circular"] = Field(
        "dbscan", description="DBSCAN on Jaccard distances, average linkage, k-means or circular search"
    )
    threshold: float = Field(0.5, gt=0, description="agglomerative and circular: largest cosine distance")
    clusters: int = Field(500, ge=2, description="k-means: number of clusters")
    chains: Literal["union", "parent"] = Field("union", description="circular: rule for chains i -> j -> k")
    mutual: Literal["keep", "drop"] = Field("keep", description="circular: rule for two images that select each other")
    self_match: Literal["never", "allowed"] = Field("never", description="circular: whether an image may match itself")
    ties: Literal["first", "last"] = Field("first", description="circular: image to select among ties")
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = 0.3


class ClusterContrastParams(LoopParams):
    """Parameters of cluster-contrast."""

    batches: Annotated[Batches, AddedLater(before="by-size")] = "once"
    pool: Annotated[shared.PoolName, AddedLater(before="backbone")] = "gem"
    images: int = Field(16, ge=2, description="images per cluster in a batch (K)")
    temperature: float = Field(0.05, gt=0, description="temperature of the softmax over clusters")
    momentum: float = Field(0.1, ge=0, lt=1, description="weight of the old centroid in an update")
    update: Literal["cm", "hard", "mean"] = Field(
        "cm",
        description="update of a cluster's row: once per image of the batch, in order (cm, the paper's), once to the "
        "hardest image (hard, the official --use-hard), or once to their mean (mean, in no paper)",
    )
    optimiser: Annotated[Literal["adam", "sgd"], AddedLater()] = Field(
        "adam", description="Adam, or SGD with momentum 0.9 as in TransReID-SSL"
    )
    keep_neck: bool = Field(
        False, description="keep the source's batch-norm neck; the official recipe reinitialises it"
    )


class SpCLParams(LoopParams):
    """Parameters of spcl."""

    batches: Literal["once", "cameras"] = Field(
        "once", description="each cluster once per pass, with any of its images or preferring different cameras"
    )
    pool: StartsPool = None
    iterations: int = Field(400, ge=1, description="number of steps per round")
    temperature: float = Field(0.05, gt=0, description="temperature of the softmax over classes, clusters, instances")
    momentum: float = Field(0.2, ge=0, lt=1, description="weight of the old row in an update")
    eps_gap: float = Field(0.02, ge=0, description="difference in eps of the looser and tighter clusterings")
    quantile: float = Field(0.9, gt=0, le=1, description="quantile of first-round independence used as the threshold")
    use_source: bool = Field(True, description="also train on the labelled source if the task names one")

    def required(self) -> frozenset[str]:
        """Return the loop's requirements and batch norm, which source and target have separately."""
        return super().required() | {"bn"}

    def source_free(self) -> frozenset[str]:
        """Return "source-free" without `use_source`."""
        return frozenset() if self.use_source else frozenset({"source-free"})
