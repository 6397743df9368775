"""Parameters with which a component is checked: its defaults made small, and the plugin's CHECK."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from reidbench.components import Component, NestedKind, Params, load_attribute
from reidbench.errors import PluginError
from reidbench.matrix.benchmark import marker
from reidbench.matrix.reading.choices import BESIDE
from reidbench.registry.plugins import Registry

from .own import UNTRAINED

# Small values of common parameters: two epochs, so that a run can resume, and few images.
SMALL: Mapping[str, int] = {
    "epochs": 2, "rounds": 2, "passes": 1, "iterations": 2, "steps": 2, "splits": 2, "batch": 8, "batch_size": 8,
    "identities": 4, "images": 2, "queue": 16, "dim": 16, "hidden": 32, "width": 8, "depth": 2,
    "k": 2, "k1": 4, "k2": 2, "min_samples": 2, "clusters": 4, "clean_batches": 1, "warmup_epochs": 1, "repeats": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """Settings to check a component for which small defaults are not enough.

    `root` is a data set's folder or file. `backbone` and the steps `before` an adapter, for example
    `({"finetune": {"use": "bot", "epochs": 1}},)`, are written as in a matrix file. `skip` is the reason to skip it.
    """

    params: Mapping[str, Any] = field(default_factory=dict)
    root: Path | None = None
    backbone: str | Mapping[str, Any] | None = None
    before: tuple[Mapping[str, Any], ...] = ({"finetune": UNTRAINED},)
    image_size: tuple[int, int] = (64, 32)
    skip: str = ""


def example_of(registry: Registry, module: str, kind: str, component: Component, folder: Path) -> Example:
    """Return the example of a component: from `CHECK` in the plugin's module, by name or `kind name`, or the default.

    An entry is a map of parameters, an Example, or the "module:function" of a function that takes an empty folder and
    returns either. Raises PluginError for anything else.
    """
    declared = getattr(importlib.import_module(module), "CHECK", {})
    given = declared.get(f"{kind} {component.name}", declared.get(component.name, {}))
    if isinstance(given, str):
        folder.mkdir(parents=True, exist_ok=True)
        given = load_attribute(given)(folder)
    if isinstance(given, Mapping):
        given = Example(params=given)
    if not isinstance(given, Example):
        raise PluginError(f"CHECK[{component.name!r}] must be a map of parameters, an Example or 'module:function'")
    params = with_small(registry, component.params, given.params)
    return Example(params, given.root, given.backbone, given.before, given.image_size, given.skip)


def with_small(registry: Registry, params: type[Params], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given values with small defaults, also in nested components."""
    values = dict(given)
    for name, info in params.model_fields.items():
        mark = marker(info, NestedKind)
        inner = given.get(name, None if info.is_required() else info.get_default(call_default_factory=True))
        if mark is None or inner is None:
            continue
        options = {"use": inner} if isinstance(inner, str) else dict(inner)
        kind = next((kind for kind in mark.kinds if options["use"] in registry.names(kind)), mark.kinds[0])
        known = registry.get(kind, options["use"])
        rest = {
            key: value for key, value in options.items() if key not in ("use", *BESIDE)
        }  # the check sets these itself
        values[name] = {"use": known.name, **with_small(registry, known.params, rest)}
    return {**small(params, values), **values}


def small(params: type[Params], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults that SMALL reduces, as far as validation allows, and `tiny` if that is a choice."""
    chosen: dict[str, Any] = {
        name: "tiny"
        for name, info in params.model_fields.items()
        if name not in given and "tiny" in get_args(info.annotation)
    }
    for _ in range(2):  # a value rejected with a large default of another field may be valid with a small one
        for name, value in SMALL.items():
            info = params.model_fields.get(name)
            default = info.default if info else None
            if name in given or not isinstance(default, int) or isinstance(default, bool) or default <= value:
                continue
            if _valid(params, {**chosen, name: value, **given}):
                chosen[name] = value
    return chosen


def uses(component: Component, example: Example) -> frozenset[str]:
    """Return the protocol words of a component with its example; empty for invalid parameters, reported later."""
    if not callable(component.protocol):
        return frozenset(component.protocol)
    fine = _valid(component.params, example.params)
    return component.protocol_with(component.params(**example.params)) if fine else frozenset()


def _valid(params: type[Params], values: Mapping[str, Any]) -> bool:
    try:
        params(**values)
    except ValidationError:
        return False
    return True


def lacking(component: Component, example: Example) -> str:
    """Return why a component cannot be checked, or ""."""
    if example.skip:
        return example.skip
    how = f"set it in the plugin's CHECK = {{{component.name!r}: ...}}"
    required = [name for name, info in component.params.model_fields.items() if info.is_required()]
    missing = [name for name in required if name not in example.params]
    if missing:
        return f"requires {', '.join(missing)}; {how}"
    given = _valid(component.params, example.params)  # invalid ones are reported when it runs
    rootless = example.root is None and given and "root" in component.required(component.params(**example.params))
    return f"requires a root; {how}" if rootless else ""
