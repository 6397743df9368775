"""Parameters of the methods that classify clusters; defaults are the papers', for 256x128 and a ResNet-50."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from reidbench import Uses
from reidbench.components import Nested
from reidbench.training import params as shared

from ..params import LoopParams, StartsPool

if TYPE_CHECKING:
    Peer = Nested
else:
    Peer = Uses["finetuner", "source"]


class ClassifierParams(LoopParams):
    """Parameters of both methods."""

    batches: Literal["once", "cameras"] = Field(
        "once", description="each cluster once per pass, with any of its images or preferring different cameras"
    )
    pool: StartsPool = None
    iterations: int = Field(400, ge=1, description="number of steps per round")
    lr_step: float = Field(
        1.0, gt=0, description="fraction of the rounds after which lr is divided by 10, repeatedly; 1: never"
    )
    clustering: Literal["dbscan", "k-means"] = Field("dbscan", description="DBSCAN on Jaccard distances, or k-means")
    clusters: int = Field(500, ge=2, description="k-means: number of clusters")
    label_smoothing: shared.LabelSmoothing = 0.1
    anchor_only: bool = Field(
        False, description="compute the gradient of a triplet through its anchor alone, as OpenUnReID's code does"
    )
    use_source: bool = Field(False, description="also train on the labelled source if the task names one")

    def required(self) -> frozenset[str]:
        """Return the loop's requirements, and batch norm for `use_source`: each domain has its own."""
        return super().required() | frozenset({"bn"} if self.use_source else ())

    def source_free(self) -> frozenset[str]:
        """Return "source-free" without `use_source`."""
        return frozenset() if self.use_source else frozenset({"source-free"})


class StrongBaselineParams(ClassifierParams):
    """Parameters of strong-baseline."""

    anchor_only: bool = Field(
        True, description="compute the gradient of a triplet through its anchor alone, as OpenUnReID's code does"
    )
    use_source: bool = Field(True, description="also train on the labelled source if the task names one")


class MMTParams(ClassifierParams):
    """Parameters of mmt."""

    rounds: int = Field(40, ge=1, description="number of rounds of embedding, clustering and training")
    iterations: int = Field(800, ge=1, description="number of steps per round")
    clustering: Literal["dbscan", "k-means"] = Field("k-means", description="DBSCAN on Jaccard distances, or k-means")
    soft_ce: float = Field(
        0.5, ge=0, le=1, description="share of the soft cross-entropy; the one with clusters has the rest"
    )
    soft_triplet: float = Field(
        0.8, ge=0, le=1, description="share of the soft triplet loss; the one with clusters has the rest"
    )
    momentum: float = Field(0.999, ge=0, lt=1, description="weight of the old average in a step")
    ramp: bool = Field(
        True, description="in step t limit the momentum to 1 - 1 / t, so that averages forget the initial weights"
    )
    peer: Peer | None = Field(
        None,
        description="training of the second network on the task's source, with the file's `prepare_seed`; "
        "default: it starts from the same weights as the first",
    )

    def source_free(self) -> frozenset[str]:
        """Return "source-free" without `use_source` and a peer, which is trained on the source."""
        return super().source_free() if self.peer is None else frozenset()
