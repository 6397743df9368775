"""Parameters of the clustering methods; defaults are the papers', for 256x128 and a ResNet-50."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from reidbench import AddedLater, Params
from reidbench.training import params as shared


class AdaBNParams(Params):
    """adabn."""

    batch: int = Field(64, ge=2, description="images in a batch")
    passes: int = Field(1, ge=1, description="passes over the target; statistics are the mean over all batches")


Batches = Annotated[
    Literal["by-size", "once", "cameras"],
    Field(
        description="how often a cluster comes: by its size, as an identity does in bot; once in a pass; or once, with "
        "images of different cameras first"
    ),
]
StartsPool = Annotated[
    shared.PoolName | None,
    Field(
        description="of the map: the backbone's own, or the generalised mean with exponent 3, learned (gem) or fixed "
        "(gem-fixed); default: as in the embedder that it starts from, else the backbone's"
    ),
    AddedLater(),
]


class LoopParams(Params):
    """What all loops over rounds of clustering share."""

    batches: str
    pool: shared.PoolName | None
    rounds: int = Field(50, ge=1, description="times that the target is embedded, clustered and trained on")
    iterations: int = Field(200, ge=1, description="steps in a round")
    identities: int = Field(16, ge=2, description="clusters in a batch (P), which has P x K images")
    images: int = Field(4, ge=2, description="images of each cluster in a batch (K)")
    lr: float = Field(3.5e-4, gt=0, description="the optimiser's learning rate")
    weight_decay: float = Field(5e-4, ge=0, description="the optimiser's weight decay")
    lr_step: float = Field(0.4, gt=0, description="fraction of the rounds after which lr falls to a tenth, repeatedly")
    eps: float = Field(0.6, gt=0, lt=1, description="DBSCAN: largest Jaccard distance between neighbours")
    min_samples: int = Field(4, ge=2, description="DBSCAN: neighbours that make a core")
    k1: int = Field(30, ge=1, description="Jaccard distance: neighbours of the reciprocal sets")
    k2: int = Field(6, ge=1, description="Jaccard distance: neighbours of the query expansion")
    flip: shared.Flip = 0.5
    pad: shared.Pad = None
    erase: shared.Erase = 0.5

    def cameras(self) -> frozenset[str]:
        """The word for the protocol column where batches are made by camera."""
        return frozenset({"cameras"} if self.batches == "cameras" else ())

    def required(self) -> frozenset[str]:
        """Cameras for such batches, and a map for the generalised mean."""
        return self.cameras() | shared.pool_needs(self.pool)


class PseudoLabelParams(LoopParams):
    """pseudo-label."""

    batches: Annotated[Batches, AddedLater()] = "by-size"
    pool: StartsPool = None
    clustering: Literal["dbscan", "agglomerative", "k-means", "circular"] = Field(
        "dbscan", description="DBSCAN on Jaccard distances, average linkage, k-means or circular search"
    )
    threshold: float = Field(0.5, gt=0, description="agglomerative and circular: largest cosine distance")
    clusters: int = Field(500, ge=2, description="k-means: how many")
    chains: Literal["union", "parent"] = Field("union", description="circular: what i -> j -> k becomes")
    mutual: Literal["keep", "drop"] = Field("keep", description="circular: two that name each other")
    self_match: Literal["never", "allowed"] = Field("never", description="circular: whether an image may find itself")
    ties: Literal["first", "last"] = Field("first", description="circular: which of equally near images counts")
    label_smoothing: shared.LabelSmoothing = 0.1
    margin: shared.Margin = 0.3


class ClusterContrastParams(LoopParams):
    """cluster-contrast."""

    batches: Annotated[Batches, AddedLater(before="by-size")] = "once"
    pool: Annotated[shared.PoolName, AddedLater(before="backbone")] = "gem"
    images: int = Field(16, ge=2, description="images of each cluster in a batch (K)")
    temperature: float = Field(0.05, gt=0, description="of the softmax over clusters")
    momentum: float = Field(0.1, ge=0, lt=1, description="weight of the old centroid in an update")
    update: Literal["cm", "hard", "mean"] = Field(
        "cm",
        description="how a cluster's row moves: for each image of the batch in order (cm, the paper's), once to the "
        "hardest image (hard, the official --use-hard), once to their mean (mean, of no paper)",
    )
    optimiser: Annotated[Literal["adam", "sgd"], AddedLater()] = Field(
        "adam", description="Adam, or SGD with momentum 0.9 as in TransReID-SSL"
    )
    keep_neck: bool = Field(
        False, description="keep the source's batch-norm neck; the official recipe starts it afresh"
    )


class SpCLParams(LoopParams):
    """spcl."""

    batches: Literal["once", "cameras"] = Field(
        "once", description="each cluster once in a pass: any of its images, or images of different cameras first"
    )
    pool: StartsPool = None
    iterations: int = Field(400, ge=1, description="steps in a round")
    temperature: float = Field(0.05, gt=0, description="of the softmax over classes, clusters and instances")
    momentum: float = Field(0.2, ge=0, lt=1, description="weight of the old row in an update")
    eps_gap: float = Field(0.02, ge=0, description="how much looser and tighter the clusterings of the criteria are")
    quantile: float = Field(0.9, gt=0, le=1, description="of cluster independence in the first round: the threshold")
    use_source: bool = Field(True, description="train on the labelled source as well, where the task names one")

    def required(self) -> frozenset[str]:
        """Batch norm as well, of which source and target have one each."""
        return super().required() | {"bn"}

    def source_free(self) -> frozenset[str]:
        """Without `use_source` no source image is asked for."""
        return frozenset() if self.use_source else frozenset({"source-free"})
