"""Read `search:` of rows and steps: searched parameters, sampler and selection.

`taken_out` returns the row without its search; `tuned` returns the search, whose best trial fills a second row.
"""

from __future__ import annotations

import copy
import importlib.util
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from reidbench.errors import ConfigError
from reidbench.matrix.benchmark import Benchmark, Choice, Recipe
from reidbench.matrix.kinds import STEPS
from reidbench.matrix.search import CHOSEN, CRITERIA, Search, Space
from reidbench.matrix.validation import validation_of
from reidbench.registry.plugins import Registry

from .checker import Checker, guess, kind_word
from .spaces import MOST_TRIALS, Misplaced, RowReader, Rows, check_values, read_space
from .yamlfile import Path_, Tree, shown

SETTINGS = ("trials", "select", "sampler", "search_seed", "search_seeds")  # next to `search`, or in `search_defaults`
OWN = frozenset({"search", *SETTINGS} - STEPS.keys())  # keys of a row that no step or component has
SAMPLERS = ("grid", "random", "tpe")
NO_ROW = ("features", "ensemble")  # keys of rows that train nothing
VALIDATED = {
    "source-val": ({"identities", "queries"}, "`validate: {identities: 0.2}` of the file or a task"),
    "held-out-domain": ({"data"}, "`validate: {data: NAME}` of the file or a task"),
}  # kinds of validation that each way to select trials accepts, with an example
INSTALL = "tpe needs Optuna, which is not installed: run pip install 'reidbench[search]', or use random"


@dataclass(frozen=True)
class Holder:
    """Row, or step of a row, that may have a search: its values, its path in the row and its path in the file."""

    given: dict[str, Any]
    inside: tuple[str, ...]
    path: Path_
    kind: str = ""  # of the step's component


@dataclass
class Asked:
    """Row without its search, and the search's spaces (by dotted path) and settings with their places in the file."""

    row: Any
    path: Path_
    spaces: dict[str, tuple[Any, Path_]] = field(default_factory=dict)
    settings: dict[str, tuple[Any, Path_]] = field(default_factory=dict)
    place: Path_ = ()  # of the first `search`; empty without one


