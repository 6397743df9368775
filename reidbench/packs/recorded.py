"""Plans from recorded boards: they can be displayed without their plugins."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, ValidationError, create_model
from pydantic.errors import PydanticUserError

from reidbench.components import Component, InPlace, Metric, NestedKind, Paper, Params, Published, SameContent
from reidbench.data.pictures.size import setting_fault
from reidbench.errors import ReidbenchError
from reidbench.matrix.benchmark import (
    Benchmark,
    Choice,
    DataRef,
    DataSource,
    Expected,
    Features,
    Recipe,
    Task,
    Validation,
)
from reidbench.matrix.kinds import OF_COMPONENT, OF_STAGE
from reidbench.matrix.labels import evaluator_labels
from reidbench.matrix.stage import DataInput, Plan, Row, Stage
from reidbench.registry.metrics import metrics_fault
from reidbench.registry.plugins import printable
from reidbench.store.manifests import CHECKED, KEY

from .boards import (
    MOST_NESTED,
    BoardRecord,
    ChoiceRecord,
    ComponentRecord,
    FeaturesRecord,
    HeldOutRecord,
    MethodRecord,
    NumberRecord,
    PaperRecord,
    RefRecord,
    RowRecord,
    StageRecord,
    TaskRecord,
    ValidationRecord,
)
from .claims import claims_of
from .recording import record as record

DEEPEST = 100  # nesting depth of a parameter


def recorded_plan(board: Mapping[str, Any], file: Path | None = None) -> Plan:
    """Return the plan of a recorded, possibly untrusted board; `file` is the path of its matrix file.

    Its components are for display: names, versions, papers, metrics and words without code. The root of a data set is a
    placeholder, if it had one. Raises ReidbenchError for an invalid board.
    """
    try:
        found = BoardRecord.model_validate(board)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the board"
        raise _wrong(f"{place}: {first['msg']}") from None
    except RecursionError:
        raise _wrong("nested too deeply") from None
    return _Reader(found, file).plan()


def _wrong(what: str) -> ReidbenchError:
    return ReidbenchError(printable(f"not a valid recorded board for this version: {what}")[:500])


class _Reader:
    def __init__(self, board: BoardRecord, file: Path | None) -> None:
        self.board = board
        self.file = file or Path(board.name)
        self.components: list[ComponentRecord] = board.components
        self.choices: list[Choice] = []
        self.depths: list[int] = []

    def plan(self) -> Plan:
        for value in self.board.values:
            _check_depth(value)
        for number, choice in enumerate(self.board.choices):
            self.choices.append(self.choice(choice, number))
        plan = Plan(self.benchmark())
        for stage in self.board.stages:
            self.add(plan.stages, stage)
        plan.rows = [_row(row) for row in self.board.rows]
        self.check_rows(plan)
        return plan

    def at(self, values: Sequence[Any], place: int, what: str) -> Any:
        """Return an entry of a list. Raises ReidbenchError for an invalid index."""
        if not 0 <= place < len(values):
            raise _wrong(f"{what} references entry {place} of {len(values)}")
        return values[place]

    def optional(self, place: int | None, what: str) -> Choice | None:
        return None if place is None else self.of_kind("backbone", place, what)

    def of_kind(self, kind: str, place: int, what: str) -> Choice:
        found: Choice = self.at(self.choices, place, what)
        if found.kind != kind:
            raise _wrong(f"{what} references a {found.kind}, not a {kind}")
        return found

    # ------------------------------------------------------------------ choices
    def choice(self, given: ChoiceRecord, number: int) -> Choice:
        what = f"choices.{number}"
        recorded = self.at(self.components, given.component, what)
        if recorded.kind != "backbone" and recorded.kind not in OF_COMPONENT:
            raise _wrong(f"{what}: unknown kind of component {recorded.kind}")
        inside = [*(one.choice for one in given.nested), *given.for_data.values()]
        inside += [] if given.backbone is None else [given.backbone]
        self.depths.append(1 + max((self.at(self.depths, place, what) for place in inside), default=0))
        if self.depths[-1] > MOST_NESTED:
            raise _wrong(f"{what} is nested too deeply")
        component = _component(recorded, given.protocol, given.traits)
        if fault := metrics_fault(recorded.kind, component.metrics):
            raise _wrong(f"{what}: {fault}")
        params = _params(self.at(self.board.values, given.params, what), given, what)
        nested = {
            one.field: (self.choices[one.choice], NestedKind(tuple(one.kinds), one.role, one.start))
            for one in given.nested
        }
        for inner, _ in nested.values():
            if inner.kind not in OF_COMPONENT:
                raise _wrong(f"{what}: a parameter cannot name a {inner.kind}")
        network = self.optional(given.backbone, what)
        settings = _settings(given.settings, what)
        for_data = {name: self.choices[place] for name, place in given.for_data.items()}
        preset = printable(given.preset)
        return Choice(recorded.kind, component, params, nested, network, settings, for_data, preset)

    # ------------------------------------------------------------------ the matrix file
    def benchmark(self) -> Benchmark:
        board = self.board
        labels = [self.of_kind("evaluator", place, "evaluate") for place in board.evaluate]
        pictures = _settings({**board.pictures, "image_size": list(board.image_size)}, "the board")
        sources = [
            DataSource(
                one.name,
                self.of_kind("dataset", one.choice, f"data {one.name}"),
                None if one.root is None else Path(f"<root {one.root}>"),
                marked=one.stand_in,
                held_out=_held_out(one.held_out),
                origin=one.origin,
            )
            for one in board.data
        ]
        data = {source.name: source for source in sources}
        tasks = tuple(_task(task, data) for task in board.tasks)
        judged_by = {label for task in tasks for label in task.judges}
        if not judged_by.issubset(evaluator_labels(labels)):
            raise _wrong("a task names an unknown evaluator")
        methods = tuple(self.method(method) for method in board.methods)
        _check_names([recipe.name for recipe in methods], [task.name for task in tasks], [one.name for one in sources])
        parts = {recipe.name for recipe in methods if not recipe.ensemble}
        for recipe in methods:
            if not parts.issuperset(recipe.ensemble):
                raise _wrong(f"method {recipe.name} joins an unknown method")
        try:
            rule, claims = claims_of(board, methods, tasks, labels)
        except ValueError as error:
            raise _wrong(str(error)) from None
        return Benchmark(
            file=self.file,
            title=printable(board.title),
            image_size=pictures.pop("image_size"),
            threads=board.threads,
            precision=board.precision,
            devices=board.devices,
            seeds=tuple(board.seeds),
            pretrain_seeds=tuple(board.pretrain_seeds),
            prepare_seed=board.prepare_seed,
            data=data,
            tasks=tasks,
            evaluate=tuple(labels),
            methods=methods,
            few=board.few,
            pictures=pictures,
            backbone=self.optional(board.backbone, "backbone"),
            profile=board.profile,
            validate=_validation(board.validate_),
            expect=tuple(self.expected(methods, tasks)),
            published=tuple(_number(number) for number in board.published),
            claims=claims,
            claim_rule=rule,
            text=board.text,
            digest=board.sha256,
        )

    def method(self, given: MethodRecord) -> Recipe:
        what = f"method {given.name}"
        steps = []
        for stage, place in given.steps:
            if stage not in OF_STAGE or not OF_STAGE[stage].step:
                raise _wrong(f"{what} has an unknown step {stage}")
            steps.append((stage, self.of_kind(OF_STAGE[stage].component, place, what)))
        features = _features(given.features) if given.features else None
        network = self.optional(given.backbone, what)
        if not (features or given.ensemble or (steps and network)):
            raise _wrong(f"{what} has neither steps with a network, nor feature files, nor parts")
        settings = _settings(given.settings, what)
        return Recipe(given.name, network, tuple(steps), tuple(given.ensemble), given.flip_test, settings, features)

    def expected(self, methods: Sequence[Recipe], tasks: Sequence[Task]) -> Iterable[Expected]:
        names = {recipe.name for recipe in methods}, {task.name for task in tasks}
        for cell in self.board.expect:
            if cell.method not in names[0] or cell.task not in names[1] or not cell.numbers:
                raise _wrong(f"expect names an unknown cell: {cell.method} on {cell.task}")
            numbers = tuple(_number(number) for number in cell.numbers)
            yield Expected(cell.method, cell.task, cell.component, numbers)

    # ------------------------------------------------------------------ stages and rows
    def add(self, stages: dict[str, Stage], given: StageRecord) -> None:
        what = f"stage {given.key}"
        if given.kind not in OF_STAGE or not KEY.fullmatch(given.key) or given.key in stages:
            raise _wrong(f"{what} of kind {given.kind} has an unknown kind, an invalid key or a repeated key")
        size = _settings({**given.pictures, "image_size": list(given.image_size)}, what).pop("image_size")
        found = Stage(
            given.key,
            given.kind,
            given.use,
            self.at(self.board.values, given.params, what),
            tuple(given.parents),
            tuple(DataInput(**dict(one)) for one in given.data),
            None if given.backbone is None else self.at(self.board.values, given.backbone, what),
            size,
            given.pictures,
            given.seed,
            "" if given.rooted else None,
            given.label,
            given.few,
            given.content,
            given.files,
            self.at(self.board.values, given.changed, what),
            held_out=_held_out(given.held_out),
        )
        if not stages.keys() >= set(found.needs):
            raise _wrong(f"{what} requires a stage that does not precede it")
        if any(stages[one.key].kind != "data" for one in found.data):
            raise _wrong(f"{what} has an input that is not a data set")
        if found.kind == "embed" and len(found.data) != 1:
            raise _wrong(f"{what} embeds {len(found.data)} data sets")
        if found.files and len(found.content.split(", ")) != len(found.files):
            raise _wrong(f"{what} has {len(found.files)} files and another number of hashes")
        stages[given.key] = found

    def check_rows(self, plan: Plan) -> None:
        given = plan.benchmark
        methods, tasks = {one.name for one in given.methods}, {one.name for one in given.tasks}
        evaluators = set(evaluator_labels(given.evaluate))
        places = {(*row.cell, row.seed, row.pretrain_seed) for row in plan.rows}
        if len(places) < len(plan.rows):
            raise _wrong("a cell has two rows with the same seed")
        for row in plan.rows:
            known = row.method in methods and row.task in tasks and row.evaluator in evaluators
            ended = row.key is None or (row.key in plan.stages and plan.stages[row.key].kind == "evaluate")
            profiles = all(
                not key or (key in plan.stages and plan.stages[key].kind == "profile") for key in row.profiles
            )
            joined = row.key is None or not row.profiles or len(plan.embedders(row)) == len(row.profiles)
            if not (known and ended and profiles and joined):
                raise _wrong(f"the row {row.method} on {row.task} by {row.evaluator} does not match the matrix file")


def _check_names(*names: Sequence[str]) -> None:
    for several in names:
        if len(set(several)) < len(several):
            raise _wrong("a name appears twice")


def _check_depth(value: Any, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise _wrong("a parameter is nested too deeply")
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, depth + 1)


def _params(values: Mapping[str, Any], given: ChoiceRecord, what: str) -> Params:
    """Return parameters with these values; unchanged ones have them as defaults."""
    marks = {"in_place": InPlace(), "same_content": SameContent()}
    fields: dict[str, Any] = {}
    if any(name.startswith("model_") and hasattr(Params, name) for name in values):
        raise _wrong(f"{what} has a parameter with a reserved name")
    for name, value in values.items():
        own = [mark for field, mark in marks.items() if name in getattr(given, field)]
        kind = Any
        for mark in own:
            kind = Annotated[kind, mark]  # type: ignore[assignment]
        fields[name] = (kind, ... if name in given.changed else value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a parameter may share its name with a pydantic method
            made = create_model("Recorded", __base__=_Recorded, **fields)
            return made(**values)
    except (PydanticUserError, ValidationError, NameError, TypeError, ValueError):
        raise _wrong(f"{what} has invalid parameters: {', '.join(map(str, values))}") from None


class _Recorded(Params):
    model_config = ConfigDict(protected_namespaces=())


def _component(given: ComponentRecord, protocol: Sequence[str], traits: Sequence[str]) -> Component:
    return Component(
        given.name,
        target="",
        version=given.version,
        summary=given.summary,
        paper=_paper(given.paper) if given.paper else None,
        protocol=frozenset(protocol),
        traits=frozenset(traits),
        metrics=tuple(
            Metric(metric.name, better=metric.better, unit=metric.unit, range=metric.range)  # type: ignore[arg-type]
            for metric in given.metrics
        ),
    )


def _paper(given: PaperRecord) -> Paper:
    published = tuple(_number(number) for number in given.published)
    own = (given.title, given.venue, given.url, given.code, given.code_licence)
    return Paper(*own, deviations=tuple(given.deviations), published=published)


def _number(given: NumberRecord) -> Published:
    return Published(**{**dict(given), "rules": tuple(given.rules)})


def _settings(given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return image settings. Raises ReidbenchError for invalid ones."""
    for name, value in given.items():
        if name not in ("image_size", "resize", "resize_test", "crop_from"):
            raise _wrong(f"{what} has an unknown setting {name}")
        if fault := setting_fault(name, value):
            raise _wrong(f"{what}: {name} {fault}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _features(given: FeaturesRecord) -> Features:
    uses = None if given.uses is None else tuple(given.uses)
    return Features({part: Path(name) for part, name in given.paths.items()}, uses)


def _ref(given: RefRecord, data: Mapping[str, DataSource]) -> DataRef:
    if given.name not in data:
        raise _wrong(f"a task names the unknown data set {given.name}")
    return DataRef(given.name, given.identities, given.subset_seed, given.images)


def _task(given: TaskRecord, data: Mapping[str, DataSource]) -> Task:
    source, pool, auxiliary = (
        tuple(_ref(ref, data) for ref in refs) for refs in (given.source, given.pool, given.auxiliary)
    )
    family = given.group, given.in_order and bool(source)
    test = _ref(given.test, data) if given.test else None
    more = *family, test, _validation(given.validate_), tuple(given.judges)
    return Task(given.name, _ref(given.target, data), source, pool, auxiliary, given.adapt_on, *more)


def _validation(given: ValidationRecord | None) -> Validation | None:
    return Validation(**dict(given)) if given else None


def _held_out(given: HeldOutRecord | None) -> dict[str, Any]:
    return given.model_dump(exclude_none=True) if given else {}


def _row(given: RowRecord) -> Row:
    """Return a row. Raises ReidbenchError if its protocol contains a level of verification, which no plan can know."""
    if said := [word for word in given.protocol.split(", ") if word.partition(" (")[0] in CHECKED]:
        raise _wrong(f"the protocol of {given.method} on {given.task} contains {said[0]}, which only `verify` may add")
    return Row(**{**dict(given), "profiles": tuple(given.profiles), "notes": tuple(given.notes)})
