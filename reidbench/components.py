"""Declarations of plugins: Component, Params, Paper, Metric and their parts."""

from __future__ import annotations

import importlib
import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict

ROUNDING = 1e-9  # relative rounding error by which a mean may exceed its range


class Params(BaseModel):
    """Base class of component parameters: typed, frozen, documented, without unknown names, part of the key."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Nested(BaseModel):
    """A component chosen inside another's parameters: `{use: NAME, param: value, ...}`.

    Besides parameters it may have the settings `image_size`, `resize`, `resize_test` and `crop_from`, which default to
    those of the step that uses it. A training component may also have `backbone`, and `data: auxiliary`, to learn from
    the task's joined auxiliary data sets instead of those of its role. A field that starts from another one inherits
    its network and settings.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
    use: str


@dataclass(frozen=True)
class NestedKind:
    """Marker of a `Uses` field: kinds of component, data role of its stage, field whose weights it starts from."""

    kinds: tuple[str, ...]
    role: str
    start: str = ""


class Uses:
    """Type of a Params field that names a component to run as a separate parent stage. Identical stages are shared.

    `style: Uses["preparer", "target"]` runs a preparer on the target's images; its files are in
    `ctx.prepared["style"]`. The kind may also be "pretrainer" (images of the role without labels) or "finetuner" (the
    role's train images with labels, shown in the protocol column), or a tuple of kinds, which are looked up in order;
    `ctx.network(field)` returns the trained network. A third item names an earlier field of the same Params whose
    weights the stage starts from.
    """

    def __class_getitem__(cls, item: tuple[Any, ...]) -> Any:
        kinds, role, *start = item
        return Annotated[Nested, NestedKind((kinds,) if isinstance(kinds, str) else tuple(kinds), role, *start)]


@dataclass(frozen=True)
class ContentHashed:
    """Marks a path whose content, not whose name, is part of the key.

    `stand_in` is "module:function" of `(params, folder, names) -> path`, for `reidbench rehearse`: it writes a stand-in
    for the user's file or folder below the empty `folder`, in its released layout, and returns its path. `params` are
    the component's parameters, and `names` the image paths of its data role, relative to the data set's root (train
    images of a labelled set). Without a stand-in the user's own file or folder is required. If `folder` is None, the
    parameter is a list of paths, each a file or a folder.
    """

    folder: bool | None
    stand_in: str = ""


Words = Callable[[Any], AbstractSet[str]] | AbstractSet[str]  # a constant, or a function of the parameters
FileParam = Annotated[Path, ContentHashed(folder=False)]
FolderParam = Annotated[Path, ContentHashed(folder=True)]
FilesParam = Annotated[tuple[Path, ...], ContentHashed(folder=None)]


@dataclass(frozen=True)
class InPlace:
    """Marks a folder that is relative to the matrix file, also its default, and is not part of the key."""


@dataclass(frozen=True)
class Secret:
    """Marks a map of strings whose values are never stored: key, manifest and reports contain only their hashes."""


@dataclass(frozen=True)
class InitialWeights:
    """Marks a backbone's parameter that only names or selects initial weights, such as a release or a repository.

    A network that is rebuilt from an exported folder has `without` in its place, since the folder has all of its
    weights: nothing is read or downloaded for them. Files (`FileParam`) and declared labels need no mark.
    """

    without: Any = None


@dataclass(frozen=True)
class SameContent:
    """Marks a parameter of a data set that changes neither images nor labels, such as the strictness of a check.

    A non-default value of any other parameter defines another data set, which is not compared with published numbers
    of the plain one.
    """


@dataclass(frozen=True)
class AddedLater:
    """Marks a parameter added after a component's first results: at its default it is not part of the key.

    Existing results keep their keys. The default must give the same results as before. If only another value
    does, that value is `before`, at which the parameter is not part of the key. If no value does, the component needs
    a new version.
    """

    before: Any = None  # None: the default

    def unsaid(self, value: Any, default: bool) -> bool:
        """Return whether a parameter with this value gives the results of before it was added."""
        return default if self.before is None else bool(value == self.before)