class SearchReader:
    """Split searches from rows and read the rows of their results; `fresh` returns a reader for another tree."""

    def __init__(self, checker: Checker, registry: Registry, fresh: Callable[[Tree], RowReader]) -> None:
        self.check = checker
        self.registry = registry
        self.fresh = fresh
        self.places: dict[str, Path_] = {}  # of searches, by the row of their result

    # ------------------------------------------------------------------ what a row says
    def taken_out(self, value: Any, path: Path_) -> Asked:
        """Split a row into the row without its search, and the search."""
        if not isinstance(value, dict) or not _mentions_search(value):  # true of most rows
            return Asked(value, path)
        row = copy.deepcopy(value)
        asked = Asked(row, path)
        whole = Holder(row, (), path)
        searching = [
            one for one in (whole, *_steps(row, path)) if "search" in one.given and not self.owns(one, "search")
        ]
        if not searching:
            self.refuse_settings(whole)
            return asked
        asked.place = (*searching[0].path, "search")
        for key in set(NO_ROW) & row.keys():
            self.check.wrong(asked.place, f"a row with `{key}` trains nothing, so it has nothing to search")
        for one in searching:
            self.take_spaces(one, asked)
        for one in [whole, *(one for one in searching if one.inside)]:
            self.take_settings(one, asked)
        return asked

    def owns(self, holder: Holder, key: str) -> bool:
        """Return whether a key is a parameter of the step's component."""
        name = holder.given.get("use")
        component = self.registry.components.get((holder.kind, name)) if isinstance(name, str) else None
        return component is not None and key in component.params.model_fields

    def refuse_settings(self, whole: Holder) -> None:
        """Report search settings in a row that has no search."""
        for key in [key for key in SETTINGS if key in whole.given and key not in STEPS]:
            del whole.given[key]
            self.check.wrong((*whole.path, key), "is a search setting: add `search:` with the parameters to search")

    def take_spaces(self, holder: Holder, asked: Asked) -> None:
        """Collect the spaces of a `search:`, by dotted path in the row."""
        path = (*holder.path, "search")
        written = holder.given.pop("search")
        given = self.check.map(written, path)
        if written == {}:
            self.check.wrong(path, "must name a parameter, as in `search: {lr: {log: [1e-4, 1e-2]}}`")
        for key, value in given.items():
            name = ".".join((*holder.inside, key))
            if name in asked.spaces:
                first = self.check.tree.where(asked.spaces[name][1])
                self.check.wrong((*path, key), f"{name} is already searched ({first})")
            else:
                asked.spaces[name] = value, (*path, key)

    def take_settings(self, holder: Holder, asked: Asked) -> None:
        """Collect the search settings in a row, or next to the search of a step."""
        for key in [key for key in SETTINGS if key in holder.given]:
            place = (*holder.path, key)
            if key == "select" and not holder.inside and not self.is_judge(holder):
                continue  # the step that selects images for pre-training
            if holder.inside and self.owns(holder, key):
                step = ".".join(holder.inside)
                cure = f"write the search in the row: `search: {{{step}.PARAMETER: ...}}`, with `{key}:` next to it"
                self.check.wrong(
                    place, f"is ambiguous: a parameter of {holder.given['use']} and a search setting; {cure}"
                )
                continue
            value = holder.given.pop(key)
            if key in asked.settings:
                self.check.wrong(place, f"is given twice (first {self.check.tree.where(asked.settings[key][1])})")
            else:
                asked.settings[key] = value, place

    def is_judge(self, whole: Holder) -> bool:
        """Return whether `select` of a row with a search says how to select trials, rather than naming a selector."""
        value = whole.given["select"]
        judges = (isinstance(value, str) and value in CHOSEN) or (isinstance(value, dict) and "unsupervised" in value)
        if "pretrain" not in whole.given:
            return True
        if judges and isinstance(value, str) and value in self.registry.names("selector"):
            cure = (
                f"write `select: {{use: {value}}}` for the selector, and move the search with its `select:` into a step"
            )
            self.check.wrong((*whole.path, "select"), f"{value} is both a selector and a way to select trials: {cure}")
        return judges

    # ------------------------------------------------------------------ the row that a search fills
    def tuned(
        self, name: str, plain: Recipe, asked: Asked, top: dict[str, Any], default: Choice | None
    ) -> Search | None:
        """Return the search of a row, which is `plain` without it; report errors and return None."""
        self.places[name] = asked.place
        before = len(self.check.problems)
        spaces = {
            key: space for key, (value, path) in asked.spaces.items() if (space := read_space(self.check, value, path))
        }
        read = Rows(name, asked.row, asked.path, top, default, self.check.tree, self.fresh)
        if len(spaces) < len(asked.spaces):
            return None
        hidden = {name for _, choice in plain.steps for part in choice.parts() for name in part.hidden}
        for key, space in spaces.items():
            if key.partition(".")[0] in OWN:
                self.check.wrong(asked.spaces[key][1], "is a setting of the search, not a parameter of the row")
            if hidden & set(key.split(".")):
                self.check.wrong(
                    asked.spaces[key][1], "is secret and cannot be searched: the search would show its values"
                )
            if _secrets_of(read, key, space) - _secrets(plain):
                self.check.wrong(
                    asked.spaces[key][1], "has values with secrets, which the search would show; make each value a row"
                )
            alone = sum(other.rpartition(".")[0] == key.rpartition(".")[0] for other in spaces) == 1
            check_values(self.check, key, space, asked.spaces[key][1], read, alone)
        settings = self.settings(asked, spaces, top)
        if len(self.check.problems) > before:
            return None
        return Search(spaces, **settings, recipe=read.with_values)

    # ------------------------------------------------------------------ settings
    def settings(self, asked: Asked, spaces: Mapping[str, Space], top: dict[str, Any]) -> dict[str, Any]:
        """Return trials, sampler, selection and seeds from the row, with defaults from `search_defaults`."""
        given = dict(asked.settings)
        for key, value in self.check.map(top.get("search_defaults", {}), ("search_defaults",), SETTINGS).items():
            given.setdefault(key, (value, ("search_defaults", key)))
        select, criterion = self.select(given.get("select"), asked.place)
        sampler, trials = self.sampler(given.get("sampler"), spaces, "trials" in given), given.get("trials")
        whole = {"seed": given.get("search_seed", (0, ())), "seeds": given.get("search_seeds", (1, ()))}
        return {
            "trials": self.trials(trials, sampler, math.prod(space.size for space in spaces.values()), asked.place),
            "select": select,
            "criterion": criterion,
            "sampler": sampler,
            **{key: self.check.whole_number(*one, int(key == "seeds"), 1) for key, one in whole.items()},
        }

    def select(self, given: tuple[Any, Path_] | None, place: Path_) -> tuple[str, str]:
        """Return the way to select trials, and its criterion if it has one."""
        if given is None:
            self.check.wrong(place, f"needs `select:` next to it, the way to select trials: {', '.join(CHOSEN)}")
            return "oracle", ""
        value, path = given
        word, criterion = value, CRITERIA[0]
        if isinstance(value, dict) and list(value) == ["unsupervised"]:
            word, criterion = "unsupervised", value["unsupervised"]
        if not isinstance(word, str) or word not in CHOSEN:
            near = guess(word, list(CHOSEN)) if isinstance(word, str) else ""
            text = kind_word(value) if isinstance(value, dict | list) else self.check.text(path, value)
            self.check.wrong(path, f"must be one of {', '.join(CHOSEN)}, not {text}{near}")
            return "oracle", ""
        if not isinstance(criterion, str) or criterion not in CRITERIA:
            near = guess(criterion, CRITERIA) if isinstance(criterion, str) else ""
            self.check.wrong(
                (*path, word), f"unknown criterion {shown(criterion)}{near} (known: {', '.join(CRITERIA)})"
            )
        return word, criterion if word == "unsupervised" else ""

    def sampler(self, given: tuple[Any, Path_] | None, spaces: Mapping[str, Space], counted: bool) -> str:
        """Return the sampler; the default is grid, or random if a space is a range or `trials` is given."""
        endless = [key for key, space in spaces.items() if space.kind != "choices"]
        if given is None:
            return "random" if endless or counted else "grid"
        value, path = given
        if value not in SAMPLERS:
            near = guess(value, SAMPLERS) if isinstance(value, str) else ""
            self.check.wrong(path, f"must be one of {', '.join(SAMPLERS)}, not {self.check.text(path, value)}{near}")
            return "random"
        if value == "grid" and endless:
            self.check.wrong(path, f"grid needs lists, and {endless[0]} is a range: list its values, or use random")
        if value == "tpe" and importlib.util.find_spec("optuna") is None:
            self.check.wrong(path, INSTALL)
        return str(value)

    def trials(self, given: tuple[Any, Path_] | None, sampler: str, size: float, place: Path_) -> int:
        """Return the number of trials: the given one, or the size of the grid."""
        combinations = f"{size:.15g} combinations"
        if given is None:
            if sampler != "grid":
                self.check.wrong(place, "needs `trials:` next to it, the number of trials to draw")
            elif size > MOST_TRIALS:
                self.check.wrong(place, f"expands to {combinations}, more than {MOST_TRIALS}: add `trials:`")
            return int(min(size, MOST_TRIALS))
        value, path = given
        trials = self.check.whole_number(value, path, 1, 1)
        if trials > MOST_TRIALS:
            self.check.wrong(path, f"must be at most {MOST_TRIALS} trials for one search, not {trials}")
        elif sampler == "grid" and trials != size < math.inf:
            self.check.wrong(path, f"grid runs all of its {combinations}: omit `trials`, or use random")
        elif trials > size:
            self.check.wrong(path, f"must be at most the {combinations}: omit `trials` to run all")
        return min(trials, MOST_TRIALS)

    # ------------------------------------------------------------------ the whole file
    def check_file(self, found: Benchmark) -> None:
        """Report searches that need more seeds than the file has, a missing metric or a missing validation."""
        kinds = {one.kind for task in found.tasks if (one := validation_of(found, task))}
        for recipe in found.methods:
            search = recipe.search
            if search is None:
                continue
            place = self.places[recipe.name]
            if search.seeds > len(found.seeds):
                there = len(found.seeds)
                self.check.wrong(place, f"search_seeds: {search.seeds} is more than the {there} of the file's `seeds`")
            if not search.criterion and not any(choice.component.metrics for choice in found.evaluate):
                self.check.wrong(place, "needs a metric to select trials, and no evaluator of the file declares one")
            needs = VALIDATED.get(search.select)
            if needs and not kinds & needs[0]:
                has = "no task has a `validate`" if not kinds else f"the tasks use {' and '.join(sorted(kinds))}"
                self.check.wrong(place, f"`select: {search.select}` needs {needs[1]}, but {has}")


