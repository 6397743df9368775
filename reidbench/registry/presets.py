"""Presets of a component: whether they fit its parameters, and how they are printed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from reidbench.components import STEP_SETTINGS, Component, Params, Preset
from reidbench.data.pictures.size import setting_fault
from reidbench.words import METHODS

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(:[a-z0-9]+(-[a-z0-9]+)*)?")  # with a data set's name: paper:msmt17-v1


def preset_fault(kind: str, component: Component) -> str:
    """What is wrong with the presets of a component of this kind, or nothing."""
    if not isinstance(component.presets, Mapping):
        return f"presets must be a map of a name to parameters, not {component.presets!r}"
    if component.presets and "preset" in component.params.model_fields:
        return "it has presets and a parameter of the name 'preset'; rename the parameter"
    found = (_fault(kind, component.params, name, values) for name, values in component.presets.items())
    return next(filter(None, found), "")


def _fault(kind: str, params: type[Params], name: object, values: object) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        return f"preset {name!r} must be named by words of a-z and 0-9 joined by '-', perhaps with ':DATA-SET' behind"
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
            return f"preset {name!r}: there is no parameter {field!r}{hint} (known: {', '.join(known) or 'none'})"
    try:
        params(**values)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing":  # what has no default is given beside the preset
                where = ".".join(map(str, problem["loc"]))
                return f"preset {name!r}: {where}{': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}"
    return ""


def described(component: Component) -> Iterator[str]:
    """A line for each preset: its source, and what differs from the defaults."""
    for name, values in component.presets.items():
        changes = [
            f"{field} {_default(component.params, field)} -> {value!r}"
            for field, value in values.items()
            if repr(value) != _default(component.params, field)
        ]
        yield f"preset {name} ({source(component, name)}): {', '.join(changes) or 'the defaults'}"


def source(component: Component, name: str) -> str:
    """Where a preset's values come from: what it says itself, or the paper or its code, by the preset's name."""
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
