"""Read components with parameters, and feature files, from YAML values; errors have file, line and fix."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from reidbench.components import STEP_SETTINGS, Component, ContentHashed, InPlace, NestedKind, Params
from reidbench.errors import DataError, UnknownComponent
from reidbench.matrix.benchmark import BOTH, PLACEHOLDERS, Choice, Features, Recipe, Task, marker
from reidbench.matrix.kinds import AUXILIARY, OF_COMPONENT, OF_STAGE
from reidbench.registry.declarations import refused_with
from reidbench.registry.fieldtypes import DECIMAL, TRUTH, WHOLE, misfits
from reidbench.registry.plugins import Registry, printable
from reidbench.scoring.featurefile import check_name
from reidbench.words import undeclarable

from .checker import Checker, guess, kind_word, there
from .yamlfile import LONGEST_KEY, Path_, is_number, shown

STEP = ("backbone", *STEP_SETTINGS)  # keys of a step that are not parameters of its component
BESIDE = (*STEP, "data")  # such keys of a nested training
OF_FILES = ("features", "uses", *STEP_SETTINGS)  # keys of a row whose features come from files
PARTS = ("query", "gallery")
WRITTEN = re.compile(r"(?<!\$)\{(\w*)\}", re.ASCII)  # a placeholder {NAME}, not a variable ${NAME}
FIRST = 3  # number of files named in an error
# Messages for pydantic's error types, phrased for matrix files.
MUST_BE = {
    "int_type": WHOLE,
    "float_type": DECIMAL,
    "bool_type": TRUTH,
    "string_type": "must be text",
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), "must be a list, like [A, B]"),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type"), "must be a map (key: value)"),
}


class ChoiceReader:
    """Read components with their parameters and nested components."""

    def __init__(self, checker: Checker, registry: Registry) -> None:
        self.check = checker
        self.registry = registry

    def choice(self, kind: str, value: Any, path: Path_, extra: Sequence[str] = ()) -> Choice | None:
        """Read `name` or `{use: name, param: value}`; ignore the keys in `extra`, which are not parameters."""
        given = {"use": value} if isinstance(value, str) else self.check.named(value, path, kind)
        name = given.get("use")
        if not isinstance(name, str):
            if isinstance(value, dict):
                self.check.wrong(path, f"needs `use:` with the name of {'an' if kind[0] in 'ae' else 'a'} {kind}")
            return None
        if len(name) > LONGEST_KEY:
            self.check.wrong(path, f"no {kind} has a name of {len(name)} characters")
            return None
        try:
            component = self.registry.get(kind, name)
        except UnknownComponent as error:
            self.check.unknown[printable(f"{kind} {name}")] = None
            self.check.wrong((*path, "use") if isinstance(value, dict) else path, str(error))
            return None
        options = {key: option for key, option in given.items() if key != "use" and key not in extra}
        chosen = self.filled(kind, component, options, path, extra)
        if chosen is None:
            return None
        also = f"{options.get('preset')}:"  # presets for one data set, such as `paper:msmt17-v1` of `paper`
        presets = {name.removeprefix(also): name for name in component.presets if name.startswith(also)}
        made = {
            data: self.filled(kind, component, {**options, "preset": name}, path, extra)
            for data, name in presets.items()
        }
        return replace(chosen, for_data={data: one for data, one in made.items() if one})

    def filled(
        self, kind: str, component: Component, options: dict[str, Any], path: Path_, extra: Sequence[str]
    ) -> Choice | None:
        """Return a component with the values and settings of the preset named in its options."""
        values = self.with_preset(kind, component, options, path)
        if values is None:
            return None
        settings = {key: values.pop(key) for key in STEP_SETTINGS if key in values and key in extra}
        chosen = self.with_params(kind, component, values, path)
        if chosen and kind == OF_STAGE["evaluate"].component and values is not options:
            chosen = replace(chosen, preset=_preset_words(options))
        return replace(chosen, settings=settings) if chosen and settings else chosen

    def step(self, kind: str, value: Any, path: Path_, extra: Sequence[str] = STEP) -> Choice | None:
        """Return a component with the settings next to its parameters: its own backbone and image size."""
        chosen = self.choice(kind, value, path, extra)
        if not isinstance(value, dict):
            return chosen
        settings = self.check.settings(value, path)
        own = None
        if "backbone" in value and "backbone" in extra:
            own = self.choice("backbone", value["backbone"], (*path, "backbone"))
        if chosen is None:
            return None
        choices = {name: _beside(one, own, settings) for name, one in chosen.for_data.items()}
        return replace(_beside(chosen, own, settings), for_data=choices)

    def with_preset(
        self, kind: str, component: Component, options: dict[str, Any], path: Path_
    ) -> dict[str, Any] | None:
        """Return the options merged over the values of their preset; report an unknown preset and return None."""
        if "preset" not in options or ("preset" in component.params.model_fields and not component.presets):
            return options
        name, known = options["preset"], list(component.presets)
        if not known:
            self.check.wrong((*path, "preset"), f"{kind} {component.name} has no presets")
            return None
        if not isinstance(name, str) or name not in known:
            given = self.check.text((*path, "preset"), name)
            near = guess(name, known) if isinstance(name, str) else ""
            sentence = f"{kind} {component.name} has no preset {given}{near} (known: {', '.join(known)})"
            self.check.wrong((*path, "preset"), sentence)
            return None
        return {**component.presets[name], **{key: value for key, value in options.items() if key != "preset"}}

    def with_params(self, kind: str, component: Component, options: dict[str, Any], path: Path_) -> Choice | None:
        """Return a component with validated parameters and nested choices; report invalid ones and return None."""
        nested = {}
        for name, info in component.params.model_fields.items():
            mark = marker(info, NestedKind)
            if mark is None:
                continue
            given = options.get(name, _default(info))
            if given is None and NoneType in get_args(info.annotation):  # an optional component
                continue
            found = self.nested(given, mark, (*path, name))
            if found is None:
                return None
            nested[name] = found
            options = {**options, name: written(*found, mark)}
        wrong = misfits(component.params, options)
        for place, sentence, value in wrong:
            quotes = "; write it without quotes" if isinstance(value, str) and is_number(value) else ""
            self.check.wrong((*path, *place), f"{sentence}, not {self.check.text((*path, *place), value)}{quotes}")
        places = self.located(component.params, options, path)
        if wrong or None in places.values():
            return None
        try:
            params = component.params(**{**options, **places})
        except ValidationError as error:
            for problem in error.errors():
                self.param_problem(kind, component, problem, path)
            return None
        if refused := refused_with(kind, component, params):
            self.check.wrong(path, f"{kind} {component.name}: {refused}")
            return None
        fine = self.paths_exist(params, options, path) if self.check.must_exist else True
        return Choice(kind, component, params, nested) if fine else None

    def nested(self, given: Any, mark: NestedKind, path: Path_) -> tuple[Choice, NestedKind] | None:
        """Return the component of a `Uses` field, with its own backbone, image settings and data if given."""
        kind = self.kind_of(given, mark.kinds)
        trains = kind in OF_COMPONENT and OF_COMPONENT[kind].step
        chosen = self.step(kind, given, path, BESIDE if trains else STEP_SETTINGS)
        if chosen is None:
            return None
        if trains and isinstance(given, dict) and "data" in given:
            if given["data"] != AUXILIARY:
                text = self.check.text((*path, "data"), given["data"])
                self.check.wrong((*path, "data"), f"must be {AUXILIARY}, or omitted for the {mark.role}, not {text}")
            mark = replace(mark, role=AUXILIARY)
        return chosen, mark

    def kind_of(self, value: Any, kinds: Sequence[str]) -> str:
        """Return the first of the kinds that has a component of the given name, or the first kind."""
        name = value.get("use") if isinstance(value, dict) else value
        return next((kind for kind in kinds if name in self.registry.names(kind)), kinds[0])

    def located(self, params: type[Params], options: dict[str, Any], path: Path_) -> dict[str, Any]:
        """Resolve files and folders among the options; relative paths start at the matrix file's folder.

        None for a path with an unset variable.
        """
        found: dict[str, Any] = {}
        for name, info in params.model_fields.items():
            hashed, in_place = marker(info, ContentHashed), marker(info, InPlace)
            given = options.get(name, str(_default(info)) if in_place else None)
            what = "FILE" if hashed and not hashed.folder else "FOLDER"
            if isinstance(given, str) and (in_place or (hashed and hashed.folder is not None)):
                found[name] = self.check.place(given, (*path, name), what)
            elif isinstance(given, list) and hashed and all(isinstance(item, str) for item in given):
                places = [self.check.place(item, (*path, name, at), what) for at, item in enumerate(given)]
                found[name] = None if None in places else places
        return found

    def paths_exist(self, params: Params, options: dict[str, Any], path: Path_) -> bool:
        """Return whether every file and folder among the parameters exists; report those that are missing."""
        fine = True
        for name, info in type(params).model_fields.items():
            hashed, value = marker(info, ContentHashed), getattr(params, name)
            if hashed and hashed.folder is None:
                given = options.get(name, ())
                lost = [at for at, place in enumerate(value) if not there(place, Path.exists)]
                for at in lost:
                    leads = self.check.leads(given[at], value[at])
                    self.check.wrong((*path, name, at), f"no such file or folder: {leads}")
                fine = fine and not lost
            elif hashed and value is not None and not there(value, Path.is_dir if hashed.folder else Path.is_file):
                leads = self.check.leads(options.get(name), value)
                self.check.wrong((*path, name), f"no such {'folder' if hashed.folder else 'file'}: {leads}")
                fine = False
            elif marker(info, InPlace) and not there(value, Path.is_dir):
                self.check.wrong((*path, name), f"no such folder: {self.check.leads(options.get(name), value)}")
                fine = False
        return fine

    def param_problem(self, kind: str, component: Component, problem: Any, path: Path_) -> None:
        """Report pydantic's error about a parameter as a sentence."""
        where = (*path, *problem["loc"])
        known = list(component.params.model_fields)
        if problem["type"] == "extra_forbidden":
            near = guess(str(problem["loc"][-1]), known)
            self.check.wrong(
                where, f"{kind} {component.name} has no such parameter{near} (known: {', '.join(known) or 'none'})"
            )
        elif problem["type"] == "missing":
            self.check.wrong(where, f"{kind} {component.name} needs this parameter")
        else:
            message = MUST_BE.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            given = self.check.text(where, problem["input"])
            quotes = self.check.quotes(problem["input"]) if problem["type"] == "string_type" else ""
            sentence = f"{message[:1].lower()}{message[1:]}"
            # An error about several parameters together includes their values.
            self.check.wrong(where, sentence[:400] + (f", not {given}{quotes}" if problem["loc"] else ""))


