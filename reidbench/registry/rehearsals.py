"""Validation of a component's declarations for rehearsals."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping

from pydantic import ValidationError

from reidbench.components import Component, NestedKind

FUNCTION = re.compile(r"([\w.]+:\w+)?")


def rehearsal_fault(component: Component) -> str:
    """Return the error in `rehearsal`, `workload` or `stand_in` of a component, or ""."""
    for field in ("workload", "stand_in"):
        if not FUNCTION.fullmatch(str(getattr(component, field))):
            return f"{field} {getattr(component, field)!r} must be 'module:function'"
    if not isinstance(component.rehearsal, Mapping):
        return f"rehearsal must be a map of parameters, not {component.rehearsal!r}"
    known = component.params.model_fields
    for name in component.rehearsal:
        if name not in known:
            near = difflib.get_close_matches(str(name), list(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"rehearsal: unknown parameter {name!r}{hint} (known: {', '.join(known) or 'none'})"
        if any(isinstance(mark, NestedKind) for mark in known[name].metadata):
            return f"rehearsal: {name!r} is a component, whose own `rehearsal` applies"
    return _misfit(component)


def _misfit(component: Component) -> str:
    """Return the error if the values do not fit, or ""; parameters without a default come from the matrix file."""
    try:
        component.params(**component.rehearsal)
    except ValidationError as error:
        for problem in error.errors():
            if problem["type"] != "missing":
                where = ".".join(map(str, problem["loc"]))
                return f"rehearsal: {where}{': ' if where else ''}{problem['msg'].removeprefix('Value error, ')}"
    return ""
