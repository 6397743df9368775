"""Arguments of component functions, one context class per kind, and their return types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np

from .components import Params
from .errors import ReidbenchError

if TYPE_CHECKING:
    from .data import HiddenSplit, Split
    from .training.networks.backbone import Backbone
    from .training.networks.embedder import Embedder

P_co = TypeVar("P_co", bound=Params, covariant=True)


@dataclass(frozen=True)
class Selection:
    """Result of a selector: the chosen indices of the pool, and one score for every pool image."""

    indices: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Metrics:
    """Result of an evaluator: metrics by name, as declared by its component, and arrays with one entry per query.

    A metric that is the mean of an array with the same name in `per_query` can be compared query by query, which
    decides whether rows with two seeds tie.
    """

    values: Mapping[str, float]
    per_query: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Embedded:
    """Embedded images: features [N, D] float32, pids [N], camids [N].

    `clothes` [N], `modality` [N] and `tracklets` [N] are None if the data set has no such labels; otherwise they are as
    in `reidbench.data.MoreLabels`, with -1 and "" for unknown.

    `images` [N] int64 are image numbers if query and gallery share images, otherwise None. Equal numbers mean the same
    image: the same file or the same bytes. A query must not be matched with its own image: pass the numbers to
    `reidbench.metrics.rank` as `query_images` and `gallery_images`, or exclude such pairs.
    """

    features: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    images: np.ndarray | None = None
    clothes: np.ndarray | None = None
    modality: np.ndarray | None = None
    tracklets: np.ndarray | None = None


class Checkpoint(Protocol):
    """Saves a stage's state between epochs, so that a killed stage resumes."""

    def epochs(self, total: int, **state: Any) -> Iterator[int]:
        """Restore `state`, then yield the remaining epochs; `state` is saved after each.

        `state` are objects with `state_dict` and `load_state_dict` (networks, optimisers, schedules) or torch
        generators. The global torch, numpy and Python generators are always included.
        """
        ...


def no_network(name: str) -> Any:
    """Default of `Context.network`: raise ReidbenchError, since no network was trained."""
    raise ReidbenchError(f"no network was trained for the field {name!r}")


def ignore_note(text: str) -> None:
    """Default of `Context.note`: do nothing."""


@dataclass(frozen=True, kw_only=True)
class Context(Generic[P_co]):
    """Fields common to all stages; in `Context[BotParams]`, `params` is a BotParams."""

    params: P_co
    image_size: tuple[int, int]  # height and width; the harness passes an ImageSize, which also has the resize filter
    seed: int
    device: str
    workers: int  # image-loading threads; results do not depend on it
    out: Path
    scratch: Path
    checkpoint: Checkpoint
    progress: Callable[[int, int], None]
    log: Callable[[Mapping[str, float]], None]
    record_clusters: Callable[[int, Any], None]
    make_fabric: Callable[[], Any]
    prepared: Mapping[str, Path] = field(default_factory=dict)
    network: Callable[[str], Any] = no_network  # trained Backbone or Embedder of a `Uses` field
    # Records a sentence about dropped or skipped data or an assumption. It is stored with the artifact and shown with
    # each row that depends on it, in this run and all later ones. Identical sentences are stored once.
    note: Callable[[str], None] = ignore_note
    truth: Any = None
    log_file: Path | None = None  # the stage's log, to which output of other programs may be appended

    @cached_property
    def fabric(self) -> Any:
        """Lightning Fabric that moves networks and batches to the device; methods do not call `.cuda()`."""
        return self.make_fabric()


@dataclass(frozen=True, kw_only=True)
class SelectContext(Context[P_co]):
    """For selectors: the pool without labels; the target's train part only with `protocol={"target-labels"}`."""

    pool: HiddenSplit
    backbone: Callable[[], Backbone]
    target: Split | None = None


@dataclass(frozen=True, kw_only=True)
class PretrainContext(Context[P_co]):
    """For pretrainers: the (selected) pool without labels; `backbone()` returns a fresh backbone at each call."""

    pool: HiddenSplit | None
    backbone: Callable[[], Backbone]
    auxiliary: Split | None = None


@dataclass(frozen=True, kw_only=True)
class PrepareContext(Context[P_co]):
    """For preparers: the images of the data role named in the `Uses` field, without labels.

    A preparer with the trait "translates" also gets the target's images without labels, and the protocol column of its
    users says "target images".
    """

    split: HiddenSplit
    target: HiddenSplit | None = None


@dataclass(frozen=True, kw_only=True)
class FinetuneContext(Context[P_co]):
    """For fine-tuners: labelled source images; `backbone()` returns a backbone with the weights of the previous step.

    `source` is None only for a fine-tuner with the trait "label-free", which trains on nothing. `validation` are query
    and gallery held out of each source, only with `protocol={"validation"}`, to choose an epoch, never to train on.
    """

    source: Split | None
    backbone: Callable[[], Backbone]
    validation: Sequence[tuple[Split, Split]] = ()


@dataclass(frozen=True, kw_only=True)
class AdaptContext(Context[P_co]):
    """For adapters: unlabelled target, labelled source or None, and the embedder to start from or None.

    An adapter with the trait "source-free" gets no source, and the protocol column shows the trait.
    """

    target: HiddenSplit
    source: Split | None
    backbone: Callable[[], Backbone]
    start: Embedder | None = None


@dataclass(frozen=True, kw_only=True)
class EmbedContext(Context[P_co]):
    """For a `SplitEmbedder`: query and gallery of the target as one set without labels, in an uninformative order.

    `params` and `seed` are those of the stage that trained the embedder, and `model` is the folder of its files.
    """

    images: HiddenSplit
    model: Path


@dataclass(frozen=True, kw_only=True)
class EvaluateContext(Context[P_co]):
    """For evaluators: the embedded query and gallery."""

    query: Embedded
    gallery: Embedded
