"""Presets of components: validation against the parameters, and printing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from reidbench.components import STEP_SETTINGS, Component, Params, Preset
from reidbench.data.pictures.size import setting_fault
from reidbench.words import METHODS

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(:[a-z0-9]+(-[a-z0-9]+)*)?")  # with the name of a data set: paper:msmt17-v1


def preset_fault(kind: str, component: Component) -> str:
    """Return the error in the presets of a component of this kind, or ""."""
    if not isinstance(component.presets, Mapping):
        return f"presets must be a map of a name to parameters, not {component.presets!r}"
    if "preset" in component.params.model_fields:
        for name, values in component.presets.items():
            if isinstance(values, Mapping) and "preset" not in values:
                return f"preset {name!r} must set the component's own parameter 'preset'"
    found = (_fault(kind, component.params, name, values) for name, values in component.presets.items())
    return next(filter(None, found), "") or next(filter(None, map(_other_setting, _for_data(component))), "")


def _for_data(component: Component) -> Iterator[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield the presets for single data sets that have a general preset: name, values, values of the general preset."""
    for name, values in component.presets.items():
        plain, _, data = name.partition(":")
        if data and plain in component.presets:
            yield name, values, component.presets[plain]


def _other_setting(presets: tuple[str, Mapping[str, Any], Mapping[str, Any]]) -> str:
    """Return the error if presets of one family differ in a setting: a row has one test size for all data sets."""
    name, values, plain = presets
    other = [setting for setting in STEP_SETTINGS if values.get(setting) != plain.get(setting)]
    return f"preset {name!r} must have the same {other[0]} as {name.partition(':')[0]!r}" if other else ""


def _fault(kind: str, params: type[Params], name: object, values: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return (
            f"preset {name!r} must be named by words of a-z and 0-9 joined by '-', optionally followed by ':DATA-SET'"
        )
    if not isinstance(values, Mapping):
        return f"preset {name!r} must be a map of parameters, not {values!r}"
    known = list(params.model_fields)
    settings = {field: value for field, value in values.items() if field in STEP_SETTINGS and kind in METHODS}
    values = {field: value for field, value in values.items() if field not in settings}
    for field, value in settings.items():
        if fault := setting_fault(field, value):
            return f"preset {name!r}: {field} {fault}, not {value!r}"
    for field in values:
        if field not in known:
            near = difflib.get_close_matches(str(field), known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"preset {name!r}: unknown parameter {field!r}{hint} (known: {', '.join(known) or 'none'})"
    try:
        params(**values)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing":  # parameters without a default are given next to the preset
                where = ".".join(map(str, problem["loc"]))
                return f"preset {name!r}: {where}{': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}"
    return ""


def described(component: Component) -> Iterator[str]:
    """Yield a line for each preset: its source and its differences from the defaults."""
    for name, values in component.presets.items():
        changes = [
            f"{field} {_default(component.params, field)} -> {value!r}"
            for field, value in values.items()
            if repr(value) != _default(component.params, field)
        ]
        yield f"preset {name} ({source(component, name)}): {', '.join(changes) or 'the defaults'}"


def source(component: Component, name: str) -> str:
    """Return the source of a preset's values: its own, or the paper or its code, by the preset's name."""
    values, paper = component.presets[name], component.paper
    if isinstance(values, Preset):
        return values.source
    named = {"paper": ", ".join(filter(None, (paper.title, paper.venue))), "code": paper.code} if paper else {}
    return named.get(name.partition(":")[0]) or "source not stated"


def _default(params: type[Params], field: str) -> Any:
    if field in STEP_SETTINGS:
        return "(of the file)"
    info = params.model_fields[field]
    return "(required)" if info.is_required() else repr(info.get_default(call_default_factory=True))
