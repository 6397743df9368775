"""What a component's code is given, a context for each kind, and what it answers."""

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
    """A selector's answer: the chosen indices of the pool, and one score for every pool image."""

    indices: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True)
class Metrics:
    """An evaluator's answer: numbers by name, as its component declares them, and arrays with one entry per query.

    A metric that is the mean of an array of its own name in `per_query` can be compared query by query: that decides
    ties of rows over two seeds.
    """

    values: Mapping[str, float]
    per_query: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Embedded:
    """Embedded images: features [N, D] float32, pids [N], camids [N].

    `clothes` [N], `modality` [N] and `tracklets` [N] are None where the data set has no such labels; else as in
    `reidbench.data.MoreLabels`, -1 and "" being unknown.

    images [N] int64, where query and gallery share pictures, else None: equal numbers on either side mean the same
    picture, the same file or the same bytes. No query may be matched with its own picture: hand both sides' numbers to
    `reidbench.metrics.rank` as `query_images` and `gallery_images`, or leave such pairs out.
    """

    features: np.ndarray
    pids: np.ndarray
    camids: np.ndarray
    images: np.ndarray | None = None
    clothes: np.ndarray | None = None
    modality: np.ndarray | None = None
    tracklets: np.ndarray | None = None


class Checkpoint(Protocol):
    """Keeps a stage's state between epochs, so that a killed stage goes on where it was."""

    def epochs(self, total: int, **state: Any) -> Iterator[int]:
        """The epochs still to run, after restoring `state`; what is given is saved after each of them.

        `state` holds objects with `state_dict` and `load_state_dict` (networks, optimisers, schedules) or
        torch generators. The global torch, numpy and python generators are always included.
        """
        ...


def no_network(name: str) -> Any:
    """What a context without nested training stages answers."""
    raise ReidbenchError(f"no network was trained for the field {name!r}")


def ignore_note(text: str) -> None:
    """What a context without a harness does with a note."""


@dataclass(frozen=True, kw_only=True)
class Context(Generic[P_co]):
    """The part that all stages share; `Context[BotParams]` is one whose `params` are BotParams."""

    params: P_co
    image_size: tuple[int, int]  # an ImageSize from the harness: it carries the filter to whatever takes a size
    seed: int
    device: str
    workers: int  # threads that may decode images; no result depends on them
    out: Path
    scratch: Path
    checkpoint: Checkpoint
    progress: Callable[[int, int], None]
    log: Callable[[Mapping[str, float]], None]
    record_clusters: Callable[[int, Any], None]
    make_fabric: Callable[[], Any]
    prepared: Mapping[str, Path] = field(default_factory=dict)
    network: Callable[[str], Any] = no_network  # of a `Uses` field: the Backbone or Embedder that was trained
    # A sentence about what was dropped, skipped or assumed: kept with the artifact and shown beside each row that
    # was made from it, in this run and all later ones. Equal sentences are kept once.
    note: Callable[[str], None] = ignore_note
    truth: Any = None
    log_file: Path | None = None  # the stage's log, to which what another program prints may be appended

    @cached_property
    def fabric(self) -> Any:
        """The Lightning Fabric that places networks and batches; methods call no `.cuda()`."""
        return self.make_fabric()


@dataclass(frozen=True, kw_only=True)
class SelectContext(Context[P_co]):
    """For selectors: the pool without labels; the target's train part only for `protocol={"target-labels"}`."""

    pool: HiddenSplit
    backbone: Callable[[], Backbone]
    target: Split | None = None


@dataclass(frozen=True, kw_only=True)
class PretrainContext(Context[P_co]):
    """For pretrainers: the (selected) pool without labels, a fresh backbone at each call of `backbone()`."""

    pool: HiddenSplit | None
    backbone: Callable[[], Backbone]
    auxiliary: Split | None = None


@dataclass(frozen=True, kw_only=True)
class PrepareContext(Context[P_co]):
    """For preparers: the images of the data role that the user of the preparer asked for."""

    split: HiddenSplit


@dataclass(frozen=True, kw_only=True)
class FinetuneContext(Context[P_co]):
    """For fine-tuners: labelled source images; `backbone()` carries the weights of the stage before.

    `source` is None only for a fine-tuner with the trait "label-free": it trains on nothing and needs no source.
    `validation` are query and gallery that were held out of each source, for `protocol={"validation"}` alone: to choose
    an epoch by, never to train on.
    """

    source: Split | None
    backbone: Callable[[], Backbone]
    validation: Sequence[tuple[Split, Split]] = ()


@dataclass(frozen=True, kw_only=True)
class AdaptContext(Context[P_co]):
    """For adapters: unlabelled target, labelled source or None, and the embedder to start from or None.

    An adapter with the trait "source-free" is given no source: it needs none, and the protocol column says so.
    """

    target: HiddenSplit
    source: Split | None
    backbone: Callable[[], Backbone]
    start: Embedder | None = None


@dataclass(frozen=True, kw_only=True)
class EmbedContext(Context[P_co]):
    """For a `SplitEmbedder`: query and gallery of the target as one set without labels, in an order that tells nothing.

    `params` and `seed` are those of the stage that left the embedder, and `model` is the folder of that stage's files.
    """

    images: HiddenSplit
    model: Path


@dataclass(frozen=True, kw_only=True)
class EvaluateContext(Context[P_co]):
    """For evaluators: the embedded query and gallery."""

    query: Embedded
    gallery: Embedded