def _mentions_search(row: Mapping[str, Any]) -> bool:
    """Return whether a row or one of its steps has a key of a search."""
    maps = [row, *(step.given for step in _steps(row, ()))]
    return any(key in one for one in maps for key in ("search", *SETTINGS) if key != "select")


def _steps(row: Mapping[str, Any], path: Path_) -> Iterator[Holder]:
    """Yield the steps of a row that are maps."""
    for key in [key for key in STEPS if key in row]:
        several = isinstance(row[key], list)
        for at, one in enumerate(row[key] if several else [row[key]]):
            inside: Path_ = (key, at) if several else (key,)
            if isinstance(one, dict):
                yield Holder(one, tuple(map(str, inside)), (*path, *inside), STEPS[key].component)


def _secrets(row: Recipe) -> set[str]:
    """Return the values of all secret parameters of a row."""
    parts = (part for _, choice in row.steps for part in choice.parts())
    return {value for part in parts for texts in part.secrets.values() for value in texts.values()}


def _secrets_of(rows: Rows, key: str, space: Space) -> set[str]:
    """Return the values of secret parameters in the row with any choice of a searched component."""
    found: set[str] = set()
    for value in space.values if space.kind == "choices" else ():
        if isinstance(value, dict | list):
            with suppress(ConfigError, Misplaced):  # reported by `check_values`
                found |= _secrets(rows.with_values({key: value}))
    return found
