"""Published rows that an entry of a file selects by component, kind, row and source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reidbench.components import Component
from reidbench.registry.plugins import Registry
from reidbench.registry.published import usual_name

from .checker import Checker, guess, kind_word
from .yamlfile import Path_, shown

WHAT = {"metric": "metric of the file's evaluators", "ap": "rule of average precision"}


def texts(check: Checker, given: Mapping[str, Any], path: Path_, keys: Sequence[str]) -> dict[str, str]:
    """Return the values of these keys that are non-empty text; report others."""
    found = {}
    for key in keys:
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            found[key] = value
        elif key in given:
            where = (*path, key)
            check.wrong(where, f"must be text, not {said(check, value, where)}{check.quotes(value)}")
    return found


def said(check: Checker, value: Any, path: Path_) -> str:
    """Return a scalar as typed in the file, or the kind of any other value."""
    return check.text(path, value) if isinstance(value, str | int | float) else kind_word(value)


def one_of(check: Checker, given: Mapping[str, str], key: str, known: Sequence[str], path: Path_) -> bool:
    """Return whether the text of a key is known or missing; report an unknown one."""
    if key not in given or given[key] in known:
        return True
    names = f"known: {', '.join(known) or 'none'}"
    near = usual_name(given[key]) if key == "metric" else given[key]
    what = WHAT.get(key, key)
    check.wrong((*path, key), f"unknown {what} {shown(given[key])}{guess(near, known)} ({names})")
    return False


def component(
    check: Checker, registry: Registry, wanted: Mapping[str, str], path: Path_
) -> tuple[str, Component] | None:
    """Return the kind and component with published numbers that an entry names; report errors and return None."""
    there = {key: one for key, one in registry.components.items() if one.paper and one.paper.published}
    named = {kind: one for (kind, name), one in there.items() if name == wanted["component"]}
    if not named:
        names = sorted({name for _, name in there})
        near = f"{shown(wanted['component'])}{guess(wanted['component'], names)}"
        words = f"unknown component with published numbers {near} (known: {', '.join(names) or 'none'})"
        check.wrong((*path, "component"), words)
    elif "kind" in wanted:
        if one_of(check, wanted, "kind", list(named), path):
            return wanted["kind"], named[wanted["kind"]]
    elif len(named) > 1:
        check.wrong(path, f"several components have this name: choose one with `kind`, {' or '.join(named)}")
    else:
        return next(iter(named.items()))
    return None


def no_row(kind: str, component: Component, wanted: Mapping[str, str]) -> str:
    """Return the error that a component has no such published number, with suggestions."""
    numbers = component.paper.published if component.paper else ()
    known = {"row": [one.row for one in numbers], "source": [one.source for one in numbers]}
    known["row"] += [row.rpartition(", ")[2] for row in known["row"]]
    words = [f"{key} {shown(wanted[key])}{guess(wanted[key], known[key])}" for key in known if key in wanted]
    none = f"{component.name} has no published number {'with ' * bool(words)}{' and '.join(words)}"
    if "row" not in wanted:
        none += f"{' ' * bool(words)}comparable with measured ones: add `row:`"
    return f"{none} (`reidbench show {kind} {component.name} --published` prints all)"
