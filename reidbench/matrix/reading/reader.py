"""Read a matrix file into a Benchmark; all errors are reported together, each with file, line, key and fix."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from reidbench.components import STEP_SETTINGS
from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import Benchmark, Choice, DataSource, Devices, Recipe
from reidbench.matrix.devices import MOST as MOST_DEVICES
from reidbench.matrix.devices import refusals
from reidbench.matrix.kinds import EMBEDDERS, SEVERAL_DEVICES, STEPS
from reidbench.matrix.search import TUNED
from reidbench.registry.plugins import Registry, printable

from .checker import Checker, entries, kind_word, there
from .choices import OF_FILES, ChoiceReader, FeaturesReader
from .claims import ClaimReader
from .evaluate import EvaluateReader
from .expect import ExpectReader
from .quoted import PublishedReader
from .search import SETTINGS as SEARCH_SETTINGS
from .search import SearchReader
from .tasks import TaskReader
from .validate import read_validation
from .yamlfile import DEEPEST, Path_, Tree, read_tree, read_values, shown

TOP = (
    "title", *STEP_SETTINGS,
    "threads", "precision", "devices", "seeds", "pretrain_seeds", "prepare_seed",
    "data", "tasks", "backbone", "flip_test", "evaluate", "validate", "profile", "methods", "matrix",
    "search_defaults", "expect", "published", "claims", "claim_rule",
)  # fmt: skip
COMBINED = ("backbone", *STEPS)
_OF_ROWS = (*COMBINED, *STEP_SETTINGS, "flip_test", "ensemble", *OF_FILES[:2], "search", *SEARCH_SETTINGS)
RECIPE = tuple(dict.fromkeys(_OF_ROWS))  # `select` is a step, and a setting of a search
MOST_COMBINATIONS = 100_000  # of one `matrix`
MOST_ROWS = 1_000_000  # methods x tasks x seeds x evaluators; planning takes half a minute
PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")


def read(file: Path, registry: Registry, overrides: Sequence[str] = (), must_exist: bool = True) -> Benchmark:
    """Read a matrix file. `overrides` are `KEY=VALUE` with dots between keys and values in YAML.

    Without `must_exist`, roots, files and folders in it need not exist: a rehearsal creates its own. Raises ConfigError
    with every problem found, each as `file:line: message`.
    """
    return read_from(read_tree(Path(file)), registry, overrides, must_exist)


def read_from(tree: Tree, registry: Registry, overrides: Sequence[str] = (), must_exist: bool = True) -> Benchmark:
    """Read like `read`, from the values of a file or of a mapping; errors about a mapping start with its keys."""
    for override in overrides:
        _override(tree, override)
    return MatrixReader(tree, registry, must_exist).benchmark()


def _override(tree: Tree, override: str) -> None:
    key, equals, text = override.partition("=")
    path = key.split(".")
    at = tree.value
    for word in path[:-1]:
        at = at.setdefault(word, {}) if isinstance(at, dict) else None
    words_fine = len(path) <= DEEPEST and all(word.strip() and word.isprintable() for word in path)
    if not equals or not isinstance(at, dict) or not words_fine:
        raise ConfigError([f"--set {shown(override)}: expected KEY=VALUE with dots between keys, like seeds=[0]"])
    try:
        value, written = read_values(text, "here")
    except ConfigError as error:
        why = error.problems[0].removeprefix("here: ")
        raise ConfigError([f"--set {shown(override)}: the value is not plain YAML: {why}"]) from None
    at[path[-1]] = value
    tree.give(tuple(path), written, override)


class MatrixReader:
    """Read the whole tree once, from the top."""

    def __init__(self, tree: Tree, registry: Registry, must_exist: bool = True) -> None:
        self.check = Checker(tree, must_exist)
        self.registry = registry
        self.choices = ChoiceReader(self.check, registry)
        self.files = FeaturesReader(self.check)
        self.searches = SearchReader(self.check, registry, lambda tree: MatrixReader(tree, registry, must_exist))

    def benchmark(self) -> Benchmark:
        """Return the whole file as a Benchmark. Raises ConfigError with all problems."""
        whole = self.check.tree.value
        top = self.check.map(whole, (), TOP)
        for key in ("data", "tasks", "methods"):
            if key not in top and isinstance(whole, dict) and not (key == "methods" and "matrix" in top):
                self.check.wrong((), f"the key `{key}` is missing")
        given = self.check.map(top.get("data", {}), ("data",))
        data = {name: self.data_source(name, value) for name, value in given.items()}
        judges = EvaluateReader(self.check, self.choices)
        tasks = TaskReader(self.check, data, judges).read(top.get("tasks", {}))
        validate = (
            read_validation(self.check, top["validate"], ("validate",), list(data)) if "validate" in top else None
        )
        evaluate, tasks = judges.whole(top, tasks)
        backbone = self.choices.choice("backbone", top["backbone"], ("backbone",)) if "backbone" in top else None
        methods = self.methods(top, backbone)
        settings = self.settings(top, methods)
        self.count_rows(methods, sum(len(task.judges or evaluate) for task in tasks), settings)
        if self.check.must_exist:
            self.files.check_there(methods, tasks, settings["seeds"])
        self.check.stop_at_problems()
        found = Benchmark(
            file=Path(self.check.tree.file),
            data={name: source for name, source in data.items() if source},
            tasks=tuple(tasks),
            evaluate=evaluate,
            methods=methods,
            backbone=backbone,
            validate=validate,
            text=self.check.tree.source,
            **settings,
        )
        expect = ExpectReader(self.check, found.data, found.tasks, methods).read(top.get("expect", {}))
        published = PublishedReader(self.check, self.registry, found).read(top.get("published", []))
        claims = ClaimReader(self.check, found)
        rule = claims.rule(top.get("claim_rule", {}))
        claimed = claims.read(top.get("claims", []), rule)
        if "claim_rule" in top and "claims" not in top:
            self.check.wrong(("claim_rule",), "has no effect: the file has no `claims:`")
        self.searches.check_file(found)
        self.check.stop_at_problems()
        return replace(found, expect=expect, published=published, claims=claimed, claim_rule=rule)

    def count_rows(self, methods: tuple[Recipe, ...], columns: int, settings: dict[str, Any]) -> None:
        """Report a file with too many rows; `columns` is the number of pairs of task and evaluator."""
        pretrained = sum(any(kind == "pretrain" for kind, _ in recipe.steps) for recipe in methods)
        runs = len(methods) - pretrained + pretrained * len(settings["pretrain_seeds"])
        rows = runs * len(settings["seeds"]) * columns
        if rows > MOST_ROWS:
            self.check.wrong((), f"expands to {rows} rows, more than {MOST_ROWS}; split it into several files")

    def settings(self, top: dict[str, Any], methods: Sequence[Recipe]) -> dict[str, Any]:
        pictures = self.check.settings(top, ())
        height, width = pictures.pop("image_size", (256, 128))
        precision = self.one_of(top.get("precision", PRECISIONS[0]), ("precision",), PRECISIONS)
        title = top.get("title", Path(self.check.tree.file).stem)
        if not isinstance(title, str):
            self.check.wrong(("title",), f"must be text, not {kind_word(title)}{self.check.quotes(title)}")
        return {
            "title": printable(str(title)),
            "image_size": (height, width),
            "pictures": pictures,
            "precision": precision,
            "threads": self.check.whole_number(top.get("threads", 1), ("threads",), 1, 1),
            "devices": self.devices(top.get("devices", 1), methods),
            "profile": self.check.yes_or_no(top["profile"], ("profile",)) is True if "profile" in top else False,
            "prepare_seed": self.check.whole_number(top.get("prepare_seed", 0), ("prepare_seed",), 0, 0),
            "seeds": self.check.seeds(top.get("seeds", [0]), ("seeds",)),
            "pretrain_seeds": self.check.seeds(top.get("pretrain_seeds", [0]), ("pretrain_seeds",)),
        }

    def one_of(self, value: Any, path: Path_, words: Sequence[str]) -> str:
        """Return the value if it is one of `words`; otherwise report it and return the first."""
        if value in words:
            return str(value)
        self.check.wrong(path, f"must be one of {', '.join(words)}, not {self.check.text(path, value)}")
        return words[0]

    def devices(self, value: Any, methods: Sequence[Recipe]) -> Devices:
        """Read `devices: N` or `devices: {pretrain: N, finetune: M}`; report methods that train on one device only."""
        path: Path_ = ("devices",)
        if isinstance(value, dict):
            kinds = self.check.map(value, path, SEVERAL_DEVICES)
            given = {kind: self.device_count(kinds.get(kind, 1), (*path, kind)) for kind in SEVERAL_DEVICES}
            devices: Devices = given if max(given.values()) > 1 else 1
        else:
            devices = self.device_count(value, path)
        for sentence in refusals(methods, devices):
            self.check.wrong(path, sentence)
        return devices

    def device_count(self, value: Any, path: Path_) -> int:
        count = self.check.whole_number(value, path, 1, 1)
        if count > MOST_DEVICES:
            self.check.wrong(path, f"must be at most {MOST_DEVICES} devices (of one machine), not {shown(value)}")
        return min(count, MOST_DEVICES)

    def data_source(self, name: str, value: Any) -> DataSource | None:
        path: Path_ = ("data", name)
        choice = self.choices.choice("dataset", value, path, extra=("root",))
        root = value.get("root") if isinstance(value, dict) else None
        if root is not None and not isinstance(root, str):
            self.check.wrong((*path, "root"), f"must be a path, not {kind_word(root)}{self.check.quotes(root)}")
            return None
        rooted = choice is not None and "root" in choice.component.required(choice.params)
        if choice and root is None and rooted:
            self.check.wrong(path, f"dataset {choice.name} needs `root:`, the folder or file of your copy")
        place = self.check.place(root, (*path, "root"), "FOLDER") if root is not None else None
        if place and rooted and self.check.must_exist and not there(place, Path.exists):
            self.check.wrong((*path, "root"), f"no such folder or file: {self.check.leads(root, place)}")
        return DataSource(name, choice, place, self.check.tree.where((*path, "root"))) if choice else None

    def methods(self, top: dict[str, Any], default: Choice | None) -> tuple[Recipe, ...]:
        recipes: dict[str, Recipe | None] = {}
        if "flip_test" in top:
            self.check.yes_or_no(top["flip_test"], ("flip_test",))
        given = self.check.map(top.get("methods", {}), ("methods",))
        for name, value in given.items():
            self.add(recipes, name, value, ("methods", name), top, default)
        for name, value, path in self.combinations(top.get("matrix", [])):
            if name in recipes:
                self.check.wrong(path, f"the combination {shown(name)} already exists; name it under `methods`")
            else:
                self.add(recipes, name, value, path, top, default)
        for name, recipe in recipes.items():
            for other in recipe.ensemble if recipe else ():
                part = recipes.get(other)
                if other not in recipes or (part and part.ensemble):
                    self.check.wrong(
                        ("methods", name, "ensemble"), f"{shown(other)} is not another method with its own stages"
                    )
        return tuple(recipe for recipe in recipes.values() if recipe)

    def add(
        self,
        recipes: dict[str, Recipe | None],
        name: str,
        value: Any,
        path: Path_,
        top: dict[str, Any],
        default: Choice | None,
    ) -> None:
        """Add a row as written and, if it has a search, the row of the search's best trial."""
        asked = self.searches.taken_out(value, path)
        if name in recipes:
            self.check.wrong(path, f"the row {shown(name)} already exists: it is the result of another row's search")
            return
        plain = recipes[name] = self.recipe(name, asked.row, path, top, default)
        if plain and asked.place:
            filled = f"{name}{TUNED}"
            if filled in recipes:
                self.check.wrong(
                    asked.place, f"the row of its result, {shown(filled)}, already exists; rename that row"
                )
            found = self.searches.tuned(filled, plain, asked, top, default)
            recipes[filled] = replace(plain, name=filled, search=found) if found else None

    def combinations(self, value: Any) -> list[tuple[str, dict[str, Any], Path_]]:
        if not isinstance(value, list):
            self.check.wrong(("matrix",), f"must be a list of maps, not {kind_word(value)}")
            return []
        found: list[tuple[str, dict[str, Any], Path_]] = []
        for index, entry in enumerate(value):
            path: Path_ = ("matrix", index)
            steps = self.check.map(entry, path, COMBINED)
            lists = [options if isinstance(options, list) else [options] for options in steps.values()]
            if len(found) + math.prod(map(len, lists)) > MOST_COMBINATIONS:
                self.check.wrong(path, f"expands to more than {MOST_COMBINATIONS} combinations")
                return []
            for options in itertools.product(*lists):
                names = [option.get("use") if isinstance(option, dict) else option for option in options]
                found.append(("+".join(map(str, names)), dict(zip(steps, options, strict=True)), path))
        return found

    def recipe(self, name: str, value: Any, path: Path_, top: dict[str, Any], default: Choice | None) -> Recipe | None:
        given = self.check.map(value, path, RECIPE)
        if "features" in given:
            return self.files.recipe(name, given, path)
        if "uses" in given:
            self.check.wrong(
                (*path, "uses"), "is for rows with `features`; components declare what they use themselves"
            )
        own = (*path, "backbone")
        backbone = self.choices.choice("backbone", given["backbone"], own) if "backbone" in given else default
        if "backbone" not in given and "backbone" not in top:
            self.check.wrong(path, "has no backbone: add `backbone:` here, or at the top for all methods")
        if "ensemble" in given:
            parts = given["ensemble"]
            if (
                len(given) > 1
                or not isinstance(parts, list)
                or len(parts) < 2
                or not all(isinstance(p, str) for p in parts)
            ):
                self.check.wrong((*path, "ensemble"), "must be the only key, with a list of two or more methods")
                return None
            return Recipe(name, backbone, ensemble=tuple(parts)) if backbone else None
        steps = [step for key in STEPS if key in given for step in self.step(key, given[key], (*path, key))]
        if isinstance(value, dict) and not given.keys() & set(EMBEDDERS):
            self.check.wrong(
                path,
                "needs `finetune` or `adapt` to compute features (`finetune: none` uses the backbone's)",
            )
        if "select" in given and "pretrain" not in given:
            self.check.wrong((*path, "select"), "selects images for pre-training, but the row has no `pretrain`")
        flips = self.check.yes_or_no(given["flip_test"], (*path, "flip_test")) if "flip_test" in given else None
        flip_test = top.get("flip_test") is True if flips is None else flips
        settings = self.check.settings(given, path)
        return Recipe(name, backbone, tuple(steps), (), flip_test, settings) if backbone and steps else None

    def step(self, key: str, value: Any, path: Path_) -> list[tuple[str, Choice]]:
        if isinstance(value, list) and not STEPS[key].repeats:
            self.check.wrong(path, "takes one component, not a list")
            return []
        choices = [self.choices.step(STEPS[key].component, entry, at) for entry, at in entries(value, path)]
        return [(key, choice) for choice in choices if choice]
