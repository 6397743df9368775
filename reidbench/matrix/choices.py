"""From YAML values to components with their parameters; every mistake is named with file, line and cure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from reidbench.components import Component, ContentHashed, NestedKind, Params
from reidbench.errors import ConfigError, UnknownComponent
from reidbench.registry.declarations import refused_with
from reidbench.registry.plugins import Registry, printable

from .benchmark import Choice, marker
from .fieldtypes import DECIMAL, TRUTH, WHOLE, misfits
from .yamlfile import LONGEST_KEY, Path_, Tree, is_number, shown

MOST_PROBLEMS = 100  # told of one file; whoever has more has mistaken the file

# What pydantic finds of another kind, by the type of its problem, in the words of a matrix file.
MUST_BE = {
    "int_type": WHOLE,
    "float_type": DECIMAL,
    "bool_type": TRUTH,
    "string_type": "must be text",
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), "must be a list, like [A, B]"),
    **dict.fromkeys(("dict_type", "model_type", "mapping_type"), "must be a map (key: value)"),
}


class ChoiceReader:
    """Reads the small things of a tree; collects problems instead of stopping at the first."""

    def __init__(self, tree: Tree, registry: Registry) -> None:
        self.tree = tree
        self.registry = registry
        self.problems: dict[str, None] = {}  # an ordered set

    # ------------------------------------------------------------------ small tools
    def wrong(self, path: Path_, sentence: str) -> None:
        """A problem, told with its line. Raises ConfigError when there are too many to go on."""
        where = ".".join(map(str, path))
        text = f"{self.tree.place(path)}: {where + ': ' if where else ''}{sentence}"
        self.problems[printable(text if len(text) < 2000 else f"{text[:2000]}...")] = None
        if len(self.problems) >= MOST_PROBLEMS:
            raise ConfigError([*self.problems, f"{printable(str(self.tree.file))}: and more; these are the first"])

    def map(self, value: Any, path: Path_, known: Sequence[str] = ()) -> dict[str, Any]:
        """`value` if it is a map of known keys, else {} and a problem."""
        if not isinstance(value, dict):
            self.wrong(path, f"must be a map (key: value), not {kind_word(value)}")
            return {}
        for key in value:
            if known and key not in known:
                self.wrong((*path, key), f"unknown key{guess(key, known)} (known: {', '.join(known)})")
        return value

    def named(self, value: Any, path: Path_, what: str, known: Sequence[str] = ()) -> dict[str, Any]:
        """`value` if it is a map, where a name may stand as well; else {} and a problem."""
        if isinstance(value, dict):
            return self.map(value, path, known)
        given = kind_word(value) if value is None or isinstance(value, list) else self.tree.text(path, value)
        quotes = self.quotes(value)
        self.wrong(path, f"must be the name of a {what}, or a map with `use: NAME`, not {given}{quotes}")
        return {}

    @staticmethod
    def quotes(value: Any) -> str:
        """The cure where text is meant and YAML reads something else."""
        return "; put it in quotes if it is text" if isinstance(value, bool | int | float) else ""

    def whole_number(self, value: Any, path: Path_, least: int, default: int) -> int:
        """`value` if it is one, else `default` and a problem."""
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.wrong(path, f"must be a whole number from {least}, not {self.tree.text(path, value)}")
            return default
        return value

    def seeds(self, value: Any, path: Path_) -> tuple[int, ...]:
        """A list of different whole numbers."""
        if not isinstance(value, list) or not value:
            given = "an empty list" if value == [] else kind_word(value)
            self.wrong(path, f"must be a list of whole numbers, like [0, 1, 2], not {given}")
            return (0,)
        before = len(self.problems)
        seeds = tuple(self.whole_number(seed, (*path, index), 0, 0) for index, seed in enumerate(value))
        if len(set(seeds)) < len(seeds) and len(self.problems) == before:
            self.wrong(path, f"a seed appears twice in {shown(list(seeds))}")
        return seeds

    # ------------------------------------------------------------------ components
    def choice(self, kind: str, value: Any, path: Path_, extra: Sequence[str] = ()) -> Choice | None:
        """`name` or `{use: name, param: value}`; `extra` keys are not the component's and are left out."""
        given = {"use": value} if isinstance(value, str) else self.named(value, path, kind)
        name = given.get("use")
        if not isinstance(name, str):
            if isinstance(value, dict):
                self.wrong(path, f"needs `use:` with the name of {'an' if kind[0] in 'ae' else 'a'} {kind}")
            return None
        if len(name) > LONGEST_KEY:
            self.wrong(path, f"no {kind} has a name of {len(name)} characters")
            return None
        try:
            component = self.registry.get(kind, name)
        except UnknownComponent as error:
            self.wrong((*path, "use") if isinstance(value, dict) else path, str(error))
            return None
        options = {key: option for key, option in given.items() if key != "use" and key not in extra}
        filled = self.with_preset(kind, component, options, path)
        return None if filled is None else self.with_params(kind, component, filled, path)

    def with_preset(
        self, kind: str, component: Component, options: dict[str, Any], path: Path_
    ) -> dict[str, Any] | None:
        """The options beside the values of the preset that they name; None and a problem where there is none such."""
        if not component.presets or "preset" not in options:
            return options
        name, known = options["preset"], list(component.presets)
        if not isinstance(name, str) or name not in known:
            given = self.tree.text((*path, "preset"), name)
            near = guess(name, known) if isinstance(name, str) else ""
            sentence = f"{kind} {component.name} has no preset {given}{near} (known: {', '.join(known)})"
            self.wrong((*path, "preset"), sentence)
            return None
        return {**component.presets[name], **{key: value for key, value in options.items() if key != "preset"}}

    def with_params(self, kind: str, component: Component, options: dict[str, Any], path: Path_) -> Choice | None:
        """A component with its parameters, nested choices among them; None and problems where they do not fit."""
        nested = {}
        for name, info in component.params.model_fields.items():
            mark = marker(info, NestedKind)
            if mark is None:
                continue
            given = options.get(name, _default(info))
            chosen = self.choice(self.kind_of(given, mark.kinds), given, (*path, name))
            if chosen is None:
                return None
            nested[name] = (chosen, mark)
            options = {**options, name: {"use": chosen.name, **chosen.resolved}}
        wrong = misfits(component.params, options)
        for place, sentence, value in wrong:
            quotes = "; write it without quotes" if isinstance(value, str) and is_number(value) else ""
            self.wrong((*path, *place), f"{sentence}, not {self.tree.text((*path, *place), value)}{quotes}")
        if wrong:
            return None
        try:
            params = component.params(**{key: self.located(component, key, value) for key, value in options.items()})
        except ValidationError as error:
            for problem in error.errors():
                self.param_problem(kind, component, problem, path)
            return None
        if refused := refused_with(kind, component, params):
            self.wrong(path, f"{kind} {component.name}: {refused}")
            return None
        return Choice(kind, component, params, nested) if self.paths_exist(params, path) else None

    def kind_of(self, value: Any, kinds: Sequence[str]) -> str:
        """The first of the kinds that has a component of the given name, or the first."""
        name = value.get("use") if isinstance(value, dict) else value
        return next((kind for kind in kinds if name in self.registry.names(kind)), kinds[0])

    def located(self, component: Component, key: str, value: Any) -> Any:
        """Paths in a matrix file are relative to the file."""
        info = component.params.model_fields.get(key)
        return self.place(value) if info and marker(info, ContentHashed) and isinstance(value, str) else value

    def place(self, value: str) -> Path:
        """Where a path leads; one that can lead nowhere (a user that is not here, a loop of links) stays as it is."""
        try:
            return (Path(self.tree.file).parent / Path(value).expanduser()).resolve()
        except (OSError, ValueError, RuntimeError):
            return Path(value)

    def paths_exist(self, params: Params, path: Path_) -> bool:
        """Whether every file and folder among the parameters is there."""
        fine = True
        for name, info in type(params).model_fields.items():
            hashed, value = marker(info, ContentHashed), getattr(params, name)
            if hashed and value is not None and not there(value, Path.is_dir if hashed.folder else Path.is_file):
                self.wrong((*path, name), f"no such {'folder' if hashed.folder else 'file'}: {shown(str(value))}")
                fine = False
        return fine

    def param_problem(self, kind: str, component: Component, problem: Any, path: Path_) -> None:
        """What pydantic says of a parameter, in a sentence."""
        where = (*path, *problem["loc"])
        known = list(component.params.model_fields)
        if problem["type"] == "extra_forbidden":
            near = guess(str(problem["loc"][-1]), known)
            self.wrong(
                where, f"{kind} {component.name} has no such parameter{near} (known: {', '.join(known) or 'none'})"
            )
        elif problem["type"] == "missing":
            self.wrong(where, f"{kind} {component.name} needs this parameter")
        else:
            message = MUST_BE.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            given = self.tree.text(where, problem["input"])
            quotes = self.quotes(problem["input"]) if problem["type"] == "string_type" else ""
            sentence = f"{message[:1].lower()}{message[1:]}"
            # What is wrong with all parameters together names the values itself.
            self.wrong(where, sentence[:400] + (f", not {given}{quotes}" if problem["loc"] else ""))


def guess(word: str, known: Sequence[str]) -> str:
    """`; did you mean ...?` where a known word is near, else nothing."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def there(place: Path, test: Callable[[Path], bool]) -> bool:
    """Whether it is there; a name that no file can have (too long, a null character) is not."""
    try:
        return test(place)
    except (OSError, ValueError):
        return False


def _default(info: FieldInfo) -> Any:
    default = info.get_default(call_default_factory=True)
    return default.model_dump() if hasattr(default, "model_dump") else default


def kind_word(value: Any) -> str:
    """What a YAML value is, in words."""
    if value is None:
        return "nothing"
    if value == []:
        return "an empty list"
    return {dict: "a map", list: "a list", str: "text", bool: "true or false"}.get(type(value), "a number")
