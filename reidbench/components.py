"""What a plugin declares (Component, Params) and what its code is given (the contexts)."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict

from .errors import ReidbenchError

if TYPE_CHECKING:
    from .data import HiddenSplit, Split

# What a component may use beside its ordinary inputs; each word is shown in the protocol column.
USES = frozenset({"target-labels", "cameras", "truth", "test-images", "auxiliary"})


class Params(BaseModel):
    """Base of every component's parameters: typed, frozen, documented, no unknown names, part of the key."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Nested(BaseModel):
    """A component chosen inside another's parameters: `{use: NAME, param: value, ...}`."""

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str


@dataclass(frozen=True)
class NestedKind:
    """What a `Uses` field takes: kinds of component, the data role of its stage, the field it starts from."""

    kinds: tuple[str, ...]
    role: str
    start: str = ""


class Uses:
    """Makes the component named in a Params field a parent stage of its own, shared by all that ask for the same.

    `style: Uses["preparer", "target"]` runs a preparer on the target's images; its files lie in
    `ctx.prepared["style"]`. The kind may also be "pretrainer" (hidden images of the role) or "finetuner" (the
    role's train images with labels, which the protocol column then tells), or a tuple of kinds, looked up in that
    order; `ctx.network(field)` is what they trained. A third item names an earlier field of the same Params whose
    weights the stage starts from.
    """

    def __class_getitem__(cls, item: tuple[Any, ...]) -> Any:
        kinds, role, *start = item
        return Annotated[Nested, NestedKind((kinds,) if isinstance(kinds, str) else tuple(kinds), role, *start)]


@dataclass(frozen=True)
class ContentHashed:
    """Marks a path whose content, not whose name, enters the key."""

    folder: bool


FileParam = Annotated[Path, ContentHashed(folder=False)]
FolderParam = Annotated[Path, ContentHashed(folder=True)]


@dataclass(frozen=True)
class Paper:
    """Where a method comes from, and where this implementation differs from it."""

    title: str
    venue: str = ""
    url: str = ""
    code: str = ""
    code_licence: str = ""
    deviations: Sequence[str] = ()
    published: Mapping[str, str] = field(default_factory=dict)


ROUNDING = 1e-9  # by which a mean of values at the end of their range may pass it


@dataclass(frozen=True)
class Metric:
    """A number that an evaluator gives, by its name in `Metrics.values`: how tables print and rank it.

    `better` says which of two values is the better one. `unit` "%" marks a fraction, which is printed times 100; any
    other unit is a word beside the number as it is. `range` holds the least and the greatest possible value, None for
    no end: a value outside fails its row, and no interval reaches beyond.
    """

    name: str
    _: KW_ONLY
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    range: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        if isinstance(self.range, list):  # as hashable as any other declaration
            object.__setattr__(self, "range", tuple(self.range))

    @property
    def ends(self) -> tuple[float, float]:
        """The range with infinity where it is open."""
        low, high = self.range
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def bounds(self) -> str:
        """The range in words; empty where it is open on both sides."""
        ends = zip(("at least", "at most"), self.ends, strict=True)
        return " and ".join(f"{word} {end:g}" for word, end in ends if math.isfinite(end))

    @property
    def described(self) -> str:
        """The declaration on one line."""
        return ", ".join(filter(None, (f"{self.name}: {self.better} is better", self.unit, self.bounds)))

    def fault(self, value: float) -> str:
        """Why a value cannot be one of this metric, or nothing. A rounding beyond an end is none."""
        low, high = self.ends
        if low - ROUNDING * max(1, abs(low)) <= value <= high + ROUNDING * max(1, abs(high)):
            return ""
        return f"{self.name} {value:.6g}, and declares that it is {self.bounds}"


def fractions(*names: str) -> tuple[Metric, ...]:
    """Declarations of shares between 0 and 1, printed in %, of which more is better: mAP, CMC and the like."""
    return tuple(Metric(name, unit="%", range=(0, 1)) for name in names)


@dataclass(frozen=True)
class Component:
    """One thing with a name in a matrix file.

    `target` is "module:attribute", imported when a stage first runs it. Bump `version` when results would change.
    `provides` and `requires` match a backbone with the methods that can take it; a data set that needs a `root`
    says `requires={"root"}`. `fingerprint`, for data sets only, is "module:function" of
    `(params, root) -> str`, which names the content without building it. `metrics`, for evaluators only, declares the
    numbers that it gives: what is not declared is shown as it is, and never ranked.
    """

    name: str
    target: str
    params: type[Params] = Params
    version: int = 1
    summary: str = ""
    paper: Paper | None = None
    provides: Callable[[Any], frozenset[str]] | frozenset[str] = frozenset()
    requires: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    fingerprint: str = ""
    metrics: Sequence[Metric] = ()

    @property
    def declared(self) -> dict[str, Metric]:
        """The declared metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    def load(self) -> Any:
        """The code behind `target`."""
        return load_attribute(self.target)

    def provided(self, params: Params) -> frozenset[str]:
        """What this component provides when it is used with `params`."""
        return self.provides(params) if callable(self.provides) else self.provides


def load_attribute(target: str) -> Any:
    """Import "module:attribute"."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)


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
class Features:
    """Embedded images: features [N, D] float32, pids [N], camids [N]."""

    features: np.ndarray
    pids: np.ndarray
    camids: np.ndarray


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
class Context:
    """The part that all stages share."""

    params: Any
    image_size: tuple[int, int]
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

    @cached_property
    def fabric(self) -> Any:
        """The Lightning Fabric that places networks and batches; methods call no `.cuda()`."""
        return self.make_fabric()


@dataclass(frozen=True, kw_only=True)
class SelectContext(Context):
    """For selectors: the pool without labels; the target's train part only for `uses={"target-labels"}`."""

    pool: HiddenSplit
    backbone: Callable[[], Any]
    target: Split | None = None


@dataclass(frozen=True, kw_only=True)
class PretrainContext(Context):
    """For pretrainers: the (selected) pool without labels, a fresh backbone at each call of `backbone()`."""

    pool: HiddenSplit | None
    backbone: Callable[[], Any]
    auxiliary: Split | None = None


@dataclass(frozen=True, kw_only=True)
class PrepareContext(Context):
    """For preparers: the images of the data role that the user of the preparer asked for."""

    split: HiddenSplit


@dataclass(frozen=True, kw_only=True)
class FinetuneContext(Context):
    """For fine-tuners: labelled source images; `backbone()` carries the weights of the stage before.

    `source` is None only for a fine-tuner that provides "label-free": it trains on nothing and needs no source.
    """

    source: Split | None
    backbone: Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class AdaptContext(Context):
    """For adapters: unlabelled target, labelled source or None, and the embedder to start from or None.

    An adapter that provides "source-free" is given no source: it needs none, and the protocol column says so.
    """

    target: HiddenSplit
    source: Split | None
    backbone: Callable[[], Any]
    start: Any = None


@dataclass(frozen=True, kw_only=True)
class EvaluateContext(Context):
    """For evaluators: the embedded query and gallery."""

    query: Features
    gallery: Features
