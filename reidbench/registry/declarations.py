"""Validation of component declarations: complete, and with known words only."""

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
    """Yield errors in the declaration of a component of this kind."""
    name, target, params, version = component.name, component.target, component.params, component.version
    if not isinstance(name, str) or not NAME.fullmatch(name):
        yield f"name {name!r} must be words of a-z and 0-9 joined by '-'"
    if not TARGET.fullmatch(str(target)):
        yield f"target {target!r} must be 'module:attribute'"
    if not isinstance(params, type) or not issubclass(params, Params):
        yield "params must be a subclass of reidbench.Params"
        return
    if not isinstance(version, int) or version < 1:
        yield f"version {version!r} must be a whole number >= 1"
    yield published.complaint(component.paper)
    yield rehearsal_fault(component)
    yield metrics_fault(kind, component.metrics)
    yield refused_word(kind, component)
    yield preset_fault(kind, component)
    yield _setting_among(kind, component)


def _setting_among(kind: str, component: Component) -> str:
    """Return the error about a parameter named like a step setting, which no matrix file could set; or ""."""
    settings = (*STEP_SETTINGS, *(() if kind == "preparer" else ("backbone",)))
    names = [name for name in settings if name in component.params.model_fields and kind in METHODS]
    return f"its parameter {names[0]!r} has the name of a setting of its step; rename it" if names else ""


def refused_word(kind: str, component: Component) -> str:
    """Return the error about the first word that a component of this kind may not use, or "".

    Words that depend on the parameters are checked with their defaults, if all have one.
    """
    try:
        params = component.params()
    except ValidationError:  # a parameter has no default; words that depend on it are checked when it is set
        params = None
    return refused_with(kind, component, params) or complaint("lacks", _said(component.lacks, params, None), kind)


def refused_with(kind: str, component: Component, params: Params | None) -> str:
    """Return the error about the first unknown word of a component used with `params`, or ""."""
    fields = ("capabilities", "traits", "requires", "protocol")
    said = {field: _said(getattr(component, field), params) for field in fields}
    wrong = next(filter(None, (complaint(field, words, kind) for field, words in said.items())), "")
    if not wrong and "source" in said["requires"] and "source-free" in said["traits"]:
        return "it requires 'source' but has the trait 'source-free', which receives no source"
    return wrong


def _said(words: Any, params: Params | None, *more: Any) -> Any:
    """Return the words of a field for these parameters; none if they depend on parameters and `params` is None."""
    if not callable(words):
        return words
    return frozenset() if params is None else words(params, *more)