@dataclass(frozen=True)
class Published:
    """One number from a paper or its code, with the rules under which it was computed.

    `metric` is the evaluator's name of the metric (mAP, mINP, cmc1, cmc5, ...) and `value` a fraction: 0.859, not 85.9.
    Only metrics whose names begin with "distance" may be other numbers, and are printed unscaled.
    `task` is TARGET, or SOURCE->TARGET for a method that learns from a labelled source and is tested on another set, in
    component names of data sets: "market1501", "market1501->dukemtmc-reid". Parameters that define another set are
    included, as in "msmt17-v1(train=trainval)", and several sources are joined by "+". TARGET alone means training with
    the target's labels for a fine-tuner, and without labels for an adapter.
    `row` is the paper's name of the row, with network and image size: "BoT, ResNet-50, 256x128". `source` is the table
    of the paper, or the code's README.
    `ap` is the average precision rule of an mAP: "step", "trapezoid", or "unknown". `note` is further information, such
    as re-ranking, shown as a warning when the number is compared with a measured one. `beside` is False for a number
    that is not comparable with any row of this component: a baseline in the same table, a test with information not
    available here, or data that no component reads, which then have a separate name in `task`.
    `rules` are the evaluator's protocol words besides the AP rule: ("across modalities",); empty for plain ranking.

    This is a measured result; the published counts of a data set are `reidbench.data.Published`.
    """

    metric: str
    value: float
    task: str
    row: str
    source: str
    ap: Literal["step", "trapezoid", "unknown"] = "unknown"
    note: str = ""
    beside: bool = True
    rules: tuple[str, ...] = ()

    @classmethod
    def line(
        cls,
        task: str,
        row: str,
        source: str,
        ap: Literal["step", "trapezoid", "unknown"] = "unknown",
        note: str = "",
        beside: bool = True,
        rules: tuple[str, ...] = (),
        **values: float,
    ) -> tuple[Published, ...]:
        """Return the numbers of one table row: `line("market1501", "BoT", "README", "step", mAP=0.859, cmc1=0.945)`."""
        return tuple(cls(metric, value, task, row, source, ap, note, beside, rules) for metric, value in values.items())

    @classmethod
    def table(
        cls,
        source: str,
        columns: Mapping[str, str],
        rows: Mapping[str, str],
        ap: Literal["step", "trapezoid", "unknown"] = "unknown",
        note: str = "",
        beside: bool = True,
        rules: tuple[str, ...] = (),
    ) -> tuple[Published, ...]:
        """Return the numbers of a table, given as printed: in %, row by row, "-" for an empty cell.

        `columns` names the metrics of each task's columns, {"market1501": "mAP cmc1", "msmt17-v1": "mAP cmc1"}, and
        `rows` has the cells of each row in that order, {"BoT": "85.9 94.5 - -"}. Distances are not divided by 100.
        Raises ValueError for a cell that is not a number, and for a row with more or fewer cells than columns.
        """
        places = [(task, metric) for task, metrics in columns.items() for metric in metrics.split()]
        return tuple(
            cls(metric, _as_printed(metric, cell), task, row, source, ap, note, beside, rules)
            for row, cells in rows.items()
            for (task, metric), cell in zip(places, cells.split(), strict=True)
            if cell != "-"
        )


def _as_printed(metric: str, cell: str) -> float:
    return float(cell) if metric.startswith("distance") else round(float(cell) / 100, 6)


@dataclass(frozen=True)
class Paper:
    """The paper of a method, deviations of this implementation, and published numbers."""

    title: str
    venue: str = ""
    url: str = ""
    code: str = ""
    code_licence: str = ""
    deviations: Sequence[str] = ()
    published: Sequence[Published] = ()


