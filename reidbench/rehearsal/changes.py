"""Change parameters of a matrix file's components, including nested ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from reidbench.components import NestedKind
from reidbench.matrix.benchmark import Choice, marker
from reidbench.matrix.reading.choices import written

from .standins import NoStandIn

Nested = Mapping[str, tuple[Choice, NestedKind]]


def with_params(choice: Choice, changes: Mapping[str, Any], nested: Nested | None = None) -> Choice:
    """Return the choice with other parameters and nested components. Raises NoStandIn if they are invalid."""
    nested = choice.nested if nested is None else nested
    if not changes and nested == choice.nested:
        return choice
    fields = choice.component.params.model_fields
    inner = {name: written(chosen, mark, marker(fields[name], NestedKind)) for name, (chosen, mark) in nested.items()}
    try:
        params = choice.component.params(**{**choice.resolved, **choice.secrets, **changes, **inner})
    except ValidationError as error:
        why = "; ".join(problem["msg"].removeprefix("Value error, ") for problem in error.errors())
        given = ", ".join(f"{name}: {value}" for name, value in changes.items())
        raise NoStandIn(f"{choice.kind} {choice.name} cannot be rehearsed with {given}: {why}") from None
    return replace(choice, params=params, nested=nested)
