"""Options of an executor: `--option KEY=VALUE`, validated by the parameters of its component."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from reidbench.components import Component, Params
from reidbench.errors import ConfigError, ReidbenchError
from reidbench.matrix.reading.yamlfile import read_value, shown
from reidbench.registry.plugins import printable


def read_options(
    component: Component, given: Sequence[str] | Mapping[str, Any], more: Mapping[str, Any] | None = None
) -> Params:
    """Return the options of an executor, from `KEY=VALUE` texts with values in YAML, or from a map.

    Dots between keys select an option of a group: `pretrain.time=600`. A later text overrides an earlier one, and
    `more` overrides all. Raises ReidbenchError that names the option and the known ones.
    """
    values: dict[str, Any] = dict(given) if isinstance(given, Mapping) else _parsed(given)
    values |= more or {}
    try:
        return component.params(**values)
    except ValidationError as error:
        raise ReidbenchError(printable("; ".join(_sentences(component, error)))) from None


def _parsed(texts: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for given in texts:
        key, equals, text = given.partition("=")
        *groups, name = key.split(".")
        at: Any = values
        for word in groups:
            at = at.setdefault(word, {}) if isinstance(at, dict) else None
        if not equals or not isinstance(at, dict) or not all((*groups, name)):
            raise ReidbenchError(f"--option {shown(given)}: expected KEY=VALUE, like partition=gpu")
        try:
            at[name] = read_value(text, "here")
        except ConfigError as error:
            why = error.problems[0].removeprefix("here: ")
            raise ReidbenchError(f"--option {shown(given)}: the value is not plain YAML: {why}") from None
    return values


def _sentences(component: Component, error: ValidationError) -> Iterator[str]:
    """Yield a sentence for each mistake."""
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"])) or "options"
        if problem["type"] == "extra_forbidden":
            yield f"executor {component.name} has no option {where!r}{_known(component, problem['loc'])}"
        elif problem["type"] == "missing":
            yield f"executor {component.name} needs the option {where}: add --option {where}=VALUE"
        else:
            sentence = problem["msg"].removeprefix("Value error, ")
            given = f", not {shown(problem['input'])}" if problem["loc"] else ""
            yield f"--option {where}: {sentence}{given}"


def _known(component: Component, place: tuple[int | str, ...]) -> str:
    """Return the nearest name and all names of the options at that place, as text."""
    names = component.params.model_fields
    for word in place[:-1]:
        if str(word) in names:  # otherwise a key of a map
            names = _fields(names[str(word)].annotation)
    near = difflib.get_close_matches(str(place[-1]), list(names), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{hint} (known: {', '.join(names) or 'none'})"


def _fields(group: Any) -> dict[str, FieldInfo]:
    """Return the options of a group, or of each group of a map."""
    found: dict[str, FieldInfo] = getattr((get_args(group) or (group,))[-1], "model_fields", {})
    return found