@dataclass(frozen=True)
class Metric:
    """Declaration of an evaluator's metric, by its name in `Metrics.values`, for printing and ranking.

    `better` is the direction of better values. `unit` "%" marks a fraction, which is printed times 100; any other unit
    is printed after the unscaled number. `range` has the smallest and largest possible value, None if unbounded: a
    value outside fails its row, and intervals are clipped to it.
    """

    name: str
    _: KW_ONLY
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    range: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        if isinstance(self.range, list):  # so that the declaration stays hashable
            object.__setattr__(self, "range", tuple(self.range))

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The range, with infinity for None."""
        low, high = self.range
        return -math.inf if low is None else low, math.inf if high is None else high

    @property
    def bounds(self) -> str:
        """The range in words; empty if unbounded."""
        ends = zip(("at least", "at most"), self.ends, strict=True)
        return " and ".join(f"{word} {end:g}" for word, end in ends if math.isfinite(end))

    @property
    def described(self) -> str:
        """The declaration on one line."""
        return ", ".join(filter(None, (f"{self.name}: {self.better} is better", self.unit, self.bounds)))

    def fault(self, value: float) -> str:
        """Return why a value is invalid for this metric, or "". Rounding errors are accepted."""
        low, high = self.ends
        if low - ROUNDING * max(1, abs(low)) <= value <= high + ROUNDING * max(1, abs(high)):
            return ""
        percent = self.unit == "%" and 1 < value <= 100
        cure = f" (the unit % marks fractions: {value:.6g} % is {value / 100:.6g})" if percent else ""
        return f"{self.name} {value:.6g}, but declares that it is {self.bounds}{cure}"


def fractions(*names: str) -> tuple[Metric, ...]:
    """Declare metrics from 0 to 1, printed in %, for which higher is better, such as mAP and CMC."""
    return tuple(Metric(name, unit="%", range=(0, 1)) for name in names)


class Preset(dict[str, Any]):
    """Parameter values with their source: `Preset("Table 3 of the paper", lr=0.1)`."""

    def __init__(self, source: str, /, **values: Any) -> None:
        super().__init__(values)
        self.source = source


# Settings that a step of a recipe, and a preset, may have besides the parameters of its component.
STEP_SETTINGS = ("image_size", "resize", "resize_test", "crop_from")


@dataclass(frozen=True)
class Amount:
    """Numbers of images, identities and cameras of a data role at full scale; None if unknown."""

    images: int
    identities: int | None = None
    cameras: int | None = None


@dataclass(frozen=True)
class Workload:
    """Cost of a training: optimiser steps, and images per step."""

    steps: int
    images: int

    @property
    def total(self) -> int:
        """Total number of images read."""
        return self.steps * self.images


@dataclass(frozen=True)
class Component:
    """A component: anything with a name in a matrix file.

    `target` is "module:attribute", imported when a stage first runs it. Bump `version` whenever results change.

    Five fields contain words of closed lists (`reidbench.words`), as sets or as functions `(params) -> set`.
    `capabilities` is what a backbone ("stages", "tokens", "bn") or a data set ("truth") offers.
    `traits` is the behaviour of a method: "label-free", "source-free", "pool-free", "backbone-free", "data-parallel". A
    "seedless" method draws no random numbers, and runs once for all seeds unless an earlier step depends on them; the
    network that it starts from is one of its inputs. A backbone is "seedless" if its fresh weights are not random.
    `requires` names requirements: capabilities of the backbone, and things that a task may lack: a labelled "source"
    (adapters), the "truth" about the images or two or more "cameras" (in the data that this kind of component learns
    from), and "start", an embedder from the previous step (adapters). If one is missing, the cell is "not applicable"
    and nothing runs for it. A data set that requires a `root` declares `requires={"root"}`; `lacks`, a set or a
    function `(params, root) -> set`, declares what it lacks: "cameras" (two or more), "labels", "train", "test".
    `protocol` words are shown in the protocol column: what a method uses besides its ordinary inputs, and is then
    given ("target-labels", "cameras", "truth", "auxiliary"), the labels behind a user's file
    (`reidbench.words.behind`), and the rules of an evaluator ("AP step").

    `fingerprint`, for data sets only, is "module:function" of `(params, root) -> str`, which identifies the content
    without building it. `metrics`, for evaluators only, declares its metrics; an undeclared metric is shown unscaled
    and never ranked.

    `presets` are sets of parameters by name, "paper", "code" or "paper:DATA-SET". `{use: NAME, preset: paper}` in a
    matrix file uses their values for parameters that are not given, and those of "paper:DATA-SET" on tasks whose step
    learns from that DATA-SET. The key contains the values, not the name. Presets of selectors, trainings and preparers
    may also contain `image_size`, `resize`, `resize_test` and `crop_from`, which are settings of their step; their
    parameters must not have these names, nor, except for preparers, `backbone`.

    `rehearsal` are parameters for a few steps with a small batch, for `reidbench rehearse`. `workload` is
    "module:function" of `(params, amounts) -> Workload`, the steps at full scale; `amounts` has an `Amount` for each
    data role that the task names ("source", "target", "pool", "auxiliary"). `stand_in`, for data sets only, is
    "module:function" of `(params, folder) -> root`: it writes a few rendered persons below the folder, in the released
    layout of the data set, and returns the `root` that a user would give.

    `packages` are optional modules that the component, or a part of it, requires, and `extra` is the extra of reidbench
    that installs them; `reidbench plugins` reports missing ones.
    """

    name: str
    target: str
    params: type[Params] = Params
    version: int = 1
    summary: str = ""
    paper: Paper | None = None
    capabilities: Words = frozenset()
    traits: Words = frozenset()
    requires: Words = frozenset()
    protocol: Words = frozenset()
    fingerprint: str = ""
    lacks: Callable[[Any, Path | None], AbstractSet[str]] | AbstractSet[str] = frozenset()
    metrics: Sequence[Metric] = ()
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    rehearsal: Mapping[str, Any] = field(default_factory=dict, hash=False)
    workload: str = ""
    stand_in: str = ""
    packages: Sequence[str] = ()
    extra: str = ""

    @property
    def missing(self) -> str:
        """Packages that are not installed, and the command that installs them; "" if none is missing."""
        gone = [name for name in self.packages if importlib.util.find_spec(name) is None]
        cure = f" (pip install 'reidbench[{self.extra}]')" if self.extra else ""
        return f"not installed: {', '.join(gone)}{cure}" if gone else ""

    @property
    def declared(self) -> dict[str, Metric]:
        """Declared metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    def load(self) -> Any:
        """Import and return `target`."""
        return load_attribute(self.target)

    def capabilities_with(self, params: Params) -> frozenset[str]:
        """Return the capabilities of this backbone or data set with `params`."""
        return _said(self.capabilities, params)

    def traits_with(self, params: Params) -> frozenset[str]:
        """Return the traits of this component with `params`."""
        return _said(self.traits, params)

    def required(self, params: Params) -> frozenset[str]:
        """Return the requirements of this component with `params`."""
        return _said(self.requires, params)

    def protocol_with(self, params: Params) -> frozenset[str]:
        """Return the protocol words of this component with `params`."""
        return _said(self.protocol, params)

    def lacked(self, params: Params, root: Path | None) -> frozenset[str]:
        """Return what this data set lacks when it is read with `params` from `root`."""
        return _said(self.lacks, params, root)


def _said(words: Callable[..., AbstractSet[str]] | AbstractSet[str], *given: Any) -> frozenset[str]:
    return frozenset(words(*given) if callable(words) else words)


def load_attribute(target: str) -> Any:
    """Import "module:attribute"."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
