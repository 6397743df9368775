"""Whether a component's declaration is whole and says nothing that is not known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from reidbench.components import STEP_SETTINGS, Component, Params
from reidbench.words import METHODS, complaint

from . import published
from .metrics import metrics_fault
from .presets import preset_fault
from .rehearsals import rehearsal_fault

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
TARGET = re.compile(r"[\w.]+:\w+")


def faults(kind: str, component: Component) -> Iterator[str]:
    """Sentences about what is wrong with a component of this kind."""
    name, target, params, version = component.name, component.target, component.params, component.version
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"name {name!r} must be words of a-z and 0-9 joined by '-'"
    if not TARGET.fullmatch(str(target)):
        yield f"target {target!r} must be 'module:attribute'"
    if not isinstance(params, type) or not issubclass(params, Params):
        yield "params must be a subclass of reidbench.Params"
        return
    if not isinstance(version, int) or version < 1:
        yield f"version {version!r} must be a whole number from 1"
    yield published.complaint(component.paper)
    yield rehearsal_fault(component)
    yield metrics_fault(kind, component.metrics)
    yield refused_word(kind, component)
    yield preset_fault(kind, component)
    yield _setting_among(kind, component)


def _setting_among(kind: str, component: Component) -> str:
    """The sentence about a parameter of the name of a setting, which a matrix file could not give."""
    settings = (*STEP_SETTINGS, *(() if kind == "preparer" else ("backbone",)))
    names = [name for name in settings if name in component.params.model_fields and kind in METHODS]
    return f"its parameter {names[0]!r} has the name of a setting of its step; rename it" if names else ""


def refused_word(kind: str, component: Component) -> str:
    """The sentence about the first word that no component of this kind may say, or nothing.

    What depends on the parameters is looked at with their defaults, where they all have one.
    """
    try:
        params = component.params()
    except ValidationError:  # a parameter has no default; what it makes of the words is seen when it is given
        params = None
    return refused_with(kind, component, params) or complaint("lacks", _said(component.lacks, params, None), kind)


def refused_with(kind: str, component: Component, params: Params | None) -> str:
    """The sentence about the first word that is not known where a component is used with `params`, or nothing."""
    fields = ("capabilities", "traits", "requires", "protocol")
    said = {field: _said(getattr(component, field), params) for field in fields}
    wrong = next(filter(None, (complaint(field, words, kind) for field, words in said.items())), "")
    if not wrong and "source" in said["requires"] and "source-free" in said["traits"]:
        return "it requires 'source' and has the trait 'source-free', which is given none"
    return wrong


def _said(words: Any, params: Params | None, *more: Any) -> Any:
    """What a field says with these parameters; nothing where it depends on them and there are none."""
    if not callable(words):
        return words
    return frozenset() if params is None else words(params, *more)
