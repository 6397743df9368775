"""Schema of a recorded board; untrusted JSON is validated before use."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 1  # increase when older versions cannot read boards
MOST_NESTED = 20  # depth of nested choices

Index = int  # index of an entry in a list of the board
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
    """The displayed fields of a component."""

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
    """A component with parameters (an entry of `values`); `protocol` and `traits` follow from them."""

    component: Index
    params: Index
    changed: list[str]  # parameters with non-default values
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
    """Arguments of `reidbench.data.hold_out`: `identities` or `queries`, and a subset `of` all before that."""

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
    """A data set; equal numbers of `root` are the same folder, whose path is omitted.

    `held_out` describes the part of the data set `origin`; a whole data set has neither.
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
    """A task; `group` is its family, `in_order` marks a sequence."""

    name: str
    target: RefRecord
    source: list[RefRecord]
    pool: list[RefRecord]
    auxiliary: list[RefRecord]
    adapt_on: Literal["train", "test"]
    group: str = ""
    in_order: bool = False
    test: RefRecord | None = None
    validate_: ValidationRecord | None = Field(None, alias="validate")  # pydantic has a method with that name
    judges: list[str] = []


class FeaturesRecord(_Record):
    """Names of feature files by part, without paths."""

    paths: dict[str, str]
    uses: list[str] | None


class TunedRecord(_Record):
    """Outcome of a search on a task: values of the best trial, or the reason why there is none."""

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
    tuned: dict[str, TunedRecord] = {}  # by task, for rows with a search; `steps` lack these values


class ExpectedRecord(_Record):
    """A cell with its published numbers."""

    method: str
    task: str
    component: str
    numbers: list[NumberRecord]


class PublishedClaimRecord(_Record):
    """The published form of a claim, as `reidbench.matrix.claims.PublishedClaim`."""

    text: str
    effect: float | None = None


class ClaimRecord(_Record):
    """A claim of the file, as `reidbench.matrix.claims.Claim`."""

    say: str
    kind: Literal["better", "equal", "order"]
    rows: list[str]
    metric: str
    by: str | list[str]
    on: list[str]
    margin: float
    effect: float
    published: PublishedClaimRecord | None = None
    why: str = ""
    since: str = Field("", pattern=r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)?$")


class ClaimRuleRecord(_Record):
    """The rule for claims, as `reidbench.matrix.claims.ClaimRule`."""

    alpha: float
    effect: float


class InputRecord(_Record):
    """An input split of a stage."""

    role: str
    data: str
    key: str
    part: str
    hidden: bool
    identities: int | float | None
    subset_seed: int


class StageRecord(_Record):
    """A stage; `params`, `backbone` and `changed` are entries of `values`, `files` are names without paths."""

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
    rooted: bool  # whether its images are in a folder of the user
    label: str
    few: int
    held_out: HeldOutRecord | None = None
    content: str
    files: dict[str, str]
    changed: Index


class RowRecord(_Record):
    """A row of the results."""

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
    """A plan with the text of its matrix file (without secrets) and the `--set` arguments.

    `values`, `components` and `choices` are referenced by index; a choice references earlier choices only.
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
    claims: list[ClaimRecord] = []
    claim_rule: ClaimRuleRecord | None = None  # of a file with claims
    stages: list[StageRecord]
    rows: list[RowRecord]