def _preset_words(options: Mapping[str, Any]) -> str:
    """Return the name of a preset and the parameters written next to it."""
    beside = [f"{name}={value}" for name, value in options.items() if name != "preset"]
    return printable(", ".join([str(options["preset"]), *beside]))


class FeaturesReader:
    """Read rows whose features come from files."""

    def __init__(self, checker: Checker) -> None:
        self.check = checker

    def recipe(self, name: str, given: dict[str, Any], path: Path_) -> Recipe | None:
        """Read a row of features from files: `{features: FILE, uses: [WORD, ...], image_size: [H, W]}`."""
        for key in [key for key in given if key not in OF_FILES]:
            self.check.wrong((*path, key), f"cannot be combined with `features`; only {', '.join(OF_FILES[1:])} can")
        uses = self.uses(given["uses"], (*path, "uses")) if "uses" in given else None
        settings = self.check.settings(given, path)
        here: Path_ = (*path, "features")
        value = given["features"]
        by_part = self.check.map(value, here, PARTS) if isinstance(value, dict) else {BOTH: value}
        if isinstance(value, dict) and set(by_part) != set(PARTS):
            self.check.wrong(here, "needs `query:` and `gallery:`, or one file for both")
        places = {part: self.of_features(one, (*here, part) if part else here) for part, one in by_part.items()}
        paths = {part: place for part, place in places.items() if place}
        features = Features(paths, uses, self.check.tree.where(here))
        return Recipe(name, None, settings=settings, features=features) if len(paths) == len(by_part) else None

    def of_features(self, value: Any, path: Path_) -> Path | None:
        """Return the path of a file or folder with features; report an invalid path and return None."""
        if not isinstance(value, str) or not value.strip():
            self.check.wrong(
                path, f"must be a path, not {kind_word(value) if value else 'empty'}{self.check.quotes(value)}"
            )
            return None
        for word in WRITTEN.findall(value):
            if word not in PLACEHOLDERS:
                known = ", ".join(f"{{{one}}}" for one in PLACEHOLDERS)
                self.check.wrong(path, f"unknown placeholder {{{word}}}{guess(word, PLACEHOLDERS)} (known: {known})")
        return self.check.place(value, path, "FILE")

    def uses(self, value: Any, path: Path_) -> tuple[str, ...]:
        """Return the protocol words that a row of files declares; none for `none` and []."""
        words = [] if value == "none" else value if isinstance(value, list) else [value]
        for word in words:
            fault = undeclarable(word) if isinstance(word, str) else f"must be text, not {kind_word(word)}"
            if fault:
                self.check.wrong(path, f"{shown(word)}: {fault}")
        return tuple(dict.fromkeys(str(word) for word in words))

    def check_there(self, methods: Sequence[Recipe], tasks: Sequence[Task], seeds: Sequence[int]) -> None:
        """Report rows of files with missing or invalid files, for every task and seed."""
        for recipe in methods:
            cells = itertools.product(tasks, seeds)
            files = [file for cell in cells for file in _files(recipe, *cell)]
            missing = [file for file in dict.fromkeys(files) if not there(Path(file), Path.exists)]
            if missing:
                first = ", ".join(map(shown, missing[:FIRST]))
                more = f" and {len(missing) - FIRST} more" if len(missing) > FIRST else ""
                self.check.wrong(("methods", recipe.name, "features"), f"no such file or folder: {first}{more}")
            elif wrong := next((fault for file in files if (fault := _form_fault(Path(file)))), ""):
                self.check.wrong(("methods", recipe.name, "features"), wrong)


def _files(recipe: Recipe, task: Task, seed: int) -> list[str]:
    return list(recipe.features.files(task.name, seed).values()) if recipe.features else []


def _form_fault(file: Path) -> str:
    try:
        if not file.is_dir():
            check_name(file)
    except DataError as error:
        return str(error)
    return ""


def written(chosen: Choice, mark: NestedKind, declared: NestedKind) -> dict[str, Any]:
    """Return a nested component as a matrix file has it, including all parameters."""
    own = {"backbone": {"use": chosen.backbone.name, **chosen.backbone.resolved}} if chosen.backbone else {}
    own |= chosen.settings
    data = {"data": mark.role} if mark.role != declared.role else {}
    return {"use": chosen.name, **chosen.resolved, **own, **data}


def _beside(chosen: Choice, backbone: Choice | None, settings: Mapping[str, Any]) -> Choice:
    """Return a choice with the settings written next to its parameters."""
    return replace(chosen, backbone=backbone, settings={**chosen.settings, **settings})


def _default(info: FieldInfo) -> Any:
    default = info.get_default(call_default_factory=True)
    return default.model_dump() if hasattr(default, "model_dump") else default
