"""What a plugin declares: Component, Params, Paper."""

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

ROUNDING = 1e-9  # by which a mean of values at the end of their range may pass it


class Params(BaseModel):
    """Base of every component's parameters: typed, frozen, documented, no unknown names, part of the key."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Nested(BaseModel):
    """A component chosen inside another's parameters: `{use: NAME, param: value, ...}`.

    Beside the parameters it may have settings of its own, `image_size`, `resize`, `resize_test` and `crop_from`; else
    it has those of the step that uses it. A training may also have `backbone`, its own network, and `data: auxiliary`,
    to learn from the task's auxiliary data sets, joined, instead of those of its role. A field that starts from another
    inherits its network and settings.
    """

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
    """Marks a path whose content, not whose name, enters the key.

    `stand_in` is "module:function" of `(params, folder, names) -> path`, for `reidbench rehearse`: it writes below the
    empty `folder` what a user would give here, in the layout in which it is released, and returns its path. `params`
    are the component's own, and `names` the paths of the images of its data role, below the root of their data set
    (the train images of a labelled one). Without a stand-in the user's own file or folder is needed. With `folder` None
    the parameter is a list of paths, each a file or a folder.
    """

    folder: bool | None
    stand_in: str = ""


Words = Callable[[Any], AbstractSet[str]] | AbstractSet[str]  # the same for all parameters, or what they make of it
FileParam = Annotated[Path, ContentHashed(folder=False)]
FolderParam = Annotated[Path, ContentHashed(folder=True)]
FilesParam = Annotated[tuple[Path, ...], ContentHashed(folder=None)]


@dataclass(frozen=True)
class InPlace:
    """Marks a folder that is looked up from the matrix file, its default too, and that is no part of the key."""


@dataclass(frozen=True)
class Secret:
    """Marks a map of texts whose values are kept nowhere: the key, the manifest and all reports have their hashes."""


@dataclass(frozen=True)
class SameContent:
    """Marks a parameter of a data set that changes neither its images nor its labels, such as how strictly to check.

    All other parameters with a value of their own make another set: a published number for the plain set never stands
    beside a row on it.
    """


@dataclass(frozen=True)
class AddedLater:
    """Marks a parameter that a component got after its first results: at its default it is no part of the key.

    So the results that stand keep their keys. The default must compute what was computed before. Where it does not, and
    another value does, that is `before`: with it the parameter is no part of the key. Where none does, the component
    needs a new version.
    """

    before: Any = None  # None: the default

    def unsaid(self, value: Any, default: bool) -> bool:
        """Whether a parameter with this value, which is its default or not, computes what was computed without it."""
        return default if self.before is None else bool(value == self.before)


@dataclass(frozen=True)
class Published:
    """One number from a paper or its code, with the rule that it was computed under.

    `metric` is the evaluator's name of it (mAP, mINP, cmc1, cmc5, ...) and `value` a fraction: 0.859, not 85.9. Only a
    metric whose name begins with "distance" may be another number, and is printed as it is.
    `task` is TARGET, or SOURCE->TARGET for a method that learns from a labelled source and is tested elsewhere, in the
    names of the data sets' components: "market1501", "market1501->dukemtmc-reid". Parameters that make another set are
    named with it, "msmt17-v1(train=trainval)", and several sources are joined by "+". TARGET alone is training with the
    target's own labels for a fine-tuner, and without any labels for an adapter.
    `row` is the paper's own name of the row, with network and image size: "BoT, ResNet-50, 256x128". `source` is the
    table of the paper, or the code's README.
    `ap` is the rule of average precision behind an mAP: "step", "trapezoid", or "unknown". `note` is what else a reader
    must know, such as re-ranking: a warning wherever the number stands beside a measured one. `beside` is False for a
    number that no row of this component can be compared with: a baseline of the same table, a test with information
    that is not offered here, or data that no component reads, which then have their own name in `task`.
    `rules` are the evaluator's protocol words beside the AP rule: ("across modalities",); none for plain ranking.

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
        """The numbers of one line of a table: `line("market1501", "BoT", "README", "step", mAP=0.859, cmc1=0.945)`."""
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
        """The numbers of a table, written as they are printed: in %, row by row, "-" where nothing is printed.

        `columns` names the metrics of each task's columns, {"market1501": "mAP cmc1", "msmt17-v1": "mAP cmc1"}, and
        `rows` holds the cells of each row in that order, {"BoT": "85.9 94.5 - -"}. Distances are not divided by 100.
        Raises ValueError for a cell that is no number, and for a row with more or fewer cells than columns.
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
    """Where a method comes from, where this implementation differs from it, and what was published for it."""

    title: str
    venue: str = ""
    url: str = ""
    code: str = ""
    code_licence: str = ""
    deviations: Sequence[str] = ()
    published: Sequence[Published] = ()


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

    @cached_property
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
        percent = self.unit == "%" and 1 < value <= 100
        cure = f" (the unit % marks fractions: {value:.6g} % is {value / 100:.6g})" if percent else ""
        return f"{self.name} {value:.6g}, and declares that it is {self.bounds}{cure}"


def fractions(*names: str) -> tuple[Metric, ...]:
    """Declarations of shares between 0 and 1, printed in %, of which more is better: mAP, CMC and the like."""
    return tuple(Metric(name, unit="%", range=(0, 1)) for name in names)


class Preset(dict[str, Any]):
    """Values of parameters under a name, and where they come from: `Preset("Table 3 of the paper", lr=0.1)`."""

    def __init__(self, source: str, /, **values: Any) -> None:
        super().__init__(values)
        self.source = source


# What a step of a recipe may say beside the parameters of its component, and a preset with it.
STEP_SETTINGS = ("image_size", "resize", "resize_test", "crop_from")


@dataclass(frozen=True)
class Amount:
    """How many images, identities and cameras a data role has at full scale; None where nobody knows."""

    images: int
    identities: int | None = None
    cameras: int | None = None


@dataclass(frozen=True)
class Workload:
    """What a training does: steps of the optimiser, and the images that each of them reads."""

    steps: int
    images: int

    @property
    def total(self) -> int:
        """Images that are read in all."""
        return self.steps * self.images


@dataclass(frozen=True)
class Component:
    """One thing with a name in a matrix file.

    `target` is "module:attribute", imported when a stage first runs it. Bump `version` when results would change.

    Five fields hold words of closed lists (`reidbench.words`): sets, or functions `(params) -> set` where they depend
    on the parameters. `capabilities` is what a backbone ("stages", "tokens", "bn") or a data set ("truth") offers.
    `traits` is how a method behaves: "label-free", "source-free", "pool-free", "backbone-free", "data-parallel".
    "seedless" is a method that draws nothing, and runs once for all seeds unless something before it uses them; the
    network that it starts from is one of its inputs. A backbone is "seedless" where its fresh weights are not drawn.
    `requires` names what must be there: capabilities of the backbone, and what a task may lack: a labelled "source"
    (adapters), the "truth" about the images or two or more "cameras" (of the data that this kind of component learns
    from), and "start", an embedder from the step before (adapters). Where it is missing, the cell is "not applicable"
    and nothing is run for it. A data set that needs a `root` says `requires={"root"}`; `lacks`, a set or a function
    `(params, root) -> set`, says what a data set is without: "cameras" (two or more), "labels", "train", "test".
    `protocol` words stand in the protocol column: what a method uses beside its ordinary inputs, which it is then
    given ("target-labels", "cameras", "truth", "auxiliary"), the labels behind a user's file
    (`reidbench.words.behind`), and the rules of an evaluator ("AP step").

    `fingerprint`, for data sets only, is "module:function" of `(params, root) -> str`, which names the content without
    building it. `metrics`, for evaluators only, declares the numbers that it gives: what is not declared is shown as it
    is, and never ranked.

    `presets` are sets of parameters by name, "paper", "code" or "paper:DATA-SET": `{use: NAME, preset: paper}` in a
    matrix file takes their values for what is not given beside it, on tasks whose step learns from that DATA-SET those
    of "paper:DATA-SET". The values enter the key, not the word. Presets of selectors, trainings and preparers may hold
    `image_size`, `resize`, `resize_test` and `crop_from` too, which are settings of their step; no parameter of these
    may have such a name, nor, except of a preparer, `backbone`.

    `rehearsal` are the parameters that make a few steps with a small batch of a training, for `reidbench rehearse`.
    `workload` is "module:function" of `(params, amounts) -> Workload`, its steps at full scale: `amounts` holds an
    `Amount` for each role of data that the task names ("source", "target", "pool", "auxiliary"). `stand_in`, for data
    sets only, is "module:function" of `(params, folder) -> root`: it writes a few rendered persons in the layout in
    which the set is released, below the folder, and returns the `root` that a user of it would give.

    `packages` are modules that the component, or a part of it, cannot run without and that an installation may lack,
    and `extra` is the extra of reidbench that brings them: `reidbench plugins` says what is missing and how to get it.
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
        """Which of its packages are not installed, and how to get them; "" where nothing is missing."""
        gone = [name for name in self.packages if importlib.util.find_spec(name) is None]
        cure = f" (pip install 'reidbench[{self.extra}]')" if self.extra else ""
        return f"not installed: {', '.join(gone)}{cure}" if gone else ""

    @property
    def declared(self) -> dict[str, Metric]:
        """The declared metrics by name."""
        return {metric.name: metric for metric in self.metrics}

    def load(self) -> Any:
        """The code behind `target`."""
        return load_attribute(self.target)

    def capabilities_with(self, params: Params) -> frozenset[str]:
        """What this backbone or data set offers when it is used with `params`."""
        return _said(self.capabilities, params)

    def traits_with(self, params: Params) -> frozenset[str]:
        """How this method behaves when it is used with `params`."""
        return _said(self.traits, params)

    def required(self, params: Params) -> frozenset[str]:
        """What this component requires when it is used with `params`."""
        return _said(self.requires, params)

    def protocol_with(self, params: Params) -> frozenset[str]:
        """The protocol words of this component when it is used with `params`."""
        return _said(self.protocol, params)

    def lacked(self, params: Params, root: Path | None) -> frozenset[str]:
        """What this data set is without when it is read with `params` from `root`."""
        return _said(self.lacks, params, root)


def _said(words: Callable[..., AbstractSet[str]] | AbstractSet[str], *given: Any) -> frozenset[str]:
    return frozenset(words(*given) if callable(words) else words)


def load_attribute(target: str) -> Any:
    """Import "module:attribute"."""
    module, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module), attribute)
