"""What a recorded board contains, field by field: JSON from anywhere is held against these before it is used."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1  # bump when an older version could not read what is written
MOST_NESTED = 20  # choices within each other

Index = int  # of an entry in one of the board's lists
# JSON has lists only.
Pair = Annotated[tuple[int, int], Field(strict=False)]
Range = Annotated[tuple[int | float | None, int | float | None], Field(strict=False)]
StepPair = Annotated[tuple[str, Index], Field(strict=False)]
ParentPair = Annotated[tuple[str, str], Field(strict=False)]  # role and key


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class NumberRecord(_Record):
    """A published number, as `reidbench.Published`."""

    metric: str
    value: int | float
    task: str
    row: str
    source: str
    ap: Literal["step", "trapezoid", "unknown"]
    note: str
    beside: bool
    rules: list[str] = []


class PaperRecord(_Record):
    """A paper, as `reidbench.Paper`."""

    title: str
    venue: str
    url: str
    code: str
    code_licence: str
    deviations: list[str]
    published: list[NumberRecord]


class MetricRecord(_Record):
    """A declared metric, as `reidbench.Metric`."""

    name: str
    better: str
    unit: str
    range: Range


class ComponentRecord(_Record):
    """What is shown of a component."""

    kind: str
    name: str
    version: int
    summary: str
    paper: PaperRecord | None
    metrics: list[MetricRecord]


class NestedRecord(_Record):
    """A choice in a `Uses` field."""

    field: str
    choice: Index
    kinds: list[str]
    role: str
    start: str


class ChoiceRecord(_Record):
    """A component with its parameters, an entry of `values`; `protocol` and `traits` are what these make of it."""

    component: Index
    params: Index
    changed: list[str]  # parameters that are not at their defaults
    in_place: list[str]
    same_content: list[str]
    protocol: list[str]
    traits: list[str]
    nested: list[NestedRecord]
    backbone: Index | None
    settings: dict[str, Any]
    for_data: dict[str, Index]
    preset: str = ""


class HeldOutRecord(_Record):
    """What `reidbench.data.hold_out` is given: one of `identities` and `queries`, and a subset `of` all before that."""

    identities: int | float | None = None
    seed: int | None = None
    queries: Literal["validation"] | None = None
    of: int | float | None = None
    of_seed: int | None = None
    whole: bool | None = None
    images: Literal["all"] | None = None


class ValidationRecord(_Record):
    """A validation, as `reidbench.matrix.benchmark.Validation`."""

    kind: Literal["identities", "data", "queries"]
    identities: int | float | None
    data: str
    seed: int


class DataRecord(_Record):
    """A data set; equal numbers of `root` are the same folder, which is not named.

    `held_out` says which part of the data set `origin` it is; a whole one has neither.
    """

    name: str
    choice: Index
    root: int | None
    stand_in: bool
    held_out: HeldOutRecord | None = None
    origin: str = ""


class RefRecord(_Record):
    """A data set in a task."""

    name: str
    identities: int | float | None
    subset_seed: int
    images: Literal["train", "all"] = "train"


class TaskRecord(_Record):
    """A task; `group` is its family, and `in_order` says that this is a sequence."""

    name: str
    target: RefRecord
    source: list[RefRecord]
    pool: list[RefRecord]
    auxiliary: list[RefRecord]
    adapt_on: Literal["train", "test"]
    group: str = ""
    in_order: bool = False
    test: RefRecord | None = None
    validate_: ValidationRecord | None = Field(None, alias="validate")  # pydantic has a method of that name
    judges: list[str] = []


class FeaturesRecord(_Record):
    """Files with features, by part: their names alone."""

    paths: dict[str, str]
    uses: list[str] | None


class TunedRecord(_Record):
    """What a search came to on a task: the values of its best trial, or why there is none."""

    values: dict[str, Any] = {}
    words: list[str] = []
    notes: list[str] = []
    reason: str = ""
    status: Literal["not-applicable", "missing", "failed"] = "not-applicable"


class MethodRecord(_Record):
    """A row of the matrix file."""

    name: str
    backbone: Index | None
    steps: list[StepPair]
    ensemble: list[str]
    flip_test: bool
    settings: dict[str, Any]
    features: FeaturesRecord | None
    tuned: dict[str, TunedRecord] = {}  # by task, of a row that a search fills; its steps are without the values


class ExpectedRecord(_Record):
    """A cell that is held against published numbers."""

    method: str
    task: str
    component: str
    numbers: list[NumberRecord]


class InputRecord(_Record):
    """A split that a stage is given."""

    role: str
    data: str
    key: str
    part: str
    hidden: bool
    identities: int | float | None
    subset_seed: int


class StageRecord(_Record):
    """A stage; `params`, `backbone` and `changed` are entries of `values`, `files` have names alone."""

    key: str
    kind: str
    use: str
    params: Index
    parents: list[ParentPair]
    data: list[InputRecord]
    backbone: Index | None
    image_size: Pair
    pictures: dict[str, str]
    seed: int
    rooted: bool  # whether its images lie in a folder of the user's
    label: str
    few: int
    held_out: HeldOutRecord | None = None
    content: str
    files: dict[str, str]
    changed: Index


class RowRecord(_Record):
    """A line of the results."""

    method: str
    task: str
    evaluator: str
    seed: int | None
    pretrain_seed: int | None
    key: str | None
    reason: str
    protocol: str
    pretrained: bool
    profiles: list[str]
    lacks: Literal["not-applicable", "missing", "failed"] = "not-applicable"
    notes: list[str] = []


class BoardRecord(_Record):
    """A plan with the text of its matrix file (secrets are blank) and what `--set` changed in it.

    `values`, `components` and `choices` are named by their place in these lists; a choice names earlier ones only.
    """

    format: Literal[1]
    reidbench: str
    name: str  # of the matrix file
    text: str
    sha256: str  # of the file itself
    arguments: list[str]
    title: str
    image_size: Pair
    pictures: dict[str, str]
    threads: int
    precision: str
    devices: int | dict[str, int]
    seeds: list[int]
    pretrain_seeds: list[int]
    prepare_seed: int
    few: int
    profile: bool
    validate_: ValidationRecord | None = Field(None, alias="validate")
    values: list[dict[str, Any]]
    components: list[ComponentRecord]
    choices: list[ChoiceRecord]
    data: list[DataRecord]
    tasks: list[TaskRecord]
    evaluate: list[Index]
    backbone: Index | None
    methods: list[MethodRecord]
    expect: list[ExpectedRecord]
    published: list[NumberRecord] = []
    stages: list[StageRecord]
    rows: list[RowRecord]
